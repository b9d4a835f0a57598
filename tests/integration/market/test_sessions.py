"""Sessions: renewed by rotating tokens, ended on purpose or on theft; cookies and CSRF."""

import asyncio
import os
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest

from bloxtr8.access import AccessTokens
from bloxtr8.errors import Bloxtr8Error
from bloxtr8.market import sessions
from bloxtr8.market.sessions import SignedIn
from bloxtr8.store import database
from tests.integration.market.world import Browser, People, actor
from tests.integration.web.world import problem

_CALLERS = 64
# 100 for the long run.
_ROUNDS = int(os.environ.get("BLOXTR8_RACE_ROUNDS", "5"))

pytestmark = pytest.mark.usefixtures("patient_database")


async def _refresh(browser: Browser) -> int:
    return (await browser.post("/auth/refresh")).status


async def test_a_session_is_renewed_with_a_new_token_each_time(people: People) -> None:
    browser = await people.signed_in()
    first = browser.cookie("b8_rt")
    people.clock.advance(timedelta(minutes=11))
    await problem(await browser.get("/api/v1/me"), 401, "token_expired")
    answer = await browser.post("/auth/refresh")
    assert answer.status == 200
    document = await answer.json()
    assert document["signed_in"]
    assert document["csrf_token"] == browser.csrf
    assert browser.cookie("b8_rt") not in ("", first)
    assert (await browser.get("/api/v1/me")).status == 200


async def test_two_tabs_may_show_the_same_token(people: People) -> None:
    browser = await people.signed_in()
    old = browser.cookie("b8_rt")
    assert await _refresh(browser) == 200
    newest = browser.cookie("b8_rt")
    browser.set_cookie("b8_rt", old, "/auth/refresh")
    people.clock.advance(timedelta(seconds=9))
    answer = await browser.post("/auth/refresh")
    assert answer.status == 200
    assert "b8_rt" not in answer.cookies, "the other tab has the next one"
    browser.set_cookie("b8_rt", newest, "/auth/refresh")
    assert await _refresh(browser) == 200


async def test_a_copied_token_ends_the_session_of_both(people: People) -> None:
    browser, thief = await people.signed_in(), people.browser()
    stolen = browser.cookie("b8_rt")
    assert await _refresh(browser) == 200
    people.clock.advance(timedelta(seconds=11))
    thief.set_cookie("b8_rt", stolen, "/auth/refresh")
    answer = await thief.post("/auth/refresh")
    await problem(answer, 401, "refresh_reused")
    assert answer.cookies["b8_rt"]["max-age"] == "0"
    await problem(await browser.post("/auth/refresh"), 401, "refresh_invalid")
    await problem(await browser.post("/api/v1/me/consents", {}), 401, "unauthenticated")
    assert len(await people.audited("session.reuse_detected")) == 1
    assert (await people.said())[-1] == "security_notice"


async def test_a_week_without_use_ends_it_and_so_do_thirty_days(people: People) -> None:
    idle, busy = await people.signed_in(), await people.signed_in()
    for _ in range(4):
        people.clock.advance(timedelta(days=6))
        assert await _refresh(busy) == 200
    await problem(await idle.post("/auth/refresh"), 401, "refresh_invalid")
    people.clock.advance(timedelta(days=6))
    await problem(await busy.post("/auth/refresh"), 401, "refresh_invalid")


async def test_nonsense_is_refused(people: People) -> None:
    browser = people.browser()
    for token in ("", "x", "brt_", "brt_" + "A" * 43, "b" * 5000):
        browser.set_cookie("b8_rt", token, "/auth/refresh")
        await problem(await browser.post("/auth/refresh"), 401, "refresh_invalid")


async def test_renewal_from_another_site_is_refused(people: People) -> None:
    browser = await people.signed_in()
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}):
        answer = await browser.post("/auth/refresh", headers=headers)
        await problem(answer, 403, "csrf_failed")
    assert await _refresh(browser) == 200


async def test_signing_out_ends_this_session_only(people: People) -> None:
    persona = people.persona()
    one, two = people.browser(), people.browser()
    await one.sign_in(persona.id)
    await two.sign_in(persona.id)
    answer = await one.post("/auth/logout")
    assert answer.status == 204
    assert not one.cookie("b8_at")
    assert not (await one.look())["signed_in"]
    assert await _refresh(two) == 200
    assert (await two.post("/auth/logout-all")).status == 204
    rows = await database.fetch("SELECT revoke_reason FROM sessions ORDER BY id")
    assert [row["revoke_reason"] for row in rows] == ["signed_out", "signed_out_everywhere"]


