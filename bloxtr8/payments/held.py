"""Money that has been held for long: Stripe lets a platform hold it 90 days in most countries."""

from datetime import timedelta

from bloxtr8 import telemetry
from bloxtr8.clock import Clock
from bloxtr8.store import staff_tasks
from bloxtr8.store.database import transaction

HELD_TOO_LONG = "HELD_TOO_LONG"
LIMIT = timedelta(days=60)
_BATCH_MAX = 500

_HELD = """
FROM escrow_funds f
WHERE f.received_minor > f.paid_out_minor + f.refunded_minor + f.fees_minor
  AND EXISTS (
    SELECT FROM payment_operations o
    WHERE o.escrow_id = f.escrow_id AND o.kind = 'INTENT' AND o.provider = 'STRIPE'
      AND o.status = 'CONFIRMED' AND o.finished_at <= $1 AND o.result ->> 'paid' IS NOT NULL
  )
"""
_COUNT = f"SELECT count(*) {_HELD}"
# No values in it but constants of this module.
_UNREPORTED = f"""
SELECT f.escrow_id,
  f.received_minor - f.paid_out_minor - f.refunded_minor - f.fees_minor AS held_minor
{_HELD} AND NOT EXISTS (
    SELECT FROM staff_tasks t
    WHERE t.kind = 'HELD_TOO_LONG' AND t.subject_id = f.escrow_id::text AND t.status <> 'CLOSED'
  )
ORDER BY f.escrow_id LIMIT $2
"""  # noqa: S608


async def report_held(clock: Clock) -> int:
    """Ask staff to look at escrows that hold money since 60 days; return how many are new."""
    now = clock.now()
    async with transaction() as tx:
        rows = await tx.fetch(_UNREPORTED, now - LIMIT, _BATCH_MAX)
        tasks = [
            staff_tasks.Task(HELD_TOO_LONG, "escrow", str(row["escrow_id"]), row["held_minor"])
            for row in rows
        ]
        await staff_tasks.open_tasks(tx, tasks, now)
        held = await tx.fetchval(_COUNT, now - LIMIT)
    telemetry.HELD_TOO_LONG.set(held)
    return len(tasks)
