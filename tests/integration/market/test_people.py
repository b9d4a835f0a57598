"""Oneself, consents, blocks, closing; and what staff see and do about people."""

import asyncio
import json
import os
from uuid import UUID

import pytest

from bloxtr8.access.identity import StaffRole
from bloxtr8.errors import Bloxtr8Error, ConsentRequired, TierRequired
from bloxtr8.market import reports, staff, standing
from bloxtr8.market.actors import Actor
from bloxtr8.market.standing import Tier
from bloxtr8.market.users import DiscordPerson, ensure_user
from bloxtr8.store import database
from bloxtr8.store.database import Transaction
from tests.integration.market.world import Browser, People, actor
from tests.integration.web.world import problem

_REASON = {"reason": "Looked at the account together with a colleague."}
_ROUNDS = int(os.environ.get("BLOXTR8_RACE_ROUNDS", "5"))

pytestmark = pytest.mark.usefixtures("patient_database")


async def test_a_profile_changes_only_as_it_was_read(people: People) -> None:
    browser = await people.signed_in()
    etag = (await browser.get("/api/v1/me")).headers["ETag"]
    body = {"display_name": "  Mira\u0301  ", "timezone": "Europe/Berlin"}
    await problem(await browser.send("PATCH", "/api/v1/me", body), 428, "precondition_required")
    answer = await browser.send("PATCH", "/api/v1/me", body, headers={"If-Match": etag})
    document = await answer.json()
    assert (answer.status, document["display_name"]) == (200, "Mir\u00e1")
    answer = await browser.send("PATCH", "/api/v1/me", body, headers={"If-Match": etag})
    await problem(answer, 412, "version_mismatch")
    for bad in ({}, {"timezone": "Mars/Base"}, {"display_name": "a\u202eb"}, {"tier": "TIER_2"}):
        answer = await browser.send("PATCH", "/api/v1/me", bad, headers={"If-Match": "2"})
        assert answer.status == 422, bad


async def test_consents_are_of_the_current_version(people: People) -> None:
    browser = await people.signed_in()
    listed = await (await browser.get("/api/v1/me/consents")).json()
    assert listed["missing"] == ["TERMS", "PRIVACY", "AGE_18", "ROBLOX_POLICY"]
    old = {"document": "TERMS", "version": "1999-01"}
    await problem(await browser.post("/api/v1/me/consents", old), 422, "validation_failed")
    await browser.consent()
    await browser.consent()
    listed = await (await browser.get("/api/v1/me/consents")).json()
    assert (listed["missing"], len(listed["items"])) == ([], 4)
    assert len(await people.audited("consent.given")) == 4
    people.process.settings.policy.terms = "2027-01"
    listed = await (await browser.get("/api/v1/me/consents")).json()
    assert listed["missing"] == ["TERMS"]


async def test_trading_needs_a_link_and_every_consent(people: People) -> None:
    browser = await people.signed_in()
    with pytest.raises(TierRequired):
        await _trader(people, browser)
    browser = await people.linked(7001)
    with pytest.raises(ConsentRequired):
        await _trader(people, browser)
    await browser.consent()
    assert (await _trader(people, browser)).tier is Tier.TIER_1
    with pytest.raises(TierRequired):
        await _trader(people, browser, Tier.TIER_2)


async def test_without_a_written_policy_nobody_trades(people: People) -> None:
    browser = await people.linked(7001)
    await browser.consent()
    people.process.settings.policy.roblox_policy = ""
    with pytest.raises(ConsentRequired):
        await _trader(people, browser)
    body = {"document": "ROBLOX_POLICY", "version": ""}
    assert (await browser.post("/api/v1/me/consents", body)).status == 422


async def test_blocks(people: People) -> None:
    one, two = await people.signed_in(), await people.signed_in()
    path = f"/api/v1/me/blocks/{two.user_id}"
    await problem(await one.get(path), 404, "not_found")
    assert [(await one.send("PUT", path)).status for _ in range(2)] == [204, 204]
    assert (await (await one.get(path)).json())["user_id"] == two.user_id
    await problem(await two.get(f"/api/v1/me/blocks/{one.user_id}"), 404, "not_found")
    third = await people.signed_in()
    await one.send("PUT", f"/api/v1/me/blocks/{third.user_id}")
    latest = await (await one.get("/api/v1/me/blocks?limit=1")).json()
    assert [item["user_id"] for item in latest["items"]] == [third.user_id]
    rest = await one.get(f"/api/v1/me/blocks?limit=1&cursor={latest['next_cursor']}")
    assert ([item["user_id"] for item in (await rest.json())["items"]]) == [two.user_id]
    assert (await one.send("DELETE", f"/api/v1/me/blocks/{third.user_id}")).status == 204
    listed = await (await one.get("/api/v1/me/blocks")).json()
    assert [item["user_id"] for item in listed["items"]] == [two.user_id]
    await problem(
        await one.send("PUT", f"/api/v1/me/blocks/{one.user_id}"), 422, "validation_failed"
    )
    unknown = "018f0000-0000-7000-8000-000000000000"
    await problem(await one.send("PUT", f"/api/v1/me/blocks/{unknown}"), 404, "not_found")
    assert (await one.send("DELETE", path)).status == 204


