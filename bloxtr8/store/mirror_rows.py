"""The mirror's tables: loading what a batch meets, writing what it leads to."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from bloxtr8.messaging import metadata
from bloxtr8.money import currency_code
from bloxtr8.store.database import Transaction
from bloxtr8.store.mirror_fold import Folding, NewRow, Stored
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowEvent
from proto.bloxtr8.escrow.v1.record_pb2 import Escrow

_COLUMNS = (
    "id, contract_id, buyer_id, seller_id, state, version, fencing_token, rail, currency,"
    " price_minor, buyer_fee_minor, seller_fee_minor, received_minor, held_minor,"
    " released_minor, refunded_minor, fees_minor, deadline_kind, deadline_at, deadline_version,"
    " hold_kind, hold_since, dispute_reason, disputed_at, state_bytes, chain_hash, created_at,"
    " updated_at, ended_at"
)
_NAMES = [name.strip() for name in _COLUMNS.split(",")]
_UPSERT = (
    f"INSERT INTO escrows ({_COLUMNS})"  # noqa: S608 - column names, no values
    f" VALUES ({', '.join(f'${number}' for number in range(1, len(_NAMES) + 1))})"
    " ON CONFLICT (id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _NAMES if name not in ("id", "created_at"))
)
_INSERT_EVENT = (
    "INSERT INTO escrow_events (escrow_id, sequence, fencing_token, message_id, causation_id,"
    " correlation_id, trace_id, type, state, actor_kind, actor_id, occurred_at, payload,"
    " prev_hash, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
)


async def load(tx: Transaction, batch: Sequence[EscrowEvent]) -> dict[str, Folding]:
    """Return the escrows that `batch` is about, locked, with the rows that it may repeat."""
    ids = sorted({event.escrow_id for event in batch})
    foldings = {escrow_id: Folding(escrow_id) for escrow_id in ids}
    rows = await tx.fetch(
        "SELECT id::text AS id, fencing_token, state_bytes, chain_hash FROM escrows"
        " WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE",
        ids,
    )
    for row in rows:
        folding = foldings[row["id"]]
        folding.escrow = Escrow.FromString(row["state_bytes"])
        folding.fencing_token = row["fencing_token"]
        folding.chain_hash = row["chain_hash"]
    await _load_known(tx, batch, foldings)
    return foldings


async def load_history(tx: Transaction, folding: Folding) -> None:
    """Load every stored row of the escrow, for folding it again."""
    rows = await tx.fetch(
        "SELECT sequence, fencing_token, payload FROM escrow_events WHERE escrow_id = $1",
        folding.escrow_id,
    )
    folding.history = [Stored(**row) for row in rows]


async def write(tx: Transaction, foldings: Sequence[Folding], now: datetime) -> None:
    """Append the new rows and bring the escrows' rows up to them."""
    changed = [folding for folding in foldings if folding.rows]
    await tx.executemany(
        _INSERT_EVENT, [_event_row(row) for folding in changed for row in folding.rows]
    )
    await tx.executemany(_UPSERT, [_escrow_row(folding, now) for folding in changed])


def name_of(enum: Any, number: int, prefix: str) -> str:
    """Return an enum value's name without its prefix; its number when it is not known here."""
    try:
        name: str = enum.Name(number)
    except ValueError:
        return str(number)
    return name.removeprefix(prefix)


def state_name(state: int) -> str:
    """Return e.g. "FUNDS_HELD"."""
    return name_of(types.EscrowState, state, "ESCROW_STATE_")


def actor_kind(actor: common.Actor) -> str:
    """Return "USER", "STAFF" or "SYSTEM"."""
    return name_of(common.ActorKind, actor.kind, "ACTOR_KIND_")


def uuid_or_none(text: str) -> UUID | None:
    """Return the id, None where a message has none (or has something else)."""
    try:
        return UUID(text)
    except ValueError:
        return None


def trace_id(traceparent: str) -> str:
    """Return the 32 hex digits that name the trace; "" without one."""
    parts = traceparent.split("-")
    return parts[1] if len(parts) == 4 and len(parts[1]) == 32 else ""


async def _load_known(
    tx: Transaction, batch: Sequence[EscrowEvent], foldings: dict[str, Folding]
) -> None:
    rows = await tx.fetch(
        "SELECT e.escrow_id::text AS escrow_id, e.sequence, e.fencing_token, e.payload"
        " FROM escrow_events AS e JOIN unnest($1::uuid[], $2::bigint[]) AS m (escrow_id, sequence)"
        " USING (escrow_id, sequence)",
        [event.escrow_id for event in batch],
        [event.sequence for event in batch],
    )
    for row in rows:
        known = foldings[row["escrow_id"]].known
        known[row["sequence"], row["fencing_token"]] = row["payload"]


def _event_row(row: NewRow) -> tuple[Any, ...]:
    event = row.event
    about = event.metadata
    return (
        event.escrow_id,
        event.sequence,
        event.fencing_token,
        about.message_id,
        about.causation_id,
        about.correlation_id,
        trace_id(about.traceparent),
        event.WhichOneof("body"),
        state_name(event.state),
        actor_kind(event.actor),
        uuid_or_none(event.actor.user_id),
        metadata.moment(about.occurred_at),
        row.payload,
        row.prev_hash,
        row.hash,
    )


def _escrow_row(folding: Folding, now: datetime) -> tuple[Any, ...]:
    escrow = folding.escrow
    assert escrow is not None, "an escrow with events has a state"
    return (
        folding.escrow_id,
        uuid_or_none(escrow.contract_id),
        uuid_or_none(escrow.buyer_id),
        uuid_or_none(escrow.seller_id),
        state_name(escrow.state),
        escrow.sequence,
        folding.fencing_token,
        name_of(common.Rail, escrow.rail, "RAIL_"),
        currency_code(escrow.price.currency),
        escrow.price.minor,
        escrow.buyer_fee_minor,
        escrow.seller_fee_minor,
        escrow.received_minor,
        escrow.held_minor,
        escrow.released_minor,
        escrow.refunded_minor,
        escrow.fees_minor,
        *_deadline(escrow),
        *_hold(escrow),
        *_dispute(escrow),
        escrow.SerializeToString(),
        folding.chain_hash,
        _moment(escrow, "created_at") or now,
        _moment(escrow, "updated_at") or now,
        _moment(escrow, "ended_at"),
    )


def _deadline(escrow: Escrow) -> tuple[str | None, datetime | None, int]:
    if not escrow.HasField("deadline"):
        return None, None, escrow.deadline_version
    kind = name_of(types.DeadlineKind, escrow.deadline.kind, "DEADLINE_KIND_")
    at = metadata.moment(escrow.deadline.at) if escrow.deadline.HasField("at") else None
    return kind, at, escrow.deadline_version


def _hold(escrow: Escrow) -> tuple[str | None, datetime | None]:
    if not escrow.HasField("hold"):
        return None, None
    kind = name_of(types.HoldKind, escrow.hold.kind, "HOLD_KIND_")
    return kind, metadata.moment(escrow.hold.since)


def _dispute(escrow: Escrow) -> tuple[str | None, datetime | None]:
    if not escrow.HasField("dispute"):
        return None, None
    reason = name_of(types.DisputeReason, escrow.dispute.reason, "DISPUTE_REASON_")
    return reason, metadata.moment(escrow.dispute.opened_at)


def _moment(escrow: Escrow, field: Any) -> datetime | None:
    return metadata.moment(getattr(escrow, field)) if escrow.HasField(field) else None
