"""Whose experience it is, what it looks like, and what happens when Roblox does not say."""

import hashlib
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from bloxtr8.errors import NotFound, OwnershipUnknown
from bloxtr8.market.experiences import Named
from bloxtr8.roblox.snapshots import Purpose, Snapshot, Subject, take_snapshot
from bloxtr8.roblox.verifications import Verification
from bloxtr8.sandbox.faults import Fault, FaultRule
from bloxtr8.sandbox.roblox.world import Member, Transfer
from bloxtr8.store import database
from bloxtr8.store.canonical import canonical_json
from tests.integration.market.world import Browser, People
from tests.integration.web.world import problem

UNIVERSE = 5_795_192_361
GROUP = 3_344


async def _verify(people: People, browser: Browser, *, fresh: bool = False) -> Verification:
    return await people.market.verify_ownership(browser.actor, UNIVERSE, fresh=fresh)


async def test_the_owner(people: People) -> None:
    browser = await people.linked(7001)
    people.experience(UNIVERSE, 7001)
    found = await _verify(people, browser)
    assert (found.outcome, found.ownership, found.method) == ("VERIFIED", "OWNER", "OPEN_CLOUD")
    assert found.may_list
    assert not found.cached
    again = await _verify(people, browser)
    assert again.cached
    asked = [line for line in people.roblox.asked if "/cloud/v2/universes" in line]
    assert len(asked) == 1


async def test_somebody_elses(people: People) -> None:
    browser = await people.linked(7001)
    people.experience(UNIVERSE, 8001)
    found = await _verify(people, browser)
    assert (found.outcome, found.ownership, found.reason) == ("NOT_OWNER", None, "OTHER_USER")
    people.roblox.world.transfer(UNIVERSE, Transfer(to_type="USER", to_id=7001))
    assert (await _verify(people, browser)).outcome == "NOT_OWNER", "kept for 15 minutes"
    people.clock.advance(timedelta(minutes=15))
    assert (await _verify(people, browser)).outcome == "VERIFIED"


async def test_an_unknown_universe(people: People) -> None:
    browser = await people.linked(7001)
    found = await _verify(people, browser)
    assert (found.outcome, found.reason) == ("NOT_OWNER", "UNIVERSE_NOT_FOUND")


@pytest.mark.parametrize(
    ("owner", "member", "ownership", "reason"),
    [
        (7001, None, "OWNER", None),
        (8001, Member(role_id=5), "DEVELOPER", None),
        (8001, Member(role_id=5, manages_universes=True), "DEVELOPER", None),
        (8001, None, None, "NOT_A_MEMBER"),
        (None, Member(role_id=5), "DEVELOPER", None),
    ],
)
async def test_of_a_group(
    people: People,
    owner: int | None,
    member: Member | None,
    ownership: str | None,
    reason: str | None,
) -> None:
    browser = await people.linked(7001)
    people.group(GROUP, owner, members={7001: member} if member else {})
    people.experience(UNIVERSE, GROUP, owner_type="GROUP")
    found = await _verify(people, browser)
    assert (found.ownership, found.reason) == (ownership, reason)
    assert found.may_list is (ownership == "OWNER")


async def test_an_admin_lists_with_the_owners_approved_consent(people: People) -> None:
    browser, moderator = await people.linked(7001), await people.staff("MODERATOR")
    await browser.consent()
    member = Member(role_id=5, manages_universes=True)
    people.group(GROUP, 8001, members={7001: member})
    people.experience(UNIVERSE, GROUP, owner_type="GROUP")
    assert (await _verify(people, browser)).ownership == "DEVELOPER"
    answer = await browser.post("/auth/roblox/group-check", {"group_id": str(GROUP)})
    callback = await browser.agree((await answer.json())["authorize_url"], "7001")
    assert (await browser.get(callback)).headers["Location"] == "/link/done"
    found = await _verify(people, browser, fresh=True)
    assert (found.ownership, found.may_list) == ("ADMIN", False)
    assert people.roblox.grants.open_tokens == 0
    body = {
        "user_id": browser.user_id,
        "universe_id": str(UNIVERSE),
        "note": "The group's owner signed the paper that we hold.",
        "file_sha256": "ab" * 32,
    }
    assert (await moderator.post("/api/v1/staff/verifications", body)).status == 201
    people.clock.advance(timedelta(hours=25))
    found = await _verify(people, browser)
    assert (found.ownership, found.may_list, found.cached) == ("ADMIN", True, False)
    group = people.roblox.world.groups[GROUP]
    people.roblox.add_group(group.model_copy(update={"members": {}}))
    assert not (await _verify(people, browser, fresh=True)).may_list


