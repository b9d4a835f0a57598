"""Reports about listings, people and offers: kept, and put into the staff's queue."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.errors import LimitReached, NotFound
from bloxtr8.market import listing_rows, standing, visibility
from bloxtr8.market.place import Change
from bloxtr8.store.staff_tasks import Task, open_tasks

SubjectType = Literal["LISTING", "USER", "OFFER"]
# Each may be a task: whoever could report everybody would bury what else waits for staff.
OPEN_MAX = 20
Reason = Literal["SCAM", "STOLEN", "IMPERSONATION", "MISLEADING", "ABUSE", "SPAM", "OTHER"]


@dataclass(frozen=True, slots=True)
class Report:
    subject_type: SubjectType
    subject_id: UUID
    reason: Reason
    text: str | None = None


async def report(change: Change, given: Report) -> bool:
    """Keep the actor's report; False when they have an open one about the same already.

    Raises NotFound for what they may not see, and LimitReached.
    """
    await _require_visible(change, given)
    await _require_room(change, given)
    report_id = ids.uuid7()
    inserted = await change.tx.execute(
        "INSERT INTO reports (id, reporter_id, subject_type, subject_id, reason, text, created_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)"
        " ON CONFLICT (reporter_id, subject_type, subject_id) WHERE status = 'OPEN' DO NOTHING",
        report_id,
        change.actor.id,
        given.subject_type,
        given.subject_id,
        given.reason,
        given.text or None,
        change.now,
    )
    if not inserted:
        return False
    task = Task("REPORT", given.subject_type.lower(), str(given.subject_id), None)
    await open_tasks(change.tx, [task], change.now)
    await change.audit(
        "report.made",
        (given.subject_type.lower(), str(given.subject_id)),
        data={"report_id": str(report_id), "reason": given.reason},
    )
    return True


async def _require_room(change: Change, given: Report) -> None:
    """The reporter's row is held, so that what they have open stays as it is counted."""
    await standing.hold(change.tx, change.actor.id)
    others: int = await change.tx.fetchval(
        "SELECT count(*) FROM reports WHERE reporter_id = $1 AND status = 'OPEN'"
        " AND (subject_type, subject_id) <> ($2, $3)",
        change.actor.id,
        given.subject_type,
        given.subject_id,
    )
    if others >= OPEN_MAX:
        raise LimitReached(f"You may have {OPEN_MAX} open reports.", limit=OPEN_MAX)


async def _require_visible(change: Change, given: Report) -> None:
    if given.subject_type == "LISTING":
        listing = await listing_rows.seen(change.tx, given.subject_id)
        if not await visibility.may_read(change.tx, change.actor.id, listing, change.now):
            raise NotFound
        return
    sql = {
        "USER": "SELECT 1 FROM users WHERE id = $1 AND id <> $2 AND status <> 'CLOSED'",
        "OFFER": "SELECT 1 FROM offers WHERE id = $1 AND $2 IN (buyer_id, seller_id)",
    }[given.subject_type]
    if await change.tx.fetchval(sql, given.subject_id, change.actor.id) is None:
        raise NotFound
