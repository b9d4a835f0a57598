"""What is over before or without anybody who acts: open offers, requests for a second approval."""

from datetime import timedelta

from bloxtr8 import ids
from bloxtr8.market import search
from bloxtr8.market.clockwork import Sweeper
from bloxtr8.store import database
from tests.integration.trading.world import World

HOUR = timedelta(hours=1)


async def _insert(sql: str, *args: object) -> None:
    async with database.transaction() as tx:
        await tx.execute(sql, *args)


async def test_an_offer_past_its_time_is_not_open_before_the_sweep(world: World) -> None:
    seller, buyer = await world.person(), await world.person()
    listing = await world.listing(seller)
    await world.offer(buyer, listing)

    async def shown() -> int:
        row = await search.listing(listing["ref"], world.clock.now())
        assert row is not None
        return int(row["open_offers"])

    world.later(72 * HOUR - timedelta(seconds=1))
    assert await shown() == 1
    world.later(timedelta(seconds=1))
    assert await shown() == 0


async def test_requests_for_a_second_approval_end_after_their_time(world: World) -> None:
    asker, now = await world.person(), world.clock.now()
    sweeper = Sweeper(world.place)
    made = [ids.uuid7(), ids.uuid7()]
    for number, approval_id in enumerate(made):
        await _insert(
            "INSERT INTO approvals (id, action, subject_type, subject_id, subject_version,"
            " payload, payload_sha256, amount_usd_minor, requested_by, reason, expires_at)"
            " VALUES ($1, 'resolve_dispute', 'escrow', $2, 1, '{}', $3, 1, $4, 'Why', $5)",
            approval_id,
            str(ids.uuid7()),
            bytes(32),
            asker.id,
            now + 72 * HOUR + number * HOUR,
        )
    world.later(72 * HOUR - timedelta(seconds=1))
    assert await sweeper.expire_approvals() == 0
    world.later(timedelta(seconds=1))
    assert [await sweeper.expire_approvals() for _ in range(2)] == [1, 0]
    assert (await world.row("approvals", made[0]))["status"] == "EXPIRED"
    assert (await world.row("approvals", made[1]))["status"] == "PENDING"
    assert await world.audited(made[0]) == ["approval.expired"]