async def test_a_group_check_with_another_account_proves_nothing(people: People) -> None:
    browser = await people.linked(7001)
    await browser.consent()
    people.robloxian(8001)
    people.group(GROUP, 8001)
    answer = await browser.post("/auth/roblox/group-check", {"group_id": str(GROUP)})
    callback = await browser.agree((await answer.json())["authorize_url"], "8001")
    location = (await browser.get(callback)).headers["Location"]
    assert location == "/link/error?code=oauth_exchange_failed"
    answer = await browser.post("/auth/roblox/group-check", {"group_id": "999999"})
    await problem(answer, 404, "not_found")


@pytest.mark.parametrize("status", [401, 403])
async def test_where_open_cloud_refuses_the_public_service_speaks(
    people: People, status: int
) -> None:
    browser = await people.linked(7001)
    people.experience(UNIVERSE, 7001, refused=status)
    found = await _verify(people, browser)
    assert (found.outcome, found.method) == ("VERIFIED", "GAMES_API")


async def test_when_both_refuse_nothing_is_known(people: People) -> None:
    browser = await people.linked(7001)
    people.experience(UNIVERSE, 7001, refused=403, public=False)
    with pytest.raises(OwnershipUnknown):
        await _verify(people, browser)
    assert await database.fetch("SELECT id FROM asset_verifications") == []


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.ERROR_BEFORE, "500"),
        (Fault.ERROR_BEFORE, "503"),
        (Fault.RATE_LIMIT, ""),
        (Fault.GARBAGE, ""),
        (Fault.DISCONNECT_BEFORE, ""),
    ],
)
async def test_an_outage_changes_nothing(people: People, fault: Fault, code: str) -> None:
    browser = await people.linked(7001)
    people.experience(UNIVERSE, 7001)
    rule = FaultRule("GET /cloud/v2/universes/*", fault, times=50, seconds=20, code=code)
    people.roblox.faults.add(rule)
    answer = await browser.post("/api/v1/me/verifications", {"universe_id": str(UNIVERSE)})
    document = await problem(answer, 503, "ownership_unknown")
    assert int(answer.headers["Retry-After"]) == document["retry_after_s"] >= 1
    asked = len(people.roblox.asked)
    answer = await browser.post("/api/v1/me/verifications", {"universe_id": str(UNIVERSE)})
    await problem(answer, 503, "ownership_unknown")
    assert len(people.roblox.asked) == asked, "left alone for a minute"
    assert await database.fetch("SELECT id FROM asset_verifications") == []
    assert await people.audited("verification.done") == []
    assert len(await people.audited("verification.unknown")) == 1


async def test_a_repeated_check_is_answered_as_it_was(people: People) -> None:
    browser = await people.linked(7001)
    people.experience(UNIVERSE, 7001)
    path, body = "/api/v1/me/verifications", {"universe_id": str(UNIVERSE), "fresh": True}
    headers = {"Idempotency-Key": "check-the-owner-1"}
    first = await browser.post(path, body, headers=headers)
    asked = len(people.roblox.asked)
    again = await browser.post(path, body, headers=headers)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert await again.json() == await first.json()
    assert len(people.roblox.asked) == asked
    other = {"universe_id": str(UNIVERSE + 1)}
    assert (await browser.post(path, other)).status == 200
    newest = await (await browser.get(f"{path}?limit=1")).json()
    assert [item["universe_id"] for item in newest["items"]] == [str(UNIVERSE + 1)]
    rest = await (await browser.get(f"{path}?limit=1&cursor={newest['next_cursor']}")).json()
    assert [item["universe_id"] for item in rest["items"]] == [str(UNIVERSE)]
    refused = await browser.post(path, other, headers=headers)
    await problem(refused, 422, "idempotency_key_reused")


