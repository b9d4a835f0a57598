"""Listings, drafts and offers over HTTP, with Discord and Roblox stood in for."""

import json
from datetime import timedelta
from typing import Any

import pytest

from bloxtr8.sandbox.faults import Fault, FaultRule
from bloxtr8.sandbox.roblox.world import Member, Transfer
from bloxtr8.store import database
from tests.integration.market.world import Browser, People
from tests.integration.web.world import problem

UNIVERSE = 5_795_192_361
REASON = "Looked at it together with a colleague."
LISTINGS = "/api/v1/listings"


def _usd(minor: int) -> dict[str, Any]:
    return {"minor": minor, "currency": "USD"}


def _body(**values: Any) -> dict[str, Any]:
    return {
        "universe_id": str(UNIVERSE),
        "title": "Skyline Tycoon, 41k visits",
        "summary": "Complete tycoon with shop, pets and daily quests.",
        "category": "TYCOON",
        "tags": ["tycoon", "pets"],
        "price": _usd(150_000),
        "min_offer": _usd(100_000),
        **values,
    }


async def _trader(people: People, roblox_id: int) -> Browser:
    browser = await people.linked(roblox_id)
    await browser.consent()
    return browser


async def _listed(people: People) -> tuple[Browser, dict[str, Any]]:
    seller = await _trader(people, 7001)
    people.experience(UNIVERSE, 7001)
    answer = await seller.post(LISTINGS, _body())
    assert answer.status == 201, await answer.text()
    return seller, await answer.json()


async def _offer(buyer: Browser, listing: dict[str, Any], minor: int) -> dict[str, Any]:
    answer = await buyer.post(f"{LISTINGS}/{listing['id']}/offers", {"amount": _usd(minor)})
    assert answer.status == 201, await answer.text()
    document: dict[str, Any] = await answer.json()
    return document


async def test_from_a_listing_to_a_contract(people: People) -> None:
    seller, listing = await _listed(people)
    assert (listing["status"], listing["price"]["decimal"]) == ("ACTIVE", "1500.00")
    assert listing["allowed_actions"] == ["edit", "pause", "cancel"]
    assert (listing["snapshot"]["ownership"], listing["snapshot"]["visits"]) == ("OWNER", "41208")
    buyer = await _trader(people, 7002)
    shown = await (await buyer.get(f"{LISTINGS}/{listing['ref'].lower()}")).json()
    assert (shown["id"], shown["min_offer"]) == (listing["id"], None)
    assert shown["allowed_actions"] == ["offer", "watch", "report"]
    offer = await _offer(buyer, listing, 120_000)
    assert offer["allowed_actions"] == ["withdraw"]
    waiting = await (await seller.get("/api/v1/offers?role=SELLER&status=PENDING")).json()
    assert waiting["items"][0]["allowed_actions"] == ["accept", "counter", "decline"]
    counter = await seller.post(
        f"/api/v1/offers/{offer['id']}/counter",
        {"version": 1, "amount": _usd(125_000), "conditions": "With 7 days of help."},
    )
    child = await counter.json()
    assert (counter.status, child["round"], child["proposed_by"]) == (201, 2, "SELLER")
    accepted = await buyer.post(f"/api/v1/offers/{child['id']}/accept", {"version": 1})
    document = await accepted.json()
    assert accepted.status == 200, document
    contract = document["contract"]
    assert document["offer"]["contract_id"] == contract["id"]
    assert contract["costs"]["buyer_pays"]["decimal"] == "1286.55"
    assert contract["costs"]["seller_receives"]["decimal"] == "1249.50"
    again = await buyer.post(f"/api/v1/offers/{child['id']}/accept", {"version": 1})
    assert await again.json() == document
    thread = await (await buyer.get(f"/api/v1/offers/{child['id']}/thread")).json()
    assert [item["status"] for item in thread["items"]] == ["COUNTERED", "ACCEPTED"]
    after = await (await people.browser().get(f"{LISTINGS}/{listing['id']}")).json()
    assert (after["status"], after["allowed_actions"]) == ("RESERVED", [])


async def test_while_roblox_is_down_nothing_is_saved(people: People) -> None:
    seller = await _trader(people, 7001)
    people.experience(UNIVERSE, 7001)
    people.roblox.faults.add(FaultRule(route="* *", fault=Fault.RATE_LIMIT, times=50))
    document = await problem(await seller.post(LISTINGS, _body()), 503, "ownership_unknown")
    assert document["retry_after_s"] > 0
    assert await database.fetch("SELECT 1 FROM listings") == []


