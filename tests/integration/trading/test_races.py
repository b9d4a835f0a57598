"""64 callers at once on a real database: one wins, the others get the documented error.

`BLOXTR8_RACE_ROUNDS` sets how often each race is run (100 for the long run).
"""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest

from bloxtr8.errors import Bloxtr8Error
from bloxtr8.market import acceptance, drafts, endings, evidence, listings, moderation
from bloxtr8.market.actors import Actor
from bloxtr8.market.drafts import Draft
from bloxtr8.market.offers import Proposal
from bloxtr8.store import database
from tests.integration.trading.world import Row, World

CALLERS = 64
ROUNDS = int(os.environ.get("BLOXTR8_RACE_ROUNDS", "1"))
HOUR = timedelta(hours=1)

Outcome = Any

pytestmark = pytest.mark.usefixtures("patient_database")


@pytest.fixture
def connections() -> int:
    """One for each caller."""
    return CALLERS


async def at_once(*attempts: Awaitable[Any]) -> list[Outcome]:
    """Return results and refusals of all; anything but a refusal is a failure of the test."""
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, Bloxtr8Error):
            raise outcome
    return outcomes


def _codes(outcomes: list[Outcome]) -> Counter[str]:
    return Counter(o.code if isinstance(o, Bloxtr8Error) else "won" for o in outcomes)


async def _trade(world: World) -> tuple[Actor, Actor, Row, Row]:
    """Return seller, buyer, listing and the buyer's open offer."""
    seller, buyer = await world.person(), await world.person()
    listing = await world.listing(seller)
    return seller, buyer, listing, await world.offer(buyer, listing)


async def _check_one_contract(world: World, listing: Row) -> None:
    """One accepted offer, one contract, a reserved listing; audit and outbox say the same."""
    rows = await database.fetch("SELECT * FROM offers WHERE listing_id = $1", listing["id"])
    accepted = [row for row in rows if row["status"] == "ACCEPTED"]
    contracts = await database.fetch(
        "SELECT id, offer_id FROM contracts WHERE listing_id = $1", listing["id"]
    )
    assert [c["offer_id"] for c in contracts] == [row["id"] for row in accepted]
    assert len(accepted) == 1
    assert not [row for row in rows if row["status"] == "PENDING"]
    after = await world.row("listings", listing["id"])
    assert (after["status"], after["reserved_contract_id"]) == ("RESERVED", contracts[0]["id"])
    said = Counter(await world.said(listing["id"]))
    assert said["offer_accepted"] == 1
    assert said["offer_declined"] == sum(row["status"] == "DECLINED" for row in rows)
    assert Counter(await world.said(contracts[0]["id"])) == {"contract_requested": 1}
    assert (await world.audited(listing["id"])).count("listing.reserved") == 1
    assert (await world.audited(accepted[0]["id"])).count("offer.accepted") == 1


@pytest.mark.parametrize("_round", range(ROUNDS))
async def test_many_clicks_on_accept_make_one_contract(world: World, _round: int) -> None:
    seller, _, listing, offer = await _trade(world)
    outcomes = await at_once(*(world.accept(seller, offer) for _ in range(CALLERS)))
    assert _codes(outcomes) == {"won": CALLERS}
    assert len({outcome.contract["id"] for outcome in outcomes}) == 1
    await _check_one_contract(world, listing)


@pytest.mark.parametrize("_round", range(ROUNDS))
async def test_of_many_offers_of_a_listing_one_is_accepted(world: World, _round: int) -> None:
    seller = await world.person()
    listing = await world.listing(seller)
    buyers = [await world.person() for _ in range(16)]
    made = await asyncio.gather(*(world.offer(buyer, listing) for buyer in buyers))
    outcomes = await at_once(*(world.accept(seller, made[i % len(made)]) for i in range(CALLERS)))
    won = [outcome for outcome in outcomes if not isinstance(outcome, Bloxtr8Error)]
    assert len({outcome.contract["id"] for outcome in won}) == 1
    assert _codes(outcomes).keys() == {"won", "listing_not_active"}
    await _check_one_contract(world, listing)


