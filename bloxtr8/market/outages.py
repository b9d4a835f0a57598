"""Outages: while one is open the clocks it touches are not swept, its end moves them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.errors import InvalidState, NotFound
from bloxtr8.market import clocks
from bloxtr8.market.clocks import Span
from bloxtr8.market.place import Change
from bloxtr8.messaging import metadata
from bloxtr8.messaging.metadata import moment, timestamp
from bloxtr8.messaging.topics import ESCROW_COMMANDS
from bloxtr8.store.database import Transaction
from bloxtr8.store.outbox import enqueue
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import record_pb2 as record

Scope = Literal["ALL", "WEB", "BOT", "STRIPE", "BASE", "ROBLOX"]
Row = dict[str, Any]

ROWS_MAX = 100_000
_COLUMNS = "id, scope, started_at, ended_at, reason, recorded_by, created_at"
# Trades whose clocks an outage touches, by rail.
_RAILS_OF_SCOPE: dict[str, tuple[str, ...]] = {
    "ALL": ("STRIPE", "USDC_BASE"),
    "WEB": ("STRIPE", "USDC_BASE"),
    "BOT": ("STRIPE", "USDC_BASE"),
    "ROBLOX": ("STRIPE", "USDC_BASE"),
    "STRIPE": ("STRIPE",),
    "BASE": ("USDC_BASE",),
}
# Tables with a clock of people: (subject, span, table, start, end, what runs).
_CLOCKS: tuple[tuple[str, Span, str, str, str, str], ...] = (
    ("offer", clocks.OFFER, "offers", "created_at", "expires_at", "status = 'PENDING'"),
    (
        "contract",
        clocks.SIGNING,
        "contracts",
        "rendered_at",
        "sign_deadline_at",
        "status = 'PENDING_SIGNATURE'",
    ),
)


@dataclass(frozen=True, slots=True)
class NewOutage:
    """An outage as staff record it; without an end it is open."""

    scope: Scope
    started_at: datetime
    reason: str
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """How many deadlines the end of an outage has moved."""

    outage: Row
    rows: int


async def record_outage(change: Change, new: NewOutage) -> Moved:
    """Keep an outage; one with an end moves deadlines at once.

    Raises InvalidState for one that begins in the future or ends before it began.
    """
    ended_at = new.ended_at
    if new.started_at > change.now or (ended_at and not new.started_at < ended_at <= change.now):
        raise InvalidState("An outage has begun, and ends after that and not in the future.")
    row = await change.tx.fetchrow(
        "INSERT INTO outages (id, scope, started_at, ended_at, reason, recorded_by, created_at)"  # noqa: S608
        f" VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING {_COLUMNS}",
        ids.uuid7(),
        new.scope,
        new.started_at,
        ended_at,
        new.reason,
        change.actor.id,
        change.now,
    )
    assert row is not None, "it was inserted"
    await change.audit(
        "outage.recorded", ("outage", str(row["id"])), reason=new.reason, data={"scope": new.scope}
    )
    return Moved(row, await _move(change, row) if ended_at else 0)


async def close_outage(change: Change, outage_id: UUID, ended_at: datetime, reason: str) -> Moved:
    """End an open outage and move what it overlapped; raises NotFound and InvalidState."""
    before = await change.tx.fetchrow(
        f"SELECT {_COLUMNS} FROM outages WHERE id = $1 FOR UPDATE",  # noqa: S608
        outage_id,
    )
    if before is None:
        raise NotFound
    if before["ended_at"] is not None or not before["started_at"] < ended_at <= change.now:
        raise InvalidState("Only an open outage ends, after its start and not in the future.")
    row = await change.tx.fetchrow(
        f"UPDATE outages SET ended_at = $2 WHERE id = $1 RETURNING {_COLUMNS}",  # noqa: S608
        outage_id,
        ended_at,
    )
    assert row is not None, "the row is locked"
    moved = await _move(change, row)
    await change.audit(
        "outage.closed", ("outage", str(outage_id)), reason=reason, data={"moved": moved}
    )
    return Moved(row, moved)


async def is_paused(tx: Transaction, span: Span) -> bool:
    """Tell whether an open outage stops people from acting on this clock."""
    found = await tx.fetchval(
        "SELECT 1 FROM outages WHERE ended_at IS NULL AND scope = ANY($1::varchar[]) LIMIT 1",
        sorted(span.scopes),
    )
    return found is not None


async def recent(tx: Transaction, since: datetime, limit: int) -> list[Row]:
    """Return outages that were not over at `since`, the latest first."""
    return await tx.fetch(
        f"SELECT {_COLUMNS} FROM outages WHERE ended_at IS NULL OR ended_at > $1"  # noqa: S608
        " ORDER BY started_at DESC, id DESC LIMIT $2",
        since,
        limit,
    )


async def _move(change: Change, outage: Row) -> int:
    moved = 0
    for subject, span, table, start, end, running in _CLOCKS:
        if outage["scope"] in span.scopes:
            moved += await _move_table(change, outage, (subject, table, start, end, running))
    return moved + await _move_escrows(change, outage)


async def _move_table(change: Change, outage: Row, clock: tuple[str, ...]) -> int:
    """Move the running deadlines of one table by their overlap, once each."""
    subject, table, start, end, running = clock
    overlap = f"extract(epoch FROM least({end}, $3) - greatest({start}, $2))"
    rows = await change.tx.fetch(
        f"WITH late AS (SELECT id, ceil({overlap})::int AS seconds FROM {table}"  # noqa: S608
        f"  WHERE {running} AND {start} < $3 AND {end} > $2 ORDER BY id LIMIT $5 FOR UPDATE),"
        " kept AS (INSERT INTO deadline_extensions (outage_id, subject_type, subject_id, seconds,"
        f"  created_at) SELECT $1, '{subject}', id, seconds, $4 FROM late WHERE seconds > 0"
        "  ON CONFLICT (outage_id, subject_type, subject_id) DO NOTHING"
        "  RETURNING subject_id, seconds)"
        f" UPDATE {table} t SET {end} = t.{end} + make_interval(secs => kept.seconds),"
        " updated_at = $4 FROM kept WHERE t.id = kept.subject_id RETURNING t.id",
        outage["id"],
        outage["started_at"],
        outage["ended_at"],
        change.now,
        ROWS_MAX,
    )
    return len(rows)


async def _move_escrows(change: Change, outage: Row) -> int:
    """Order an extension of each trade whose clock ran during the outage; the rules decide."""
    rows = await change.tx.fetch(
        "SELECT id, state_bytes FROM escrows WHERE ended_at IS NULL"
        " AND rail = ANY($1::varchar[]) ORDER BY id LIMIT $2",
        list(_RAILS_OF_SCOPE[outage["scope"]]),
        ROWS_MAX,
    )
    moved = 0
    for row in rows:
        escrow = record.Escrow.FromString(row["state_bytes"])
        overlap = _overlap(escrow, outage)
        if overlap is None:
            continue
        kept = await change.tx.execute(
            "INSERT INTO deadline_extensions (outage_id, subject_type, subject_id, seconds,"
            " created_at) VALUES ($1, 'escrow', $2, $3, $4)"
            " ON CONFLICT (outage_id, subject_type, subject_id) DO NOTHING",
            outage["id"],
            row["id"],
            int(overlap.total_seconds()),
            change.now,
        )
        if kept:
            command = _extension(change, outage, escrow, overlap)
            await enqueue(change.tx, ESCROW_COMMANDS, command, change.place.signer)
        moved += kept
    return moved


def _overlap(escrow: record.Escrow, outage: Row) -> timedelta | None:
    """Return for how long the escrow's running deadline lay within the outage."""
    deadline = escrow.deadline
    if not deadline.HasField("at") or not deadline.HasField("started_at"):
        return None
    begins = max(moment(deadline.started_at), outage["started_at"])
    ends = min(moment(deadline.at), outage["ended_at"])
    whole = timedelta(seconds=int((ends - begins).total_seconds()))
    return whole if whole > timedelta(0) else None


def _extension(
    change: Change, outage: Row, escrow: record.Escrow, overlap: timedelta
) -> commands.EscrowCommand:
    until = moment(escrow.deadline.at) + overlap
    return commands.EscrowCommand(
        metadata=metadata.new(
            change.place.signer.producer,  # type: ignore[arg-type]
            change.now,
            traceparent=change.actor.traceparent,
            message_id=str(ids.derived("outage", str(outage["id"]), escrow.escrow_id)),
            correlation_id=escrow.escrow_id,
        ),
        escrow_id=escrow.escrow_id,
        actor=common.Actor(
            kind=common.ACTOR_KIND_STAFF,
            user_id=str(change.actor.id),
            staff_role=common.STAFF_ROLE_ADMIN,
        ),
        extend_deadline=commands.ExtendDeadline(
            version=escrow.deadline.version, until=timestamp(until)
        ),
    )
