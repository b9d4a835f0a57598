"""Being paid: connected accounts through Stripe's pages, wallets by signature, and paying USDC."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from pydantic import SecretStr

from bloxtr8.config import Settings
from bloxtr8.payments import webhook_inbox
from bloxtr8.payments.pg_store import PostgresStore
from bloxtr8.payments.usdc.deposits import Account
from bloxtr8.payments.usdc.pg_accounts import PostgresAccounts
from bloxtr8.sandbox.chain import LocalChain
from bloxtr8.sandbox.chain import wallets as people
from bloxtr8.sandbox.faults import Fault, FaultRule
from bloxtr8.sandbox.stripe import StripeStandIn
from bloxtr8.store import database
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from tests.integration.payments_bench import KEYRING
from tests.integration.web.world import Someone, World, problem

METHODS = "/api/v1/me/payout-methods"


@pytest.fixture
async def stripe() -> AsyncIterator[StripeStandIn]:
    made = StripeStandIn()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def chain() -> AsyncIterator[LocalChain]:
    made = LocalChain()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def web_settings(
    web_settings: Settings, stripe: StripeStandIn, chain: LocalChain
) -> Settings:
    web_settings.stripe.api_base = stripe.base_url
    web_settings.stripe.api_key = SecretStr(stripe.api_key)
    web_settings.base.rpc_urls = [SecretStr(chain.rpc_url)]
    web_settings.base.chain_id = chain.chain.chain_id
    web_settings.base.usdc_address = people.USDC.hex
    return web_settings


async def add(world: World, someone: Someone, body: dict[str, Any]) -> dict[str, Any]:
    answer = await world.post(METHODS, someone, body, key=None)
    document: dict[str, Any] = await answer.json()
    assert answer.status == 201, document
    return document


async def listed(world: World, someone: Someone) -> list[dict[str, Any]]:
    document = await (await world.get(METHODS, someone)).json()
    items: list[dict[str, Any]] = document["items"]
    return items


async def add_wallet(world: World, someone: Someone, name: str) -> dict[str, Any]:
    address = str(people.named(name).address)
    return await add(world, someone, {"kind": "BASE_WALLET", "address": address})


async def sign(world: World, someone: Someone, added: dict[str, Any], name: str) -> Any:
    path = f"{METHODS}/{added['method']['id']}/verify"
    body = {"signature": people.sign_text(name, added["message"])}
    return await world.post(path, someone, body, key=None)


async def test_a_seller_is_onboarded_by_stripe(world: World, stripe: StripeStandIn) -> None:
    seller = await world.person()
    calls: list[dict[str, Any]] = []
    stripe.world.on_event = calls.append
    added = await add(world, seller, {"kind": "STRIPE_ACCOUNT"})
    assert added["method"]["status"] == "PENDING"
    (account,) = stripe.world.objects["account"].values()
    assert account["metadata"] == {"user_id": seller.id}
    assert account["id"] not in str(added["method"])
    async with aiohttp.ClientSession() as browser:
        page = await browser.get(added["onboarding_url"], allow_redirects=False)
    assert page.status == 303
    assert page.headers["Location"].startswith(world.process.settings.web.public_url)
    updated = next(call for call in calls if call["type"] == "account.updated")
    await webhook_inbox.update_account(_raw(updated), world.clock.now())
    (method,) = await listed(world, seller)
    assert (method["status"], method["is_default"]) == ("VERIFIED", True)
    row = await database.fetchrow("SELECT verified_at, usable_from FROM payout_methods")
    assert row is not None
    assert row["usable_from"] - row["verified_at"] == timedelta(hours=24)
    account["capabilities"] = {"transfers": "inactive"}
    stripe.world.emit("account.updated", account)
    await webhook_inbox.update_account(_raw(calls[-1]), world.clock.now())
    assert [entry["status"] for entry in await listed(world, seller)] == ["PENDING"]


async def test_an_error_that_stripe_keeps_shuts_no_seller_out(
    world: World, stripe: StripeStandIn
) -> None:
    seller = await world.person()
    stripe.faults.add(FaultRule("POST /v1/accounts", Fault.ERROR_STICKY))
    first = await add(world, seller, {"kind": "STRIPE_ACCOUNT"})
    stripe.keys.clear()  # as a day later
    again = await add(world, seller, {"kind": "STRIPE_ACCOUNT"})
    assert again["method"]["id"] == first["method"]["id"]
    assert len(stripe.world.objects["account"]) == 1


def _raw(call: dict[str, Any]) -> bytes:
    return json.dumps(call).encode()


async def test_asking_again_goes_on_with_the_same_account(
    world: World, stripe: StripeStandIn
) -> None:
    seller = await world.person()
    first = await add(world, seller, {"kind": "STRIPE_ACCOUNT"})
    second = await add(world, seller, {"kind": "STRIPE_ACCOUNT"})
    assert first["method"]["id"] == second["method"]["id"]
    assert len(stripe.world.objects["account"]) == 1
    assert parse_qs(urlsplit(second["onboarding_url"]).query)["return_url"]


async def test_without_stripe_nothing_is_kept(world: World, stripe: StripeStandIn) -> None:
    seller = await world.person()
    stripe.faults.add(FaultRule("POST /v1/accounts", Fault.ERROR_BEFORE, times=10))
    answer = await world.post(METHODS, seller, {"kind": "STRIPE_ACCOUNT"}, key=None)
    await problem(answer, 503, "upstream_unavailable")
    assert await listed(world, seller) == []


async def test_a_wallet_is_proven_by_its_signature(world: World) -> None:
    seller = await world.person()
    added = await add_wallet(world, seller, "seller")
    assert added["method"]["status"] == "PENDING"
    assert seller.id in added["message"]
    answer = await sign(world, seller, added, "seller")
    method = await answer.json()
    assert (answer.status, method["status"], method["is_default"]) == (200, "VERIFIED", True)
    await problem(await sign(world, seller, added, "seller"), 410, "link_expired")


async def test_proofs_that_prove_nothing(world: World) -> None:
    seller, other = await world.person(), await world.person()
    added = await add_wallet(world, seller, "seller")
    await problem(await sign(world, seller, added, "thief"), 422, "validation_failed")
    await problem(await sign(world, other, added, "seller"), 404, "not_found")
    world.clock.advance(timedelta(minutes=15))
    late = await world.again(seller)
    await problem(await sign(world, late, added, "seller"), 410, "link_expired")
    assert [entry["status"] for entry in await listed(world, late)] == ["PENDING"]


async def test_an_unproven_claim_blocks_nobody(world: World) -> None:
    squatter, owner = await world.person(), await world.person()
    await add_wallet(world, squatter, "seller")
    added = await add_wallet(world, owner, "seller")
    assert (await sign(world, owner, added, "seller")).status == 200
    assert await listed(world, squatter) == []
    address = str(people.named("seller").address)
    answer = await world.post(
        METHODS, squatter, {"kind": "BASE_WALLET", "address": address}, key=None
    )
    await problem(answer, 422, "validation_failed")


async def test_five_wallets_and_no_more(world: World) -> None:
    seller = await world.person()
    for number in range(5):
        await add_wallet(world, seller, f"wallet-{number}")
    body = {"kind": "BASE_WALLET", "address": str(people.named("one-more").address)}
    await problem(await world.post(METHODS, seller, body, key=None), 409, "limit_reached")


async def test_default_and_disabled(world: World) -> None:
    seller = await world.person()
    first, second = (
        await add_wallet(world, seller, "one"),
        await add_wallet(world, seller, "two"),
    )
    path = f"{METHODS}/{second['method']['id']}"
    await problem(await world.post(f"{path}/default", seller, {}, key=None), 409, "invalid_state")
    for added, name in ((first, "one"), (second, "two")):
        assert (await sign(world, seller, added, name)).status == 200
    assert (await world.post(f"{path}/default", seller, {}, key=None)).status == 200
    assert [entry["is_default"] for entry in await listed(world, seller)] == [False, True]
    other = await world.person()
    await problem(await world.client.delete(path, headers=other.bearer), 404, "not_found")
    assert (await world.client.delete(path, headers=seller.bearer)).status == 204
    assert len(await listed(world, seller)) == 1


async def test_a_method_that_a_trade_needs_stays(world: World) -> None:
    seller = await world.person()
    added = await add_wallet(world, seller, "one")
    trade = await world.trade(seller=seller)
    payee = types.Payee(payout_method_id=added["method"]["id"], destination="acct_1")
    async with database.transaction() as tx:
        escrow = trade.escrow
        escrow.payee.CopyFrom(payee)
        await tx.execute(
            "UPDATE escrows SET state_bytes = $2 WHERE id = $1",
            trade.escrow_id,
            escrow.SerializeToString(),
        )
    path = f"{METHODS}/{added['method']['id']}"
    answer = await world.client.delete(path, headers=seller.bearer)
    await problem(answer, 409, "invalid_state")


async def test_the_buyer_is_told_where_to_send_usdc(world: World, chain: LocalChain) -> None:
    buyer = await world.person()
    price = common.Money(minor=20_000_000_000, currency=common.CURRENCY_USDC)
    trade = await world.trade(buyer=buyer, price=price, rail=common.RAIL_USDC_BASE)
    path = f"{trade.path}/payment"
    await problem(await world.get(path, buyer), 409, "payment_not_ready")
    store = PostgresStore(KEYRING.signer(common.PRODUCER_PAYMENTS), world.clock)
    accounts = PostgresAccounts(store, chain.chain.chain_id, world.clock, lambda: None)
    address = str(people.named("deposit").address)
    operation_id = trade.escrow.intent.operation_id
    await accounts.open(
        Account(address.lower(), trade.escrow_id, operation_id, "", trade.due_minor, 0)
    )
    data = await (await world.get(path, buyer)).json()
    assert (data["deposit_address"], data["chain_id"]) == (address, chain.chain.chain_id)
    assert data["left"]["minor"] == trade.due_minor
    assert data["uri"].endswith(f"/transfer?address={address}&uint256={trade.due_minor}")
    assert data["confirmations_needed"] is None
    picture = await world.get(data["qr_svg"], buyer)
    assert (picture.status, picture.content_type) == (200, "image/svg+xml")
    assert (await picture.text()).startswith("<svg")
    await problem(await world.get(path, trade.seller_person), 403, "forbidden")
    await problem(await world.get(f"{path}/qr.svg", await world.person()), 404, "not_found")


async def test_a_repeated_request_is_answered_as_before(
    world: World, stripe: StripeStandIn
) -> None:
    seller, wallet = await world.person(), people.named("wendy")
    bodies = [
        {"kind": "STRIPE_ACCOUNT"},
        {"kind": "BASE_WALLET", "address": str(wallet.address)},
    ]
    first: list[Any] = []
    again: list[Any] = []
    for answers in (first, again):
        for number, body in enumerate(bodies):
            answer = await world.post(METHODS, seller, body, key=f"payout-method-{number}-1")
            assert answer.status == 201, await answer.text()
            assert ("Idempotency-Replayed" in answer.headers) == (answers is again)
            answers.append(await answer.json())
    assert first == again
    other = await world.post(METHODS, seller, bodies[0], key="payout-method-1-1")
    await problem(other, 422, "idempotency_key_reused")

    added = first[1]
    path = f"{METHODS}/{added['method']['id']}"
    body = {"signature": people.sign_text("wendy", added["message"])}
    verified = [await world.post(f"{path}/verify", seller, body, key="v" * 16) for _ in range(2)]
    assert [answer.status for answer in verified] == [200, 200]
    assert await verified[0].json() == await verified[1].json()
    # Under another key it is another request, and the text has been signed.
    late = await world.post(f"{path}/verify", seller, body)
    await problem(late, 410, "link_expired")
    chosen = [await world.post(f"{path}/default", seller, key="d" * 16) for _ in range(2)]
    assert await chosen[0].json() == await chosen[1].json()
    audited = await database.fetch(
        "SELECT action FROM audit_log WHERE action LIKE 'payout_method.%' ORDER BY id"
    )
    assert [row["action"] for row in audited] == [
        "payout_method.added",
        "payout_method.added",
        "payout_method.verified",
        "payout_method.default",
    ]


async def test_a_refused_request_keeps_no_answer(world: World, stripe: StripeStandIn) -> None:
    seller, key = await world.person(), "a-key-of-the-client"
    body = {"kind": "STRIPE_ACCOUNT"}
    stripe.faults.add(FaultRule("POST /v1/accounts", Fault.ERROR_BEFORE, times=9))
    await problem(await world.post(METHODS, seller, body, key=key), 503, "upstream_unavailable")
    stripe.faults.clear()
    assert (await world.post(METHODS, seller, body, key=key)).status == 201
