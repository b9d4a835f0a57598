"""An event loop whose time does not pass while there is work: waits cost nothing, haste neither.

A client gives up when everybody waits for time and nothing else, so on a slow machine no answer
comes too late, and on any machine a time-out takes no time.
"""

import asyncio
import selectors
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

from bloxtr8.store import database

# So long nothing stirs before time goes on. Whatever a crowd talks to by HTTP is in this loop.
_QUIET_S = 0.001
_LOOKS = 2
# The database's answers come from outside; without an end this would hang instead of failing.
_OUTSIDE_S = 60.0


class _Selector(selectors.DefaultSelector):
    """Goes on to the next timer instead of waiting for it; `is_awaited`: others have to answer."""

    def __init__(self, is_awaited: Callable[[], bool]) -> None:
        super().__init__()
        self.now = 0.0
        self._is_awaited = is_awaited

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        looks = 0
        outside = int(_OUTSIDE_S / _QUIET_S)
        while looks < _LOOKS:
            found = super().select(_QUIET_S)
            if found:
                return found
            if self._is_awaited() and outside:
                outside -= 1
            else:
                looks += 1
        self.now += timeout
        return []


class TimelessLoop(asyncio.SelectorEventLoop):
    """`is_awaited` tells whether an answer from outside of this process is on its way."""

    def __init__(self, is_awaited: Callable[[], bool]) -> None:
        self._virtual = _Selector(is_awaited)
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


class _Outside:
    """Counts what has been asked of the database and not answered."""

    def __init__(self) -> None:
        self._open = 0
        self._connection = database._connection

    def is_awaited(self) -> bool:
        return self._open > 0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        self._open += 1
        try:
            async with self._connection() as connection:
                yield connection
        finally:
            self._open -= 1


def run_timeless(main: Coroutine[Any, Any, None]) -> None:
    """Run `main` in a loop of its own, in which time passes only when all wait for it."""
    outside = _Outside()
    with (
        patch.object(database, "_connection", outside.connection),
        asyncio.Runner(loop_factory=lambda: TimelessLoop(outside.is_awaited)) as runner,
    ):
        runner.run(main)
