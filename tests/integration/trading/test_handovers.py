"""After delivery Roblox is asked who owns the game; what it says is kept and told."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

from bloxtr8.market import handovers, remarks
from bloxtr8.market.actors import Actor
from bloxtr8.market.handovers import HandoverChecks
from bloxtr8.store import database
from bloxtr8.store.mirror import Mirror
from tests.integration.story import Story
from tests.integration.trading.world import Row, World

HOUR = timedelta(hours=1)


class Handover:
    """A delivered trade of a real listing."""

    def __init__(self, world: World, story: Story, buyer: Actor, seller: Actor) -> None:
        self.world, self.story = world, story
        self.buyer, self.seller = buyer, seller
        self.universe_id = 0
        self.checks = HandoverChecks(world.place)
        self._told = 0

    async def follow(self) -> None:
        """Mirror what has happened since, and let the listings agent hear of it."""
        fresh, self._told = self.story.events[self._told :], len(self.story.events)
        assert all(fate is None for fate in await Mirror(self.world.clock).apply(fresh))
        for event in fresh * 2:
            if handovers.concerns(event):
                async with database.transaction() as tx:
                    await handovers.apply(tx, event, self.world.clock.now())

    async def row(self) -> Row:
        found = await database.fetchrow(
            "SELECT * FROM handovers WHERE escrow_id = $1", UUID(self.story.escrow_id)
        )
        assert found is not None
        return found

    async def snapshots(self) -> list[tuple[Any, Any]]:
        rows = await database.fetch(
            "SELECT purpose, for_user_id FROM roblox_snapshots WHERE universe_id = $1"
            " AND purpose IN ('DELIVERED', 'RELEASED') ORDER BY taken_at",
            self.universe_id,
        )
        return [(row["purpose"], row["for_user_id"]) for row in rows]


async def _delivered(world: World) -> Handover:
    seller, buyer = await world.person(), await world.person()
    listing = await world.listing(seller)
    accepted = await world.accept(seller, await world.offer(buyer, listing))
    story = Story().create().pay().deliver()
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE contracts SET escrow_id = $2 WHERE id = $1",
            accepted.contract["id"],
            UUID(story.escrow_id),
        )
    handover = Handover(world, story, buyer, seller)
    handover.universe_id = listing["universe_id"]
    await handover.follow()
    return handover


async def test_the_buyer_is_looked_for_every_hour_until_they_own_it(world: World) -> None:
    handover = await _delivered(world)
    assert await handovers.of_escrow(handover.story.escrow_id) is None
    assert [await handover.checks.check() for _ in range(2)] == [1, 0]
    row = await handover.row()
    assert (row["ownership"], row["checks"], row["owner_type"]) == ("NONE", 1, "USER")
    assert await handover.snapshots() == [("DELIVERED", handover.buyer.id)]
    (remark,) = await remarks.between(UUID(handover.story.escrow_id), None, None)
    assert (remark["kind"], remark["side"]) == ("OWNERSHIP_SEEN", "SYSTEM")
    assert json.loads(remark["data"])["buyer"] == "NONE"
    assert (await world.told(handover.buyer.id)).count("handover_seen") == 1
    assert (await world.told(handover.seller.id)).count("handover_seen") == 1

    world.later(HOUR)
    assert await handover.checks.check() == 1
    assert (await world.told(handover.buyer.id)).count("handover_seen") == 1, "no change, no word"
    world.roblox.owners[handover.universe_id] = handover.buyer.id
    world.later(HOUR)
    assert await handover.checks.check() == 1
    row = await handover.row()
    assert (row["ownership"], row["checks"], row["next_check_at"]) == ("OWNER", 3, None)
    assert (await world.told(handover.buyer.id)).count("handover_seen") == 2
    world.later(5 * HOUR)
    assert await handover.checks.check() == 0

    handover.story.release().paid_out()
    await handover.follow()
    assert [await handover.checks.check() for _ in range(2)] == [1, 0]
    assert (await handover.snapshots())[-1] == ("RELEASED", handover.buyer.id)
    assert (await handover.row())["next_check_at"] is None
    assert (await world.audited(UUID(handover.story.escrow_id))).count("handover.checked") == 4


async def test_when_roblox_is_silent_nothing_is_claimed_and_it_is_asked_again(
    world: World,
) -> None:
    handover = await _delivered(world)
    world.roblox.silent = True
    assert await handover.checks.check() == 1
    assert await handovers.of_escrow(handover.story.escrow_id) is None
    world.later(handovers.ASK_AGAIN)
    world.roblox.silent = False
    assert await handover.checks.check() == 1
    assert (await handover.row())["ownership"] == "NONE"


async def test_a_trade_that_ended_otherwise_is_not_looked_at_any_more(world: World) -> None:
    handover = await _delivered(world)
    async with database.transaction() as tx:
        await tx.execute("UPDATE escrows SET state = 'REFUNDED'")
    assert await handover.checks.check() == 1
    row = await handover.row()
    assert (row["checks"], row["next_check_at"]) == (0, None)
