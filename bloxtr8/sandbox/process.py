"""A stand-in as a process of its own: its options, its address on stdout, its end by a signal."""

import argparse
import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from bloxtr8.clock import Clock, SharedOffsetClock, SystemClock


class Server(Protocol):
    async def start(self, host: str, port: int) -> None: ...

    async def stop(self) -> None: ...


def parser_for(module: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser of what every stand-in is told: where to listen."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    return parser


def add_clock_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clock-file", default="", help="offset shared with the other processes")


def clock_of(arguments: argparse.Namespace) -> Clock:
    """Return the clock that `--clock-file` names, the machine's without one."""
    path = arguments.clock_file
    return SharedOffsetClock(Path(path)) if path else SystemClock()


async def serve(server: Server, arguments: argparse.Namespace, address: Callable[[], str]) -> None:
    """Serve until SIGINT or SIGTERM; `address()` is printed once it listens."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    await server.start(arguments.host, arguments.port)
    print(address(), flush=True)  # noqa: T201 - whoever started it reads the address
    await ended.wait()
    await server.stop()
