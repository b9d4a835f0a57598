"""`python -m bloxtr8.sandbox.custodian --rpc-url URL --webhook-url URL`; `--openapi` prints it."""

import argparse
import asyncio
import json

from bloxtr8.sandbox import process
from bloxtr8.sandbox.custodian.contract import openapi
from bloxtr8.sandbox.custodian.server import API_KEY, WEBHOOK_SECRET, CustodianStandIn


def main() -> None:
    parser = process.parser_for("bloxtr8.sandbox.custodian", __doc__)
    parser.add_argument("--rpc-url", default="", help="of the local chain")
    parser.add_argument("--webhook-url", default="", help="where events go; empty: nowhere")
    parser.add_argument("--secret", default=WEBHOOK_SECRET, help="signs the webhooks")
    parser.add_argument("--api-key", default=API_KEY)
    process.add_clock_file(parser)
    parser.add_argument("--openapi", action="store_true", help="print the contract and end")
    arguments = parser.parse_args()
    if arguments.openapi:
        print(json.dumps(openapi(), indent=2, ensure_ascii=False))  # noqa: T201 - asked for
        return
    asyncio.run(_serve(arguments))


async def _serve(arguments: argparse.Namespace) -> None:
    custodian = CustodianStandIn(
        arguments.rpc_url,
        webhook_url=arguments.webhook_url,
        webhook_secret=arguments.secret,
        api_key=arguments.api_key,
        clock=process.clock_of(arguments),
    )
    await process.serve(custodian, arguments, lambda: custodian.base_url)


if __name__ == "__main__":
    main()
