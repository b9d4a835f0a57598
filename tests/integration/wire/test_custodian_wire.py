"""The custodian on the wire, against docs/custodian-openapi.json, the contract that it is given."""

import hmac
import json
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from openapi_schema_validator import OAS31Validator
from pydantic import SecretStr

from bloxtr8.config import CustodianSettings
from bloxtr8.payments.http_json import Limits
from bloxtr8.payments.rails import Absent, Pending
from bloxtr8.payments.usdc.custodian_webhooks import name_custodian, verify_custodian
from bloxtr8.payments.usdc.custody import DepositAddress, Transfer
from bloxtr8.payments.usdc.http_custodian import HttpCustodian
from bloxtr8.sandbox.chain import LocalChain
from bloxtr8.sandbox.chain import wallets as people
from bloxtr8.sandbox.custodian import CustodianStandIn
from tests.integration.usdc.world import NOW, World
from tests.integration.wire.recorder import Recorder

CONTRACT = json.loads((Path(__file__).parents[3] / "docs" / "custodian-openapi.json").read_text())
ADDRESS = "0x" + "ab" * 20
ESCROW, OPERATION = str(uuid4()), str(uuid4())


def fits(name: str, body: object) -> None:
    """Raise unless `body` is what the contract says of `name`."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": CONTRACT["components"]}
    OAS31Validator(schema).validate(body)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    chain = LocalChain()
    await chain.start()
    made = World(chain)
    yield made
    await made.close()
    await chain.stop()


@pytest.fixture
async def custodian(world: World, provider: Recorder) -> AsyncIterator[HttpCustodian]:
    settings = CustodianSettings(api_base=provider.base_url, api_key=SecretStr("custodian-key"))
    made = HttpCustodian(settings, world.settings, world.prover, world.clock, Limits(tries=1))
    yield made
    await made.close()


async def test_an_address_is_asked_for(provider: Recorder, custodian: HttpCustodian) -> None:
    made = {
        "id": "addr_1",
        "address": ADDRESS,
        "chain": "base-local",
        "asset": "USDC",
        "reference": ESCROW,
        "created_at": "2026-03-01T00:00:00Z",
    }
    fits("Address", made)
    provider.answers["POST /v1/addresses"] = (201, made)
    assert await custodian.deposit_address(ESCROW) == DepositAddress(ADDRESS)
    (asked,) = provider.asked
    fits("NewAddress", json.loads(asked.body))
    assert asked.headers["authorization"] == "Bearer custodian-key"
    assert asked.headers["idempotency-key"]


async def test_a_transfer_is_ordered_and_looked_up(
    provider: Recorder, custodian: HttpCustodian
) -> None:
    order = Transfer(OPERATION, ESCROW, ADDRESS, 12_500_000)
    taken: dict[str, Any] = {
        "id": "tr_1",
        "from_reference": ESCROW,
        "to": ADDRESS,
        "amount": "12.500000",
        "asset": "USDC",
        "chain": "base-local",
        "reference": OPERATION,
        "status": "pending",
        "tx_hash": None,
        "failure_code": None,
        "created_at": "2026-03-01T00:00:00Z",
    }
    fits("Transfer", taken)
    provider.answers["POST /v1/transfers"] = (201, taken)
    assert isinstance(await custodian.transfer(order), Pending)
    body = json.loads(provider.asked[0].body)
    fits("NewTransfer", body)
    assert (body["amount"], body["reference"]) == ("12.500000", OPERATION)
    assert provider.asked[0].headers["idempotency-key"] == OPERATION
    found: dict[str, Any] = {"transfers": []}
    fits("Transfers", found)
    provider.answers["GET /v1/transfers"] = (200, found)
    assert isinstance(await custodian.look_up(OPERATION), Absent)
    assert provider.asked[1].query == f"reference={OPERATION}"


async def test_every_call_of_the_custodian_is_what_the_contract_says(world: World) -> None:
    """deposit.detected, deposit.confirmed, transfer.completed; named and signed as documented."""
    told: list[dict[str, Any]] = []
    stand_in = CustodianStandIn(world.local.rpc_url, looks_by_itself=False)
    await stand_in.start()
    stand_in.webhooks.send = told.append  # type: ignore[method-assign, assignment]
    world.use(world.http_custodian(stand_in))
    account = await world.account()
    world.pay(account.address, account.due_minor)
    await stand_in.vault.tick()
    seller = str(people.named("seller").address).lower()
    await world.custody.transfer(Transfer(OPERATION, account.escrow_id, seller, 5_000_000))
    for _ in range(4):
        world.mine(2)
        await stand_in.vault.tick()
    await stand_in.stop()
    assert {event["type"] for event in told} == {
        "deposit.detected",
        "deposit.confirmed",
        "transfer.completed",
    }
    for event in told:
        assert set(event) == {"id", "type", "created_at", "data"}
        deposit = event["type"].startswith("deposit")
        fits("Deposit" if deposit else "Transfer", event["data"])
        named = name_custodian(json.dumps(event).encode())
        assert named.about == (account.address if deposit else OPERATION)


def test_calls_are_signed_as_documented() -> None:
    """X-Signature: hex HMAC-SHA256(secret, timestamp + "." + raw body)."""
    body, at = b'{"id": "evt_1"}', str(int(NOW.timestamp()))
    signature = hmac.new(b"secret", at.encode() + b"." + body, sha256).hexdigest()
    verify_custodian(body, at, signature, [SecretStr("secret")], NOW)
