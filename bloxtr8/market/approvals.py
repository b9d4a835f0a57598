"""Requests for a second approval that nobody decided in time."""

from bloxtr8.market.place import Change


async def expire_due(change: Change, limit: int) -> int:
    """End requests whose 72 hours are over, at most `limit`; return how many.

    The commands that wait for them end by themselves, at the same time.
    """
    rows = await change.tx.fetch(
        "UPDATE approvals SET status = 'EXPIRED', updated_at = $1 WHERE id IN (SELECT id"
        " FROM approvals WHERE status = 'PENDING' AND expires_at <= $1 ORDER BY expires_at"
        " LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING id, action, subject_type, subject_id",
        change.now,
        limit,
    )
    for row in rows:
        data = {"action": row["action"], f"{row['subject_type']}_id": row["subject_id"]}
        await change.audit("approval.expired", ("approval", str(row["id"])), data=data)
    return len(rows)
