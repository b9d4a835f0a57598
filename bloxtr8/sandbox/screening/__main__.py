"""`python -m bloxtr8.sandbox.screening --port 8700`: TRM Labs and Chainalysis, one address."""

import argparse
import asyncio
import signal

from bloxtr8.sandbox.screening.server import CHAINALYSIS_KEY, TRM_KEY, ScreeningStandIn


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bloxtr8.sandbox.screening", description=__doc__
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--trm-key", default=TRM_KEY)
    parser.add_argument("--chainalysis-key", default=CHAINALYSIS_KEY)
    asyncio.run(_serve(parser.parse_args()))


async def _serve(arguments: argparse.Namespace) -> None:
    screening = ScreeningStandIn(
        trm_key=arguments.trm_key, chainalysis_key=arguments.chainalysis_key
    )
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    await screening.start(arguments.host, arguments.port)
    print(screening.base_url, flush=True)  # noqa: T201 - whoever started it reads the address
    await ended.wait()
    await screening.stop()


if __name__ == "__main__":
    main()
