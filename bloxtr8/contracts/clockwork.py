"""What time does to contracts: the window to sign ends, reminders, documents that do not come."""

from datetime import timedelta

from bloxtr8 import ids
from bloxtr8.contracts import voiding
from bloxtr8.market import clocks, notices, outages
from bloxtr8.market.clockwork import BATCH_MAX, Sweep, Sweeper
from bloxtr8.market.place import Change
from bloxtr8.store import staff_tasks
from bloxtr8.store.staff_tasks import Task

DOCUMENT_AFTER = timedelta(minutes=15)


class ContractSweeper(Sweeper):
    """The sweeps of contracts of one process."""

    @property
    def sweeps(self) -> tuple[Sweep, ...]:
        return (
            Sweep("contracts", 30.0, self.expire),
            Sweep("contract_reminders", 60.0, self.remind),
            Sweep("contract_documents", 60.0, self.report_late),
        )

    async def expire(self) -> int:
        """End contracts whose time to sign is over."""
        return await self._change(_expire)

    async def remind(self) -> int:
        """Tell who has not signed that half, then nine tenths, of the time is over."""
        return await self._change(_remind)

    async def report_late(self) -> int:
        """Ask staff to look at documents that are not made 15 minutes after they were due."""
        return await self._change(_report_late)


async def _expire(change: Change) -> int:
    if await outages.is_paused(change.tx, clocks.SIGNING):
        return 0
    # Not locked here: seller and listing come before the contract.
    rows = await change.tx.fetch(
        "SELECT id FROM contracts WHERE status = 'PENDING_SIGNATURE' AND sign_deadline_at <= $1"
        " ORDER BY sign_deadline_at LIMIT $2",
        change.now,
        BATCH_MAX,
    )
    for row in sorted(rows, key=lambda found: found["id"]):
        await voiding.expire(change, row["id"])
    return len(rows)


async def _remind(change: Change) -> int:
    """Send the highest reminder that is due; one that was missed is not sent after it."""
    if await outages.is_paused(change.tx, clocks.SIGNING):
        return 0
    half, most = clocks.SIGNING.reminders
    rows = await change.tx.fetch(
        "UPDATE contracts c SET reminders = due.wanted FROM ("
        " SELECT id, CASE WHEN $1 >= rendered_at + (sign_deadline_at - rendered_at) * $4 / 100"
        "   THEN 2 ELSE 1 END AS wanted FROM contracts"
        " WHERE status = 'PENDING_SIGNATURE' AND sign_deadline_at > $1 AND reminders < 2"
        "   AND ($1 >= rendered_at + (sign_deadline_at - rendered_at) * $4 / 100 OR reminders = 0"
        "     AND $1 >= rendered_at + (sign_deadline_at - rendered_at) * $3 / 100)"
        " ORDER BY sign_deadline_at LIMIT $2 FOR UPDATE SKIP LOCKED) AS due WHERE c.id = due.id"
        " RETURNING c.id, c.reminders, (SELECT array_agg(party) FROM"
        "  unnest(ARRAY[c.buyer_id, c.seller_id]) AS party WHERE NOT EXISTS (SELECT 1"
        "  FROM signatures s WHERE s.contract_id = c.id AND s.user_id = party)) AS unsigned",
        change.now,
        BATCH_MAX,
        float(half),
        float(most),
    )
    for row in rows:
        percent = clocks.SIGNING.reminders[row["reminders"] - 1]
        event_id = ids.derived("signing_reminder", str(row["id"]), percent)
        notice = notices.Notice(
            "signing_reminder", "CONTRACTS", f"contract:{row['id']}", {"percent": percent}
        )
        await notices.tell(change.tx, event_id, notice, row["unsigned"] or [], change.now)
    return len(rows)


async def _report_late(change: Change) -> int:
    rows = await change.tx.fetch(
        "SELECT c.id, c.price_minor FROM contracts c WHERE c.render_due_at IS NOT NULL"
        " AND coalesce(c.executed_at, c.created_at) <= $1 AND NOT EXISTS (SELECT 1"
        "  FROM staff_tasks t WHERE t.kind = $3 AND t.subject_id = c.id::text"
        "  AND t.status <> 'CLOSED') ORDER BY c.id LIMIT $2",
        change.now - DOCUMENT_AFTER,
        BATCH_MAX,
        voiding.RENDER_TASK,
    )
    tasks = [
        Task(voiding.RENDER_TASK, "contract", str(row["id"]), row["price_minor"]) for row in rows
    ]
    await staff_tasks.open_tasks(change.tx, tasks, change.now)
    return len(rows)
