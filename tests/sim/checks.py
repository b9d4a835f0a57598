"""The invariants that hold at the end of a run, whatever went wrong before."""

from collections import Counter, defaultdict
from itertools import groupby
from typing import Any
from uuid import UUID

from bloxtr8.escrow import lookup, states
from bloxtr8.ledger import accounts
from bloxtr8.messaging.partitioning import partition_of
from bloxtr8.messaging.topics import DLQ_SUFFIX, ESCROW_COMMANDS, ESCROW_EVENTS, PAYMENTS_EVENTS
from bloxtr8.payments.operations import Kind
from bloxtr8.store.mirror_fold import effective_events, fold
from proto.bloxtr8.common.v1.common_pb2 import DeadLetter
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowEvent
from proto.bloxtr8.escrow.v1.record_pb2 import Escrow, EscrowRecord
from tests.sim.broker import PARTITIONS
from tests.sim.escrow_worker import SkewedClock, Table, Worker
from tests.sim.people import Trade
from tests.sim.world import World

_REJECTED = "escrow_command_rejected"
_TIMERS = ("expire_deadline", "remind_deadline", "archive_escrow")
# Where a trade may rest for as long as it takes people to decide.
_FOR_STAFF = frozenset({states.FUNDS_REVIEW, states.DISPUTED})


