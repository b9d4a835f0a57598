"""Signing in with Discord, and everything that somebody could try with it."""

import base64
import hashlib
import json
from datetime import timedelta
from uuid import UUID

import pytest

from bloxtr8.market import signin
from bloxtr8.sandbox.faults import Fault, FaultRule
from bloxtr8.store import database
from tests.integration.market.world import Browser, People, query_of
from tests.integration.web.world import problem


async def _states() -> list[dict[str, object]]:
    return await database.fetch("SELECT * FROM oauth_states ORDER BY id")


async def test_a_first_sign_in_makes_a_user(people: People) -> None:
    browser = people.browser()
    persona = people.persona()
    answer = await browser.sign_in(persona.id, "/listings?page=2")
    assert (answer.status, answer.headers["Location"]) == (303, "/listings?page=2")
    user = await database.fetchrow("SELECT * FROM users")
    assert user is not None
    assert (user["display_name"], user["email"]) == (persona.global_name, persona.email)
    assert (user["tier"], user["status"]) == ("TIER_0", "ACTIVE")
    assert await people.said() == ["user_registered"]
    assert len(await people.audited("user.created")) == 1
    assert len(await people.audited("session.created")) == 1
    assert people.discord.grants.open_tokens == 0, "the provider's token was given back"
    me = await (await browser.get("/api/v1/me")).json()
    assert (me["id"], me["tier"], me["email"]) == (browser.user_id, "TIER_0", persona.email)


async def test_a_second_sign_in_finds_the_user(people: People) -> None:
    persona = people.persona()
    first, second = people.browser(), people.browser()
    await first.sign_in(persona.id)
    people.discord.add(persona.model_copy(update={"username": "renamed"}))
    await second.sign_in(persona.id)
    assert first.user_id == second.user_id
    account = await database.fetchrow("SELECT * FROM accounts")
    assert account is not None
    assert account["username"] == "renamed"


async def test_the_browser_is_sent_with_pkce_and_little_else(people: People) -> None:
    query = query_of(await people.browser().depart())
    assert (query["response_type"], query["code_challenge_method"]) == ("code", "S256")
    assert (query["scope"], query["prompt"]) == ("identify email", "none")
    assert query["redirect_uri"] == f"{people.origin}/auth/discord/callback"
    assert len(query["state"]) == 43
    (row,) = await _states()
    assert row["state_hash"] == hashlib.sha256(query["state"].encode()).digest()


async def test_cookies_are_closed_to_scripts_and_other_sites(people: People) -> None:
    browser = people.browser()
    answer = await browser.get(await browser.agree(await browser.depart(), people.persona().id))
    cookies = {morsel.key: morsel for morsel in answer.cookies.values()}
    access, renewal = cookies["b8_at"], cookies["b8_rt"]
    assert access["httponly"]
    assert renewal["httponly"]
    assert (access["samesite"], access["path"]) == ("Lax", "/")
    assert (renewal["samesite"], renewal["path"]) == ("Strict", "/auth/refresh")
    assert cookies["b8_oauth"]["max-age"] == "0"
    assert answer.headers["Cache-Control"] == "no-store"
    stored = await database.fetchrow("SELECT token_hash FROM refresh_tokens")
    assert stored is not None
    assert stored["token_hash"] == hashlib.sha256(renewal.value.encode()).digest()


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "evil",
        "javascript:alert(1)",
        "/a%0d%0aSet-Cookie:x",
        "/ok#fragment",
        "/%E2%80%AE",
    ],
)
async def test_nobody_is_sent_to_another_site(people: People, target: str) -> None:
    browser = people.browser()
    answer = await browser.get("/auth/discord/login", params={"return_to": target})
    callback = await browser.agree(answer.headers["Location"], people.persona().id)
    location = (await browser.get(callback)).headers["Location"]
    assert location.startswith("/")
    assert not location.startswith("//")
    assert "evil" not in location or location == target


async def test_a_state_works_once(people: People) -> None:
    browser = people.browser()
    departure = await browser.depart()
    cookie = browser.cookie("b8_oauth")
    persona = people.persona()
    assert (await browser.get(await browser.agree(departure, persona.id))).status == 303
    again = await browser.agree(departure, persona.id)
    browser.set_cookie("b8_oauth", cookie)
    answer = await browser.get(again)
    assert answer.status == 400
    assert "oauth_state_invalid" in await answer.text()
    assert len(await database.fetch("SELECT id FROM sessions")) == 1


async def test_another_browser_cannot_finish(people: People) -> None:
    mine, other = people.browser(), people.browser()
    await other.depart()
    callback = await mine.agree(await mine.depart(), people.persona().id)
    answer = await other.get(callback)
    assert "oauth_state_invalid" in await answer.text()
    assert not other.cookie("b8_at")
    # What another has seen is worth nothing to its owner either.
    answer = await mine.get(callback)
    assert answer.status == 400
    assert await database.fetch("SELECT id FROM users") == []


