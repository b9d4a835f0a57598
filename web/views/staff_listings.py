"""What staff do about listings, and the outages they record."""

from datetime import timedelta

from bloxtr8.market import evidence, listing_rows, moderation, outages, rules, search
from bloxtr8.market.place import Change
from bloxtr8.store import database
from web import trading_present
from web.call import Call
from web.limits import RateClass
from web.requests import StaffAction
from web.routes import Handler, KeyRule, Reply, Route, Who
from web.trading import change_once, id_of, told
from web.trading_answers import ListingOut, OutageList, OutageOut
from web.trading_present import Viewer
from web.trading_requests import OutageEnd, OutageIn

_SHOWN_FOR = timedelta(days=90)
_SHOWN_MAX = 200


async def take_down(call: Call) -> Reply:
    body: StaffAction = call.body
    listing_id = id_of(call, "listing_id")

    async def work(change: Change) -> Reply:
        await moderation.take_down(change, listing_id, body.reason)
        return await _shown(call, change)

    return await change_once(call, work)


async def approve(call: Call) -> Reply:
    """Ownership is asked for before the transaction; of a listing that does not wait: nothing."""
    body: StaffAction = call.body
    listing_id = id_of(call, "listing_id")
    async with database.transaction() as tx:
        row = await listing_rows.seen(tx, listing_id)
    found = None
    if row["status"] == "INACTIVE" and row["hold_reason"] in rules.HOLDS_OF_STAFF:
        place = call.deps.place
        found = await evidence.of_owner(place, row["seller_id"], row["universe_id"], "RELIST")

    async def work(change: Change) -> Reply:
        await moderation.approve(change, listing_id, body.reason, found)
        return await _shown(call, change)

    return await change_once(call, work)


async def list_outages(call: Call) -> Reply:
    async with database.transaction() as tx:
        rows = await outages.recent(tx, call.now - _SHOWN_FOR, _SHOWN_MAX)
    return Reply(OutageList(items=[trading_present.outage(row) for row in rows]))


async def record_outage(call: Call) -> Reply:
    body: OutageIn = call.body
    new = outages.NewOutage(body.scope, body.started_at, body.reason, body.ended_at)

    async def work(change: Change) -> Reply:
        moved = await outages.record_outage(change, new)
        return told(trading_present.outage(moved.outage, moved.rows), 201)

    return await change_once(call, work)


async def close_outage(call: Call) -> Reply:
    body: OutageEnd = call.body
    outage_id = id_of(call, "outage_id")

    async def work(change: Change) -> Reply:
        ended_at = body.ended_at or change.now
        moved = await outages.close_outage(change, outage_id, ended_at, body.reason)
        return told(trading_present.outage(moved.outage, moved.rows))

    return await change_once(call, work)


async def _shown(call: Call, change: Change) -> Reply:
    row = await search.listing(id_of(call, "listing_id"), call.now, change.tx)
    assert row is not None, "it was just changed"
    answer = trading_present.listing(row, Viewer(change.actor.id, call.role))
    return told(answer)


def _of_listing(name: str, handler: Handler, summary: str) -> Route:
    return Route(
        "POST",
        f"/api/v1/staff/listings/{{listing_id}}/{name}",
        handler,
        Who.MODERATOR,
        summary,
        RateClass.STAFF,
        body=StaffAction,
        answer=ListingOut,
        key=KeyRule.OPTIONAL,
    )


ROUTES = (
    _of_listing("takedown", take_down, "Take a listing off the market"),
    _of_listing("approve", approve, "Put up a listing that waits for staff"),
    Route(
        "GET",
        "/api/v1/staff/outages",
        list_outages,
        Who.SUPPORT,
        "Outages of the last 90 days",
        RateClass.STAFF,
        answer=OutageList,
    ),
    Route(
        "POST",
        "/api/v1/staff/outages",
        record_outage,
        Who.ADMIN,
        "Record an outage",
        RateClass.STAFF,
        body=OutageIn,
        answer=OutageOut,
        status=201,
        key=KeyRule.OPTIONAL,
    ),
    Route(
        "POST",
        "/api/v1/staff/outages/{outage_id}/close",
        close_outage,
        Who.ADMIN,
        "End an outage and move deadlines",
        RateClass.STAFF,
        body=OutageEnd,
        answer=OutageOut,
        key=KeyRule.OPTIONAL,
    ),
)