async def test_what_is_sold_under_the_listing_ends_it(people: People) -> None:
    seller, listing = await _listed(people)
    buyer = await _trader(people, 7002)
    offer = await _offer(buyer, listing, 120_000)
    people.roblox.world.transfer(UNIVERSE, Transfer(to_type="USER", to_id=7002))
    answer = await seller.post(f"/api/v1/offers/{offer['id']}/accept", {"version": 1})
    await problem(answer, 409, "ownership_lost")
    mine = await (await seller.get(f"{LISTINGS}/{listing['id']}")).json()
    assert (mine["status"], mine["hold_reason"]) == ("INACTIVE", "OWNERSHIP")
    relisted = await seller.post(f"{LISTINGS}/{listing['id']}/relist")
    await problem(relisted, 409, "not_owner")
    assert (await buyer.post(LISTINGS, _body(title="Now it is mine"))).status == 201


async def test_who_gives_a_group_away_sells_no_game_of_it(people: People) -> None:
    seller, owner = await _trader(people, 7001), await _trader(people, 8001)
    members = {7001: Member(role_id=5), 8001: Member(role_id=5)}
    group = people.group(31, 7001, members=members)
    people.experience(UNIVERSE, group.id, owner_type="GROUP")
    listing = await (await seller.post(LISTINGS, _body())).json()
    offer = await _offer(owner, listing, 120_000)
    group.owner_id = 8001
    accept = await seller.post(f"/api/v1/offers/{offer['id']}/accept", {"version": 1})
    await problem(accept, 409, "ownership_lost")
    held = await (await seller.get(f"{LISTINGS}/{listing['id']}")).json()
    assert (held["status"], held["hold_reason"]) == ("INACTIVE", "OWNERSHIP")
    assert (await owner.post(LISTINGS, _body(title="Now it is mine"))).status == 201
    gone = await (await seller.get(f"{LISTINGS}/{listing['id']}")).json()
    assert gone["status"] == "CANCELLED"


async def test_if_match_guards_edits(people: People) -> None:
    seller, listing = await _listed(people)
    path = f"{LISTINGS}/{listing['id']}"
    assert (await seller.get(path)).headers["ETag"] == '"1"'
    change = {"price": _usd(140_000)}
    await problem(await seller.send("PATCH", path, change), 428, "precondition_required")
    loose = await seller.send("PATCH", path, change, headers={"If-Match": "1"})
    await problem(loose, 400, "bad_header")
    edited = await seller.send("PATCH", path, change, headers={"If-Match": '"1"'})
    assert (edited.status, edited.headers["ETag"]) == (200, '"2"')
    stale = await seller.send("PATCH", path, change, headers={"If-Match": '"1"'})
    assert (await problem(stale, 412, "version_mismatch"))["version"] == 2


@pytest.mark.parametrize(
    "values",
    [
        {"title": "See www.example.com"},
        {"title": "ab"},
        {"title": "two\nlines"},
        {"title": "rtl \u202e name"},
        {"summary": "short"},
        {"tags": ["a b"]},
        {"tags": ["twice", "twice"]},
        {"tags": ["one", "two", "three", "four", "five", "six"]},
        {"category": "CASINO"},
        {"delivery_days": 31},
        {"delivery_days": "7"},
        {"universe_id": "12x"},
        {"visibility": "GUILD"},
        {"owner": "me"},
    ],
)
async def test_what_a_listing_may_not_say(people: People, values: dict[str, Any]) -> None:
    seller = await _trader(people, 7001)
    answer = await seller.post(LISTINGS, _body(**values))
    document = await answer.json(content_type="application/problem+json")
    assert (answer.status, document["code"]) in [
        (422, "validation_failed"),
        (422, "unknown_field"),
    ], document
    assert document["errors"]


async def test_prices_have_bounds_and_one_currency(people: People) -> None:
    seller = await _trader(people, 7001)
    people.experience(UNIVERSE, 7001)
    for price in (_usd(99), _usd(100_000_001), {"minor": 150_000, "currency": "USDC"}):
        answer = await seller.post(LISTINGS, _body(price=price, min_offer=None))
        await problem(answer, 422, "amount_out_of_range")


async def test_an_idempotency_key_makes_one_offer(people: People) -> None:
    _, listing = await _listed(people)
    buyer = await _trader(people, 7002)
    path = f"{LISTINGS}/{listing['id']}/offers"
    headers = {"Idempotency-Key": "offer-0123456789abcdef"}
    first = await buyer.post(path, {"amount": _usd(120_000)}, headers=headers)
    again = await buyer.post(path, {"amount": _usd(120_000)}, headers=headers)
    assert (first.status, again.status) == (201, 201)
    assert await first.json() == await again.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    other = await buyer.post(path, {"amount": _usd(130_000)}, headers=headers)
    await problem(other, 422, "idempotency_key_reused")
    await problem(await buyer.post(path, {"amount": _usd(120_000)}), 409, "offer_already_open")


