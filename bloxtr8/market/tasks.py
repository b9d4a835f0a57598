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

# These end when what they are about is settled, not because somebody says so.
SETTLED_BY_EVENTS = frozenset({"DISPUTE", "FUNDS_REVIEW", "PAYOUT_FAILED"})


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
    values = {
        "status": "CLAIMED",
        "claimed_by": actor.id,
        "claimed_at": now,
        "updated_at": now,
    }
    return await _put(tx, actor, row, values, _deed("task.claimed", row))


async def give_back(tx: Transaction, actor: Actor, seen: Seen, now: datetime) -> Row:
    """Give a claimed task back; raises as `claim` does, Forbidden when it is another's."""
    row = await _locked(tx, seen)
    if row["status"] != "CLAIMED":
        raise AlreadyDecided
    _require_own(actor, row)
    _require_version(row, seen)
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


async def _require_no_interest(tx: Transaction, actor: Actor, row: Row) -> None:
    """Raises ConflictOfInterest when the task is about the actor."""
    subject, kind = row["subject_id"], row["subject_type"]
    involved = subject == str(actor.id)
    if kind in ("escrow", "listing"):
        table, people = {
            "escrow": ("escrows", "buyer_id, seller_id"),
            "listing": ("listings", "seller_id, seller_id"),
        }[kind]
        involved = bool(
            await tx.fetchval(
                f"SELECT $2::uuid IN ({people}) FROM {table} WHERE id = $1::uuid",  # noqa: S608
                subject,
                actor.id,
            )
        )
    if involved:
        raise ConflictOfInterest


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
