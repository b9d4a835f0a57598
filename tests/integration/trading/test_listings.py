"""Listings: who may put up, change and end which, and what is written of it."""

import json
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from bloxtr8.access.identity import StaffRole
from bloxtr8.errors import (
    AmountOutOfRange,
    Bloxtr8Error,
    ConflictOfInterest,
    Forbidden,
    InvalidState,
    LimitReached,
    NotFound,
    NotOwner,
    OwnershipUnknown,
    RateLimited,
    UniverseAlreadyListed,
    VersionMismatch,
)
from bloxtr8.market import evidence, listings, moderation, search, visibility, watches
from bloxtr8.market.actors import Actor, Channel
from bloxtr8.market.search import Place, Slice, Wanted
from bloxtr8.store import database
from tests.integration.trading.world import Row, World

DAY = timedelta(days=1)


async def _run(sql: str, *args: Any) -> None:
    async with database.transaction() as tx:
        await tx.execute(sql, *args)


async def _moderator(world: World) -> Actor:
    person = await world.person()
    return Actor(person.id, Channel.WEB, person.traceparent, role=StaffRole.MODERATOR)


async def _pause(world: World, seller: Actor, listing: Row) -> Row:
    return await world.change(seller, lambda change: listings.pause(change, listing["id"]))


async def _relist(world: World, seller: Actor, listing: Row) -> Row:
    place, universe_id = world.place, listing["universe_id"]
    found = await evidence.of_owner(place, seller.id, universe_id, "RELIST")
    return await world.change(seller, lambda change: listings.relist(change, listing["id"], found))


async def _edit(world: World, seller: Actor, listing: Row, **values: Any) -> Row:
    return await world.change(
        seller,
        lambda change: listings.edit(change, listing["id"], listing["version"], values),
    )


async def test_a_listing_is_kept_with_its_snapshot_price_and_band(world: World) -> None:
    seller = await world.person()
    listing = await world.listing(seller, price_minor=500_000)
    row = await world.row("listings", listing["id"])
    assert (row["status"], row["price_band"], row["tags"]) == ("ACTIVE", "5k-20k", ["tycoon"])
    assert row["ref"].startswith("L-")
    assert len(row["ref"]) == 9
    assert (await world.row("roblox_snapshots", row["snapshot_id"]))["purpose"] == "LISTING"
    assert await world.said(listing["id"]) == ["listing_created"]
    assert await world.audited(listing["id"]) == ["listing.created"]


@pytest.mark.parametrize(
    ("cents", "band"),
    [
        (100, "under-5k"),
        (499_999, "under-5k"),
        (500_000, "5k-20k"),
        (1_999_999, "5k-20k"),
        (2_000_000, "20k-100k"),
        (9_999_999, "20k-100k"),
        (10_000_000, "100k-plus"),
        (100_000_000, "100k-plus"),
    ],
)
async def test_price_bands_include_their_lower_bound(world: World, cents: int, band: str) -> None:
    assert (await world.listing(await world.person(), price_minor=cents))["price_band"] == band


async def test_only_owners_list_and_roblox_has_to_say_so(world: World) -> None:
    seller, other = await world.person(), await world.person()
    theirs = world.new_listing(other)
    with pytest.raises(NotOwner):
        await world.listing(seller, universe_id=theirs.universe_id)
    world.roblox.silent = True
    with pytest.raises(OwnershipUnknown):
        await world.listing(seller)
    assert await world.said() == []


async def test_a_link_that_changed_after_the_check_refuses_the_listing(world: World) -> None:
    seller = await world.person()
    new = world.new_listing(seller)
    found = await evidence.of_owner(world.place, seller.id, new.universe_id, "LISTING")
    await _run(
        "UPDATE accounts SET unlinked_at = $2 WHERE user_id = $1 AND provider = 'ROBLOX'",
        seller.id,
        world.clock.now(),
    )
    with pytest.raises(NotOwner):
        await world.change(seller, lambda change: listings.create(change, new, found))


