"""Listings: put up, found, read, changed, watched, reported."""

from datetime import datetime
from uuid import UUID

from bloxtr8.errors import NotFound, Unauthenticated
from bloxtr8.market import evidence, listings, reports, search, visibility, watches
from bloxtr8.market.listing_rows import Row
from bloxtr8.market.place import Change
from bloxtr8.market.search import Place, Slice, Wanted
from bloxtr8.store import database
from web import pages, trading, trading_present
from web.call import Call
from web.fields import findable
from web.limits import RateClass
from web.requests import Nothing
from web.routes import KeyRule, Reply, Route, Who
from web.trading import change_once, id_of, told
from web.trading_answers import EvidenceList, ListingOut, ListingPage, ReportOut
from web.trading_present import Viewer
from web.trading_requests import ListingChange, ListingList, NewListingIn, ReportIn


async def create(call: Call) -> Reply:
    body: NewListingIn = call.body
    new = body.listing()
    user_id = UUID(call.caller.user_id)
    await trading.learn_membership(call, new.guild_id)
    found = await evidence.of_owner(call.deps.place, user_id, new.universe_id, "LISTING")

    async def work(change: Change) -> Reply:
        row = await listings.create(change, new, found)
        return await _shown(change, row["id"], 201)

    return await change_once(call, work)


async def list_listings(call: Call) -> Reply:
    query: ListingList = call.query
    viewer = await trading.viewer_of(call)
    if query.status is not None and viewer.user_id is None:
        raise Unauthenticated
    chosen = query.model_dump(exclude={"limit", "cursor", "sort", "guild_id", "seller_id"})
    chosen["q"] = findable(query.q)
    wanted = Wanted(**chosen, guild_id=_uuid(query.guild_id), seller_id=_uuid(query.seller_id))
    part = Slice(query.sort, query.limit + 1, _position(call, query))
    await trading.learn_membership(call, wanted.guild_id)
    rows = await search.listings(viewer.user_id, wanted, part, call.now)
    column = "created_at" if query.sort == "newest" else "price_minor"
    shown, cursor = pages.cut(call, rows, lambda row: [_key_text(row[column]), str(row["id"])])
    items = [trading_present.listing(row, viewer) for row in shown]
    return Reply(ListingPage(items=items, next_cursor=cursor), headers=pages.link(call, cursor))


async def read(call: Call) -> Reply:
    viewer = await trading.viewer_of(call)
    row = await visible(call, viewer)
    return Reply(trading_present.listing(row, viewer))


async def edit(call: Call) -> Reply:
    body: ListingChange = call.body
    version, values = trading.if_match(call), body.values()
    listing_id = id_of(call, "listing_id")
    guild_id = values.get("guild_id")
    if isinstance(guild_id, UUID):
        await trading.learn_membership(call, guild_id)

    async def work(change: Change) -> Reply:
        await listings.edit(change, listing_id, version, values)
        return await _shown(change, listing_id)

    return await change_once(call, work)


async def pause(call: Call) -> Reply:
    listing_id = id_of(call, "listing_id")

    async def work(change: Change) -> Reply:
        await listings.pause(change, listing_id)
        return await _shown(change, listing_id)

    return await change_once(call, work)


async def relist(call: Call) -> Reply:
    """Ownership is asked for before the transaction, and only for what is the caller's."""
    listing_id = id_of(call, "listing_id")
    viewer = await trading.viewer_of(call)
    row = await visible(call, viewer)
    user_id = UUID(call.caller.user_id)
    found = None
    if row["seller_id"] == user_id and row["status"] == "INACTIVE":
        place = call.deps.place
        found = await evidence.of_owner(place, user_id, row["universe_id"], "RELIST")

    async def work(change: Change) -> Reply:
        await listings.relist(change, listing_id, found)
        return await _shown(change, listing_id)

    return await change_once(call, work)


async def cancel(call: Call) -> Reply:
    listing_id = id_of(call, "listing_id")

    async def work(change: Change) -> Reply:
        await listings.cancel(change, listing_id)
        return await _shown(change, listing_id)

    return await change_once(call, work)


async def snapshots(call: Call) -> Reply:
    """How Roblox showed the experience; evidence for the seller, buyers of its trades, staff."""
    viewer = await trading.viewer_of(call)
    row = await visible(call, viewer)
    inside = viewer.staff or viewer.user_id == row["seller_id"]
    party = inside or await _is_buyer(row["id"], viewer)
    rows = await database.fetch(
        "SELECT s.* FROM roblox_snapshots s WHERE s.id IN (SELECT $1::uuid"
        " UNION SELECT snapshot_id FROM contracts WHERE listing_id = $2"
        " UNION SELECT id FROM roblox_snapshots WHERE $3 AND universe_id = $4 AND for_user_id = $5"
        # What was seen after a delivery, for whom it was delivered to.
        " UNION SELECT t.id FROM roblox_snapshots t JOIN contracts c"
        "   ON c.buyer_id = t.for_user_id AND c.listing_id = $2 AND ($3 OR c.buyer_id = $7)"
        "   WHERE $6 AND t.universe_id = $4 AND t.purpose IN ('DELIVERED', 'RELEASED'))"
        " ORDER BY s.taken_at DESC, s.id DESC LIMIT 100",
        row["snapshot_id"],
        row["id"],
        inside,
        row["universe_id"],
        row["seller_id"],
        party,
        viewer.user_id,
    )
    if not party:
        rows = [found for found in rows if found["id"] == row["snapshot_id"]]
    items = [trading_present.evidence(found, inside=party) for found in rows]
    return Reply(EvidenceList(items=items))


