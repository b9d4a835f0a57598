"""Drafts and offers: written, sent, answered, listed."""

from uuid import UUID

from bloxtr8.errors import NotFound
from bloxtr8.market import acceptance, drafts, offers, search
from bloxtr8.market.drafts import Draft
from bloxtr8.market.offer_rows import Row
from bloxtr8.market.place import Change
from bloxtr8.market.search import OffersWanted, Place, Slice
from web import pages, trading, trading_present
from web.call import Call
from web.limits import RateClass
from web.requests import Nothing
from web.routes import Handler, KeyRule, Reply, Route, Who
from web.trading import change_once, id_of, told
from web.trading_answers import (
    AcceptedOut,
    DraftOut,
    OfferOut,
    OfferPage,
    OfferThread,
)
from web.trading_present import Viewer
from web.trading_requests import (
    CounterIn,
    DeclineIn,
    DraftIn,
    OfferIn,
    OfferList,
    OffersOfListing,
    Versioned,
)
from web.views.listings import visible


async def submit(call: Call) -> Reply:
    body: OfferIn = call.body
    await trading.learn_membership(call)

    async def work(change: Change) -> Reply:
        row = await offers.submit(change, id_of(call, "listing_id"), body.proposal())
        return await _shown(change, row["id"], 201)

    return await change_once(call, work)


async def list_own(call: Call) -> Reply:
    query: OfferList = call.query
    listing_id = UUID(query.listing_id) if query.listing_id else None
    return await _page(call, OffersWanted(query.role, query.status, listing_id))


async def list_of_listing(call: Call) -> Reply:
    """The seller sees all offers, a buyer their own."""
    query: OffersOfListing = call.query
    row = await visible(call, await trading.viewer_of(call))
    return await _page(call, OffersWanted(None, query.status, row["id"]))


async def read(call: Call) -> Reply:
    viewer = await trading.viewer_of(call)
    row = await _visible(call, viewer)
    answer = trading_present.offer(row, viewer, call.now)
    return Reply(answer)


async def thread(call: Call) -> Reply:
    viewer = await trading.viewer_of(call)
    row = await _visible(call, viewer)
    rows = await search.thread(row["root_id"])
    return Reply(OfferThread(items=[trading_present.offer(r, viewer, call.now) for r in rows]))


async def accept(call: Call) -> Reply:
    body: Versioned = call.body
    offer_id, user_id = id_of(call, "offer_id"), UUID(call.caller.user_id)
    found = await acceptance.prove(call.deps.place, user_id, offer_id, body.version)

    async def work(change: Change) -> Reply:
        accepted = await acceptance.accept(change, offer_id, body.version, found)
        row = await search.offer(offer_id, change.tx)
        assert row is not None, "it was just accepted"
        shown = trading_present.offer(row, Viewer(user_id, None), call.now)
        contract = trading_present.contract(accepted.contract)
        return told(AcceptedOut(offer=shown, contract=contract))

    return await change_once(call, work)


async def counter(call: Call) -> Reply:
    body: CounterIn = call.body
    offer_id = id_of(call, "offer_id")

    async def work(change: Change) -> Reply:
        row = await offers.counter(change, offer_id, body.version, body.proposal())
        return await _shown(change, row["id"], 201)

    return await change_once(call, work)


async def decline(call: Call) -> Reply:
    body: DeclineIn = call.body
    offer_id = id_of(call, "offer_id")

    async def work(change: Change) -> Reply:
        await offers.decline(change, offer_id, body.version, body.note)
        return await _shown(change, offer_id)

    return await change_once(call, work)


async def withdraw(call: Call) -> Reply:
    body: Versioned = call.body
    offer_id = id_of(call, "offer_id")

    async def work(change: Change) -> Reply:
        await offers.withdraw(change, offer_id, body.version)
        return await _shown(change, offer_id)

    return await change_once(call, work)


async def read_draft(call: Call) -> Reply:
    async def work(change: Change) -> Reply:
        return _draft(await drafts.read(change, id_of(call, "listing_id")))

    return await change_once(call, work)


async def save_draft(call: Call) -> Reply:
    body: DraftIn = call.body
    draft = Draft(body.proposal(), UUID(body.parent_id) if body.parent_id else None)
    await trading.learn_membership(call)

    async def work(change: Change) -> Reply:
        return _draft(await drafts.save(change, id_of(call, "listing_id"), draft))

    return await change_once(call, work)


async def discard_draft(call: Call) -> Reply:
    async def work(change: Change) -> Reply:
        await drafts.discard(change, id_of(call, "listing_id"))
        return Reply(None, 204)

    return await change_once(call, work)


