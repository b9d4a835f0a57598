"""`timeline`: everything that happened to one escrow, causes before what they caused."""

import heapq
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bloxtr8.cli.inspect.command import JSON, ExitCode, Failed, Inspect, escrow_argument
from bloxtr8.messaging import decoding, metadata
from bloxtr8.messaging.inspection import Inspector, Start, TopicUnknown
from bloxtr8.messaging.topics import (
    ESCROW_COMMANDS,
    ESCROW_EVENTS,
    PAYMENTS_COMMANDS,
    PAYMENTS_EVENTS,
    TopicSpec,
)
from bloxtr8.store.database import fetch
from proto.bloxtr8.escrow.v1.commands_pb2 import EscrowCommand
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowEvent

_ROWS_MAX = 5_000
_STREAMS: tuple[tuple[TopicSpec, str], ...] = (
    (ESCROW_COMMANDS, "command"),
    (ESCROW_EVENTS, "event"),
    (PAYMENTS_COMMANDS, "order"),
    (PAYMENTS_EVENTS, "fact"),
)
_EVENTS_SQL = "SELECT payload FROM escrow_events WHERE escrow_id = $1 ORDER BY id LIMIT $2"
_COMMANDS_SQL = """
SELECT command FROM operations WHERE escrow_id = $1 ORDER BY created_at LIMIT $2
"""
_OPERATIONS_SQL = """
SELECT operation_id, command_id, kind, generation, attempt, status, amount_minor, currency,
  provider_ref, last_error, requested_at, sent_at, finished_at
FROM payment_operations WHERE escrow_id = $1 ORDER BY requested_at LIMIT $2
"""
_WEBHOOKS_SQL = """
SELECT provider_event_id, provider, type, status, received_at
FROM webhook_events WHERE escrow_id = $1 ORDER BY received_at LIMIT $2
"""
_AUDIT_SQL = """
SELECT id, at, actor_type, actor_id, channel, action, reason
FROM audit_log WHERE escrow_id = $1 ORDER BY id LIMIT $2
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. `id` and `cause` are message ids where it has them."""

    at: datetime
    kind: str
    what: str
    id: str
    cause: str = ""
    detail: str = ""
    sequence: int = 0


class timeline(Inspect):  # noqa: N801 - the class's name is the command's
    """Every command, event, payment operation, webhook and audit row of an escrow, in order."""

    options = (escrow_argument(), JSON)

    async def work(self, *, escrow_id: str) -> ExitCode:
        async with self.database():
            entries = await _stored(escrow_id)
        since = min((entry.at for entry in entries), default=None)
        async with self.broker() as broker:
            entries += await _streamed(broker, escrow_id, since, self.app.keyring)
        ordered = causal(entries)
        if not ordered:
            raise Failed(ExitCode.NOT_FOUND, f"Nothing is known of {escrow_id}.")
        if self.as_json:
            self.print_json([_row(entry) for entry in ordered])
            return ExitCode.OK
        self.print_table(
            f"Timeline of {escrow_id}",
            ("at", "kind", "#", "what", "detail", "id", "cause"),
            (
                (e.at, e.kind, e.sequence or None, e.what, e.detail, e.id[:13], e.cause[:13])
                for e in ordered
            ),
        )
        return ExitCode.OK


def _row(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in Entry.__slots__}


async def _stored(escrow_id: str) -> list[Entry]:
    entries = [
        _of_message("event", EscrowEvent.FromString(row["payload"]))
        for row in await fetch(_EVENTS_SQL, escrow_id, _ROWS_MAX)
    ]
    entries += [
        _of_message("command", EscrowCommand.FromString(row["command"]))
        for row in await fetch(_COMMANDS_SQL, escrow_id, _ROWS_MAX)
    ]
    for row in await fetch(_OPERATIONS_SQL, escrow_id, _ROWS_MAX):
        entries += _of_operation(row)
    entries += [
        Entry(
            row["received_at"],
            "webhook",
            row["type"],
            row["provider_event_id"],
            detail=f"{row['provider']} {row['status']}",
        )
        for row in await fetch(_WEBHOOKS_SQL, escrow_id, _ROWS_MAX)
    ]
    entries += [
        Entry(
            row["at"],
            "audit",
            row["action"],
            f"audit-{row['id']}",
            detail=" ".join(
                str(row[name])
                for name in ("actor_type", "actor_id", "channel", "reason")
                if row[name]
            ),
        )
        for row in await fetch(_AUDIT_SQL, escrow_id, _ROWS_MAX)
    ]
    return entries