async def test_who_sees_offers_and_hidden_listings(people: People) -> None:
    seller, listing = await _listed(people)
    buyer, outsider = await _trader(people, 7002), await _trader(people, 7003)
    offer = await _offer(buyer, listing, 120_000)
    for path in (f"/api/v1/offers/{offer['id']}", f"/api/v1/offers/{offer['id']}/thread"):
        await problem(await outsider.get(path), 404, "not_found")
        await problem(await people.browser().get(path), 401, "unauthenticated")
    for name in ("accept", "decline", "withdraw"):
        answer = await outsider.post(f"/api/v1/offers/{offer['id']}/{name}", {"version": 1})
        await problem(answer, 404, "not_found")
    listed = await (await outsider.get(f"{LISTINGS}/{listing['id']}/offers")).json()
    assert listed["items"] == []
    assert (await seller.post(f"{LISTINGS}/{listing['id']}/pause")).status == 200
    for browser, status in ((buyer, 200), (outsider, 404), (people.browser(), 404)):
        assert (await browser.get(f"{LISTINGS}/{listing['id']}")).status == status
    assert (await (await outsider.get(LISTINGS)).json())["items"] == []
    staff = await people.staff("SUPPORT")
    shown = await staff.get(f"{LISTINGS}/{listing['id']}")
    assert (shown.status, (await shown.json())["status"]) == (200, "INACTIVE")


async def test_only_traders_list_and_offer(people: People) -> None:
    _, listing = await _listed(people)
    unlinked = await people.signed_in()
    await unlinked.consent()
    answer = await unlinked.post(LISTINGS, _body())
    await problem(answer, 403, "tier_required")
    hasty = await people.linked(7009)
    path = f"{LISTINGS}/{listing['id']}/offers"
    document = await problem(
        await hasty.post(path, {"amount": _usd(120_000)}), 403, "consent_required"
    )
    assert "TERMS" in document["missing_consents"]


async def test_drafts(people: People) -> None:
    _, listing = await _listed(people)
    buyer = await _trader(people, 7002)
    path = f"{LISTINGS}/{listing['id']}/draft"
    await problem(await buyer.get(path), 404, "not_found")
    saved = await (await buyer.send("PUT", path, {"amount": _usd(110_000)})).json()
    again = await (await buyer.send("PUT", path, {"amount": _usd(115_000)})).json()
    assert (again["id"], again["version"]) == (saved["id"], 2)
    submit = f"/api/v1/offer-drafts/{saved['id']}/submit"
    await problem(await buyer.post(submit, {"version": 1}), 409, "draft_stale")
    sent = await buyer.post(submit, {"version": 2})
    assert (sent.status, (await sent.json())["amount"]["minor"]) == (201, 115_000)
    await problem(await buyer.post(submit, {"version": 2}), 409, "draft_stale")
    assert (await buyer.send("DELETE", path)).status == 204


