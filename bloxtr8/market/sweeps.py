"""Deleting proofs that are over: sign-ins under way, one-time links, sessions, cache."""

import asyncio
from datetime import datetime, timedelta

import structlog

from bloxtr8.clock import Clock
from bloxtr8.market.links import KEPT_AFTER_END
from bloxtr8.roblox import cache
from bloxtr8.store import database

EVERY_S = 3_600.0
_RETRY_S = 60.0
_BATCH_MAX = 5_000
# A replayed token must still be known as one while its session could live.
_TOKENS_KEPT = timedelta(days=30)

_log = structlog.get_logger(__name__)


class ProofSweeper:
    """Deletes once an hour. Several at once do no harm."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def run(self) -> None:
        """Sweep until cancelled; without the database wait for it."""
        while True:
            try:
                await sweep(self._clock.now())
            except Exception as error:
                if not database.is_transient(error):
                    raise
                _log.warning("sweep_waits", error=repr(error)[:200])
                await asyncio.sleep(_RETRY_S)
                continue
            await asyncio.sleep(EVERY_S)


async def sweep(now: datetime) -> int:
    """Delete what has ended long enough ago, at most 5,000 rows of each kind; return how many."""
    deleted = 0
    for table, kept in (
        ("oauth_states", KEPT_AFTER_END),
        ("one_time_tokens", KEPT_AFTER_END),
        ("refresh_tokens", _TOKENS_KEPT),
        ("sessions", _TOKENS_KEPT),
    ):
        async with database.transaction() as tx:
            deleted += await tx.execute(
                f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table}"  # noqa: S608
                " WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
                now - kept,
                _BATCH_MAX,
            )
    return deleted + await cache.purge(now)
