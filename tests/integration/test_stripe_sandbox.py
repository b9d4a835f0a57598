"""The stand-in itself: does it behave as Stripe documents, also when it is told to misbehave?"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from bloxtr8.clock import ManualClock
from bloxtr8.payments.webhook_signatures import name_stripe, verify_stripe
from bloxtr8.sandbox.stripe.server import API_KEY, WEBHOOK_SECRET, StripeStandIn
from tests.integration.payments_bench import until

Answer = tuple[int, Any]


class Client:
    def __init__(self, stripe: StripeStandIn, session: aiohttp.ClientSession) -> None:
        self.stripe = stripe
        self._session = session

    async def v1(
        self, verb: str, path: str, data: Any = None, *, key: str = "", api_key: str = API_KEY
    ) -> Answer:
        headers = {"Authorization": f"Bearer {api_key}"} | ({"Idempotency-Key": key} if key else {})
        url = f"{self.stripe.base_url}/v1/{path}"
        async with self._session.request(verb, url, data=data, headers=headers) as response:
            assert response.headers["Request-Id"].startswith("req_")
            return response.status, await response.json()

    async def control(self, verb: str, path: str, body: Any = None) -> Answer:
        url = f"{self.stripe.control_url}/{path}"
        async with self._session.request(verb, url, json=body) as response:
            return response.status, await response.json()

    async def intent(self, group: str = "g") -> str:
        status, made = await self.v1(
            "POST",
            "payment_intents",
            {"amount": "1000", "currency": "usd", "transfer_group": group},
        )
        assert status == 200
        return str(made["id"])


class Receiver:
    """Where webhooks go; refuses the first `refusals`."""

    def __init__(self) -> None:
        self.refusals = 0
        self.got: list[str] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        verify_stripe(body, request.headers["Stripe-Signature"], [SecretStr(WEBHOOK_SECRET)])
        if self.refusals:
            self.refusals -= 1
            return web.Response(status=503)
        self.got.append(name_stripe(body).type)
        return web.Response()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    receiver.url = f"http://{host}:{port}/hook"
    yield receiver
    await runner.cleanup()


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Client]:
    stripe = StripeStandIn(**options)
    await stripe.start()
    async with aiohttp.ClientSession() as session:
        yield Client(stripe, session)
    await stripe.stop()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with serving() as made:
        yield made


async def test_a_key_repeats_its_answer_for_a_day() -> None:
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    async with serving(clock=clock) as client:
        data = {"amount": "1000", "currency": "usd"}
        first = await client.v1("POST", "payment_intents", data, key="k")
        assert await client.v1("POST", "payment_intents", data, key="k") == first
        other = await client.v1("POST", "payment_intents", {**data, "amount": "1"}, key="k")
        assert other[0] == 400
        assert other[1]["error"]["type"] == "idempotency_error"
        clock.advance(timedelta(hours=24))
        again = await client.v1("POST", "payment_intents", data, key="k")
        assert again[1]["id"] != first[1]["id"]


async def test_a_key_in_use_is_a_conflict(client: Client) -> None:
    fault = {"route": "POST /v1/payment_intents", "fault": "delay", "seconds": 1}
    await client.control("POST", "faults", fault)
    data = {"amount": "1000", "currency": "usd"}
    slow = asyncio.create_task(client.v1("POST", "payment_intents", data, key="k"))
    await until(lambda: bool(client.stripe.faults.taken))
    status, answer = await client.v1("POST", "payment_intents", data, key="k")
    assert (status, answer["error"]["code"]) == (409, "idempotency_key_in_use")
    assert (await slow)[0] == 200


async def test_a_refused_form_leaves_its_key_free(client: Client) -> None:
    status, answer = await client.v1("POST", "payment_intents", {"currency": "usd"}, key="k")
    assert (status, answer["error"]["param"]) == (400, "amount")
    data = {"amount": "1000", "currency": "usd"}
    assert (await client.v1("POST", "payment_intents", data, key="k"))[0] == 200


@pytest.mark.parametrize(
    "data",
    [
        {"amount": "0", "currency": "usd"},
        {"amount": "-5", "currency": "usd"},
        {"amount": "1e9", "currency": "usd"},
        {"amount": "10", "currency": "xxx"},
        {"amount[x]": "10", "currency": "usd"},
        {"amount": "10", "currency": "usd", "metadata": "text"},
        {"amount": "10", "currency": "usd", "a[b][c][d][e][f]": "deep"},
        {"amount": "10", "currency": "usd", "metadata[k]": "x" * 501},
    ],
)
async def test_bad_parameters_are_400s(client: Client, data: dict[str, str]) -> None:
    status, answer = await client.v1("POST", "payment_intents", data)
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")


async def test_strangers_and_unknown_ids(client: Client) -> None:
    assert (await client.v1("GET", "balance", api_key="sk_test_other"))[0] == 401
    status, answer = await client.v1("GET", "payment_intents/pi_none")
    assert (status, answer["error"]["code"]) == (404, "resource_missing")


async def test_transfers_never_exceed_their_charge_nor_refunds(client: Client) -> None:
    ref = await client.intent()
    await client.control("POST", f"payment_intents/{ref}/pay")
    await client.control("POST", "accounts", {"id": "acct_s"})
    (charge,) = client.stripe.world.objects["charge"]
    order = {"currency": "usd", "destination": "acct_s", "source_transaction": charge}
    assert (await client.v1("POST", "transfers", {**order, "amount": "900"}))[0] == 200
    status, answer = await client.v1("POST", "transfers", {**order, "amount": "101"})
    assert (status, answer["error"]["code"]) == (400, "balance_insufficient")
    assert (await client.v1("POST", "refunds", {"payment_intent": ref}))[0] == 200
    status, answer = await client.v1("POST", "refunds", {"payment_intent": ref})
    assert (status, answer["error"]["code"]) == (400, "charge_already_refunded")
    balance = (await client.v1("GET", "balance"))[1]
    # 1,000 in, 59 fee, 900 and 1,000 out.
    assert balance["available"][0]["amount"] == 1000 - 59 - 900 - 1000


async def test_confirming_with_test_cards(client: Client) -> None:
    ref = await client.intent()
    path = f"payment_intents/{ref}/confirm"
    status, answer = await client.v1("POST", path, {"payment_method": "pm_card_chargeDeclined"})
    assert (status, answer["error"]["code"]) == (402, "card_declined")
    status, answer = await client.v1("POST", path, {"payment_method": "pm_card_visa"})
    assert (status, answer["status"]) == (200, "succeeded")
    status, answer = await client.v1("POST", f"payment_intents/{ref}/cancel", {})
    assert answer["error"]["code"] == "payment_intent_unexpected_state"


async def test_webhooks_are_signed_and_repeated_until_taken() -> None:
    async with receiving() as receiver, serving(webhook_url=receiver.url) as client:
        receiver.refusals = 2
        ref = await client.intent()
        await client.control("POST", f"payment_intents/{ref}/pay")
        await client.stripe.webhooks.idle()
        assert sorted(receiver.got) == [
            "charge.succeeded",
            "payment_intent.created",
            "payment_intent.succeeded",
        ]


async def test_webhooks_doubled_held_reordered_and_dropped() -> None:
    async with receiving() as receiver, serving(webhook_url=receiver.url) as client:
        await client.control("POST", "webhooks", {"hold": True, "copies": 2})
        await client.intent()
        await client.intent()
        _, state = await client.control("GET", "state")
        held = [event["id"] for event in state["held"]]
        assert len(held) == 2
        assert receiver.got == []
        await client.control("POST", "webhooks", {"copies": 2, "shuffle": True})
        await client.control("POST", "webhooks/release", {"order": held[::-1]})
        await client.stripe.webhooks.idle()
        assert len(receiver.got) == 4
        await client.control("POST", "webhooks", {"drop": True})
        await client.intent()
        await client.stripe.webhooks.idle()
        assert len(receiver.got) == 4
        events = (await client.v1("GET", "events"))[1]
        assert len(events["data"]) == 3


async def test_the_controls_refuse_nonsense(client: Client) -> None:
    for path, body in (
        ("faults", {"route": "*", "fault": "earthquake"}),
        ("faults", {"route": "*", "fault": "delay", "times": 0}),
        ("webhooks", {"copies": 1000}),
        ("webhooks", {"unknown": 1}),
    ):
        assert (await client.control("POST", path, body))[0] == 400
    assert (await client.control("POST", "payment_intents/pi_x/pay"))[0] == 404
    assert (await client.control("POST", "escrows/e/pay"))[0] == 404


async def test_reset_forgets_everything(client: Client) -> None:
    await client.intent()
    await client.control("POST", "faults", {"route": "*", "fault": "delay"})
    await client.control("POST", "reset")
    _, state = await client.control("GET", "state")
    assert not any(state["objects"].values())
    assert (await client.control("GET", "faults"))[1]["rules"] == []


async def test_it_runs_as_a_process_and_ends_when_told() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bloxtr8.sandbox.stripe", "--api-key", "sk_test_p",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            url = (await process.stdout.readline()).decode().strip()
        headers = {"Authorization": "Bearer sk_test_p"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{url}/v1/balance") as response,
        ):
            assert response.status == 200
    finally:
        process.terminate()
        async with asyncio.timeout(30):
            assert await process.wait() == 0
