"""`python -m bloxtr8.sandbox.screening --port 8700`: TRM Labs and Chainalysis, one address."""

import argparse
import asyncio

from bloxtr8.sandbox import process
from bloxtr8.sandbox.screening.server import CHAINALYSIS_KEY, TRM_KEY, ScreeningStandIn


def main() -> None:
    parser = process.parser_for("bloxtr8.sandbox.screening", __doc__)
    parser.add_argument("--trm-key", default=TRM_KEY)
    parser.add_argument("--chainalysis-key", default=CHAINALYSIS_KEY)
    asyncio.run(_serve(parser.parse_args()))


async def _serve(arguments: argparse.Namespace) -> None:
    screening = ScreeningStandIn(
        trm_key=arguments.trm_key, chainalysis_key=arguments.chainalysis_key
    )
    await process.serve(screening, arguments, lambda: screening.base_url)


if __name__ == "__main__":
    main()
