"""Drawing documents in a process of its own: the event loop waits, it never works."""

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from bloxtr8.contracts.paper.sheet import NotDrawn, Sheet

# The first document also waits for the process to start and load its typefaces.
SECONDS_MAX = 35.0
# A process that has drawn so many makes room for a fresh one.
_DOCUMENTS_MAX = 500


class Renderer:
    """One drawing process, started with the first document, closed by its owner."""

    def __init__(self, seconds_max: float = SECONDS_MAX) -> None:
        self._seconds_max = seconds_max
        self._pool: ProcessPoolExecutor | None = None
        self._turn = asyncio.Lock()

    async def draw(self, sheet: Sheet) -> bytes:
        """Return the PDF of `sheet`, one at a time; raises NotDrawn, also when it takes too long.

        A process that hangs or dies is replaced for the next document.
        """
        async with self._turn:
            loop = asyncio.get_running_loop()
            self._pool = self._pool or _pool()
            try:
                drawing = loop.run_in_executor(self._pool, _draw, sheet)
                return await asyncio.wait_for(drawing, self._seconds_max)
            except (TimeoutError, BrokenProcessPool) as error:
                self._end()
                raise NotDrawn(type(error).__name__) from error
            except asyncio.CancelledError:
                self._end()
                raise

    async def close(self) -> None:
        self._end()

    def _end(self) -> None:
        """Stop the process, whatever it does."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        for process in list((pool._processes or {}).values()):
            process.kill()
        pool.shutdown(wait=False, cancel_futures=True)


def _pool() -> ProcessPoolExecutor:
    # Not a fork: this process has threads, sockets and locks of its own.
    return ProcessPoolExecutor(
        max_workers=1,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_prepare,
        max_tasks_per_child=_DOCUMENTS_MAX,
    )


# What draws is imported where it draws: it would take 60 MiB of every worker.


def _prepare() -> None:
    from bloxtr8.contracts.paper import fonts, wordings

    wordings.check_released()
    fonts.faces()


def _draw(sheet: Sheet) -> bytes:
    from bloxtr8.contracts.paper import pdf

    return pdf.draw(sheet)
