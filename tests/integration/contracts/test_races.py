"""64 callers at once on a real database: one end wins, the others get the documented error.

`BLOXTR8_RACE_ROUNDS` sets how often each race is run (100 for the long run).
"""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from bloxtr8.contracts import signing, voiding
from bloxtr8.contracts.desk import Desk
from bloxtr8.contracts.signing import Signing
from bloxtr8.errors import Bloxtr8Error
from bloxtr8.market import links
from bloxtr8.market.actors import Actor
from bloxtr8.market.links import Permit
from bloxtr8.market.place import Change
from bloxtr8.store import database
from bloxtr8.store.database import Transaction
from tests.integration.contracts.world import HOUR, REASON, ContractWorld, Deal

CALLERS = 64
ROUNDS = int(os.environ.get("BLOXTR8_RACE_ROUNDS", "1"))

pytestmark = [
    pytest.mark.timeout(120 + 20 * ROUNDS),
    pytest.mark.usefixtures("patient_database"),
]


@pytest.fixture
def connections() -> int:
    """One for each caller."""
    return CALLERS


async def _at_once(*attempts: Awaitable[Any]) -> Counter[str]:
    """Return how often what came out; anything but a refusal is a failure of the test."""
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, Bloxtr8Error):
            raise outcome
    return Counter(
        outcome.code if isinstance(outcome, Bloxtr8Error) else "won" for outcome in outcomes
    )


async def _end(world: ContractWorld, deal: Deal) -> str:
    """Return how the contract stands; everything that is written agrees with it."""
    await world.check(deal)
    return str((await world.contract(deal))["status"])


async def both_sign_at_once(world: ContractWorld) -> None:
    deal = await world.noted()
    people = [deal.seller, deal.buyer] * (CALLERS // 2)
    outcomes = await _at_once(*(world.sign(person, deal) for person in people))
    # Who signs again is told what the first signature was told.
    assert outcomes == {"won": CALLERS}
    assert await _end(world, deal) == "EXECUTED"


async def one_person_signs_in_discord_and_on_the_web(world: ContractWorld) -> None:
    deal = await world.noted()
    ways = [deal.buyer, world.in_discord(deal.buyer)] * (CALLERS // 2)
    assert await _at_once(*(world.sign(way, deal) for way in ways)) == {"won": CALLERS}
    assert len(await world.signatures(deal)) == 1
    assert await _end(world, deal) == "PENDING_SIGNATURE"


async def signing_against_calling_off(world: ContractWorld) -> None:
    deal = await world.noted()
    await world.sign(deal.buyer, deal)
    outcomes = await _at_once(
        *(world.sign(deal.seller, deal) for _ in range(CALLERS // 2)),
        *(world.call_off(deal.buyer, deal) for _ in range(CALLERS // 2)),
    )
    if await _end(world, deal) == "EXECUTED":
        assert outcomes == {"won": CALLERS // 2, "invalid_state": CALLERS // 2}
    else:
        assert outcomes == {"won": 1, "invalid_state": CALLERS - 1}


async def _at(world: ContractWorld, actor: Actor, now: datetime, work: Any) -> Any:
    async def in_transaction(tx: Transaction) -> Any:
        return await work(Change(tx, actor, world.place, now))

    return await database.run_in_transaction(in_transaction)


async def signing_against_the_end_of_the_window(world: ContractWorld) -> None:
    deal = await world.noted()
    await world.sign(deal.buyer, deal)
    proof = await signing.prove(world.place, deal.id)
    wish = Signing(deal.id, deal.sha256)
    over = deal.row["sign_deadline_at"]
    before = over - timedelta(microseconds=1)
    outcomes = await _at_once(
        *(
            _at(world, deal.seller, before, lambda change: signing.sign(change, wish, proof))
            for _ in range(CALLERS // 2)
        ),
        *(
            _at(world, Actor.system(), over, lambda change: voiding.expire(change, deal.id))
            for _ in range(CALLERS // 2)
        ),
    )
    # A sweep that finds nothing to end is no refusal.
    ended = await _end(world, deal)
    refused = 0 if ended == "EXECUTED" else CALLERS // 2
    assert outcomes["invalid_state"] == refused
    assert outcomes["won"] == CALLERS - refused


async def every_way_to_end_it_at_once(world: ContractWorld) -> None:
    deal, staff = await world.noted(), await world.person()
    world.later(72 * HOUR)
    ways = [
        lambda: world.call_off(deal.buyer, deal),
        lambda: world.call_off(deal.seller, deal),
        lambda: world.change(staff, lambda change: voiding.by_staff(change, deal.id, REASON)),
        world.sweeper.expire,
    ]
    outcomes = await _at_once(*(way() for way in ways * (CALLERS // len(ways))))
    assert await _end(world, deal) == "VOID"
    assert set(outcomes) <= {"won", "invalid_state"}
    voided = [one for one in await world.told(deal.buyer.id) if one == "contract_voided"]
    assert len(voided) == 1


async def a_link_is_used_once(world: ContractWorld) -> None:
    deal = await world.noted()
    token = await world.link(deal.buyer, deal)
    permit = Permit("SIGN_CONTRACT", deal.buyer.id, deal.id)
    outcomes = await _at_once(
        *(
            world.change(
                deal.buyer,
                lambda change: links.consume(change.tx, token, permit, change.now),
            )
            for _ in range(CALLERS)
        )
    )
    assert outcomes == {"won": 1, "link_expired": CALLERS - 1}
    other = await world.link(deal.buyer, deal)
    signed = await _at_once(*(world.sign(deal.buyer, deal, token=other) for _ in range(CALLERS)))
    assert signed == {"won": CALLERS}
    assert len(await world.signatures(deal)) == 1
    assert await _end(world, deal) == "PENDING_SIGNATURE"


async def one_offer_becomes_one_contract(world: ContractWorld) -> None:
    seller, buyer = await world.person(), await world.person()
    listing = await world.listing(seller)
    offer = await world.offer(buyer, listing)
    stale = offer | {"version": 7}
    outcomes = await _at_once(
        *(world.accept(seller, offer) for _ in range(CALLERS // 2)),
        *(world.accept(seller, stale) for _ in range(CALLERS // 2)),
    )
    # The same acceptance is told the same; any other that it came too late.
    assert outcomes["won"] == CALLERS // 2
    assert set(outcomes) <= {"won", "version_mismatch", "offer_not_open", "listing_not_active"}
    rows = await database.fetch("SELECT * FROM contracts WHERE offer_id = $1", offer["id"])
    assert len(rows) == 1
    await world.check(Deal(seller, buyer, listing, rows[0]))
    assert await world.audited(rows[0]["id"]) == ["contract.requested"]


async def many_desks_make_a_document_once(world: ContractWorld) -> None:
    desks: list[Desk] = [world.desk] * 16
    deal = await world.agreed()
    taken = await asyncio.gather(*(desk.work() for desk in desks))
    assert sum(taken) == 1
    assert (await world.audited(deal.id)).count("contract.rendered") == 1
    assert (await world.said(deal.id)).count("contract_ready") == 1


@pytest.mark.parametrize(
    "race",
    [
        both_sign_at_once,
        one_person_signs_in_discord_and_on_the_web,
        signing_against_calling_off,
        signing_against_the_end_of_the_window,
        every_way_to_end_it_at_once,
        a_link_is_used_once,
        one_offer_becomes_one_contract,
        many_desks_make_a_document_once,
    ],
)
async def test_race(world: ContractWorld, race: Callable[[ContractWorld], Awaitable[None]]) -> None:
    for _ in range(ROUNDS):
        await race(world)