class Checks:
    """Reads everything a run has left behind; each `i…` method asserts one invariant."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.events: dict[str, list[EscrowEvent]] = {
            escrow_id: effective_events(rows) for escrow_id, rows in world.mirror.rows.items()
        }
        self.records = _records(world)
        self.causes = {
            message.metadata.message_id: message
            for spec in (ESCROW_COMMANDS, PAYMENTS_EVENTS)
            for message in world.broker.messages(spec.name)
        }

    def all(self) -> None:
        self.nothing_is_dead_lettered()
        self.i1_ledger_sums_to_zero()
        for trade in self.world.trades:
            self.i2_money_adds_up(trade)
            self.i3_each_effect_once(trade)
            self.i4_only_listed_transitions(trade)
            self.i5_everything_has_a_cause(trade)
            self.i6_every_command_has_one_verdict(trade)
            self.i7_it_ends_or_waits_for_a_person(trade)
            self.i8_table_is_fold_is_mirror(trade)

    def nothing_is_dead_lettered(self) -> None:
        for (topic, _), log in self.world.broker.logs.items():
            if topic.endswith(DLQ_SUFFIX):
                errors = [DeadLetter.FromString(entry.value or b"").error for entry in log]
                assert not errors, f"{topic}: {errors}"

    def i1_ledger_sums_to_zero(self) -> None:
        sums: Counter[str] = Counter()
        for (_, currency), minor in self.world.mirror.balances.items():
            sums[currency] += minor
        assert not any(sums.values()), f"the ledger does not sum to zero: {sums}"

    def i2_money_adds_up(self, trade: Trade) -> None:
        state = self._state(trade)
        out = state.released_minor + state.refunded_minor + state.fees_minor
        assert state.held_minor == state.received_minor - out >= 0, "held is not what is left"
        if not self.world.mirror.superseded:
            held = self.world.mirror.balances[accounts.held(trade.escrow_id), "USD"]
            assert held == state.held_minor, "the ledger holds another amount"

    def i3_each_effect_once(self, trade: Trade) -> None:
        provider = self.world.provider
        mine = [m for m in provider.movements.values() if m.operation.escrow_id == trade.escrow_id]
        received = sum(
            intent.received_minor
            for intent in provider.intents.values()
            if intent.operation.escrow_id == trade.escrow_id
        )
        moved = sum(movement.operation.amount_minor for movement in mine if movement.done)
        assert moved <= received, f"moved {moved} of {received}"
        paid = [m for m in mine if m.operation.kind is Kind.PAYOUT and m.done]
        assert len(paid) <= 1, "the seller was paid twice"
        state = self._state(trade)
        if state.state == states.RELEASED:
            assert sum(m.operation.amount_minor for m in paid) == state.released_minor

    def i4_only_listed_transitions(self, trade: Trade) -> None:
        before = states.NONE
        for causation_id, group in groupby(self._events(trade), _cause_of):
            events = [event for event in group if event.WhichOneof("body") != _REJECTED]
            if not events:
                continue
            cause = self.causes[causation_id].WhichOneof("body")
            if cause != "create_escrow":
                row = lookup.row_of(before, cause)
                assert row is not None, f"{cause} in {states.name(before)}"
                said = {lookup.EVENTS[str(event.WhichOneof("body"))] for event in events}
                assert said <= set(row.events), f"{cause} said {said}"
                after = events[-1].state
                assert after == before or after in row.to, f"{cause} led to {states.name(after)}"
            before = events[-1].state

    def i5_everything_has_a_cause(self, trade: Trade) -> None:
        for event in self._events(trade):
            assert event.metadata.causation_id in self.causes, "an event without a cause"
            assert event.actor.kind, "an event without an actor"

    def i6_every_command_has_one_verdict(self, trade: Trade) -> None:
        events = self._events(trade)
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        groups = Counter(causation_id for causation_id, _ in groupby(events, _cause_of))
        assert not [cause for cause, times in groups.items() if times > 1], "took effect twice"
        refused = self._refused(trade)
        record = self.records.get(trade.escrow_id)
        absorbed = set() if record is None else {str(UUID(bytes=i)) for i in record.absorbed}
        for message_id, command in self.causes.items():
            about = (
                command.escrow_id == trade.escrow_id and command.DESCRIPTOR.name == "EscrowCommand"
            )
            if not about or command.WhichOneof("body") in _TIMERS:
                continue
            accepted = message_id in groups and message_id not in refused
            assert accepted or message_id in refused, f"no verdict: {command}"
            if record is not None:
                assert accepted == (message_id in absorbed), "absorbed is not what took effect"

    def i7_it_ends_or_waits_for_a_person(self, trade: Trade) -> None:
        state = self._state(trade)
        if not state.state:
            return
        tasks = {task.subject_id for task in self.world.payments.store.tasks}
        own = {
            entry.operation_id
            for entry in self.world.payments.store.books[trade.escrow_id].operations.values()
        } | {trade.escrow_id}
        assert (
            state.state in states.TERMINAL
            or state.HasField("hold")
            or state.state in _FOR_STAFF
            or tasks & own
        ), f"stuck in {states.name(state.state)}"

    def i8_table_is_fold_is_mirror(self, trade: Trade) -> None:
        folded, _ = fold(self._events(trade))
        folding = self.world.mirror.foldings.get(trade.escrow_id)
        mirrored = None if folding is None else folding.escrow
        assert mirrored == folded, "the mirror is not the fold of its events"
        record = self.records.get(trade.escrow_id)
        if record is None:
            assert folded is None or folded.state in states.TERMINAL, "a record is gone"
            return
        assert record.escrow == folded, "the table is not the fold of the events"
        owner = self.world.owner(partition_of(trade.escrow_id.encode(), PARTITIONS))
        kept = EscrowRecord.FromString(owner.table.data[trade.escrow_id.encode()])
        assert kept == record, "the owner has another record than its changelog"

    # --- reading --------------------------------------------------------------------------

    def _events(self, trade: Trade) -> list[EscrowEvent]:
        return self.events.get(trade.escrow_id, [])

    def _state(self, trade: Trade) -> Escrow:
        folded, _ = fold(self._events(trade))
        return folded or Escrow()

    def _refused(self, trade: Trade) -> set[str]:
        """Return the commands that are refused, as the events that count say."""
        refused = {
            event.escrow_command_rejected.command_id
            for event in self._events(trade)
            if event.WhichOneof("body") == _REJECTED
        }
        caused = {event.metadata.causation_id for event in self._events(trade)}
        for event in self.world.broker.messages(ESCROW_EVENTS.name):
            # Before the escrow existed; when it came again it may have been accepted.
            if event.escrow_id == trade.escrow_id and event.sequence == 0:
                command_id = event.escrow_command_rejected.command_id
                if command_id not in caused:
                    refused.add(command_id)
        return refused


def _cause_of(event: EscrowEvent) -> str:
    return event.metadata.causation_id


def _records(world: World) -> dict[str, EscrowRecord]:
    """Recover every partition once more, as a worker would."""
    clock = SkewedClock(world.clock, world.clock.now() - world.clock.now())
    table: Table = Worker("checker", world.broker, clock, world.faults).table
    for partition in range(PARTITIONS):
        table.recover(partition)
    found: dict[str, Any] = defaultdict()
    for key, value in table.data.items():
        found[key.decode()] = EscrowRecord.FromString(value)
    return dict(found)
