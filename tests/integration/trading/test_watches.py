"""Keeping an eye on listings: only so many do, because all are told at once."""

import pytest

from bloxtr8.errors import LimitReached
from bloxtr8.market import watches
from bloxtr8.store import database
from tests.integration.trading.world import World


async def test_a_listing_has_a_thousand_watchers_at_most(world: World) -> None:
    seller, last, late = [await world.person() for _ in range(3)]
    listing = await world.listing(seller)
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO users (id, display_name, tier)"
            " SELECT gen_random_uuid(), 'Watcher', 'TIER_1' FROM generate_series(1, 999)"
        )
        await tx.execute(
            "INSERT INTO listing_watches (user_id, listing_id, created_at)"
            " SELECT id, $1, $2 FROM users WHERE display_name = 'Watcher'",
            listing["id"],
            world.clock.now(),
        )
    for _ in range(2):
        await world.change(last, lambda change: watches.watch(change, listing["id"]))
    with pytest.raises(LimitReached):
        await world.change(late, lambda change: watches.watch(change, listing["id"]))
    await world.change(last, lambda change: watches.unwatch(change, listing["id"]))
    await world.change(late, lambda change: watches.watch(change, listing["id"]))
