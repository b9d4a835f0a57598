"""Work that one process does for all: whoever has the advisory lock works, the others wait."""

import asyncio
from collections.abc import Awaitable, Callable

from bloxtr8 import telemetry
from bloxtr8.store import database

RETRY_S = 2.0
_CHECK_S = 5.0

_log = telemetry.get_logger(__name__)


async def lead(lock: int, work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` while this process has `lock`, until cancelled.

    A connection of its own holds the lock. When it breaks the work is cancelled, because another
    process may have begun: two at once for a moment must do no harm.
    """
    while True:
        try:
            await _term(lock, work)
        except Exception as error:
            if not database.is_transient(error):
                raise
            _log.warning("leadership_lost", lock=lock, error=repr(error)[:200])
        await asyncio.sleep(RETRY_S)


async def _term(lock: int, work: Callable[[], Awaitable[None]]) -> None:
    connection = await database.connect()
    try:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", lock):
            return
        task = asyncio.ensure_future(work())
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=_CHECK_S)
                if connection.is_closed():
                    raise database.DatabaseUnavailable
                await connection.execute("SELECT 1")
            await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    finally:
        await asyncio.shield(connection.close(timeout=database.CONNECT_TIMEOUT_S))
