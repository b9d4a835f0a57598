"""What is open on the market keeps an account linked and open."""

from datetime import timedelta
from uuid import UUID

from bloxtr8.market import commitments, listings
from bloxtr8.store import database
from tests.integration.trading.world import World


async def _open(world: World, user_id: UUID) -> list[str]:
    async with database.transaction() as tx:
        found = await commitments.open_commitments(tx, user_id, world.clock.now())
    assert all(item.ref for item in found)
    return [item.kind for item in found]


async def test_listings_offers_and_contracts_are_commitments_until_they_end(world: World) -> None:
    seller, buyer = await world.person(), await world.person()
    assert await _open(world, seller.id) == []
    listing = await world.listing(seller)
    offer = await world.offer(buyer, listing)
    assert await _open(world, seller.id) == ["LISTING", "OFFER"]
    assert await _open(world, buyer.id) == ["OFFER"]

    await world.change(seller, lambda change: listings.pause(change, listing["id"]))
    assert await _open(world, seller.id) == ["LISTING", "OFFER"], "paused is not ended"
    world.later(timedelta(hours=72))
    assert await _open(world, buyer.id) == [], "its time is over, swept or not"

    other = await world.listing(seller)
    offer = await world.offer(buyer, other)
    await world.accept(seller, offer)
    assert await _open(world, seller.id) == ["LISTING", "LISTING", "CONTRACT"]
    assert await _open(world, buyer.id) == ["CONTRACT"]

    await world.change(seller, lambda change: listings.cancel(change, listing["id"]))
    assert await _open(world, seller.id) == ["LISTING", "CONTRACT"], "the reserved one stays"