async def test_closing_erases_what_is_personal(people: People) -> None:
    browser = await people.linked(7001)
    await problem(
        await browser.post("/api/v1/me/close", {"confirm": "yes"}), 422, "validation_failed"
    )
    headers = {"Idempotency-Key": "short"}
    malformed = await browser.post("/api/v1/me/close", {"confirm": "CLOSE"}, headers=headers)
    await problem(malformed, 400, "idempotency_key_malformed")
    headers = {"Idempotency-Key": "close-my-account-1"}
    closed = await browser.post("/api/v1/me/close", {"confirm": "CLOSE"}, headers=headers)
    assert closed.status == 204
    user = await database.fetchrow("SELECT * FROM users")
    assert user is not None
    assert (user["status"], user["email"], user["avatar_url"]) == ("CLOSED", None, None)
    accounts = await database.fetch("SELECT * FROM accounts")
    assert {(row["username"], row["display_name"]) for row in accounts} == {("", None)}
    discord_id = next(row["external_id"] for row in accounts if row["provider"] == "DISCORD")
    assert await _ensure(people, DiscordPerson(discord_id, "back", "Back")) == user["id"]
    accounts = await database.fetch("SELECT * FROM accounts")
    assert {(row["username"], row["display_name"]) for row in accounts} == {("", None)}
    assert not (await browser.look())["signed_in"]
    await problem(await people.browser().get(f"/api/v1/users/{user['id']}"), 404, "not_found")
    assert (await people.said())[-1] == "user_closed"


async def test_claims_to_accounts_do_not_bury_the_queue(people: People) -> None:
    browser = await people.signed_in()
    text = "This account has always been mine."
    claims = [{"roblox_id": str(9000 + number), "text": text} for number in range(6)]
    for claim in claims[:5]:
        assert (await browser.post("/api/v1/me/link-claims", claim)).status == 202
    refused = await browser.post("/api/v1/me/link-claims", claims[5])
    assert (await problem(refused, 409, "limit_reached"))["limit"] == 5
    assert (await browser.post("/api/v1/me/link-claims", claims[0])).status == 200
    other = await people.signed_in()
    assert (await other.post("/api/v1/me/link-claims", claims[5])).status == 202


async def test_reports_do_not_bury_the_queue(people: People) -> None:
    browser = await people.signed_in()
    async with database.transaction() as tx:
        rows = await tx.fetch(
            "INSERT INTO users (id, display_name) SELECT gen_random_uuid(), 'Somebody'"
            " FROM generate_series(0, $1::int) RETURNING id",
            reports.OPEN_MAX,
        )
    found = [{"subject": "USER", "id": str(row["id"]), "reason": "SPAM"} for row in rows]
    for body in found[:-1]:
        assert (await browser.post("/api/v1/reports", body)).status == 202
    refused = await browser.post("/api/v1/reports", found[-1])
    assert (await problem(refused, 409, "limit_reached"))["limit"] == reports.OPEN_MAX
    assert (await browser.post("/api/v1/reports", found[0])).status == 200


async def test_freezing_stops_everything_but_reading(people: People) -> None:
    browser, admin = await people.linked(7001), await people.staff()
    await browser.consent()
    link = await people.market.linking.make_link((await people.signed_in()).actor)
    path = f"/api/v1/staff/users/{browser.user_id}"
    answer = await admin.post(f"{path}/freeze", _REASON)
    assert (answer.status, (await answer.json())["status"]) == (200, "FROZEN")
    await problem(await admin.post(f"{path}/freeze", _REASON), 409, "invalid_state")
    assert (await browser.get("/api/v1/me")).status == 200
    await problem(await browser.post("/auth/roblox/link"), 403, "account_frozen")
    await problem(await browser.send("DELETE", "/api/v1/me/accounts/roblox"), 403, "account_frozen")
    with pytest.raises(Bloxtr8Error, match="frozen"):
        await _trader(people, browser)
    assert (await people.browser().get(f"/link/{link}")).status == 200, "of somebody else"
    assert (await admin.post(f"{path}/unfreeze", _REASON)).status == 200
    assert (await _trader(people, browser)).status == "ACTIVE"
    assert (await people.said())[-2:] == ["user_frozen", "user_unfrozen"]
    (row,) = await people.audited("user.frozen")
    assert (row["actor_type"], row["reason"]) == ("STAFF", _REASON["reason"])


async def test_nobody_decides_about_themselves(people: People) -> None:
    admin = await people.staff()
    path = f"/api/v1/staff/users/{admin.user_id}"
    for action in ("freeze", "tier/grant", "relink-waiver", "notes"):
        answer = await admin.post(f"{path}/{action}", _REASON)
        await problem(answer, 403, "conflict_of_interest")
    answer = await admin.send(
        "PUT", f"/api/v1/staff/members/{admin.user_id}", _REASON | {"role": "SUPPORT"}
    )
    await problem(answer, 403, "forbidden")


