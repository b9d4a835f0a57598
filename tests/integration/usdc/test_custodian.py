"""The custodian: its contract to the letter, and each fault mode without a second payment."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web
from openapi_schema_validator import OAS31Validator
from pydantic import SecretStr

from bloxtr8.clock import SystemClock
from bloxtr8.errors import WebhookSignatureInvalid
from bloxtr8.payments.rails import Absent, Confirmed, Failed, MovementOutcome, Pending, Unknown
from bloxtr8.payments.usdc.custodian_webhooks import name_custodian, verify_custodian
from bloxtr8.payments.usdc.custody import DepositAddress, Transfer
from bloxtr8.payments.usdc.deposits import State
from bloxtr8.payments.usdc.http_custodian import HttpCustodian
from bloxtr8.sandbox.chain import LocalChain
from bloxtr8.sandbox.chain import wallets as people
from bloxtr8.sandbox.chain.ledger import Fate
from bloxtr8.sandbox.custodian import CustodianStandIn
from bloxtr8.sandbox.custodian.contract import openapi
from bloxtr8.sandbox.custodian.server import CHAIN, WEBHOOK_SECRET
from bloxtr8.sandbox.custodian.vault import Ways
from bloxtr8.sandbox.faults import Fault, FaultRule
from tests.integration.usdc.world import DUE, QUICK, USDC, World

ROOT = Path(__file__).resolve().parents[3]
SELLER = people.named("seller").address.lower()
ESCROW = "00000000-0000-7000-8000-000000000001"


@pytest.fixture
async def held(world: World, custodian: CustodianStandIn) -> AsyncIterator[HttpCustodian]:
    """The adapter, with DUE in its address for ESCROW; breakers do not matter here."""
    adapter = world.http_custodian(custodian, replace(QUICK, tries=1))
    made = await adapter.deposit_address(ESCROW)
    assert isinstance(made, DepositAddress)
    world.pay(made.address, DUE)
    await custodian.vault.tick()
    yield adapter
    await adapter.close()


def order(amount: int = 100 * USDC) -> Transfer:
    return Transfer(str(uuid4()), ESCROW, SELLER, amount)


async def finish(
    world: World, custodian: CustodianStandIn, adapter: HttpCustodian, wanted: Transfer
) -> MovementOutcome | Absent:
    """Let the custodian work until it has nothing to do, and ask what became of `wanted`."""
    for _ in range(5):
        await custodian.vault.tick()
    world.finalize()
    await custodian.vault.tick()
    return await adapter.look_up(wanted.operation_id)


async def test_transfer_is_confirmed_when_the_chain_says_so(
    world: World, custodian: CustodianStandIn, held: HttpCustodian
) -> None:
    wanted = order()
    assert isinstance(await held.transfer(wanted), Pending)
    done = await finish(world, custodian, held, wanted)
    assert isinstance(done, Confirmed)
    assert (done.amount_minor, done.destination) == (100 * USDC, SELLER)
    assert await world.balance(SELLER) == 100 * USDC


async def test_complete_in_the_custodians_words_only_is_not_complete(
    world: World, custodian: CustodianStandIn, held: HttpCustodian
) -> None:
    custodian.vault.ways = Ways(claims_completed=True)
    wanted = order()
    assert isinstance(await held.transfer(wanted), Pending)
    assert isinstance(await finish(world, custodian, held, wanted), Pending)


async def test_transfer_lost_in_a_reorganisation_is_sent_again_by_the_custodian(
    world: World, custodian: CustodianStandIn, held: HttpCustodian
) -> None:
    world.finalize()
    wanted = order()
    await held.transfer(wanted)
    for _ in range(4):
        await custodian.vault.tick()
    world.local.chain.reorganise(1, Fate.DROP)
    assert isinstance(await finish(world, custodian, held, wanted), Confirmed)
    assert await world.balance(SELLER) == 100 * USDC


async def test_custodian_that_says_no(
    world: World, custodian: CustodianStandIn, held: HttpCustodian
) -> None:
    too_much = order(DUE + 1)
    assert isinstance(await held.transfer(too_much), Pending)
    assert await finish(world, custodian, held, too_much) == Failed("insufficient_funds")
    elsewhere = replace(order(), reference="nobody")
    assert await held.transfer(elsewhere) == Failed("unknown_reference")


async def test_key_used_for_something_else_is_no_answer(held: HttpCustodian) -> None:
    wanted = order()
    await held.transfer(wanted)
    assert await held.transfer(replace(wanted, amount_minor=1)) == Unknown(
        "HTTP_409: idempotency_key_reused"
    )


async def test_wrong_key_is_no_answer_about_the_transfer(
    world: World, custodian: CustodianStandIn, held: HttpCustodian
) -> None:
    custodian.api_key = "rotated"
    assert isinstance(await held.transfer(order()), Unknown)
    assert isinstance(await held.look_up("x"), Unknown)
    assert isinstance(await held.deposit_address("y"), Unknown)


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("fault", list(Fault))
async def test_no_fault_pays_twice(
    world: World, custodian: CustodianStandIn, held: HttpCustodian, fault: Fault, times: int
) -> None:
    wanted = order()
    custodian.faults.add(FaultRule("* /v1/transfers*", fault, times=times, seconds=1.3, code="no"))
    outcome: object = await held.transfer(wanted)
    async with asyncio.timeout(20):
        while not isinstance(outcome, Confirmed | Failed):
            await custodian.vault.tick()
            world.finalize()
            outcome = await held.look_up(wanted.operation_id)
            if isinstance(outcome, Absent):
                outcome = await held.transfer(wanted)
            if fault is Fault.ERROR_STICKY and custodian.faults.rules == ():
                break
    custodian.faults.clear()
    ended = await finish(world, custodian, held, wanted)
    moved = await world.balance(SELLER)
    sent = custodian.vault.transfers_of(wanted.operation_id)
    if isinstance(outcome, Failed) or fault is Fault.ERROR_STICKY:
        # An error that the key keeps: nothing was sent, and a look-up says so.
        assert (moved, sent, ended) == (0, [], Absent())
    else:
        assert isinstance(ended, Confirmed)
        assert len(sent) == 1
        assert moved == 100 * USDC


@pytest.mark.parametrize("fault", [f for f in Fault if f is not Fault.REFUSE])
async def test_address_is_the_same_after_every_fault(
    world: World, custodian: CustodianStandIn, fault: Fault
) -> None:
    adapter = world.http_custodian(custodian)
    custodian.faults.add(FaultRule("POST /v1/addresses", fault, seconds=1.3))
    known: list[str] = []
    async with asyncio.timeout(10):
        while len(known) < 3:
            made = await adapter.deposit_address("same")
            known += [made.address] if isinstance(made, DepositAddress) else []
    assert len(set(known)) == 1
    await adapter.close()


async def test_deposit_counts_when_chain_and_custodian_agree(
    world: World, custodian: CustodianStandIn
) -> None:
    adapter = world.http_custodian(custodian)
    world.use(adapter)
    custodian.vault.ways = Ways(confirmations=40)
    account = await world.account()
    await world.watcher.step()
    world.pay(account.address, DUE)
    world.finalize()
    await custodian.vault.tick()
    await world.watcher.step()
    assert (await world.state(account.address)).state is State.OPEN, "not credited there yet"
    world.mine(40)
    await custodian.vault.tick()
    await world.watcher.step()
    assert (await world.state(account.address)).state is State.PAID
    await adapter.close()


async def test_silent_custodian_only_delays_a_deposit(
    world: World, custodian: CustodianStandIn
) -> None:
    adapter = world.http_custodian(custodian)
    world.use(adapter)
    account = await world.account()
    await world.watcher.step()
    world.pay(account.address, DUE)
    world.finalize()
    await custodian.vault.tick()
    custodian.faults.add(FaultRule("GET *", Fault.GARBAGE, times=2))
    await world.watcher.step()
    assert (await world.state(account.address)).state is State.OPEN
    await world.watcher.step()
    assert (await world.state(account.address)).state is State.PAID
    await adapter.close()


async def test_custodian_that_credits_less_puts_the_deposit_aside(
    world: World, custodian: CustodianStandIn
) -> None:
    adapter = world.http_custodian(custodian)
    world.use(adapter)
    account = await world.account()
    await world.watcher.step()
    world.pay(account.address, DUE)
    world.finalize()
    await custodian.vault.tick()
    (seen,) = custodian.vault.deposits.values()
    seen["amount"] = "19999.000000"
    await world.watcher.step()
    after = await world.state(account.address)
    assert (after.state, after.deposits[0].reason) == (State.OPEN, "SHORT_BALANCE")
    await adapter.close()


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b'"x"',
        b"{}",
        b'{"address": 7}',
        b'{"address": "0x12"}',
        b'{"transfers": 1}',
        b'{"transfers": [{}]}',
        b'{"transfers": [{"id": "a", "status": "done", "to": "0x", "amount": "1"}]}',
        b'{"id":"t","status":"completed","to":"0x'
        + b"a" * 40
        + b'","amount":"1e3","tx_hash":null}',
        b"[" * 100_000,
        b"x" * 2_000_000,
    ],
)
async def test_answers_of_another_shape_are_unknown(world: World, body: bytes) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    stand_in = CustodianStandIn(world.local.rpc_url)
    stand_in.base_url = f"http://{host}:{port}"
    adapter = world.http_custodian(stand_in)
    assert isinstance(await adapter.deposit_address("a"), Unknown)
    assert isinstance(await adapter.transfer(order()), Unknown)
    assert isinstance(await adapter.look_up("a"), Unknown)
    await adapter.close()
    await runner.cleanup()


# The contract.


def test_document_is_the_one_that_is_served() -> None:
    written = json.loads((ROOT / "docs" / "custodian-openapi.json").read_text())
    assert written == openapi(), (
        "run `python -m bloxtr8.sandbox.custodian --openapi > docs/custodian-openapi.json`"
    )


def _fits(name: str, body: object) -> None:
    document = openapi()
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    OAS31Validator(schema).validate(body)


async def test_every_answer_is_what_the_document_says(
    world: World, custodian: CustodianStandIn
) -> None:
    base, auth = custodian.base_url, {"Authorization": f"Bearer {custodian.api_key}"}
    asked = {"chain": CHAIN, "asset": "USDC", "reference": ESCROW}
    async with aiohttp.ClientSession(headers=auth) as session:
        keyed = {"Idempotency-Key": "a"}
        async with session.post(f"{base}/v1/addresses", json=asked, headers=keyed) as response:
            assert response.status == 201
            made = await response.json()
            _fits("Address", made)
        world.pay(made["address"], DUE)
        await custodian.vault.tick()
        wanted = {
            "from_reference": ESCROW,
            "to": SELLER,
            "amount": "12.500000",
            "asset": "USDC",
            "chain": CHAIN,
            "reference": "op-1",
        }
        _fits("NewTransfer", wanted)
        keyed = {"Idempotency-Key": "op-1"}
        async with session.post(f"{base}/v1/transfers", json=wanted, headers=keyed) as response:
            assert response.status == 201
            transfer = await response.json()
            _fits("Transfer", transfer)
        for _ in range(3):
            await custodian.vault.tick()
        for path, name in (
            (f"addresses/{made['address']}/deposits", "Deposits"),
            ("transfers?reference=op-1", "Transfers"),
            (f"transfers/{transfer['id']}", "Transfer"),
        ):
            async with session.get(f"{base}/v1/{path}") as response:
                assert response.status == 200
                body = await response.json()
                _fits(name, body)
        assert body["status"] == "completed"
        for path, status in (
            ("transfers/none", 404),
            ("transfers", 400),
            ("addresses/0x/deposits", 404),
        ):
            async with session.get(f"{base}/v1/{path}") as response:
                assert response.status == status
                _fits("Error", await response.json())
        async with session.post(f"{base}/v1/transfers", json=wanted) as response:
            assert response.status == 400, "a POST has a key"
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{base}/v1/transfers/x") as response,
    ):
        assert response.status == 401


async def test_webhooks_are_signed_and_name_what_they_are_about(local: LocalChain) -> None:
    got: list[tuple[bytes, str, str]] = []

    async def take(request: web.Request) -> web.Response:
        headers = request.headers
        got.append((await request.read(), headers["X-Timestamp"], headers["X-Signature"]))
        # The first one is refused, and comes again.
        return web.Response(status=500 if len(got) == 1 else 200)

    app = web.Application()
    app.router.add_post("/webhooks/custodian", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    stand_in = CustodianStandIn(
        local.rpc_url, webhook_url=f"http://{host}:{port}/webhooks/custodian"
    )
    await stand_in.start()
    world = World(local)
    adapter = world.http_custodian(stand_in)
    made = await adapter.deposit_address(ESCROW)
    assert isinstance(made, DepositAddress)
    world.pay(made.address, DUE)
    wanted = order()
    await stand_in.vault.tick()
    await adapter.transfer(wanted)
    for _ in range(3):
        await stand_in.vault.tick()
    await stand_in.webhooks.idle()
    now = SystemClock().now()
    calls = set()
    for body, timestamp, signature in got:
        verify_custodian(body, timestamp, signature, [SecretStr(WEBHOOK_SECRET)], now)
        _fits("Webhook", json.loads(body))
        calls.add((name_custodian(body).type, name_custodian(body).about))
        with pytest.raises(WebhookSignatureInvalid):
            verify_custodian(body + b" ", timestamp, signature, [SecretStr(WEBHOOK_SECRET)], now)
    assert calls == {
        ("deposit.detected", made.address),
        ("deposit.confirmed", made.address),
        ("transfer.completed", wanted.operation_id),
    }
    assert len(got) == 4, "three calls, one of them twice"
    await adapter.close()
    await world.close()
    await stand_in.stop()
    await runner.cleanup()
