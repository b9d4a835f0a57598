"""How people are told, over HTTP: inbox, wishes, what waits, what others see."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from bloxtr8.store import database
from tests.integration.market.test_trading_api import _listed, _offer, _trader
from tests.integration.market.world import Browser, People
from tests.integration.web.world import problem

PREFERENCES = "/api/v1/me/notification-preferences"

pytestmark = pytest.mark.usefixtures("patient_database")


async def _inbox(browser: Browser, query: str = "") -> dict[str, Any]:
    answer = await browser.get(f"/api/v1/me/notices{query}")
    assert answer.status == 200, await answer.text()
    document: dict[str, Any] = await answer.json()
    return document


async def _channels(browser: Browser, template: str) -> list[str]:
    rows = await database.fetch(
        "SELECT channel FROM notification_deliveries WHERE user_id = $1 AND template = $2"
        " ORDER BY channel",
        UUID(browser.user_id),
        template,
    )
    return [row["channel"] for row in rows]


async def test_everything_stands_in_the_inbox_and_waits_to_be_sent(people: People) -> None:
    seller, listing = await _listed(people)
    buyer = await _trader(people, 7002)
    offer = await _offer(buyer, listing, 120_000)
    document = await _inbox(seller)
    newest = document["items"][0]
    assert (newest["template"], newest["category"]) == ("offer_made", "OFFERS")
    assert newest["entity"] == f"offer:{offer['id']}"
    assert newest["delivery"] == {"channel": "DISCORD_DM", "status": "PENDING", "sent_at": None}
    # Linking moved the tier; both are told about the account.
    assert {item["template"] for item in document["items"]} >= {"account_linked", "tier_changed"}
    summary = await (await seller.get("/api/v1/me/summary")).json()
    assert [(item["kind"], item["action"]) for item in summary["items"]] == [("OFFER", "answer")]
    assert summary["unread_notices"] == len(document["items"])

    ids = [item["id"] for item in document["items"]]
    theirs = (await _inbox(buyer))["items"][0]["id"]
    answer = await seller.post("/api/v1/me/notices/read", {"ids": [*ids, theirs]})
    assert answer.status == 204
    assert all(item["read_at"] for item in (await _inbox(seller))["items"])
    assert (await _inbox(buyer))["items"][0]["read_at"] is None
    summary = await (await buyer.get("/api/v1/me/summary")).json()
    assert summary["items"] == [], "it is the seller's turn"


async def test_the_inbox_comes_in_pages_and_forgets_after_90_days(people: People) -> None:
    browser = await people.linked(7001)
    first = await _inbox(browser, "?limit=1")
    second = await _inbox(browser, f"?limit=1&cursor={first['next_cursor']}")
    assert first["items"][0]["id"] != second["items"][0]["id"]
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE notification_deliveries SET created_at = created_at - interval '91 days'"
        )
    assert (await _inbox(browser))["items"] == []


async def test_two_who_write_their_wishes_at_once_both_do(people: People) -> None:
    browser = await people.linked(7001)
    wishes = [{"categories": {"OFFERS": {"place": place}}} for place in ("INBOX", "THREAD")]
    for _ in range(5):
        writes = [browser.send("PUT", PREFERENCES, wish) for wish in wishes * 4]
        answers = await asyncio.gather(*writes)
        assert {answer.status for answer in answers} == {200}
    rows = await database.fetch("SELECT category FROM notification_preferences")
    assert len(rows) == len({row["category"] for row in rows})


async def test_a_category_goes_where_its_reader_wants_it(people: People) -> None:
    seller, listing = await _listed(people)
    wanted = {
        "categories": {"OFFERS": {"place": "INBOX"}, "ACCOUNT": {"place": "THREAD"}},
        "quiet_hours": {"start": "22:30", "end": "07:00", "zone": "Europe/Berlin"},
        "discreet": True,
    }
    answer = await seller.send("PUT", PREFERENCES, wanted)
    document = await answer.json()
    assert answer.status == 200, document
    assert document["categories"]["OFFERS"] == {"place": "INBOX", "enabled": True, "fixed": False}
    assert document["categories"]["ESCROW"]["fixed"]
    assert document["quiet_hours"]["zone"] == "Europe/Berlin"
    assert await (await seller.get(PREFERENCES)).json() == document
    await _offer(await _trader(people, 7002), listing, 120_000)
    assert await _channels(seller, "offer_made") == ["INBOX"]

    answer = await seller.send("PUT", PREFERENCES, {"categories": {"OFFERS": {"enabled": False}}})
    assert (await answer.json())["quiet_hours"] is None
    await _offer(await _trader(people, 7003), listing, 120_000)
    assert await _channels(seller, "offer_made") == ["INBOX", "INBOX"]
    await seller.send("PUT", PREFERENCES, {})
    await _offer(await _trader(people, 7004), listing, 120_000)
    assert await _channels(seller, "offer_made") == ["DISCORD_DM", "INBOX", "INBOX", "INBOX"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"categories": {"ESCROW": {"enabled": False}}},
        {"categories": {"DISPUTES": {"place": "INBOX"}}},
        {"categories": {"MONEY": {}}},
        {"quiet_hours": {"start": "22:00", "end": "22:00", "zone": "UTC"}},
        {"quiet_hours": {"start": "24:00", "end": "22:00", "zone": "UTC"}},
        {"quiet_hours": {"start": "21:00", "end": "22:00", "zone": "Mars/Olympus"}},
        {"discreet": "yes"},
    ],
)
async def test_wishes_that_make_no_sense(people: People, wrong: dict[str, Any]) -> None:
    browser = await people.signed_in()
    answer = await browser.send("PUT", PREFERENCES, wrong)
    document = await answer.json()
    assert answer.status == 422, document


async def test_what_others_see_is_for_its_owner_to_say(people: People) -> None:
    seller, listing = await _listed(people)
    path = f"/api/v1/users/{seller.user_id}"
    shown = await (await seller.get(path)).json()
    assert (shown["roblox"]["id"], shown["stats"]["sales"]) == ("7001", 0)
    switches = {"show_roblox": False, "show_trades": False, "offers_from_new": False}
    assert (await seller.send("PUT", PREFERENCES, switches)).status == 200
    shown = await (await seller.get(path)).json()
    assert (shown["roblox"], shown["stats"]) == (None, None)
    own = await (await seller.get("/api/v1/me")).json()
    assert own["roblox"]["id"] == "7001"
    assert own["limits"] == {
        "open_listings": 1,
        "open_listings_max": 10,
        "open_offers": 0,
        "open_offers_max": 20,
    }
    newcomer = await _trader(people, 7002)
    body = {"amount": {"minor": 120_000, "currency": "USD"}}
    answer = await newcomer.post(f"/api/v1/listings/{listing['id']}/offers", body)
    await problem(answer, 403, "forbidden")