async def test_login_csrf_is_refused(people: People) -> None:
    attacker, victim = people.browser(), people.browser()
    callback = await attacker.agree(await attacker.depart(), people.persona().id)
    answer = await victim.get(callback)
    assert (answer.status, answer.content_type) == (400, "text/html")
    assert not victim.cookie("b8_at")
    assert {row["outcome"] for row in await _states()} == {"mismatch"}


async def test_a_code_cannot_be_replayed_in_another_sign_in(people: People) -> None:
    victim, attacker = people.browser(), people.browser()
    stolen = query_of(await victim.agree(await victim.depart(), people.persona().id))["code"]
    state = query_of(await attacker.depart())["state"]
    answer = await attacker.get(f"/auth/discord/callback?code={stolen}&state={state}")
    assert "oauth_exchange_failed" in await answer.text()
    assert await database.fetch("SELECT id FROM users") == []


async def test_an_old_code_is_refused(people: People) -> None:
    browser = people.browser()
    callback = await browser.agree(await browser.depart(), people.persona().id)
    people.clock.advance(timedelta(seconds=61))
    assert "oauth_exchange_failed" in await (await browser.get(callback)).text()


async def test_a_sign_in_takes_ten_minutes_at_most(people: People) -> None:
    browser = people.browser()
    departure = await browser.depart()
    people.clock.advance(timedelta(minutes=10))
    callback = await browser.agree(departure, people.persona().id)
    assert "oauth_state_invalid" in await (await browser.get(callback)).text()


async def test_an_answer_of_another_issuer_is_refused(people: People) -> None:
    browser = people.browser()
    callback = await browser.agree(await browser.depart(), people.persona().id)
    answer = await browser.get(f"{callback}&iss=https://evil.example")
    assert "oauth_state_invalid" in await answer.text()
    assert not any("token" in line for line in people.discord.asked)


async def test_a_state_of_one_provider_is_nothing_to_the_other(people: People) -> None:
    browser = people.browser()
    state = query_of(await browser.depart())["state"]
    answer = await browser.get(f"/auth/roblox/callback?code=x&state={state}")
    assert answer.headers["Location"] == "/link/error?code=oauth_state_invalid"
    (row,) = await _states()
    assert row["consumed_at"] is not None


async def test_refusing_at_discord(people: People) -> None:
    browser = people.browser()
    answer = await browser.get(await browser.agree(await browser.depart(), "deny"))
    assert "oauth_denied" in await answer.text()
    (row,) = await _states()
    assert (row["outcome"], row["consumed_at"] is not None) == ("oauth_denied", True)
    assert answer.cookies["b8_oauth"]["max-age"] == "0"


@pytest.mark.parametrize(
    "query", ["", "state=", "state=x&code=y", "state=x&code=" + "y" * 3000, "error=<script>"]
)
async def test_malformed_answers(people: People, query: str) -> None:
    browser = people.browser()
    await browser.depart()
    answer = await browser.get(f"/auth/discord/callback?{query}")
    assert answer.status in (400, 422)
    assert answer.content_type == "text/html"
    assert "<script>" not in await answer.text()


@pytest.mark.parametrize(
    ("route", "fault"),
    [
        ("POST /api/oauth2/token", Fault.ERROR_BEFORE),
        ("POST /api/oauth2/token", Fault.DISCONNECT_BEFORE),
        ("POST /api/oauth2/token", Fault.GARBAGE),
        ("GET /api/v10/users/@me", Fault.ERROR_BEFORE),
        ("GET /api/v10/users/@me", Fault.GARBAGE),
    ],
)
async def test_when_discord_fails_nothing_is_made(people: People, route: str, fault: Fault) -> None:
    people.discord.faults.add(FaultRule(route, fault))
    browser = people.browser()
    answer = await browser.sign_in(people.persona().id)
    assert "oauth_exchange_failed" in await answer.text()
    assert await database.fetch("SELECT id FROM users") == []
    asked = [line for line in people.discord.asked if line == "POST /api/oauth2/token"]
    assert len(asked) == 1, "a code is shown once"


async def test_a_failed_revocation_is_not_the_persons_problem(people: People) -> None:
    people.discord.faults.add(FaultRule("POST /api/oauth2/token/revoke", Fault.ERROR_BEFORE))
    browser = people.browser()
    assert (await browser.sign_in(people.persona().id)).status == 303


async def test_bots_have_no_account(people: People) -> None:
    answer = await people.browser().sign_in(people.persona(bot=True).id)
    assert answer.status == 403
    assert await database.fetch("SELECT id FROM users") == []


async def test_an_unverified_address_is_not_kept(people: People) -> None:
    browser = await people.signed_in(verified=False)
    assert (await (await browser.get("/api/v1/me")).json())["email"] is None


