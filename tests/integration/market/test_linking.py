"""Linking Roblox: who may, with which proof, and who cannot get in between."""

import asyncio
import os
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest

from bloxtr8.errors import Bloxtr8Error
from bloxtr8.market import links
from bloxtr8.market.links import Permit
from bloxtr8.market.roblox_accounts import Tools, link
from bloxtr8.roblox.openid import RobloxPerson
from bloxtr8.sandbox.faults import Fault, FaultRule
from bloxtr8.store import database
from tests.integration.market.world import OLD, Browser, People, actor, form_of, query_of
from tests.integration.web.world import problem

_CALLERS = 64
# 100 for the long run.
_ROUNDS = int(os.environ.get("BLOXTR8_RACE_ROUNDS", "5"))

pytestmark = pytest.mark.usefixtures("patient_database")


async def _tier(browser: Browser) -> str:
    return str((await (await browser.get("/api/v1/me")).json())["tier"])


async def test_linking_raises_the_tier(people: People) -> None:
    browser = await people.linked(7001)
    me = await (await browser.get("/api/v1/me")).json()
    assert (me["tier"], me["roblox"]["id"], me["roblox"]["name"]) == (
        "TIER_1",
        "7001",
        "Builder7001",
    )
    assert (await people.said())[-2:] == ["account_linked", "tier_changed"]
    assert len(await people.audited("roblox.linked")) == 1
    assert people.roblox.grants.open_tokens == 0
    done = await (await browser.get("/link/done")).text()
    assert "Roblox: Builder7001" in done


@pytest.mark.parametrize("silent", [False, True])
async def test_an_age_that_the_profile_leaves_out_is_looked_up(
    people: People, *, silent: bool
) -> None:
    people.robloxian(7001, ageless=True)
    if silent:
        people.roblox.faults.add(FaultRule("GET /v1/users/7001", Fault.ERROR_BEFORE, 9))
    await people.linked(7001)
    (row,) = await database.fetch(
        "SELECT provider_created_at FROM accounts WHERE provider = 'ROBLOX'"
    )
    assert row["provider_created_at"] == (None if silent else OLD)


async def test_the_same_account_again_changes_nothing(people: People) -> None:
    browser = await people.linked(7001)
    answer = await browser.post("/auth/roblox/link")
    await problem(answer, 409, "roblox_already_linked")


async def test_an_account_of_somebody_else(people: People) -> None:
    await people.linked(7001)
    other = await people.signed_in()
    answer = await other.link(7001)
    assert answer.headers["Location"] == "/link/error?code=roblox_linked_elsewhere"
    page = await (await other.get(answer.headers["Location"])).text()
    assert "linked to somebody else" in page
    assert await _tier(other) == "TIER_0"
    (refused,) = await people.audited("roblox.link_refused")
    assert "7001" not in str(refused["data"])
    body = {"roblox_id": "7001", "text": "This has been my own account since 2015, look at it."}
    assert (await other.post("/api/v1/me/link-claims", body)).status == 202
    assert (await other.post("/api/v1/me/link-claims", body)).status == 200
    (task,) = await database.fetch("SELECT * FROM staff_tasks")
    assert task["kind"] == "LINK_CLAIM"


async def test_the_way_from_discord(people: People) -> None:
    browser = await people.signed_in()
    people.robloxian(7001)
    token = await people.market.linking.make_link(browser.actor)
    stored = await database.fetchrow("SELECT token_hash, consumed_at FROM one_time_tokens")
    assert stored is not None
    assert token.encode() not in stored["token_hash"]
    page = await browser.get(f"/link/{token}")
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "no-store"
    action, csrf = form_of(await page.text())
    assert "person1" in await page.text()
    answer = await browser.post(action, data={"_csrf": csrf}, headers={"X-CSRF-Token": csrf})
    assert answer.status == 200
    departure = _link_in(await answer.text())
    callback = await browser.agree(departure, "7001")
    assert (await browser.get(callback)).headers["Location"] == "/link/done"
    assert await _tier(browser) == "TIER_1"
    again = await browser.get(f"/link/{token}")
    assert (again.status, "link_expired" in await again.text()) == (410, True)


async def test_looking_changes_nothing(people: People) -> None:
    browser, scanner = await people.signed_in(), people.browser()
    token = await people.market.linking.make_link(browser.actor)
    for _ in range(3):
        page = await scanner.get(f"/link/{token}")
        assert page.status == 200
        assert "/auth/discord/login?return_to=%2Flink%2Fcontinue" in await page.text()
        assert (await scanner.http.head(f"{people.origin}/link/{token}")).status == 200
    form_of(await (await browser.get(f"/link/{token}")).text())


