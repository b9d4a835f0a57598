"""Waiting for a row to be finished, for as long as its reader has time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Row = dict[str, Any]

# Most things are finished in a moment; who waits for long asks less and less often.
_FIRST_S = 0.1
_LONGEST_S = 1.0
_FACTOR = 1.5


async def finished(ask: Callable[[], Awaitable[Row | None]], seconds: float) -> Row | None:
    """Return what `ask` finds once it is finished, or as it is after `seconds`; None at once."""
    loop = asyncio.get_running_loop()
    until, pause = loop.time() + seconds, _FIRST_S
    while True:
        row = await ask()
        left = until - loop.time()
        if row is None or row["finished_at"] is not None or left <= 0:
            return row
        await asyncio.sleep(min(pause, left))
        pause = min(pause * _FACTOR, _LONGEST_S)
