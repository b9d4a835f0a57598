"""Ending on Ctrl-C and on SIGTERM in the same, orderly way."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# What a shell reports for a program that Ctrl-C ended.
INTERRUPTED = 130


def run_until_interrupted(work: Coroutine[Any, Any, T]) -> T:
    """Run `work`; SIGINT and SIGTERM cancel it, and its clean-up runs to the end.

    Raises KeyboardInterrupt when it was cancelled so.
    """

    async def main() -> T:
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        return await work

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