async def test_in_an_outage_yesterdays_proof_counts_and_older_does_not(people: People) -> None:
    browser = await people.linked(7001)
    people.experience(UNIVERSE, 7001)
    await _verify(people, browser)
    rule = FaultRule("GET /cloud/v2/universes/*", Fault.ERROR_BEFORE, times=50)
    people.roblox.faults.add(rule)
    people.clock.advance(timedelta(hours=23))
    assert (await _verify(people, browser, fresh=True)).cached
    people.clock.advance(timedelta(hours=1))
    with pytest.raises(OwnershipUnknown):
        await _verify(people, browser, fresh=True)


async def test_a_result_of_an_earlier_account_does_not_count(people: People) -> None:
    browser = await people.linked(7001)
    people.experience(UNIVERSE, 7001)
    await _verify(people, browser)
    await browser.send("DELETE", "/api/v1/me/accounts/roblox")
    assert await database.fetch("SELECT id FROM asset_verifications") == []
    answer = await browser.post("/api/v1/me/verifications", {"universe_id": str(UNIVERSE)})
    await problem(answer, 403, "tier_required")


async def test_the_pickers(people: People) -> None:
    browser = await people.linked(7001)
    people.experience(UNIVERSE, 7001)
    people.experience(UNIVERSE + 1, 7001, public=False)
    people.group(GROUP, 7001)
    people.experience(UNIVERSE + 2, GROUP, owner_type="GROUP", picture="Pending")
    document = await (await browser.get("/api/v1/me/experiences")).json()
    (item,) = document["items"]
    assert (item["universe_id"], item["visits"], item["listed"]) == (str(UNIVERSE), "41208", False)
    assert item["owner"] == {"type": "USER", "id": "7001", "name": "Builder7001"}
    assert item["icon_url"].startswith("https://tr.rbxcdn.com/")
    assert document["complete"]
    document = await (await browser.get("/api/v1/me/experiences?source=GROUPS")).json()
    (item,) = document["items"]
    assert (item["universe_id"], item["icon_url"]) == (str(UNIVERSE + 2), None)
    assert item["owner"]["name"] == f"Group {GROUP}"


async def test_a_picker_goes_through_all_in_pages(people: People) -> None:
    browser = await people.linked(7001)
    for number in range(5):
        people.experience(UNIVERSE + number, 7001)
    path, seen = "/api/v1/me/experiences?limit=2", []
    answer = await browser.get(path)
    first = await answer.json()
    assert answer.headers["Link"].endswith('>; rel="next"')
    # What appears meanwhile moves nothing that was not shown yet.
    people.experience(UNIVERSE + 9, 7001)
    page = first
    while True:
        seen += [int(item["universe_id"]) for item in page["items"]]
        if page["next_cursor"] is None:
            break
        page = await (await browser.get(f"{path}&cursor={page['next_cursor']}")).json()
    assert seen == [UNIVERSE + number for number in (4, 3, 2, 1, 0)]
    other = await browser.get(f"{path}&source=GROUPS&cursor={first['next_cursor']}")
    await problem(other, 400, "bad_cursor")


async def test_a_picker_never_says_nothing_when_roblox_is_silent(people: People) -> None:
    browser = await people.linked(7001)
    people.group(GROUP, 7001)
    people.roblox.faults.add(FaultRule("GET /v2/*", Fault.ERROR_BEFORE, times=50))
    for source in ("USER", "GROUPS"):
        answer = await browser.get(f"/api/v1/me/experiences?source={source}")
        await problem(answer, 503, "upstream_unavailable")


async def test_decoration_may_be_missing(people: People) -> None:
    browser = await people.linked(7001)
    people.experience(UNIVERSE, 7001)
    people.roblox.faults.add(FaultRule("GET /v1/games/icons", Fault.ERROR_BEFORE, times=5))
    (item,) = (await (await browser.get("/api/v1/me/experiences")).json())["items"]
    assert item["icon_url"] is None


@pytest.mark.parametrize(
    "named",
    [
        Named(universe_id=UNIVERSE),
        Named(place_id=UNIVERSE + 1_000_000),
        Named(url=f"https://www.roblox.com/games/{UNIVERSE + 1_000_000}/A-Game"),
        Named(url=f"https://www.roblox.com/de/games/{UNIVERSE + 1_000_000}"),
    ],
)
async def test_looking_one_up(people: People, named: Named) -> None:
    people.robloxian(7001)
    people.experience(UNIVERSE, 7001)
    found = await people.market.experiences.resolve(named)
    assert (found.universe_id, found.owner.name) == (UNIVERSE, "Builder7001")