async def test_signing_in_leads_back_to_the_link(people: People) -> None:
    persona = people.persona()
    earlier, browser = people.browser(), people.browser()
    await earlier.sign_in(persona.id)
    token = await people.market.linking.make_link(earlier.actor)
    await browser.get(f"/link/{token}")
    answer = await browser.sign_in(persona.id, "/link/continue")
    page = await browser.get(answer.headers["Location"])
    assert form_of(await page.text())[0] == f"/link/{token}/start"
    rows = await database.fetch("SELECT return_to FROM oauth_states")
    assert not any(token in row["return_to"] for row in rows), "no secret in the database"


async def test_the_link_of_another_person(people: People) -> None:
    owner, other = await people.signed_in(), await people.signed_in()
    token = await people.market.linking.make_link(owner.actor)
    page = await other.get(f"/link/{token}")
    assert "another Discord account" in await page.text()
    await other.get(f"/link/{token}")
    answer = await other.post(f"/link/{token}/start", data={"_csrf": other.csrf})
    assert answer.status == 403
    assert (await people.said()).count("security_notice") == 1, "the owner is told once"
    form_of(await (await owner.get(f"/link/{token}")).text())


async def test_a_form_of_another_site_starts_nothing(people: People) -> None:
    browser = await people.signed_in()
    token = await people.market.linking.make_link(browser.actor)
    for headers, data in (
        ({"Origin": "https://evil.example"}, {"_csrf": browser.csrf}),
        ({"X-CSRF-Token": "x"}, {"_csrf": "y"}),
    ):
        answer = await browser.post(f"/link/{token}/start", data=data, headers=headers)
        assert (answer.status, "csrf_failed" in await answer.text()) == (403, True)
    form_of(await (await browser.get(f"/link/{token}")).text())


async def test_a_link_lasts_fifteen_minutes_and_the_newest_counts(people: People) -> None:
    browser = await people.signed_in()
    first = await people.market.linking.make_link(browser.actor)
    second = await people.market.linking.make_link(browser.actor)
    assert (await browser.get(f"/link/{first}")).status == 410
    assert (await browser.get(f"/link/{second}")).status == 200
    people.clock.advance(timedelta(minutes=9))
    assert (await browser.get(f"/link/{second}")).status == 200
    people.clock.advance(timedelta(minutes=6))
    assert (await people.browser().get(f"/link/{second}")).status == 410


async def test_a_link_begun_in_one_browser_ends_in_it(people: People) -> None:
    victim, attacker = await people.signed_in(), await people.signed_in()
    people.robloxian(6666)
    url = (await (await attacker.post("/auth/roblox/link")).json())["authorize_url"]
    callback = await attacker.agree(url, "6666")
    answer = await victim.get(callback)
    assert answer.headers["Location"] == "/link/error?code=oauth_state_invalid"
    assert await _tier(victim) == "TIER_0"
    assert await _tier(attacker) == "TIER_0"


async def test_signing_in_as_somebody_else_meanwhile(people: People) -> None:
    browser = await people.signed_in()
    people.robloxian(7001)
    url = (await (await browser.post("/auth/roblox/link")).json())["authorize_url"]
    callback = await browser.agree(url, "7001")
    binding = browser.cookie("b8_oauth")
    await browser.sign_in(people.persona().id)
    browser.set_cookie("b8_oauth", binding)
    location = (await browser.get(callback)).headers["Location"]
    # The earlier session of this browser ended with the new sign-in.
    assert location == "/link/error?code=session_revoked"
    assert await database.fetch("SELECT id FROM accounts WHERE provider = 'ROBLOX'") == []


