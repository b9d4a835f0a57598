"""A verified tier ends after its 24 months; its person is told a month before."""

import asyncio
import json
from datetime import timedelta
from uuid import UUID

import pytest

from bloxtr8.market.clockwork import Sweeper
from bloxtr8.market.sweeps import sweep
from bloxtr8.store import database
from tests.integration.trading.world import World

DAY = timedelta(days=1)

pytestmark = pytest.mark.usefixtures("patient_database")


async def _verified(world: World, days: int) -> UUID:
    person = await world.person()
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE users SET tier = 'TIER_2', tier2_until = $2 WHERE id = $1",
            person.id,
            world.clock.now() + days * DAY,
        )
    return person.id


async def _tier(user_id: UUID) -> tuple[str, bool]:
    row = await database.fetchrow("SELECT tier, tier2_until FROM users WHERE id = $1", user_id)
    assert row is not None
    return row["tier"], row["tier2_until"] is not None


async def test_a_tier_ends_at_its_time_and_not_before(world: World) -> None:
    person, longer = await _verified(world, 40), await _verified(world, 80)
    sweeper = Sweeper(world.place)
    world.later(40 * DAY - timedelta(seconds=1))
    assert await sweeper.end_tiers() == 0
    world.later(timedelta(seconds=1))
    found = await asyncio.gather(*(sweeper.end_tiers() for _ in range(8)))
    assert sorted(found) == [0] * 7 + [1]
    assert (await _tier(person), await _tier(longer)) == (("TIER_1", False), ("TIER_2", True))
    assert await world.audited(person) == ["tier.ended"]
    assert (await world.told(person)).count("tier_changed") == 1


async def test_the_person_is_told_once_a_month_before(world: World) -> None:
    person = await _verified(world, 40)
    sweeper = Sweeper(world.place)
    world.later(10 * DAY - timedelta(seconds=1))
    assert await sweeper.remind_of_tiers() == 0
    world.later(timedelta(seconds=1))
    assert [await sweeper.remind_of_tiers() for _ in range(2)] == [1, 0]
    world.later(20 * DAY)
    assert await sweeper.remind_of_tiers() == 0
    rows = await database.fetch(
        "SELECT user_id, data FROM notification_deliveries WHERE template = 'tier_ending'"
        " AND channel = 'INBOX'"
    )
    assert [row["user_id"] for row in rows] == [person]
    assert json.loads(rows[0]["data"])["until"]
    # A tier that was granted anew ends again.
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE users SET tier2_until = $2 WHERE id = $1",
            person,
            world.clock.now() + 730 * DAY,
        )
    world.later(701 * DAY)
    assert await sweeper.remind_of_tiers() == 1


async def test_sessions_are_forgotten_a_month_after_their_end(world: World) -> None:
    person = await world.person()
    now = world.clock.now()
    async with database.transaction() as tx:
        for days in (-31, -29, 1):
            await tx.execute(
                "INSERT INTO sessions (id, user_id, auth_time, mfa, last_used_at, expires_at)"
                " VALUES (gen_random_uuid(), $1, $2, false, $2, $3)",
                person.id,
                now - 60 * DAY,
                now + days * DAY,
            )
    assert await sweep(now) == 1
    assert len(await database.fetch("SELECT 1 FROM sessions")) == 2