async def test_changes_by_cookie_need_our_page(people: People) -> None:
    browser = await people.signed_in()
    body = {"document": "TERMS", "version": people.process.settings.policy.terms}
    for headers in ({"Origin": "https://evil.example"}, {"X-CSRF-Token": "x"}):
        answer = await browser.post("/api/v1/me/consents", body, headers=headers)
        await problem(answer, 403, "csrf_failed")
    assert (await browser.post("/api/v1/me/consents", body)).status == 201


async def test_somebody_elses_session_cannot_be_ended(people: People) -> None:
    one, two = await people.signed_in(), await people.signed_in()
    rows = await database.fetch("SELECT id FROM sessions WHERE user_id = $1", UUID(two.user_id))
    await problem(
        await one.send("DELETE", f"/api/v1/me/sessions/{rows[0]['id']}"), 404, "not_found"
    )
    shown = await (await one.get("/api/v1/me/sessions")).json()
    (mine,) = shown["items"]
    assert mine["current"]
    assert mine["network"] == "127.0.0.0/24", "the address is not shown whole"
    answer = await one.send("DELETE", f"/api/v1/me/sessions/{mine['id']}")
    assert answer.status == 204
    await problem(await one.post("/api/v1/me/consents", {}), 401, "session_revoked")


async def test_an_expired_page_renews_itself(people: People) -> None:
    browser = await people.signed_in()
    people.clock.advance(timedelta(minutes=11))
    page = await browser.get("/link/done")
    assert "/auth/refresh" in await page.text()
    assert "script-src 'nonce-" in page.headers["Content-Security-Policy"]
    assert await _refresh(browser) == 200
    assert "Discord: person1" in await (await browser.get("/link/done")).text()


async def test_staff_need_a_second_factor_at_discord(people: People) -> None:
    persona = people.persona(mfa_enabled=False)
    browser = people.browser()
    await browser.sign_in(persona.id)
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO staff_members (user_id, role, granted_at) VALUES ($1, 'ADMIN', now())",
            UUID(browser.user_id),
        )
    await problem(await browser.get("/api/v1/staff/members"), 403, "mfa_required")
    people.discord.add(persona.model_copy(update={"mfa_enabled": True}))
    await browser.sign_in(persona.id)
    assert (await browser.get("/api/v1/staff/members")).status == 200


async def test_of_64_who_renew_at_once_one_gets_the_next_token(people: People) -> None:
    browser = await people.signed_in()
    token = browser.cookie("b8_rt")
    for _ in range(_ROUNDS):
        outcomes = await _all_at_once(people, browser, token)
        issued = [outcome.refresh_token for outcome in outcomes if isinstance(outcome, SignedIn)]
        assert len(issued) == _CALLERS
        (token,) = [item for item in issued if item is not None]
    assert await people.audited("session.reuse_detected") == []


async def test_of_64_replays_at_once_one_ends_the_session(people: People) -> None:
    for _ in range(_ROUNDS):
        browser = await people.signed_in()
        token = browser.cookie("b8_rt")
        assert await _refresh(browser) == 200
        people.clock.advance(timedelta(minutes=1))
        outcomes = await _all_at_once(people, browser, token)
        codes = Counter(error.code for error in outcomes if isinstance(error, Bloxtr8Error))
        assert codes == {"refresh_reused": 1, "refresh_invalid": _CALLERS - 1}
    assert len(await people.audited("session.reuse_detected")) == _ROUNDS
    assert (await people.said()).count("security_notice") == _ROUNDS


async def _all_at_once(people: People, browser: Browser, token: str) -> list[object]:
    events, now = people.market.events, people.clock.now()
    who = actor(browser.user_id)
    return await asyncio.gather(
        *(sessions.refresh(token, who, events, now) for _ in range(_CALLERS)),
        return_exceptions=True,
    )


async def test_a_token_tells_its_session_only_when_it_is_ours(people: People) -> None:
    browser = await people.signed_in()
    tokens = AccessTokens.from_settings(people.process.settings, people.clock)
    token = browser.cookie("b8_at")
    people.clock.advance(timedelta(days=2))
    assert tokens.session_of(token) is not None
    assert tokens.session_of(token[:-6] + "AAAAAA") is None
    assert tokens.session_of("x" * 5000) is None
