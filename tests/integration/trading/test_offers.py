"""Offers: who may make, answer and take back which, and what is written of it."""

import json
from datetime import timedelta
from typing import Any

import pytest

from bloxtr8 import ids
from bloxtr8.errors import (
    AccountFrozen,
    AmountOutOfRange,
    Bloxtr8Error,
    ConsentRequired,
    Forbidden,
    LimitReached,
    ListingNotActive,
    NotFound,
    NotYourTurn,
    OfferAlreadyOpen,
    OfferExpired,
    OfferNotOpen,
    OwnershipLost,
    OwnershipUnknown,
    OwnListing,
    RateLimited,
    TierRequired,
    ValidationFailed,
    VersionMismatch,
)
from bloxtr8.market import endings, listings
from bloxtr8.store import database
from tests.integration.trading.world import World

HOUR = timedelta(hours=1)


async def _run(sql: str, *args: Any) -> None:
    async with database.transaction() as tx:
        await tx.execute(sql, *args)


async def test_an_accepted_offer_reserves_the_listing_and_asks_for_a_contract(
    world: World,
) -> None:
    seller, buyer, other = [await world.person() for _ in range(3)]
    listing = await world.listing(seller)
    lost = await world.offer(other, listing, 100_000)
    first = await world.offer(buyer, listing, 120_000)
    countered = await world.counter(seller, first, 140_000)
    accepted = await world.accept(buyer, countered)

    contract = await world.row("contracts", accepted.contract["id"])
    after = await world.row("listings", listing["id"])
    assert (after["status"], after["reserved_contract_id"]) == ("RESERVED", contract["id"])
    assert (contract["price_minor"], contract["rail"]) == (140_000, "STRIPE")
    assert contract["settle_minor"] + contract["buyer_fee_minor"] == 144_090
    assert str(contract["escrow_id"]) == ids.escrow_id_for(str(contract["id"]))
    snapshot = await world.row("roblox_snapshots", contract["snapshot_id"])
    assert snapshot["purpose"] == "ACCEPT"
    terms = json.loads(contract["terms"])
    assert terms["asset"]["title"] == "Skyline Tycoon"
    assert terms["costs"]["buyer_fee_minor"] == contract["buyer_fee_minor"]
    assert (await world.row("offers", first["id"]))["status"] == "COUNTERED"
    sibling = await world.row("offers", lost["id"])
    assert (sibling["status"], sibling["decline_reason"]) == ("DECLINED", "SUPERSEDED")
    assert await world.said() == [
        "listing_created",
        "offer_created",
        "offer_created",
        "offer_countered",
        "contract_requested",
        "listing_updated",
        "offer_accepted",
        "offer_declined",
    ]
    assert await world.audited(countered["id"]) == ["offer.accepted"]
    assert await world.audited(contract["id"]) == ["contract.requested"]
    assert await world.audited(listing["id"]) == ["listing.created", "listing.reserved"]
    assert await world.told(other.id) == ["offer_declined"]
    assert sorted(await world.told(buyer.id)) == ["offer_accepted", "offer_countered"]
    await world.check_outbox()


async def test_a_second_click_gives_the_same_contract(world: World) -> None:
    seller, buyer = await world.person(), await world.person()
    offer = await world.offer(buyer, await world.listing(seller))
    first, again = await world.accept(seller, offer), await world.accept(seller, offer)
    assert first.contract == again.contract
    assert len(await world.said()) == 5
    with pytest.raises(OfferNotOpen) as refused:
        await world.accept(seller, offer | {"version": 7})
    assert refused.value.members["current_status"] == "ACCEPTED"


async def test_what_cannot_be_accepted_does_not_ask_roblox(world: World) -> None:
    seller, buyer = await world.person(), await world.person()
    offer = await world.offer(buyer, await world.listing(seller))
    asked = world.roblox.asked
    with pytest.raises(VersionMismatch):
        await world.accept(seller, offer | {"version": 7})
    await _run("DELETE FROM consents WHERE user_id = $1", seller.id)
    with pytest.raises(ConsentRequired):
        await world.accept(seller, offer)
    await _run("UPDATE users SET tier = 'TIER_0' WHERE id = $1", seller.id)
    with pytest.raises(TierRequired):
        await world.accept(seller, offer)
    await _run("UPDATE users SET status = 'FROZEN' WHERE id = $1", seller.id)
    with pytest.raises(AccountFrozen):
        await world.accept(seller, offer)
    assert world.roblox.asked == asked


async def test_an_accepted_offer_keeps_the_terms_it_was_made_under(world: World) -> None:
    seller, buyer = await world.person(), await world.person()
    listing = await world.listing(seller)
    offer = await world.offer(buyer, listing)
    await world.change(
        seller,
        lambda change: listings.edit(
            change, listing["id"], 1, {"title": "Another name", "delivery_days": 30}
        ),
    )
    accepted = await world.accept(seller, offer)
    terms = json.loads((await world.row("contracts", accepted.contract["id"]))["terms"])
    assert (terms["asset"]["title"], terms["asset"]["delivery_days"]) == ("Skyline Tycoon", 7)
    assert accepted.contract["delivery_days"] == 7