async def submit_draft(call: Call) -> Reply:
    body: Versioned = call.body

    async def work(change: Change) -> Reply:
        row = await drafts.submit(change, id_of(call, "draft_id"), body.version)
        return await _shown(change, row["id"], 201)

    return await change_once(call, work)


def _draft(row: drafts.Row) -> Reply:
    return told(trading_present.draft(row))


async def _visible(call: Call, viewer: Viewer) -> Row:
    """Return the offer that the path names for a party or staff; raises NotFound."""
    row = await search.offer(trading.named(call, "offer_id"))
    if row is None:
        raise NotFound
    if viewer.user_id not in (row["buyer_id"], row["seller_id"]) and not viewer.staff:
        raise NotFound
    return row


async def _shown(change: Change, offer_id: UUID, status: int = 200) -> Reply:
    row = await search.offer(offer_id, change.tx)
    assert row is not None, "it was just changed"
    viewer = Viewer(change.actor.id, None)
    return told(trading_present.offer(row, viewer, change.now), status)


async def _page(call: Call, wanted: OffersWanted) -> Reply:
    at, last = pages.moment_position(call)
    after = Place(at, last) if at and last else None
    part = Slice("newest", call.query.limit + 1, after)
    user_id = UUID(call.caller.user_id)
    rows = await search.offers(user_id, wanted, part, call.now)
    shown, cursor = pages.cut(call, rows, pages.by_moment("created_at"))
    viewer = Viewer(user_id, None)
    items = [trading_present.offer(row, viewer, call.now) for row in shown]
    return Reply(OfferPage(items=items, next_cursor=cursor), headers=pages.link(call, cursor))


_OF_LISTING = "/api/v1/listings/{listing_id}"
_ONE = "/api/v1/offers/{offer_id}"


def _answer(name: str, handler: Handler, summary: str, body: type[Versioned]) -> Route:
    return Route(
        "POST",
        f"{_ONE}/{name}",
        handler,
        Who.USER,
        summary,
        RateClass.WRITE,
        body=body,
        answer=AcceptedOut if name == "accept" else OfferOut,
        key=KeyRule.OPTIONAL,
    )


ROUTES = (
    Route(
        "POST",
        f"{_OF_LISTING}/offers",
        submit,
        Who.TRADER,
        "Make an offer",
        RateClass.OFFER,
        body=OfferIn,
        answer=OfferOut,
        status=201,
        key=KeyRule.OPTIONAL,
    ),
    Route(
        "GET",
        f"{_OF_LISTING}/offers",
        list_of_listing,
        Who.USER,
        "Offers on a listing",
        query=OffersOfListing,
        answer=OfferPage,
    ),
    Route(
        "GET",
        "/api/v1/offers",
        list_own,
        Who.USER,
        "Own offers, made and received",
        query=OfferList,
        answer=OfferPage,
    ),
    Route("GET", _ONE, read, Who.USER, "One offer", answer=OfferOut),
    Route("GET", f"{_ONE}/thread", thread, Who.USER, "All rounds", answer=OfferThread),
    _answer("accept", accept, "Accept an offer", Versioned),
    _answer("decline", decline, "Turn an offer down", DeclineIn),
    _answer("withdraw", withdraw, "Take an offer back", Versioned),
    Route(
        "POST",
        f"{_ONE}/counter",
        counter,
        Who.TRADER,
        "Answer with another offer",
        RateClass.OFFER,
        body=CounterIn,
        answer=OfferOut,
        status=201,
        key=KeyRule.OPTIONAL,
    ),
    Route("GET", f"{_OF_LISTING}/draft", read_draft, Who.TRADER, "The own draft", answer=DraftOut),
    Route(
        "PUT",
        f"{_OF_LISTING}/draft",
        save_draft,
        Who.TRADER,
        "Write a draft",
        RateClass.WRITE,
        body=DraftIn,
        answer=DraftOut,
    ),
    Route(
        "DELETE",
        f"{_OF_LISTING}/draft",
        discard_draft,
        Who.TRADER,
        "Throw a draft away",
        RateClass.WRITE,
        body=Nothing,
        status=204,
    ),
    Route(
        "POST",
        "/api/v1/offer-drafts/{draft_id}/submit",
        submit_draft,
        Who.TRADER,
        "Send a draft",
        RateClass.OFFER,
        body=Versioned,
        answer=OfferOut,
        status=201,
        key=KeyRule.OPTIONAL,
    ),
)
