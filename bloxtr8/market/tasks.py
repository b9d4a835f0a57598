"""Staff take tasks, give them back and close them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from bloxtr8.access.identity import StaffRole
from bloxtr8.errors import AlreadyDecided, ConflictOfInterest, Forbidden, NotFound, VersionMismatch
from bloxtr8.market import audit
from bloxtr8.market.actors import Actor
from bloxtr8.market.audit import Deed
from bloxtr8.store.database import Transaction

Row = dict[str, Any]

DISPUTE, REPORT = "DISPUTE", "REPORT"
# The outcome of a report's task that says that nothing was wrong.
DISMISSED = "DISMISSED"
# These end when what they are about is settled, not because somebody says so.
SETTLED_BY_EVENTS = frozenset({DISPUTE, "FUNDS_REVIEW", "PAYOUT_FAILED"})


@dataclass(frozen=True, slots=True)
class Seen:
    """A task as its reader saw it."""

    id: UUID
    version: int


async def claim(tx: Transaction, actor: Actor, seen: Seen, now: datetime) -> Row:
    """Take a task; raises NotFound, AlreadyDecided, VersionMismatch, ConflictOfInterest."""
    row = await _locked(tx, seen)
    await _require_no_interest(tx, actor, row)
    if row["status"] == "CLAIMED" and row["claimed_by"] == actor.id:
        return row
    if row["status"] != "OPEN":
        raise AlreadyDecided
    _require_version(row, seen)
    if row["kind"] == DISPUTE:
        await _take_dispute(tx, actor, row, now)
    values = {
        "status": "CLAIMED",
        "claimed_by": actor.id,
        "claimed_at": now,
        "updated_at": now,
    }
    return await _put(tx, actor, row, values, _deed("task.claimed", row))


async def give_back(tx: Transaction, actor: Actor, seen: Seen, now: datetime) -> Row:
    """Give a claimed task back, with a dispute the right to decide it.

    Raises as `claim` does, and Forbidden when it is another's: an admin gives it back for them.
    """
    row = await _locked(tx, seen)
    if row["status"] != "CLAIMED":
        raise AlreadyDecided
    _require_own(actor, row)
    _require_version(row, seen)
    if row["kind"] == DISPUTE:
        await _put_dispute(tx, row, None, now)
    values = {"status": "OPEN", "claimed_by": None, "claimed_at": None, "updated_at": now}
    return await _put(tx, actor, row, values, _deed("task.released", row))


async def close(
    tx: Transaction, actor: Actor, seen: Seen, outcome: str, reason: str, now: datetime
) -> Row:
    """Close one's task; raises as `give_back` does, Forbidden where the matter itself ends it."""
    row = await _locked(tx, seen)
    if row["status"] == "CLOSED":
        raise AlreadyDecided
    await _require_no_interest(tx, actor, row)
    if row["status"] == "CLAIMED":
        _require_own(actor, row)
    if row["kind"] in SETTLED_BY_EVENTS:
        raise Forbidden("This task ends when the matter is settled.")
    _require_version(row, seen)
    if row["kind"] == REPORT:
        await _handle_reports(tx, actor, row, outcome)
    values = {"status": "CLOSED", "closed_at": now, "outcome": outcome, "updated_at": now}
    return await _put(tx, actor, row, values, _deed("task.closed", row, reason))


async def _locked(tx: Transaction, seen: Seen) -> Row:
    row = await tx.fetchrow("SELECT * FROM staff_tasks WHERE id = $1 FOR UPDATE", seen.id)
    if row is None:
        raise NotFound
    return row


def _require_version(row: Row, seen: Seen) -> None:
    if row["version"] != seen.version:
        raise VersionMismatch(version=row["version"])


def _require_own(actor: Actor, row: Row) -> None:
    if row["claimed_by"] != actor.id and actor.role is not StaffRole.ADMIN:
        raise Forbidden("Somebody else has taken this task.")


