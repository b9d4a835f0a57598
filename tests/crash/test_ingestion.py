"""Providers call while PostgreSQL is down: each call is answered 200, and none is lost."""

import asyncio
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from bloxtr8.dev.play.stage import on_stage
from bloxtr8.dev.stack import Stack, StackOptions, running_stack
from bloxtr8.sandbox.custodian.webhooks import sign
from bloxtr8.store import database
from tests.integration.streams.worker import until_true

_TRADES = 3
_CALLS = 200
_CAUGHT_UP_S = 90.0


@pytest.mark.timeout(300)
async def test_calls_without_a_database_are_taken_and_count_when_it_is_back(
    tmp_path: Path,
) -> None:
    options = StackOptions(directory=tmp_path, logs=tmp_path / "logs")
    async with running_stack(options, lambda _step: None) as stack, on_stage(stack) as stage:
        trades = [await stage.trade(20_000) for _ in range(_TRADES)]
        for trade in trades:
            await trade.sign()
            await trade.pay_page()
        world = stack.stripe.world
        known = len(world.events)
        await asyncio.to_thread(stack.postgres.stop)
        try:
            for trade in trades:
                (intent,) = world.all("payment_intent", transfer_group=trade.escrow_id)
                world.pay(intent["id"])
            names = await _call(stack)
            # The stand-in repeats what is not answered 200; it gives up after a while.
            await stack.stripe.webhooks.idle()
            assert stack.stripe.webhooks.refused == 0
        finally:
            await asyncio.to_thread(stack.postgres.start)
        names |= {event["id"] for event in list(world.events)[known:]}

        async def caught_up() -> bool:
            try:
                rows = await database.fetch(
                    "SELECT provider_event_id AS id FROM webhook_events "
                    "WHERE provider_event_id = ANY($1::text[]) AND status <> 'RECEIVED'",
                    list(names),
                )
            except Exception as error:
                if not database.is_transient(error):
                    raise
                return False
            return {row["id"] for row in rows} == names

        await until_true(caught_up, _CAUGHT_UP_S)
        for trade in trades:
            await trade.until("FUNDS_HELD")


async def _call(stack: Stack) -> set[str]:
    """Make calls of both providers, several at once; return their names."""
    secret = stack.settings.stripe.webhook_secrets[0].get_secret_value()
    custodian = stack.stand_ins.custodian.webhook_secret
    names = [f"evt_{uuid4().hex}" for _ in range(_CALLS)]
    async with aiohttp.ClientSession() as http:

        async def call(number: int, name: str) -> int:
            path, body = "custodian", _of_custodian(name)
            headers = _custodian_headers(custodian, body)
            if number % 2:
                path, body = "stripe", _of_stripe(name)
                headers = _stripe_headers(secret, body)
            url = f"{stack.url}/webhooks/{path}"
            async with http.post(url, data=body, headers=headers) as answer:
                return answer.status

        answers = await asyncio.gather(*(call(n, name) for n, name in enumerate(names)))
    assert set(answers) == {200}
    return set(names)


def _of_stripe(name: str) -> bytes:
    subject: dict[str, Any] = {"id": f"pi_{name}", "object": "payment_intent", "metadata": {}}
    event = {"id": name, "type": "payment_intent.succeeded", "data": {"object": subject}}
    return json.dumps(event).encode()


def _of_custodian(name: str) -> bytes:
    data = {"address": "0x" + "ab" * 20}
    return json.dumps({"id": name, "type": "deposit.confirmed", "data": data}).encode()


def _stripe_headers(secret: str, body: bytes) -> dict[str, str]:
    at = int(time.time())
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={at},v1={digest}"}


def _custodian_headers(secret: str, body: bytes) -> dict[str, str]:
    at = int(time.time())
    return {"X-Timestamp": str(at), "X-Signature": sign(secret, at, body)}