@pytest.mark.parametrize("_round", range(ROUNDS))
async def test_accept_against_withdraw_decline_and_counter(world: World, _round: int) -> None:
    seller, buyer, listing, offer = await _trade(world)
    outcomes = await at_once(
        *(
            attempt
            for i in range(CALLERS // 4)
            for attempt in (
                world.accept(seller, offer),
                world.withdraw(buyer, offer),
                world.decline(seller, offer),
                world.counter(seller, offer, 100_000 + i),
            )
        )
    )
    row = await world.row("offers", offer["id"])
    codes = _codes(outcomes)
    if row["status"] == "ACCEPTED":
        await _check_one_contract(world, listing)
        assert codes == {"won": CALLERS // 4, "offer_not_open": 3 * CALLERS // 4}
    else:
        assert codes == {"won": 1, "offer_not_open": CALLERS - 1}
        children = await database.fetch("SELECT 1 FROM offers WHERE parent_id = $1", offer["id"])
        assert len(children) == (row["status"] == "COUNTERED")
    actions = [a for a in await world.audited(offer["id"]) if a != "offer.created"]
    assert len(actions) == 1


@pytest.mark.parametrize("_round", range(ROUNDS))
async def test_accept_against_expiry(world: World, _round: int) -> None:
    seller, buyer, listing, offer = await _trade(world)
    world.later(72 * HOUR - timedelta(milliseconds=1))
    found = await acceptance.prove(world.place, seller.id, offer["id"], offer["version"])

    async def sweep() -> int:
        # The sweeper's clock is two milliseconds ahead: past the end for it alone.
        world.later(timedelta(microseconds=32))
        return await world.change(buyer, lambda change: endings.expire_due(change, 200))

    async def accept() -> Any:
        world.later(timedelta(microseconds=32))
        return await world.change(
            seller, lambda c: acceptance.accept(c, offer["id"], offer["version"], found)
        )

    outcomes = await at_once(*(sweep() if i % 2 else accept() for i in range(CALLERS)))
    expired = sum(outcome for outcome in outcomes if isinstance(outcome, int))
    row = await world.row("offers", offer["id"])
    if row["status"] == "ACCEPTED":
        assert expired == 0
        await _check_one_contract(world, listing)
    else:
        assert (row["status"], expired) == ("EXPIRED", 1)
        assert set(_codes(outcomes)) == {"won", "offer_expired"}
        assert (await world.said(listing["id"])).count("offer_expired") == 1


@pytest.mark.parametrize("_round", range(ROUNDS))
async def test_accept_against_pause_edit_and_cancel(world: World, _round: int) -> None:
    seller, _, listing, offer = await _trade(world)

    def pause() -> Awaitable[Any]:
        return world.change(seller, lambda change: listings.pause(change, listing["id"]))

    def edit() -> Awaitable[Any]:
        values = {"price_minor": 160_000}
        return world.change(seller, lambda c: listings.edit(c, listing["id"], 1, values))

    def cancel() -> Awaitable[Any]:
        return world.change(seller, lambda change: listings.cancel(change, listing["id"]))

    await at_once(
        *(
            attempt
            for _ in range(CALLERS // 4)
            for attempt in (world.accept(seller, offer), pause(), edit(), cancel())
        )
    )
    after = await world.row("listings", listing["id"])
    row = await world.row("offers", offer["id"])
    if row["status"] == "ACCEPTED":
        await _check_one_contract(world, listing)
    else:
        assert (after["status"], row["decline_reason"]) == ("CANCELLED", "LISTING_CLOSED")
        assert await world.said() != []


@pytest.mark.parametrize("_round", range(ROUNDS))
async def test_offers_against_accept_leave_none_open_beside_it(world: World, _round: int) -> None:
    seller, _, listing, offer = await _trade(world)
    buyers = [await world.person() for _ in range(CALLERS // 2)]
    outcomes = await at_once(
        *(world.offer(buyer, listing) for buyer in buyers),
        *(world.accept(seller, offer) for _ in range(CALLERS // 2)),
    )
    assert _codes(outcomes).keys() <= {"won", "listing_not_active", "limit_reached"}
    await _check_one_contract(world, listing)


@pytest.mark.parametrize("_round", range(ROUNDS))
async def test_of_many_listings_of_an_experience_one_is_put_up(world: World, _round: int) -> None:
    seller = await world.person()
    new = world.new_listing(seller)
    outcomes = await at_once(
        *(world.listing(seller, universe_id=new.universe_id) for _ in range(CALLERS))
    )
    assert _codes(outcomes) == {"won": 1, "universe_already_listed": CALLERS - 1}
    assert await world.said() == ["listing_created"]


@pytest.mark.parametrize("_round", range(ROUNDS))
async def test_two_people_who_both_seem_to_own_it_get_one_listing(
    world: World, _round: int
) -> None:
    people = [await world.person() for _ in range(8)]
    universe_id = world.new_listing(people[0]).universe_id
    found = []
    for person in people:
        world.roblox.owners[universe_id] = person.id
        found.append(await evidence.of_owner(world.place, person.id, universe_id, "LISTING"))

    def attempt(i: int) -> Awaitable[Any]:
        person = people[i % len(people)]
        new = world.new_listing(person, universe_id=universe_id)
        return world.change(person, lambda c: listings.create(c, new, found[i % len(people)]))

    outcomes = await at_once(*(attempt(i) for i in range(CALLERS)))
    assert _codes(outcomes) == {"won": 1, "universe_already_listed": CALLERS - 1}


@pytest.mark.parametrize("_round", range(ROUNDS))
async def test_limits_hold_when_everything_comes_at_once(world: World, _round: int) -> None:
    seller = await world.person()
    outcomes = await at_once(*(world.listing(seller) for _ in range(CALLERS)))
    assert _codes(outcomes) == {"won": 10, "limit_reached": CALLERS - 10}
    shown = [outcome for outcome in outcomes if not isinstance(outcome, Bloxtr8Error)]
    buyer = await world.person()
    outcomes = await at_once(*(world.offer(buyer, shown[i % len(shown)]) for i in range(CALLERS)))
    codes = _codes(outcomes)
    assert codes["won"] == 10
    assert codes.keys() <= {"won", "offer_already_open", "rate_limited"}


@pytest.mark.parametrize("_round", range(ROUNDS))
async def test_a_listing_takes_fifty_open_offers(world: World, _round: int) -> None:
    listing = await world.listing(await world.person())
    buyers = [await world.person() for _ in range(CALLERS)]
    outcomes = await at_once(*(world.offer(buyer, listing) for buyer in buyers))
    assert _codes(outcomes) == {"won": 50, "limit_reached": CALLERS - 50}


@pytest.mark.parametrize("_round", range(ROUNDS))
async def test_a_draft_confirmed_many_times_is_sent_once(world: World, _round: int) -> None:
    seller, buyer = await world.person(), await world.person()
    listing = await world.listing(seller)
    draft = await world.change(
        buyer, lambda change: drafts.save(change, listing["id"], Draft(Proposal(100_000)))
    )
    outcomes = await at_once(
        *(
            world.change(buyer, lambda change: drafts.submit(change, draft["id"], 1))
            for _ in range(CALLERS)
        )
    )
    assert _codes(outcomes) == {"won": 1, "draft_stale": CALLERS - 1}
    assert (await world.said()).count("offer_created") == 1


@pytest.mark.parametrize("_round", range(ROUNDS))
async def test_many_sweepers_expire_each_offer_once(world: World, _round: int) -> None:
    sellers = [await world.person() for _ in range(4)]
    made = [
        await world.offer(await world.person(), await world.listing(sellers[i % 4]))
        for i in range(24)
    ]
    world.later(72 * HOUR)
    counts = await at_once(
        *(
            world.change(Actor.system(), lambda change: endings.expire_due(change, 5))
            for _ in range(CALLERS)
        )
    )
    assert sum(counts) == len(made)
    assert (await world.said()).count("offer_expired") == len(made)


@pytest.mark.parametrize("_round", range(ROUNDS))
async def test_freezing_against_everything(world: World, _round: int) -> None:
    seller, _, listing, offer = await _trade(world)
    admin = await world.person()
    buyers = [await world.person() for _ in range(CALLERS // 2)]

    async def freeze() -> None:
        async def work(change: Any) -> None:
            await change.tx.execute("SELECT 1 FROM users WHERE id = $1 FOR UPDATE", seller.id)
            await change.tx.execute("UPDATE users SET status = 'FROZEN' WHERE id = $1", seller.id)
            await moderation.freeze_trading(change, seller.id)

        await world.change(admin, work)

    outcomes = await at_once(
        *(world.offer(buyer, listing) for buyer in buyers),
        *(world.accept(seller, offer) for _ in range(CALLERS // 2 - 1)),
        freeze(),
    )
    allowed = {"won", "account_frozen", "listing_not_active", "not_found", "offer_not_open"}
    assert _codes(outcomes).keys() <= allowed
    after = await world.row("listings", listing["id"])
    assert after["status"] in ("RESERVED", "INACTIVE")
    waiting = await database.fetch(
        "SELECT 1 FROM offers WHERE listing_id = $1 AND status = 'PENDING'", listing["id"]
    )
    assert waiting == []
