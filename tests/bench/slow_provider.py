"""`python -m tests.bench.slow_provider PORT SECONDS`: answers each call after that time."""

import asyncio
import json
import sys
from itertools import count

from aiohttp import web


def make(seconds: float) -> web.Application:
    """Return a provider of payment intents that takes its time over each."""
    numbers = count()

    async def create(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(seconds)
        made = {
            "id": f"pi_{next(numbers):024d}",
            "object": "payment_intent",
            "status": "requires_payment_method",
            "amount": 10_329,
            "currency": "usd",
            "livemode": False,
            "metadata": {},
        }
        return web.Response(body=json.dumps(made).encode(), content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/payment_intents", create)
    return app


if __name__ == "__main__":
    web.run_app(
        make(float(sys.argv[2])),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=None,
        print=lambda *_: None,
    )