async def test_a_closed_account_stays_out_and_a_frozen_one_comes_in(people: People) -> None:
    persona = people.persona()
    browser = people.browser()
    await browser.sign_in(persona.id)
    await _set_status(browser.user_id, "FROZEN")
    assert (await people.browser().sign_in(persona.id)).status == 303
    await _set_status(browser.user_id, "CLOSED")
    assert (await people.browser().sign_in(persona.id)).status == 403


async def test_signing_in_again_ends_this_browsers_earlier_session(people: People) -> None:
    browser = await people.signed_in()
    persona = next(iter(people.discord.people))
    people.clock.advance(timedelta(minutes=30))
    await browser.sign_in(persona)
    rows = await database.fetch("SELECT revoke_reason FROM sessions ORDER BY created_at")
    assert [row["revoke_reason"] for row in rows] == ["signed_in_again", None]
    (ended,) = await people.audited("session.revoked")
    assert json.loads(ended["data"]) == {"why": "signed_in_again"}
    assert str(ended["actor_id"]) == browser.user_id


async def test_an_eleventh_session_ends_the_oldest_and_says_so(people: People) -> None:
    persona = people.persona()
    for _ in range(11):
        people.clock.advance(timedelta(minutes=1))
        assert (await people.browser().sign_in(persona.id)).status == 303
    rows = await database.fetch("SELECT id, revoke_reason FROM sessions ORDER BY created_at")
    assert [row["revoke_reason"] for row in rows] == ["too_many"] + [None] * 10
    (ended,) = await people.audited("session.revoked")
    assert ended["subject_id"] == str(rows[0]["id"])
    assert json.loads(ended["data"]) == {"why": "too_many"}


async def test_a_step_up_is_for_the_same_person(people: People) -> None:
    browser = await people.signed_in()
    url = await browser.depart(step_up=1)
    assert query_of(url)["prompt"] == "consent"
    other = people.persona()
    answer = await browser.get(await browser.agree(url, other.id))
    assert answer.status == 403
    me = (await browser.look())["user_id"]
    assert me == browser.user_id


async def test_pkce_verifiers_are_not_guessable_from_the_database(people: People) -> None:
    browser = people.browser()
    query = query_of(await browser.depart())
    cookie = browser.cookie("b8_oauth")
    for guess in (query["state"], cookie, query["state"] + cookie):
        digest = hashlib.sha256(guess.encode()).digest()
        assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != query["code_challenge"]


async def test_without_a_registration_signing_in_is_unavailable(people: People) -> None:
    people.process.settings.discord.client_id = ""
    from web import make_web
    from web.deps import DEPS

    market = make_web(people.process)[DEPS].market
    from bloxtr8.errors import UpstreamUnavailable

    with pytest.raises(UpstreamUnavailable):
        await market.sign_in.begin("/")
    await market.close()


async def test_the_api_tells_who_i_am_not_who_others_are(people: People) -> None:
    one, two = await people.signed_in(), await people.signed_in()
    public = await (await one.get(f"/api/v1/users/{two.user_id}")).json()
    assert public["id"] == two.user_id
    assert "email" not in public
    await problem(await people.browser().get("/api/v1/me"), 401, "unauthenticated")


async def _set_status(user_id: str, status: str) -> None:
    async with database.transaction() as tx:
        await tx.execute("UPDATE users SET status = $2 WHERE id = $1", UUID(user_id), status)


async def test_a_sign_in_from_another_browser_is_told(people: People) -> None:
    persona, first = people.persona(), people.browser()
    await first.sign_in(persona.id)
    assert await _sessions_told(first) == ["OTHER"]
    # The same browser again, also when its access token has ended, is no news.
    await first.sign_in(persona.id)
    people.clock.advance(timedelta(minutes=20))
    await first.sign_in(persona.id)
    assert len(await _sessions_told(first)) == 1
    # A browser in which somebody else was signed in is one that this person does not have.
    shared = people.browser()
    await shared.sign_in(people.persona().id)
    await shared.sign_in(persona.id)
    assert len(await _sessions_told(first)) == 2


async def _sessions_told(browser: Browser) -> list[str]:
    rows = await database.fetch(
        "SELECT data FROM notification_deliveries WHERE template = 'session_started'"
        " AND channel = 'INBOX' AND user_id = $1 ORDER BY created_at",
        UUID(browser.user_id),
    )
    return [json.loads(row["data"])["browser"] for row in rows]


@pytest.mark.parametrize(
    ("user_agent", "family"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "FIREFOX"),
        ("Mozilla/5.0 AppleWebKit/537.36 Chrome/129.0.0.0 Safari/537.36", "CHROME"),
        ("Mozilla/5.0 AppleWebKit/537.36 Chrome/129.0.0.0 Safari/537.36 Edg/129.0", "EDGE"),
        ("Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 Version/18.0 Safari/604.1", "SAFARI"),
        ("", "OTHER"),
    ],
)
def test_browsers_are_told_apart(user_agent: str, family: str) -> None:
    assert signin.browser_of(user_agent) == family
