"""Deleting what nobody will ask for again. Money, contracts and audit are never deleted."""

from datetime import datetime, timedelta

from bloxtr8.store import database, idempotency

PUBLISHED_KEPT = timedelta(days=7)
INBOX_KEPT = timedelta(days=90)
PURGE_MAX = 5_000


async def purge(now: datetime) -> None:
    """Delete old outbox and inbox rows, idempotency keys, screenings' answers; 5,000 of each."""
    async with database.transaction() as tx:
        await tx.execute(
            "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox"
            " WHERE published_at < $1 ORDER BY published_at LIMIT $2)",
            now - PUBLISHED_KEPT,
            PURGE_MAX,
        )
        await tx.execute(
            "DELETE FROM inbox_messages WHERE id IN (SELECT id FROM inbox_messages"
            " WHERE processed_at < $1 ORDER BY processed_at LIMIT $2)",
            now - INBOX_KEPT,
            PURGE_MAX,
        )
        await tx.execute(
            "DELETE FROM screening_answers WHERE id IN (SELECT id FROM screening_answers"
            " WHERE keep_until < $1 ORDER BY keep_until LIMIT $2)",
            now,
            PURGE_MAX,
        )
    await idempotency.purge(now, PURGE_MAX)