def _of_operation(row: dict[str, Any]) -> list[Entry]:
    """Return an entry for each step that the operation has taken."""
    name = str(row["operation_id"])
    what = f"{row['kind']} {row['generation']}.{row['attempt']}"
    amount = f"{row['amount_minor']:,} {row['currency']}" if row["amount_minor"] else ""
    steps = (
        ("requested", row["requested_at"], amount),
        ("sent", row["sent_at"], ""),
        (row["status"].lower(), row["finished_at"], row["last_error"] or row["provider_ref"] or ""),
    )
    entries: list[Entry] = []
    cause = str(row["command_id"])
    for step, at, detail in steps:
        if at is not None:
            entries.append(
                Entry(at, "operation", f"{what} {step}", f"{name}/{step}", cause, detail)
            )
            cause = f"{name}/{step}"
    return entries


async def _streamed(
    broker: Inspector, escrow_id: str, since: datetime | None, keyring: Any
) -> list[Entry]:
    entries: list[Entry] = []
    for spec, kind in _STREAMS:
        try:
            async for record in broker.records(
                spec.name, Start(since=since), key=escrow_id.encode()
            ):
                message, _ = decoding.decode(record, keyring)
                if message is not None:
                    entries.append(_of_message(kind, message))
        except TopicUnknown:
            continue
    return entries


def _of_message(kind: str, message: Any) -> Entry:
    about = message.metadata
    body = getattr(message, message.WhichOneof("body"))
    fields = decoding.to_dict(body)
    return Entry(
        at=metadata.moment(about.occurred_at),
        kind=kind,
        what=decoding.body_name(message),
        id=about.message_id,
        cause=about.causation_id,
        detail=_summary(message, fields),
        sequence=int(getattr(message, "sequence", 0)),
    )


def _summary(message: Any, fields: dict[str, Any]) -> str:
    parts = []
    if hasattr(message, "actor") and message.HasField("actor"):
        actor = decoding.to_dict(message.actor)
        parts.append(actor.get("user_id") or str(actor.get("kind", "")).removeprefix("ACTOR_KIND_"))
    parts += [
        f"{name}={value}" for name, value in fields.items() if not isinstance(value, dict | list)
    ]
    return " ".join(parts)


def causal(entries: Iterable[Entry]) -> list[Entry]:
    """Order by time, but nothing before its cause; what is known from two places stands once."""
    unique: dict[str, Entry] = {}
    for entry in entries:
        unique.setdefault(entry.id, entry)
    effects: dict[str, list[Entry]] = defaultdict(list)
    ready: list[tuple[datetime, int, str]] = []
    for entry in unique.values():
        if entry.cause in unique and entry.cause != entry.id:
            effects[entry.cause].append(entry)
        else:
            heapq.heappush(ready, (entry.at, entry.sequence, entry.id))
    ordered: list[Entry] = []
    while ready:
        entry = unique[heapq.heappop(ready)[2]]
        ordered.append(entry)
        for effect in effects.pop(entry.id, []):
            # Clocks of two machines differ; an effect does not go before its cause.
            heapq.heappush(ready, (max(effect.at, entry.at), effect.sequence, effect.id))
    # Causes that name each other in a circle would be a defect; they are not hidden.
    left = [entry for group in effects.values() for entry in group]
    return ordered + sorted(left, key=lambda entry: entry.at)