async def test_after_signing_out_nothing_is_linked(people: People) -> None:
    browser = await people.signed_in()
    people.robloxian(7001)
    url = (await (await browser.post("/auth/roblox/link")).json())["authorize_url"]
    callback = await browser.agree(url, "7001")
    await browser.post("/auth/logout")
    assert (await browser.get(callback)).headers["Location"].endswith("session_revoked")


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example/oauth/"},
        {"aud": "somebody-else"},
        {"aud": ["2200000000000000001", "somebody-else"]},
        {"nonce": "another"},
        {"exp": 1_000_000_000},
        {"iat": 4_102_444_800},
        {"sub": "abc"},
        {"sub": "0"},
        {"sub": "9" * 30},
        {"sub": 7001},
    ],
)
async def test_id_tokens_that_are_not_for_us(people: People, claims: dict[str, object]) -> None:
    browser = await people.signed_in()
    people.robloxian(7001)
    people.roblox.openid.claims = claims
    answer = await browser.link(7001)
    assert answer.headers["Location"] == "/link/error?code=oauth_exchange_failed"
    assert people.roblox.grants.open_tokens == 0, "given back all the same"
    (state,) = await database.fetch("SELECT * FROM oauth_states WHERE provider = 'ROBLOX'")
    assert state["outcome"] == "oauth_exchange_failed"


async def test_a_profile_of_another_subject(people: People) -> None:
    browser = await people.signed_in()
    people.robloxian(7001)
    people.robloxian(7002)
    people.roblox.openid.claims = {"sub": "7002"}
    answer = await browser.link(7001)
    assert answer.headers["Location"] == "/link/error?code=oauth_exchange_failed"


async def test_keys_rotate(people: People) -> None:
    await people.linked(7001)
    people.roblox.openid.rotate()
    browser = await people.signed_in()
    people.robloxian(7002)
    assert (await browser.link(7002)).headers["Location"].endswith("oauth_exchange_failed")
    people.clock.advance(timedelta(minutes=2))
    assert (await browser.link(7002)).headers["Location"] == "/link/done"


@pytest.mark.parametrize(
    "route", ["GET /oauth/.well-known/*", "POST /oauth/v1/token", "GET /oauth/v1/userinfo"]
)
async def test_when_roblox_fails_nothing_is_linked(people: People, route: str) -> None:
    browser = await people.signed_in()
    people.robloxian(7001)
    people.roblox.faults.add(FaultRule(route, Fault.ERROR_BEFORE))
    answer = await browser.post("/auth/roblox/link")
    if "well-known" in route:
        await problem(answer, 503, "upstream_unavailable")
        assert await database.fetch("SELECT id FROM oauth_states WHERE provider = 'ROBLOX'") == []
        return
    url = (await answer.json())["authorize_url"]
    answer = await browser.get(await browser.agree(url, "7001"))
    assert answer.headers["Location"] == "/link/error?code=oauth_exchange_failed"


async def test_an_outage_does_not_use_up_the_link(people: People) -> None:
    browser = await people.signed_in()
    token = await people.market.linking.make_link(browser.actor)
    people.roblox.faults.add(FaultRule("GET /oauth/.well-known/*", Fault.ERROR_BEFORE))
    answer = await browser.post(f"/link/{token}/start", data={"_csrf": browser.csrf})
    assert answer.status == 503
    answer = await browser.post(f"/link/{token}/start", data={"_csrf": browser.csrf})
    assert answer.status == 200


async def test_unlinking_and_the_waits(people: People) -> None:
    browser = await people.linked(7001)
    people.robloxian(7002)
    assert (await browser.send("DELETE", "/api/v1/me/accounts/roblox")).status == 204
    assert await _tier(browser) == "TIER_0"
    await problem(await browser.send("DELETE", "/api/v1/me/accounts/roblox"), 404, "not_found")
    answer = await browser.link(7002)
    assert answer.headers["Location"] == "/link/error?code=wait_required"
    other = await people.signed_in()
    assert (await other.link(7001)).headers["Location"].endswith("wait_required")
    assert (await browser.link(7001)).headers["Location"] == "/link/done", "the same pair may"


async def test_staff_may_waive_a_wait(people: People) -> None:
    browser = await people.linked(7001)
    people.robloxian(7002)
    await browser.send("DELETE", "/api/v1/me/accounts/roblox")
    staff = await people.staff()
    path = f"/api/v1/staff/users/{browser.user_id}/relink-waiver"
    reason = {"reason": "The first account was taken over by somebody."}
    assert (await staff.post(path, reason)).status == 200
    await problem(await staff.post(path, reason), 409, "invalid_state")
    assert (await browser.link(7002)).headers["Location"] == "/link/done"


async def test_the_waits_end(people: People) -> None:
    browser = await people.linked(7001)
    persona = next(iter(people.discord.people))
    people.robloxian(7002)
    await browser.send("DELETE", "/api/v1/me/accounts/roblox")
    people.clock.advance(timedelta(days=7))
    await browser.sign_in(persona)
    assert (await browser.link(7002)).headers["Location"] == "/link/done"
    people.clock.advance(timedelta(days=22, hours=23))
    other = await people.signed_in()
    assert (await other.link(7001)).headers["Location"].endswith("wait_required")
    people.clock.advance(timedelta(hours=1))
    other = await people.signed_in()
    assert (await other.link(7001)).headers["Location"] == "/link/done"


