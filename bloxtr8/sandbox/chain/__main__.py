"""`python -m bloxtr8.sandbox.chain --port 8545 --block-seconds 1`"""

import argparse
import asyncio

from bloxtr8.sandbox import process
from bloxtr8.sandbox.chain.server import CHAIN_ID, LocalChain


def main() -> None:
    parser = process.parser_for("bloxtr8.sandbox.chain", __doc__)
    parser.add_argument("--chain-id", type=int, default=CHAIN_ID)
    parser.add_argument("--block-seconds", type=float, default=1.0)
    process.add_clock_file(parser)
    asyncio.run(_serve(parser.parse_args()))


async def _serve(arguments: argparse.Namespace) -> None:
    local = LocalChain(
        chain_id=arguments.chain_id,
        clock=process.clock_of(arguments),
        block_seconds=arguments.block_seconds,
    )
    await process.serve(local, arguments, lambda: local.rpc_url)


if __name__ == "__main__":
    main()