async def test_tier_2_is_granted_with_a_reason_and_ends(people: People) -> None:
    browser, admin = await people.linked(7001), await people.staff()
    await browser.consent()
    path = f"/api/v1/staff/users/{browser.user_id}/tier"
    unlinked = await people.signed_in()
    answer = await admin.post(f"/api/v1/staff/users/{unlinked.user_id}/tier/grant", _REASON)
    await problem(answer, 409, "invalid_state")
    assert (await admin.post(f"{path}/grant", _REASON)).status == 200
    (granted,) = await people.audited("tier.granted")
    assert json.loads(granted["data"]) == {"before": "TIER_1", "after": "TIER_2"}
    assert (await _trader(people, browser, Tier.TIER_2)).tier is Tier.TIER_2
    async with database.transaction() as tx:
        later = people.clock.now().replace(year=people.clock.now().year + 3)
        found = await standing.read(
            tx, UUID(browser.user_id), people.process.settings.policy, later
        )
    assert found.tier is Tier.TIER_1
    assert (await admin.post(f"{path}/revoke", _REASON)).status == 200
    await problem(await admin.post(f"{path}/revoke", _REASON), 409, "invalid_state")


async def test_looking_people_up_leaves_a_trace(people: People) -> None:
    browser, support = await people.linked(7001), await people.staff("SUPPORT")
    for question in (browser.user_id, "7001", "person 1"):
        answer = await support.get("/api/v1/staff/users", params={"q": question})
        items = (await answer.json())["items"]
        assert [item["id"] for item in items] == [browser.user_id], question
    path = f"/api/v1/staff/users/{browser.user_id}"
    assert (await support.post(f"{path}/notes", _REASON)).status == 200
    document = await (await support.get(path)).json()
    assert document["notes"][0]["text"] == _REASON["reason"]
    assert {account["provider"] for account in document["accounts"]} == {"DISCORD", "ROBLOX"}
    assert len(await people.audited("user.viewed")) == 1
    assert len(await people.audited("user.searched")) == 3
    await problem(await support.post(f"{path}/freeze", _REASON), 403, "forbidden")


async def test_roles_come_and_go(people: People) -> None:
    admin, browser = await people.staff(), await people.signed_in()
    path = f"/api/v1/staff/members/{browser.user_id}"
    answer = await admin.send("PUT", path, _REASON | {"role": "MODERATOR"})
    roles = {item["user_id"]: item["role"] for item in (await answer.json())["items"]}
    assert roles == {admin.user_id: "ADMIN", browser.user_id: "MODERATOR"}
    assert (await admin.send("DELETE", path, _REASON)).status == 204
    await problem(await admin.send("DELETE", path, _REASON), 404, "not_found")
    (granted,), (revoked,) = (
        await people.audited("staff.granted"),
        await people.audited("staff.revoked"),
    )
    assert json.loads(granted["data"]) == {"role": "MODERATOR", "before": None}
    assert json.loads(revoked["data"]) == {"before": "MODERATOR"}


async def test_one_admin_is_always_left(people: People) -> None:
    one, two = await people.staff(), await people.staff()
    outcomes = await asyncio.gather(
        _revoke(people, one, two), _revoke(people, two, one), return_exceptions=True
    )
    assert sum(isinstance(outcome, Bloxtr8Error) for outcome in outcomes) == 1
    rows = await database.fetch("SELECT user_id FROM staff_members WHERE revoked_at IS NULL")
    assert len(rows) == 1
    with pytest.raises(Bloxtr8Error, match="last admin"):
        await _demote(people, rows[0]["user_id"])


async def test_of_64_first_sign_ins_at_once_one_user_comes(people: People) -> None:
    for number in range(_ROUNDS):
        person = DiscordPerson(str(175928847299117063 + number), f"racer{number}")
        found = await asyncio.gather(*(_ensure(people, person) for _ in range(64)))
        assert len(set(found)) == 1
    assert len(await database.fetch("SELECT id FROM users")) == _ROUNDS
    assert (await people.said()) == ["user_registered"] * _ROUNDS
    assert len(await people.audited("user.created")) == _ROUNDS


async def _ensure(people: People, person: DiscordPerson) -> UUID:
    async def work(tx: Transaction) -> UUID:
        now = people.clock.now()
        return await ensure_user(tx, Actor.system(), person, people.market.events, now)

    return await database.run_in_transaction(work)


async def _demote(people: People, user_id: UUID) -> None:
    async with database.transaction() as tx:
        system, now = Actor.system(), people.clock.now()
        await staff.grant(tx, system, user_id, StaffRole.SUPPORT, "Made smaller.", now)


async def _revoke(people: People, by: Browser, whom: Browser) -> None:
    async def work(tx: Transaction) -> None:
        reason = "They work somewhere else now."
        await staff.revoke(tx, by.actor, UUID(whom.user_id), reason, people.clock.now())

    await database.run_in_transaction(work)


async def _trader(people: People, browser: Browser, tier: Tier = Tier.TIER_1) -> standing.Standing:
    async with database.transaction() as tx:
        return await people.market.require_tier(tx, actor(browser.user_id), tier)