async def test_unlinking_needs_a_recent_sign_in_and_nothing_open(people: People) -> None:
    browser = await people.linked(7001)
    other = await people.linked(7002)
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO contracts (id, ref, offer_id, listing_id, buyer_id, seller_id, escrow_id,"
            " price_minor, rail, settle_currency, settle_minor, fee_schedule, buyer_fee_minor,"
            " seller_fee_minor) VALUES (gen_random_uuid(), 'C-1234567', gen_random_uuid(),"
            " gen_random_uuid(), $1, $2, gen_random_uuid(), 1000, 'STRIPE', 'USD', 1000, 'v1',"
            " 0, 0)",
            UUID(browser.user_id),
            UUID(other.user_id),
        )
    for one in (browser, other):
        answer = await one.send("DELETE", "/api/v1/me/accounts/roblox")
        document = await problem(answer, 409, "unlink_blocked")
        assert [blocker["kind"] for blocker in document["blockers"]] == ["CONTRACT"]
        answer = await one.post("/api/v1/me/close", {"confirm": "CLOSE"})
        await problem(answer, 409, "close_blocked")
    people.clock.advance(timedelta(minutes=16))
    await browser.post("/auth/refresh")
    answer = await browser.send("DELETE", "/api/v1/me/accounts/roblox")
    await problem(answer, 403, "step_up_required")


async def test_of_64_who_link_one_account_one_gets_it(people: People) -> None:
    users = [(await people.signed_in()).user_id for _ in range(8)]
    tools = Tools(people.process.settings.policy, people.market.events)
    for round_ in range(_ROUNDS):
        person = RobloxPerson(9000 + round_, f"Builder{round_}", None, OLD)
        outcomes = await asyncio.gather(
            *(_link(people, users[number % 8], person, tools) for number in range(_CALLERS))
        )
        codes = Counter(outcomes)
        assert codes["linked"] == _CALLERS // 8, "one user's callers, and no other's"
        assert codes["roblox_linked_elsewhere"] == _CALLERS - _CALLERS // 8
        held = await database.fetch(
            "SELECT user_id FROM accounts WHERE provider = 'ROBLOX' AND unlinked_at IS NULL"
        )
        assert len(held) == 1
        async with database.transaction() as tx:
            await tx.execute("DELETE FROM accounts WHERE provider = 'ROBLOX'")
    assert len(await people.audited("roblox.linked")) == _ROUNDS
    assert (await people.said()).count("account_linked") == _ROUNDS


async def test_of_64_who_use_a_link_one_does(people: People) -> None:
    browser = await people.signed_in()
    permit = Permit("LINK_ROBLOX", UUID(browser.user_id))
    for _ in range(_ROUNDS):
        token = await people.market.linking.make_link(browser.actor)
        outcomes = await asyncio.gather(*(_consume(people, token, permit) for _ in range(_CALLERS)))
        assert Counter(outcomes) == {"used": 1, "link_expired": _CALLERS - 1}


async def _consume(people: People, token: str, permit: Permit) -> str:
    try:
        async with database.transaction() as tx:
            await links.consume(tx, token, permit, people.clock.now())
    except Bloxtr8Error as error:
        return error.code
    return "used"


async def _link(people: People, user_id: str, person: RobloxPerson, tools: Tools) -> str:
    async def work(tx: database.Transaction) -> Bloxtr8Error | None:
        return await link(tx, actor(user_id), person, tools, people.clock.now())

    refusal = await database.run_in_transaction(work)
    return refusal.code if refusal else "linked"


def _link_in(page: str) -> str:
    """Return the address of the page's button."""
    start = page.index('class=go href="') + len('class=go href="')
    return page[start : page.index('"', start)].replace("&amp;", "&")


async def test_the_address_at_roblox_carries_nonce_and_account_choice(people: People) -> None:
    browser = await people.signed_in()
    url = (await (await browser.post("/auth/roblox/link")).json())["authorize_url"]
    query = query_of(url)
    assert (query["scope"], query["prompt"]) == ("openid profile", "select_account")
    assert len(query["nonce"]) == 43
    assert query["nonce"] != query["state"]
