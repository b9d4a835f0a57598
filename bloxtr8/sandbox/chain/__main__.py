"""`python -m bloxtr8.sandbox.chain --port 8545 --block-seconds 1`"""

import argparse
import asyncio
import signal
from pathlib import Path

from bloxtr8.clock import Clock, SharedOffsetClock, SystemClock
from bloxtr8.sandbox.chain.server import CHAIN_ID, LocalChain


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bloxtr8.sandbox.chain", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--chain-id", type=int, default=CHAIN_ID)
    parser.add_argument("--block-seconds", type=float, default=1.0)
    parser.add_argument("--clock-file", default="", help="offset shared with the other processes")
    asyncio.run(_serve(parser.parse_args()))


async def _serve(arguments: argparse.Namespace) -> None:
    path = arguments.clock_file
    clock: Clock = SharedOffsetClock(Path(path)) if path else SystemClock()
    local = LocalChain(
        chain_id=arguments.chain_id, clock=clock, block_seconds=arguments.block_seconds
    )
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    await local.start(arguments.host, arguments.port)
    print(local.rpc_url, flush=True)  # noqa: T201 - whoever started it reads the address
    await ended.wait()
    await local.stop()


if __name__ == "__main__":
    main()
