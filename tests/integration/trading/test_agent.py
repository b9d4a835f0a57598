"""The listings agent in a real worker, beside the mirror that reads the same topic."""

from uuid import UUID

from agents import listings, mirror
from bloxtr8.config import Settings
from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.messaging.topics import ESCROW_EVENTS
from bloxtr8.store import database
from tests.integration.story import Story
from tests.integration.streams.worker import records, running, until_true
from tests.integration.trading.world import World


async def test_a_released_trade_sells_its_listing(settings: Settings) -> None:
    app = BloxtrApp(settings)
    app.is_transient = database.is_transient
    app.on_open(lambda: database.open_database(settings))
    app.on_close(database.close_database)
    mirror.register(app)
    listings.register(app)
    story = Story().create().pay().deliver().release().paid_out()
    async with running(app):
        world = World(app.keyring)
        seller, buyer = await world.person(), await world.person()
        listing = await world.listing(seller)
        accepted = await world.accept(seller, await world.offer(buyer, listing))
        async with database.transaction() as tx:
            await tx.execute(
                "UPDATE contracts SET escrow_id = $2 WHERE id = $1",
                accepted.contract["id"],
                UUID(story.escrow_id),
            )
        for _ in range(2):
            for event in story.events:
                await app.publisher.publish(ESCROW_EVENTS, event)

        async def sold() -> bool:
            row = await world.row("listings", listing["id"])
            return bool(row["status"] == "SOLD")

        async def mirrored() -> bool:
            row = await database.fetchrow(
                "SELECT state FROM escrows WHERE id = $1", UUID(story.escrow_id)
            )
            return row is not None and row["state"] == "RELEASED"

        await until_true(sold)
        await until_true(mirrored)
        assert (await world.audited(listing["id"])).count("listing.sold") == 1
        assert await records(app.settings, ESCROW_EVENTS.dlq) == []