async def test_an_experience_is_listed_once(world: World) -> None:
    seller, buyer = await world.person(), await world.person()
    listing = await world.listing(seller)
    with pytest.raises(UniverseAlreadyListed):
        await world.listing(seller, universe_id=listing["universe_id"])
    world.roblox.owners[listing["universe_id"]] = buyer.id
    again = await world.listing(buyer, universe_id=listing["universe_id"])
    assert again["id"] != listing["id"]
    assert (await world.row("listings", listing["id"]))["status"] == "CANCELLED"


async def test_a_reserved_listing_is_not_pushed_aside(world: World) -> None:
    seller, buyer, new_owner = [await world.person() for _ in range(3)]
    listing = await world.listing(seller)
    await world.accept(seller, await world.offer(buyer, listing))
    world.roblox.owners[listing["universe_id"]] = new_owner.id
    with pytest.raises(UniverseAlreadyListed):
        await world.listing(new_owner, universe_id=listing["universe_id"])


async def test_a_high_risk_waits_for_a_moderator(world: World) -> None:
    seller, moderator = await world.person(), await _moderator(world)
    world.roblox.risk = "HIGH"
    listing = await world.listing(seller)
    assert (listing["status"], listing["hold_reason"]) == ("INACTIVE", "REVIEW")
    tasks = await database.fetch("SELECT kind, subject_id, status FROM staff_tasks")
    assert [(t["kind"], t["subject_id"], t["status"]) for t in tasks] == [
        ("LISTING_REVIEW", str(listing["id"]), "OPEN")
    ]
    with pytest.raises(InvalidState):
        await _relist(world, seller, listing)
    found = await evidence.of_owner(world.place, seller.id, listing["universe_id"], "RELIST")
    approved = await world.change(
        moderator,
        lambda change: moderation.approve(change, listing["id"], "Looked at it.", found),
    )
    assert (approved["status"], approved["hold_reason"]) == ("ACTIVE", None)
    assert (await database.fetch("SELECT status FROM staff_tasks"))[0]["status"] == "CLOSED"
    assert await world.audited(listing["id"]) == [
        "listing.created",
        "listing.approved",
        "listing.relisted",
    ]


async def test_a_takedown_is_for_others_listings_and_only_staff_end_it(world: World) -> None:
    seller, moderator = await world.person(), await _moderator(world)
    listing = await world.listing(seller)
    own = await world.listing(moderator)
    with pytest.raises(ConflictOfInterest):
        await world.change(
            moderator, lambda change: moderation.take_down(change, own["id"], "My own.")
        )
    await world.change(
        moderator, lambda change: moderation.take_down(change, listing["id"], "Stolen pictures.")
    )
    with pytest.raises(InvalidState):
        await _relist(world, seller, listing)
    assert await world.told(seller.id) == ["listing_taken_down"]
    with pytest.raises(InvalidState):
        await world.change(
            moderator, lambda change: moderation.take_down(change, listing["id"], "Again.")
        )


async def test_pausing_and_relisting(world: World) -> None:
    seller = await world.person()
    listing = await world.listing(seller)
    paused = await _pause(world, seller, listing)
    assert (paused["status"], paused["version"]) == ("INACTIVE", 2)
    with pytest.raises(InvalidState):
        await _pause(world, seller, listing)
    relisted = await _relist(world, seller, listing)
    assert (relisted["status"], relisted["version"]) == ("ACTIVE", 3)
    assert relisted["snapshot_id"] != listing["snapshot_id"]
    with pytest.raises(InvalidState):
        await _relist(world, seller, listing)


async def test_editing_needs_the_version_and_tells_a_new_price(world: World) -> None:
    seller, buyer, watcher = [await world.person() for _ in range(3)]
    listing = await world.listing(seller, min_offer_minor=100_000)
    await world.offer(buyer, listing)
    await world.change(watcher, lambda change: watches.watch(change, listing["id"]))
    edited = await _edit(world, seller, listing, price_minor=140_000)
    assert edited["version"] == 2
    with pytest.raises(VersionMismatch) as refused:
        await _edit(world, seller, listing, title="Something else")
    assert refused.value.members["version"] == 2
    with pytest.raises(AmountOutOfRange):
        await _edit(world, seller, edited, price_minor=99_999)
    assert await _edit(world, seller, edited, price_minor=140_000) == edited, "nothing changed"
    for person in (buyer, watcher):
        assert await world.told(person.id) == ["listing_price_changed"]
    prices = await database.fetch(
        "SELECT price_minor FROM listing_prices WHERE listing_id = $1 ORDER BY id", listing["id"]
    )
    assert [row["price_minor"] for row in prices] == [150_000, 140_000]
    (row,) = await database.fetch("SELECT data FROM audit_log WHERE action = 'listing.edited'")
    assert json.loads(row["data"]) == {"price_minor": {"before": 150_000, "after": 140_000}}