async def test_looking_up_what_is_not_there(people: People) -> None:
    with pytest.raises(NotFound):
        await people.market.experiences.resolve(Named(universe_id=1))
    browser = await people.signed_in()
    for body in (
        {},
        {"universe_id": "1", "place_id": "2"},
        {"universe_id": "0"},
        {"universe_id": "1" * 19},
        {"url": "https://evil.example/games/1"},
        {"url": "https://www.roblox.com/games/"},
    ):
        answer = await browser.post("/api/v1/experiences/resolve", body)
        await problem(answer, 422, "validation_failed")


async def _snapshot(people: People, browser: Browser, **options: object) -> Snapshot:
    found = await _verify(people, browser, fresh=True)
    details = await people.market.details(UNIVERSE)
    subject = Subject(UUID(browser.user_id), found, **options)  # type: ignore[arg-type]
    async with database.transaction() as tx:
        return await take_snapshot(tx, Purpose.LISTING, details, subject, people.clock.now())


async def test_a_snapshot_holds_what_was_seen_and_its_hash(people: People) -> None:
    browser = await people.linked(7001)
    people.experience(UNIVERSE, 7001, description="Ünïcode", favorites=0)
    snapshot = await _snapshot(people, browser)
    row = await database.fetchrow("SELECT * FROM roblox_snapshots")
    assert row is not None
    assert (row["name"], row["visits"], row["favorites"]) == (f"Game {UNIVERSE}", 41_208, 0)
    assert (row["ownership"], row["visibility"]) == ("OWNER", "PUBLIC")
    assert (row["risk_score"], row["risk_level"]) == (0, "LOW")
    payload = json.loads(row["payload"])
    assert hashlib.sha256(canonical_json(payload)).digest() == row["payload_sha256"]
    assert row["payload_sha256"] == snapshot.sha256
    assert "icon_url" not in payload
    with pytest.raises(asyncpg.RestrictViolationError):
        async with database.transaction() as tx:
            await tx.execute("UPDATE roblox_snapshots SET name = 'other'")


async def test_risk_adds_up(people: People) -> None:
    browser = await people.linked(7001)
    created = people.clock.now() - timedelta(days=10)
    people.experience(UNIVERSE, 8001, created=created, updated=created, visits=0)
    details = await people.market.details(UNIVERSE)
    async with database.transaction() as tx:
        about = Subject(UUID(browser.user_id), None)
        await take_snapshot(tx, Purpose.LISTING, details, about, people.clock.now())
    people.roblox.world.transfer(UNIVERSE, Transfer(to_type="USER", to_id=7001))
    snapshot = await _snapshot(people, browser, prices_minor=[10_000, 25_000])
    assert dict(snapshot.risk.factors) == {
        "AGE_LT_30": 30,
        "OWNER_CHANGED": 25,
        "PRICE_VOLATILE": 30,
        "NO_VISITS": 10,
    }
    assert (snapshot.risk.score, snapshot.risk.level) == (95, "HIGH")


async def test_pickers_and_look_ups_are_remembered_for_ten_minutes(people: People) -> None:
    browser = await people.linked(7001)
    people.experience(501, 7001)
    group = people.group(31, 7001)
    people.experience(502, group.id, owner_type="GROUP")

    async def look() -> list[Any]:
        own = await (await browser.get("/api/v1/me/experiences")).json()
        groups = await (await browser.get("/api/v1/me/experiences?source=GROUPS")).json()
        answer = await browser.post("/api/v1/experiences/resolve", {"universe_id": "501"})
        return [own, groups, await answer.json()]

    first = await look()
    asked = list(people.roblox.asked)
    people.roblox.world.experiences[501].name = "Renamed"
    assert await look() == first
    assert people.roblox.asked == asked
    people.clock.advance(timedelta(minutes=10, seconds=1))
    await browser.post("/auth/refresh")
    own, _, one = await look()
    assert (own["items"][0]["name"], one["name"]) == ("Renamed", "Renamed")