@pytest.mark.parametrize("price", [971_788, 971_789])
async def test_what_does_not_fit_a_card_with_its_fee_goes_by_usdc(world: World, price: int) -> None:
    seller, buyer = await world.person("TIER_2"), await world.person("TIER_2")
    listing = await world.listing(seller, price_minor=price)
    accepted = await world.accept(seller, await world.offer(buyer, listing, price))
    contract = accepted.contract
    total = contract["settle_minor"] + contract["buyer_fee_minor"]
    if contract["rail"] == "STRIPE":
        assert total <= 1_000_000
    else:
        assert (contract["settle_currency"], contract["settle_minor"]) == ("USDC", price * 10_000)
    assert (contract["rail"] == "STRIPE") is (price == 971_788)


async def test_whose_turn_it_is(world: World) -> None:
    seller, buyer = await world.person(), await world.person()
    offer = await world.offer(buyer, await world.listing(seller))
    for attempt in (world.accept, world.decline):
        with pytest.raises(NotYourTurn):
            await attempt(buyer, offer)
    with pytest.raises(NotYourTurn):
        await world.counter(buyer, offer, 110_000)
    with pytest.raises(NotYourTurn):
        await world.withdraw(seller, offer)
    with pytest.raises(NotFound):
        await world.accept(await world.person(), offer)
    with pytest.raises(VersionMismatch):
        await world.decline(seller, offer | {"version": 2})
    declined = await world.decline(seller, offer, "Too low for me.")
    assert (declined["decline_reason"], declined["note"]) == ("BY_RECIPIENT", "Too low for me.")
    with pytest.raises(OfferNotOpen):
        await world.withdraw(buyer, offer)


async def test_a_counter_changes_something_and_stays_within_the_price(world: World) -> None:
    seller, buyer = await world.person(), await world.person()
    listing = await world.listing(seller, min_offer_minor=100_000)
    with pytest.raises(AmountOutOfRange):
        await world.offer(buyer, listing, 99_999)
    with pytest.raises(AmountOutOfRange):
        await world.offer(buyer, listing, 150_001)
    offer = await world.offer(buyer, listing, 100_000)
    with pytest.raises(ValidationFailed):
        await world.counter(seller, offer, 100_000)
    with pytest.raises(AmountOutOfRange):
        await world.counter(seller, offer, 150_001)
    assert (await world.row("offers", offer["id"]))["status"] == "PENDING", "nothing was kept"
    for round_number in range(2, 11):
        actor = seller if round_number % 2 == 0 else buyer
        offer = await world.counter(actor, offer, 100_000 - round_number)
    assert offer["round"] == 10
    with pytest.raises(LimitReached):
        await world.counter(buyer, offer, 1_000)
    await world.accept(buyer, offer)


async def test_what_time_is_over_counts_as_expired_before_the_sweep(world: World) -> None:
    seller, buyer = await world.person(), await world.person()
    listing = await world.listing(seller)
    offer = await world.offer(buyer, listing)
    world.later(72 * HOUR)
    for attempt in (world.accept, world.decline):
        with pytest.raises(OfferExpired):
            await attempt(seller, offer)
    again = await world.offer(buyer, listing)
    assert again["id"] != offer["id"]
    assert (await world.row("offers", offer["id"]))["status"] == "EXPIRED"
    assert (await world.said()).count("offer_expired") == 1
    assert await world.audited(offer["id"]) == ["offer.created", "offer.expired"]


async def test_a_moment_before_its_end_an_offer_can_be_accepted(world: World) -> None:
    seller, buyer = await world.person(), await world.person()
    offer = await world.offer(buyer, await world.listing(seller))
    world.later(72 * HOUR - timedelta(microseconds=1))
    await world.accept(seller, offer)


async def test_who_may_offer(world: World) -> None:
    seller, buyer = await world.person(), await world.person()
    listing = await world.listing(seller)
    with pytest.raises(OwnListing):
        await world.offer(seller, listing)
    with pytest.raises(TierRequired):
        await world.offer(await world.person("TIER_0"), listing)
    frozen = await world.person()
    await _run("UPDATE users SET status = 'FROZEN' WHERE id = $1", frozen.id)
    with pytest.raises(AccountFrozen):
        await world.offer(frozen, listing)
    hasty = await world.person()
    await _run("DELETE FROM consents WHERE user_id = $1 AND document = 'AGE_18'", hasty.id)
    with pytest.raises(ConsentRequired) as refused:
        await world.offer(hasty, listing)
    assert refused.value.members["missing_consents"] == ["AGE_18"]
    await _run("INSERT INTO user_blocks (user_id, blocked_id) VALUES ($1, $2)", seller.id, buyer.id)
    with pytest.raises(Forbidden):
        await world.offer(buyer, listing)