async def test_who_may_change_a_listing(world: World) -> None:
    seller, other = await world.person(), await world.person()
    listing = await world.listing(seller)
    with pytest.raises(Forbidden):
        await _pause(world, other, listing)
    await _pause(world, seller, listing)
    with pytest.raises(NotFound):
        await _edit(world, other, listing, title="Mine now")
    await _run("UPDATE users SET status = 'FROZEN' WHERE id = $1", seller.id)
    with pytest.raises(Bloxtr8Error) as refused:
        await _edit(world, seller, listing, title="While frozen")
    assert refused.value.code == "account_frozen"


async def test_what_is_final_stays(world: World) -> None:
    seller = await world.person()
    listing = await world.listing(seller)
    await world.change(seller, lambda change: listings.cancel(change, listing["id"]))
    row = await world.row("listings", listing["id"])
    for attempt in (_pause, _relist):
        with pytest.raises(InvalidState):
            await attempt(world, seller, row)
    with pytest.raises(InvalidState):
        await _edit(world, seller, row, title="Back again")
    assert await world.listing(seller, universe_id=listing["universe_id"])


async def test_ten_open_listings_and_ten_new_ones_a_day(world: World) -> None:
    seller = await world.person()
    first = await world.listing(seller)
    for _ in range(9):
        await world.listing(seller)
    with pytest.raises(LimitReached):
        await world.listing(seller)
    await world.change(seller, lambda change: listings.cancel(change, first["id"]))
    with pytest.raises(RateLimited) as refused:
        await world.listing(seller)
    assert refused.value.members["retry_after_s"] == 86_401
    world.later(DAY)
    await world.listing(seller)


async def test_guild_listings_are_for_members(world: World) -> None:
    seller, member, other = [await world.person() for _ in range(3)]
    guild_id = await _guild(world, seller, member)
    with pytest.raises(Forbidden):
        await world.listing(other, visibility="GUILD", guild_id=guild_id)
    listing = await world.listing(seller, visibility="GUILD", guild_id=guild_id)
    now = world.clock.now()
    async with database.transaction() as tx:
        for person, seen in ((seller, True), (member, True), (other, False)):
            assert await visibility.may_read(tx, person.id, listing, now) is seen
        assert not await visibility.may_read(tx, None, listing, now)
    with pytest.raises(NotFound):
        await world.offer(other, listing)
    assert [row["id"] for row in await _found(world, member)] == [listing["id"]]
    assert await _found(world, other) == []
    assert await _found(world, None) == []
    world.later(timedelta(minutes=16))
    assert await _found(world, member) == [], "Discord has to be asked again"


async def _guild(world: World, *members: Actor) -> Any:
    guild_id = members[0].id
    await _run(
        "INSERT INTO guilds (id, discord_id, name, owner_discord_id, joined_at, setup_status,"
        " bands) VALUES ($1, '42', 'Makers', '1', $2, 'READY', '[]')",
        guild_id,
        world.clock.now(),
    )
    for person in members:
        await _run(
            "INSERT INTO guild_members (guild_id, user_id, is_member, checked_at)"
            " VALUES ($1, $2, true, $3)",
            guild_id,
            person.id,
            world.clock.now(),
        )
    return guild_id


async def _found(world: World, person: Actor | None, **wanted: Any) -> list[Row]:
    part = Slice("newest", 100)
    viewer = person.id if person else None
    rows = await search.listings(viewer, Wanted(**wanted), part, world.clock.now())
    return list(rows)