async def watch(call: Call) -> Reply:
    await trading.learn_membership(call)

    async def work(change: Change) -> Reply:
        await watches.watch(change, id_of(call, "listing_id"))
        return Reply(None, 204)

    return await change_once(call, work)


async def unwatch(call: Call) -> Reply:
    async def work(change: Change) -> Reply:
        await watches.unwatch(change, id_of(call, "listing_id"))
        return Reply(None, 204)

    return await change_once(call, work)


async def report(call: Call) -> Reply:
    body: ReportIn = call.body
    given = reports.Report(body.subject, UUID(body.id), body.reason, body.text)

    async def work(change: Change) -> Reply:
        new = await reports.report(change, given)
        return told(ReportOut(status="OPEN"), 202 if new else 200)

    return await change_once(call, work)


async def visible(call: Call, viewer: Viewer) -> Row:
    """Return the listing that the path names if `viewer` may see it; raises NotFound."""
    row = await search.listing(trading.named(call, "listing_id"), call.now)
    if row is None:
        raise NotFound
    if row["guild_id"] is not None and row["seller_id"] != viewer.user_id:
        await trading.learn_membership(call, row["guild_id"])
    async with database.transaction() as tx:
        seen = await visibility.may_read(tx, viewer.user_id, row, call.now, staff=viewer.staff)
    if not seen:
        raise NotFound
    return row


async def _shown(change: Change, listing_id: UUID, status: int = 200) -> Reply:
    """Return a listing after its seller has changed it."""
    row = await search.listing(listing_id, change.now, change.tx)
    assert row is not None, "it was just changed"
    return told(trading_present.listing(row, Viewer(change.actor.id, None)), status)


async def _is_buyer(listing_id: UUID, viewer: Viewer) -> bool:
    row = await database.fetchrow(
        "SELECT 1 AS found FROM contracts WHERE listing_id = $1 AND buyer_id = $2 LIMIT 1",
        listing_id,
        viewer.user_id,
    )
    return row is not None


def _position(call: Call, query: ListingList) -> Place | None:
    at = pages.position(call)
    if at is None:
        return None
    key = datetime.fromisoformat(at[0]) if query.sort == "newest" else int(at[0])
    return Place(key, UUID(at[1]))


def _key_text(key: datetime | int) -> str:
    return key.isoformat() if isinstance(key, datetime) else str(key)


def _uuid(text: str | None) -> UUID | None:
    return UUID(text) if text else None


_ONE = "/api/v1/listings/{listing_id}"


def _act(name: str, handler: object, summary: str) -> Route:
    return Route(
        "POST",
        f"{_ONE}/{name}",
        handler,  # type: ignore[arg-type]
        Who.USER,
        summary,
        RateClass.LISTING,
        body=Nothing,
        answer=ListingOut,
        key=KeyRule.OPTIONAL,
    )


ROUTES = (
    Route(
        "POST",
        "/api/v1/listings",
        create,
        Who.TRADER,
        "Put up a listing",
        RateClass.LISTING,
        body=NewListingIn,
        answer=ListingOut,
        status=201,
        key=KeyRule.OPTIONAL,
    ),
    Route(
        "GET",
        "/api/v1/listings",
        list_listings,
        Who.ANYONE,
        "What is for sale",
        query=ListingList,
        answer=ListingPage,
    ),
    Route("GET", _ONE, read, Who.ANYONE, "One listing", answer=ListingOut),
    Route(
        "PATCH",
        _ONE,
        edit,
        Who.USER,
        "Edit a listing",
        RateClass.LISTING,
        body=ListingChange,
        answer=ListingOut,
    ),
    _act("pause", pause, "Take a listing off the market"),
    _act("relist", relist, "Put a listing up again"),
    _act("cancel", cancel, "End a listing"),
    Route(
        "GET",
        f"{_ONE}/snapshots",
        snapshots,
        Who.ANYONE,
        "How Roblox showed the experience",
        answer=EvidenceList,
    ),
    Route(
        "PUT",
        f"{_ONE}/watch",
        watch,
        Who.USER,
        "Watch a listing",
        RateClass.WRITE,
        body=Nothing,
        status=204,
    ),
    Route(
        "DELETE",
        f"{_ONE}/watch",
        unwatch,
        Who.USER,
        "Stop watching a listing",
        RateClass.WRITE,
        body=Nothing,
        status=204,
    ),
    Route(
        "POST",
        "/api/v1/reports",
        report,
        Who.USER,
        "Report a listing, person or offer",
        RateClass.WRITE,
        body=ReportIn,
        answer=ReportOut,
        status=202,
        also=(200,),
        key=KeyRule.OPTIONAL,
    ),
)