async def test_searching_in_pages(people: People) -> None:
    seller = await _trader(people, 7001)
    for number in range(5):
        people.experience(UNIVERSE + number, 7001)
        body = _body(universe_id=str(UNIVERSE + number), price=_usd(150_000 + number))
        assert (await seller.post(LISTINGS, body)).status == 201
        people.clock.advance(timedelta(seconds=1))
    reader = people.browser()
    for sort in ("newest", "price_asc", "price_desc"):
        seen: list[int] = []
        path = f"{LISTINGS}?limit=2&sort={sort}&q=tycoon"
        cursor = ""
        while True:
            page = await (await reader.get(f"{path}{cursor}")).json()
            seen += [item["price"]["minor"] for item in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        expected = [150_000 + number for number in range(5)]
        assert seen == (expected if sort == "price_asc" else expected[::-1])
    await problem(await reader.get(f"{LISTINGS}?limit=2&sort=newest{cursor}"), 400, "bad_cursor")
    await problem(await reader.get(f"{LISTINGS}?status=INACTIVE"), 401, "unauthenticated")
    assert (await reader.get(f"{LISTINGS}?q=%00")).status == 200


async def test_staff_take_down_and_approve(people: People) -> None:
    seller, listing = await _listed(people)
    moderator = await people.staff("MODERATOR")
    path = f"/api/v1/staff/listings/{listing['id']}"
    await problem(await seller.post(f"{path}/takedown", {"reason": REASON}), 403, "forbidden")
    down = await moderator.post(f"{path}/takedown", {"reason": REASON})
    assert (down.status, (await down.json())["hold_reason"]) == (200, "STAFF")
    relist = await seller.post(f"{LISTINGS}/{listing['id']}/relist")
    await problem(relist, 409, "invalid_state")
    approved = await moderator.post(f"{path}/approve", {"reason": REASON})
    assert (approved.status, (await approved.json())["status"]) == (200, "ACTIVE")


async def _risk() -> dict[str, int]:
    """Return the factors of the latest snapshot, with their points."""
    row = await database.fetchrow("SELECT risk_factors FROM roblox_snapshots ORDER BY id DESC")
    assert row is not None
    return {factor["code"]: factor["points"] for factor in json.loads(row["risk_factors"])}


async def test_a_takedown_flags_the_experience_until_staff_approve(people: People) -> None:
    seller, listing = await _listed(people)
    moderator = await people.staff("MODERATOR")
    path = f"/api/v1/staff/listings/{listing['id']}"
    assert "FLAGGED" not in await _risk()
    await moderator.post(f"{path}/takedown", {"reason": REASON})
    assert (await moderator.post(f"{path}/approve", {"reason": REASON})).status == 200
    assert "FLAGGED" not in await _risk()
    await moderator.post(f"{path}/takedown", {"reason": REASON})
    assert (await seller.post(f"{LISTINGS}/{listing['id']}/cancel")).status == 200
    again = await seller.post(LISTINGS, _body(title="The same once more"))
    assert again.status == 201, await again.text()
    assert (await _risk())["FLAGGED"] == 50, "a new listing does not take the flag off"


async def test_a_price_counts_until_another_takes_its_place(people: People) -> None:
    seller, listing = await _listed(people)
    path = f"{LISTINGS}/{listing['id']}"
    async with database.transaction() as tx:
        await tx.execute("UPDATE listing_prices SET created_at = created_at - interval '40 days'")
    change = {"price": _usd(300_000)}
    assert (await seller.send("PATCH", path, change, headers={"If-Match": '"1"'})).status == 200
    assert (await seller.post(f"{path}/pause")).status == 200
    assert (await seller.post(f"{path}/relist")).status == 200
    assert (await _risk())["PRICE_VOLATILE"] == 20, "the old price was asked until today"
    async with database.transaction() as tx:
        await tx.execute("UPDATE listing_prices SET created_at = created_at - interval '40 days'")
    assert (await seller.post(f"{path}/pause")).status == 200
    assert (await seller.post(f"{path}/relist")).status == 200
    assert "PRICE_VOLATILE" not in await _risk()


async def test_outages_over_http(people: People) -> None:
    _, listing = await _listed(people)
    buyer, admin = await _trader(people, 7002), await people.staff("ADMIN")
    offer = await _offer(buyer, listing, 120_000)
    began = people.clock.now().isoformat()
    opened = await admin.post(
        "/api/v1/staff/outages", {"scope": "WEB", "started_at": began, "reason": REASON}
    )
    assert opened.status == 201, await opened.text()
    people.clock.advance(timedelta(minutes=5))
    outage_id = (await opened.json())["id"]
    closed = await admin.post(f"/api/v1/staff/outages/{outage_id}/close", {"reason": REASON})
    assert (closed.status, (await closed.json())["moved"]) == (200, 1)
    later = await (await buyer.get(f"/api/v1/offers/{offer['id']}")).json()
    assert later["expires_at"] > offer["expires_at"]
    listed = await (await admin.get("/api/v1/staff/outages")).json()
    assert [item["id"] for item in listed["items"]] == [outage_id]


async def test_watches_reports_snapshots_and_figures(people: People) -> None:
    seller, listing = await _listed(people)
    other = await people.signed_in()
    path = f"{LISTINGS}/{listing['id']}"
    assert (await other.send("PUT", f"{path}/watch")).status == 204
    assert (await other.send("PUT", f"{path}/watch")).status == 204
    report = {"subject": "LISTING", "id": listing["id"], "reason": "STOLEN"}
    assert [(await other.post("/api/v1/reports", report)).status for _ in range(2)] == [202, 200]
    public = await (await other.get(f"{path}/snapshots")).json()
    own = await (await seller.get(f"{path}/snapshots")).json()
    assert (public["items"][0]["sha256"], len(own["items"][0]["sha256"])) == (None, 64)
    figures = await (await people.browser().get("/api/v1/stats/public")).json()
    assert (figures["all"]["completed"], figures["active_listings"]) == (None, {"under-5k": 1})
    mine = await (await seller.get("/api/v1/me/stats?period=all")).json()
    assert mine["seller"]["completed"] == 0
    await problem(await seller.get("/api/v1/guilds/42/stats"), 404, "not_found")