# Who is part of what a task is about, by the kind of its subject, whose id is $1.
_PEOPLE = {
    "escrow": "SELECT ARRAY[buyer_id, seller_id] FROM escrows WHERE id = $1::uuid",
    "contract": "SELECT ARRAY[buyer_id, seller_id] FROM contracts WHERE id = $1::uuid",
    "offer": "SELECT ARRAY[buyer_id, seller_id] FROM offers WHERE id = $1::uuid",
    "listing": "SELECT ARRAY[seller_id] FROM listings WHERE id = $1::uuid",
    "operation": (
        "SELECT ARRAY[o.requested_by, e.buyer_id, e.seller_id] FROM operations o"
        " LEFT JOIN escrows e ON e.id = o.escrow_id WHERE o.id = $1::uuid"
    ),
    # `<claimant>:<Roblox id>`: who says that it is theirs, and who has it.
    "roblox_account": (
        "SELECT array_agg(user_id) || split_part($1, ':', 1)::uuid FROM accounts"
        " WHERE provider = 'ROBLOX' AND external_id = split_part($1, ':', 2)"
        " AND unlinked_at IS NULL"
    ),
}


async def _require_no_interest(tx: Transaction, actor: Actor, row: Row) -> None:
    """Raises ConflictOfInterest when the task is about the actor."""
    subject, people = row["subject_id"], _PEOPLE.get(row["subject_type"])
    involved = [UUID(subject)] if row["subject_type"] == "user" else []
    if people is not None:
        involved = await tx.fetchval(people, subject) or []
    if actor.id in involved:
        raise ConflictOfInterest


async def _take_dispute(tx: Transaction, actor: Actor, row: Row, now: datetime) -> None:
    """Whoever has a dispute's task decides it; raises AlreadyDecided when somebody else does."""
    claimed_by = await tx.fetchval(
        "SELECT claimed_by FROM disputes WHERE escrow_id = $1::uuid AND status = 'OPEN' FOR UPDATE",
        row["subject_id"],
    )
    if claimed_by not in (None, actor.id):
        raise AlreadyDecided("Somebody else decides this dispute.")
    await _put_dispute(tx, row, actor.id, now)


async def _put_dispute(tx: Transaction, row: Row, user_id: UUID | None, now: datetime) -> None:
    await tx.execute(
        "UPDATE disputes SET claimed_by = $2, updated_at = $3,"
        " claimed_at = CASE WHEN $2::uuid IS NOT NULL THEN $3::timestamptz END"
        " WHERE escrow_id = $1::uuid AND status = 'OPEN'",
        row["subject_id"],
        user_id,
        now,
    )


async def _handle_reports(tx: Transaction, actor: Actor, row: Row, outcome: str) -> None:
    """End the reports that a task is about, so that its subject may be reported again."""
    await tx.execute(
        "UPDATE reports SET status = $3, handled_by = $4"
        " WHERE subject_type = upper($1) AND subject_id = $2::uuid AND status = 'OPEN'",
        row["subject_type"],
        row["subject_id"],
        DISMISSED if outcome.upper() == DISMISSED else "HANDLED",
        actor.id,
    )


async def _put(tx: Transaction, actor: Actor, row: Row, values: Row, deed: Deed) -> Row:
    """Write `values`, which hold `updated_at`, and that `deed` was done."""
    sets = ", ".join(f"{name} = ${number}" for number, name in enumerate(values, 2))
    after = await tx.fetchrow(
        f"UPDATE staff_tasks SET {sets}, version = version + 1 WHERE id = $1 RETURNING *",  # noqa: S608
        row["id"],
        *values.values(),
    )
    assert after is not None, "the row is locked"
    await audit.record(tx, actor, deed, values["updated_at"])
    return after


def _deed(action: str, row: Row, reason: str = "") -> Deed:
    data = {"kind": row["kind"], "subject_id": row["subject_id"]}
    return Deed(action, ("task", str(row["id"])), reason, data)
