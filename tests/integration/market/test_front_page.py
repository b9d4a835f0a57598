"""The front page, before and after a sign-in."""

from datetime import timedelta

from tests.integration.market.world import People


async def test_the_front_page_knows_who_has_signed_in(people: People) -> None:
    browser, persona = people.browser(), people.persona(global_name="<b>Mira</b>")
    stranger = await (await browser.get("/")).text()
    assert "href=/auth/discord/login" in stranger.replace('"', "")
    answer = await browser.sign_in(persona.id)
    assert answer.headers["Location"] == "/"
    shown = await browser.get("/")
    assert shown.headers["Cache-Control"] == "no-store"
    page = await shown.text()
    assert "You are signed in as &lt;b&gt;Mira&lt;/b&gt;." in page
    people.clock.advance(timedelta(minutes=11))
    assert "/auth/refresh" in await (await browser.get("/")).text()