async def test_searching_by_words_tag_band_price_and_risk(world: World) -> None:
    seller = await world.person()
    tycoon = await world.listing(seller, price_minor=100_000)
    race = await world.listing(
        seller,
        title="Night Racing League",
        category="RACING",
        tags=("cars", "online"),
        price_minor=700_000,
    )
    world.roblox.risk = "MEDIUM"
    risky = await world.listing(seller, title="Haunted House", category="HORROR", tags=())
    everything = {row["id"] for row in (tycoon, race, risky)}

    async def ids_of(**wanted: Any) -> set[Any]:
        return {row["id"] for row in await _found(world, None, **wanted)}

    assert await ids_of() == everything
    assert await ids_of(q="racing league") == {race["id"]}
    assert await ids_of(q="tycoons") == everything, "the summary counts, and words are stemmed"
    assert await ids_of(q='"haunted house" -racing') == {risky["id"]}
    assert await ids_of(q="'); DROP TABLE listings; --") == set()
    assert await ids_of(tag="cars") == {race["id"]}
    assert await ids_of(category="HORROR") == {risky["id"]}
    assert await ids_of(price_band="5k-20k") == {race["id"]}
    assert await ids_of(min_price=100_001, max_price=150_000) == {risky["id"]}
    assert await ids_of(max_risk="LOW") == {tycoon["id"], race["id"]}
    assert await ids_of(seller_id=seller.id) == everything
    await _pause(world, seller, race)
    assert await ids_of() == everything - {race["id"]}
    mine = await search.listings(
        seller.id, Wanted(status="INACTIVE"), Slice("newest", 10), world.clock.now()
    )
    assert [row["id"] for row in mine] == [race["id"]]


@pytest.mark.parametrize("sort", ["newest", "price_asc", "price_desc"])
async def test_pages_skip_and_repeat_nothing_while_rows_are_added(world: World, sort: Any) -> None:
    sellers = [await world.person() for _ in range(3)]
    made = [await world.listing(sellers[i % 3], price_minor=100_000 + i // 4) for i in range(12)]
    column = "created_at" if sort == "newest" else "price_minor"
    seen: list[Any] = []
    after = None
    while True:
        part = Slice(sort, 5, after)
        rows = await search.listings(None, Wanted(), part, world.clock.now())
        seen += [row["id"] for row in rows]
        if not rows:
            break
        after = Place(rows[-1][column], rows[-1]["id"])
        await world.listing(sellers[0], price_minor=100 if sort == "price_asc" else 90_000_000)
        if len(seen) > 50:
            break
    if sort == "price_desc":
        assert len(set(seen)) == len(seen)
    assert set(seen) >= {row["id"] for row in made}
    assert len(set(seen)) == len(seen)


async def test_limits_of_the_database_itself(world: World) -> None:
    listing = await world.listing(await world.person())
    for change in (
        "tags = '{a,b,c,d,e,f}'",
        "status = 'RESERVED'",
        "price_minor = 99",
        "min_offer_minor = 200000",
        "visibility = 'GUILD'",
        "hold_reason = 'STAFF'",
    ):
        with pytest.raises(asyncpg.CheckViolationError):
            await _run(f"UPDATE listings SET {change} WHERE id = $1", listing["id"])


async def test_watching_has_a_limit(world: World) -> None:
    watcher, seller = await world.person(), await world.person()
    shown = await world.listing(seller)
    await _run(
        "INSERT INTO listings (id, ref, seller_id, universe_id, title, summary, included_assets,"
        " category, price_minor, visibility, status, snapshot_id, risk_level, last_verified_at,"
        " check_due_at) SELECT gen_random_uuid(), 'L-' || lpad(n::text, 7, '0'), $1, 900000 + n,"
        " 'Title', 'A summary of it', 'All of it', 'OTHER', 100000, 'PUBLIC', 'ACTIVE', $2, 'LOW',"
        " $3, $3 FROM generate_series(1, 200) n",
        seller.id,
        shown["snapshot_id"],
        world.clock.now(),
    )
    await _run(
        "INSERT INTO listing_watches (user_id, listing_id) SELECT $1, id FROM listings"
        " WHERE universe_id >= 900000",
        watcher.id,
    )
    with pytest.raises(LimitReached):
        await world.change(watcher, lambda change: watches.watch(change, shown["id"]))
