"""What the topics hold after a run, and whether anything was lost, doubled or contradicted."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bloxtr8.config import Settings
from bloxtr8.escrow import evolve
from bloxtr8.messaging.topics import (
    ESCROW_COMMANDS,
    ESCROW_EVENTS,
    PAYMENTS_COMMANDS,
    PAYMENTS_EVENTS,
    changelog_name,
)
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowEvent
from proto.bloxtr8.escrow.v1.record_pb2 import Escrow, EscrowRecord
from proto.bloxtr8.payments.v1.payments_pb2 import PaymentCommand
from tests.crash.traffic import ENDS, Sent
from tests.integration.streams.worker import records

# Facts that order money say the operation's id in these fields.
_ORDERING = ("operation_id", "payout", "refund")


@dataclass
class Evidence:
    """Figures of a run, and one sentence for each thing that must not be."""

    events: int = 0
    repeated: int = 0
    fenced: int = 0
    orders: int = 0
    refusals: int = 0
    faults: list[str] = field(default_factory=list)

    def fault(self, text: str) -> None:
        self.faults.append(text)


async def gather(settings: Settings, sent: Sent) -> Evidence:
    """Read everything that the run left on the broker and judge it."""
    found = Evidence()
    events = [EscrowEvent.FromString(r.value) for r in await records(settings, ESCROW_EVENTS.name)]
    orders = [
        PaymentCommand.FromString(r.value) for r in await records(settings, PAYMENTS_COMMANDS.name)
    ]
    changelog = await records(settings, changelog_name(settings.kafka.app_id, "escrows"))
    for spec in (ESCROW_COMMANDS, PAYMENTS_EVENTS):
        for letter in await records(settings, spec.dlq):
            found.fault(f"a dead letter on {spec.dlq}: {letter.value[-200:]!r}")
    history = _history(events, found)
    _each_cause_once(history, found)
    _all_answered(events, sent, found)
    _orders_follow(history, orders, found)
    _records_fold(history, changelog, found)
    return found


def _history(events: Iterable[EscrowEvent], found: Evidence) -> dict[str, list[EscrowEvent]]:
    """Return each escrow's events in order of sequence, one of each."""
    versions: dict[tuple[str, int], dict[bytes, EscrowEvent]] = defaultdict(dict)
    for event in events:
        found.events += 1
        if event.sequence == 0:
            continue  # a refusal of what does not exist; it has no place in a history
        same = versions[event.escrow_id, event.sequence]
        found.repeated += bool(same)
        same[event.SerializeToString(deterministic=True)] = event
    history: dict[str, list[EscrowEvent]] = defaultdict(list)
    for (escrow_id, sequence), different in sorted(versions.items()):
        believed = max(different.values(), key=lambda event: event.fencing_token)
        rivals = [e for e in different.values() if e.fencing_token == believed.fencing_token]
        found.fenced += len(different) - len(rivals)
        if len(rivals) > 1:
            found.fault(f"{escrow_id} has {len(rivals)} meanings of sequence {sequence}")
        history[escrow_id].append(believed)
    for escrow_id, story in history.items():
        if [event.sequence for event in story] != list(range(1, len(story) + 1)):
            found.fault(f"{escrow_id} has gaps: {[event.sequence for event in story]}")
    return history


def _each_cause_once(history: dict[str, list[EscrowEvent]], found: Evidence) -> None:
    for escrow_id, story in history.items():
        said = Counter((e.metadata.causation_id, e.WhichOneof("body")) for e in story)
        for (cause, body), times in said.items():
            if times > 1:
                found.fault(f"{escrow_id}: {cause} had its effect {body} {times} times")
        ids = Counter(event.metadata.message_id for event in story)
        for message_id, times in ids.items():
            if times > 1:
                found.fault(f"{escrow_id}: two events are called {message_id}")


def _all_answered(events: list[EscrowEvent], sent: Sent, found: Evidence) -> None:
    answered = {event.metadata.causation_id for event in events}
    for message_id, body in {**sent.commands, **sent.facts}.items():
        if message_id not in answered:
            found.fault(f"{body} {message_id} was never answered")
    found.refusals = sum(event.HasField("escrow_command_rejected") for event in events)


def _orders_follow(
    history: dict[str, list[EscrowEvent]], orders: list[PaymentCommand], found: Evidence
) -> None:
    expected: set[str] = set()
    for story in history.values():
        for event in story:
            expected |= _ordered_by(event)
    contents: dict[str, set[bytes]] = defaultdict(set)
    tokens: dict[bytes, int] = {}
    given: Counter[str] = Counter()
    for order in orders:
        content = order.SerializeToString(deterministic=True)
        contents[order.metadata.message_id].add(content)
        tokens[content] = order.fencing_token
        given[_operation(order)] += 1
    for message_id, different in contents.items():
        newest = max(tokens[content] for content in different)
        if sum(tokens[content] == newest for content in different) > 1:
            found.fault(f"the order {message_id} has two meanings")
    for operation_id in expected - set(given):
        found.fault(f"operation {operation_id} was never ordered")
    for operation_id in set(given) - expected:
        found.fault(f"operation {operation_id} was ordered and no event says so")
    found.orders = len(given)


def _ordered_by(event: EscrowEvent) -> set[str]:
    body = event.WhichOneof("body")
    if body not in (
        "escrow_await_funds",
        "escrow_cancelling",
        "escrow_releasing",
        "escrow_refunding",
        "escrow_splitting",
    ):
        return set()
    message = getattr(event, body)
    said = set()
    for name in _ORDERING:
        if name in message.DESCRIPTOR.fields_by_name:
            value = getattr(message, name)
            said.add(value if isinstance(value, str) else value.operation_id)
    return said - {""}


def _operation(order: PaymentCommand) -> str:
    body: Any = getattr(order, order.WhichOneof("body") or "")
    return str(body.operation_id)


def _records_fold(
    history: dict[str, list[EscrowEvent]], changelog: list[Any], found: Evidence
) -> None:
    last: dict[str, EscrowRecord] = {}
    for entry in changelog:
        record = EscrowRecord.FromString(entry.value)
        known = last.get(record.escrow.escrow_id)
        if known is None or _version(record) >= _version(known):
            last[record.escrow.escrow_id] = record
    for escrow_id in set(history) | set(last):
        record = last.get(escrow_id, EscrowRecord())
        folded: Escrow | None = None
        for event in history.get(escrow_id, []):
            folded = evolve(folded, event)
        if folded != record.escrow:
            found.fault(f"{escrow_id}: the record is not the fold of its events")
            continue
        _money_adds_up(record.escrow, found)


def _version(record: EscrowRecord) -> tuple[int, int]:
    return record.fencing_token, record.escrow.sequence


def _money_adds_up(escrow: Escrow, found: Evidence) -> None:
    parts = (escrow.held_minor, escrow.released_minor, escrow.refunded_minor, escrow.fees_minor)
    if escrow.received_minor != sum(parts) or min(parts) < 0:
        found.fault(f"{escrow.escrow_id}: received {escrow.received_minor} is not {parts}")
    if escrow.state not in ENDS:
        found.fault(f"{escrow.escrow_id} did not end: state {escrow.state}")
    elif escrow.held_minor:
        found.fault(f"{escrow.escrow_id} has ended and holds {escrow.held_minor}")
