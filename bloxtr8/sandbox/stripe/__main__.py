"""`python -m bloxtr8.sandbox.stripe --port 12111 --webhook-url URL --secret whsec_…`"""

import argparse
import asyncio

from bloxtr8.sandbox import process
from bloxtr8.sandbox.stripe.server import API_KEY, WEBHOOK_SECRET, StripeStandIn


def main() -> None:
    parser = process.parser_for("bloxtr8.sandbox.stripe", __doc__)
    parser.add_argument("--webhook-url", default="", help="where events go; empty: nowhere")
    parser.add_argument("--secret", default=WEBHOOK_SECRET, help="signs the webhooks")
    parser.add_argument("--api-key", default=API_KEY)
    process.add_clock_file(parser)
    asyncio.run(_serve(parser.parse_args()))


async def _serve(arguments: argparse.Namespace) -> None:
    stripe = StripeStandIn(
        webhook_url=arguments.webhook_url,
        webhook_secret=arguments.secret,
        api_key=arguments.api_key,
        clock=process.clock_of(arguments),
    )
    await process.serve(stripe, arguments, lambda: stripe.base_url)


if __name__ == "__main__":
    main()