async def test_who_was_blocked_in_the_middle_offers_no_more(world: World) -> None:
    seller, buyer = await world.person(), await world.person()
    offer = await world.offer(buyer, await world.listing(seller))
    countered = await world.counter(seller, offer, 130_000)
    await _run("INSERT INTO user_blocks (user_id, blocked_id) VALUES ($1, $2)", seller.id, buyer.id)
    with pytest.raises(Forbidden):
        await world.counter(buyer, countered, 125_000)
    assert (await world.row("offers", countered["id"]))["status"] == "PENDING"
    await world.decline(buyer, countered)


async def test_large_amounts_need_the_second_tier_on_both_sides(world: World) -> None:
    seller, buyer = await world.person(), await world.person("TIER_2")
    listing = await world.listing(seller, price_minor=2_000_000)
    with pytest.raises(TierRequired) as refused:
        await world.offer(await world.person(), listing, 1_000_001)
    assert refused.value.members["required_tier"] == "TIER_2"
    offer = await world.offer(buyer, listing, 1_000_001)
    with pytest.raises(TierRequired):
        await world.accept(seller, offer)
    await _run("UPDATE users SET tier = 'TIER_2' WHERE id = $1", seller.id)
    await world.accept(seller, offer)


async def test_limits_of_offers(world: World) -> None:
    seller, buyer = await world.person(), await world.person()
    listing = await world.listing(seller)
    offer = await world.offer(buyer, listing)
    with pytest.raises(OfferAlreadyOpen):
        await world.offer(buyer, listing)
    for _ in range(2):
        await world.withdraw(buyer, offer)
        offer = await world.offer(buyer, listing)
    await world.withdraw(buyer, offer)
    with pytest.raises(RateLimited) as refused:
        await world.offer(buyer, listing)
    assert refused.value.members["retry_after_s"] == 24 * 3600 + 1
    world.later(24 * HOUR)
    await world.offer(buyer, listing)


async def test_ten_offers_an_hour_and_twenty_open_ones(world: World) -> None:
    buyer = await world.person()
    sellers = [await world.person() for _ in range(3)]
    shown = [await world.listing(sellers[i // 10]) for i in range(21)]
    for listing in shown[:10]:
        await world.offer(buyer, listing)
    world.later(HOUR / 3)
    with pytest.raises(RateLimited) as refused:
        await world.offer(buyer, shown[10])
    assert refused.value.members["retry_after_s"] == 2 * 1200 + 1
    world.later(HOUR)
    for listing in shown[10:20]:
        await world.offer(buyer, listing)
    world.later(HOUR)
    with pytest.raises(LimitReached):
        await world.offer(buyer, shown[20])


async def test_without_roblox_nothing_is_accepted_and_nothing_changes(world: World) -> None:
    seller, buyer, thief = [await world.person() for _ in range(3)]
    listing = await world.listing(seller)
    offer = await world.offer(buyer, listing)
    world.roblox.silent = True
    with pytest.raises(OwnershipUnknown):
        await world.accept(seller, offer)
    world.roblox.silent = False
    world.roblox.owners[listing["universe_id"]] = thief.id
    with pytest.raises(OwnershipLost):
        await world.accept(seller, offer)
    assert (await world.row("offers", offer["id"]))["status"] == "PENDING"


async def test_offers_on_a_paused_listing_stay_but_cannot_be_accepted(world: World) -> None:
    seller, buyer = await world.person(), await world.person()
    listing = await world.listing(seller)
    offer = await world.offer(buyer, listing)
    await world.change(seller, lambda change: listings.pause(change, listing["id"]))
    with pytest.raises(ListingNotActive):
        await world.accept(seller, offer)
    with pytest.raises(ListingNotActive):
        await world.counter(seller, offer, 110_000)
    await world.decline(seller, offer)


async def test_a_cancelled_listing_declines_what_is_open(world: World) -> None:
    seller, buyer = await world.person(), await world.person()
    listing = await world.listing(seller)
    offer = await world.offer(buyer, listing)
    await world.change(seller, lambda change: listings.cancel(change, listing["id"]))
    row = await world.row("offers", offer["id"])
    assert (row["status"], row["decline_reason"]) == ("DECLINED", "LISTING_CLOSED")
    assert sorted(await world.told(buyer.id)) == ["listing_gone", "offer_declined"]
    with pytest.raises(Bloxtr8Error):
        await world.accept(seller, offer)


async def test_the_sweep_expires_what_is_due_and_nothing_else(world: World) -> None:
    seller, early, late = [await world.person() for _ in range(3)]
    listing = await world.listing(seller)
    due = await world.offer(early, listing)
    world.later(HOUR)
    running = await world.offer(late, listing)
    world.later(71 * HOUR)
    swept = await world.change(seller, lambda change: endings.expire_due(change, 200))
    assert swept == 1
    assert (await world.row("offers", due["id"]))["status"] == "EXPIRED"
    assert (await world.row("offers", running["id"]))["status"] == "PENDING"
    assert await world.change(seller, lambda change: endings.expire_due(change, 200)) == 0
