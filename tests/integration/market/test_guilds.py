"""Listings for the members of a guild, whom Discord names."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.sandbox.faults import Fault, FaultRule
from bloxtr8.store import database
from tests.integration.market.test_trading_api import LISTINGS, UNIVERSE, _body
from tests.integration.market.world import Browser, People
from tests.integration.web.world import problem

DISCORD_GUILD = "700000000000000001"


async def _guild(people: People) -> str:
    guild_id = ids.uuid7()
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO guilds (id, discord_id, name, owner_discord_id, joined_at, setup_status,"
            " bands) VALUES ($1, $2, 'Builders', '1', $3, 'READY', '[]')",
            guild_id,
            DISCORD_GUILD,
            people.clock.now(),
        )
    return str(guild_id)


async def _member(people: People, roblox_id: int, *, inside: bool = True) -> Browser:
    browser = people.browser()
    persona = people.persona(guilds=[DISCORD_GUILD] if inside else [])
    assert (await browser.sign_in(persona.id)).status == 303
    people.robloxian(roblox_id)
    assert (await browser.link(roblox_id)).headers["Location"] == "/link/done"
    await browser.consent()
    return browser


async def _listed(people: People, guild_id: str) -> tuple[Browser, dict[str, Any]]:
    seller = await _member(people, 7001)
    people.experience(UNIVERSE, 7001)
    answer = await seller.post(LISTINGS, _body(visibility="GUILD", guild_id=guild_id))
    assert answer.status == 201, await answer.text()
    return seller, await answer.json()


def _asked(people: People) -> int:
    return sum("/members/" in asked for asked in people.discord.asked)


async def test_members_see_a_guilds_listings_and_others_do_not(people: People) -> None:
    guild_id = await _guild(people)
    _, listing = await _listed(people, guild_id)
    member, stranger = await _member(people, 7002), await _member(people, 7003, inside=False)
    path = f"{LISTINGS}/{listing['id']}"
    await problem(await stranger.get(path), 404, "not_found")
    await problem(await people.browser().get(path), 404, "not_found")
    asked = _asked(people)
    assert (await member.get(path)).status == 200
    assert (await member.get(f"{LISTINGS}/{listing['ref']}")).status == 200
    assert _asked(people) == asked + 1, "believed for 15 minutes"
    shown = await (await member.get(f"{LISTINGS}?guild_id={guild_id}")).json()
    assert [item["id"] for item in shown["items"]] == [listing["id"]]
    hidden = await (await stranger.get(f"{LISTINGS}?guild_id={guild_id}")).json()
    assert hidden["items"] == []
    body = {"amount": {"minor": 120_000, "currency": "USD"}}
    await problem(await stranger.post(f"{path}/offers", body), 404, "not_found")
    assert (await member.post(f"{path}/offers", body)).status == 201


async def test_who_has_left_sees_nothing_a_quarter_of_an_hour_later(people: People) -> None:
    guild_id = await _guild(people)
    _, listing = await _listed(people, guild_id)
    member = await _member(people, 7002)
    path = f"{LISTINGS}/{listing['id']}"
    assert (await member.get(path)).status == 200
    row = await database.fetchrow(
        "SELECT external_id FROM accounts WHERE user_id = $1 AND provider = 'DISCORD'",
        UUID(member.user_id),
    )
    assert row is not None
    people.discord.people[row["external_id"]].guilds.clear()
    assert (await member.get(path)).status == 200
    people.clock.advance(timedelta(minutes=15, seconds=1))
    await member.post("/auth/refresh")
    await problem(await member.get(path), 404, "not_found")


async def test_only_members_list_in_a_guild(people: People) -> None:
    guild_id = await _guild(people)
    stranger = await _member(people, 7001, inside=False)
    people.experience(UNIVERSE, 7001)
    body = _body(visibility="GUILD", guild_id=guild_id)
    await problem(await stranger.post(LISTINGS, body), 403, "forbidden")


async def test_what_discord_does_not_say_counts_as_no(people: People) -> None:
    guild_id = await _guild(people)
    _, listing = await _listed(people, guild_id)
    member = await _member(people, 7002)
    people.discord.faults.add(FaultRule(route="GET /api/v10/guilds/*", fault=Fault.ERROR_BEFORE))
    answer = await member.get(f"{LISTINGS}/{listing['id']}")
    await problem(answer, 404, "not_found")


async def test_a_guilds_figures_are_kept_for_a_while(people: People) -> None:
    seller, _ = await _listed(people, guild_id := await _guild(people))
    support = await people.staff("SUPPORT")
    path = f"/api/v1/guilds/{DISCORD_GUILD}/stats"
    since = people.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    people.clock.advance(timedelta(seconds=1))
    (band,) = (await (await support.get(path)).json())["items"]
    assert (band["price_band"], band["listings"], band["completed"]) == ("under-5k", 1, 0)
    people.experience(UNIVERSE + 1, 7001)
    body = _body(visibility="GUILD", guild_id=guild_id, universe_id=str(UNIVERSE + 1))
    assert (await seller.post(LISTINGS, body)).status == 201
    people.clock.advance(timedelta(seconds=1))
    assert (await (await support.get(path)).json())["items"] == [band]
    (other,) = (await (await support.get(f"{path}?from={since}")).json())["items"]
    assert other["listings"] == 2
    await problem(await seller.get(path), 404, "not_found")
