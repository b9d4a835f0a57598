"""`python -m bloxtr8.sandbox.custodian --rpc-url URL --webhook-url URL`; `--openapi` prints it."""

import argparse
import asyncio
import json
import signal
from pathlib import Path

from bloxtr8.clock import Clock, SharedOffsetClock, SystemClock
from bloxtr8.sandbox.custodian.contract import openapi
from bloxtr8.sandbox.custodian.server import API_KEY, WEBHOOK_SECRET, CustodianStandIn


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bloxtr8.sandbox.custodian", description=__doc__
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--rpc-url", default="", help="of the local chain")
    parser.add_argument("--webhook-url", default="", help="where events go; empty: nowhere")
    parser.add_argument("--secret", default=WEBHOOK_SECRET, help="signs the webhooks")
    parser.add_argument("--api-key", default=API_KEY)
    parser.add_argument("--clock-file", default="", help="offset shared with the other processes")
    parser.add_argument("--openapi", action="store_true", help="print the contract and end")
    arguments = parser.parse_args()
    if arguments.openapi:
        print(json.dumps(openapi(), indent=2, ensure_ascii=False))  # noqa: T201 - asked for
        return
    asyncio.run(_serve(arguments))


async def _serve(arguments: argparse.Namespace) -> None:
    path = arguments.clock_file
    clock: Clock = SharedOffsetClock(Path(path)) if path else SystemClock()
    custodian = CustodianStandIn(
        arguments.rpc_url,
        webhook_url=arguments.webhook_url,
        webhook_secret=arguments.secret,
        api_key=arguments.api_key,
        clock=clock,
    )
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    await custodian.start(arguments.host, arguments.port)
    print(custodian.base_url, flush=True)  # noqa: T201 - whoever started it reads the address
    await ended.wait()
    await custodian.stop()


if __name__ == "__main__":
    main()
