"""Browsers, people at Discord and Roblox, and what the tests ask of them."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import aiohttp
from aiohttp import CookieJar, web
from aiohttp.test_utils import TestClient
from yarl import URL

from bloxtr8.clock import ManualClock
from bloxtr8.market.actors import Actor, Channel
from bloxtr8.market.market import Market
from bloxtr8.messaging import metadata
from bloxtr8.sandbox.discord import DiscordPersona, DiscordStandIn
from bloxtr8.sandbox.roblox import Experience, Group, RobloxPersona, RobloxStandIn
from bloxtr8.store import database
from tests.integration.web.world import TestProcess
from web.deps import DEPS

DISCORD_EPOCH = datetime(2015, 1, 1, tzinfo=UTC)
OLD = datetime(2019, 5, 1, tzinfo=UTC)


@dataclass
class Browser:
    """A browser: cookies of its own, redirects followed by hand."""

    people: "People"
    http: aiohttp.ClientSession
    csrf: str = ""
    user_id: str = ""
    seen: list[str] = field(default_factory=list)

    async def get(self, path: str, **options: Any) -> aiohttp.ClientResponse:
        url = path if path.startswith("http") else self.people.origin + path
        answer = await self.http.get(url, allow_redirects=False, **options)
        await answer.read()
        return answer

    async def send(
        self, method: str, path: str, body: Any = None, **options: Any
    ) -> aiohttp.ClientResponse:
        """Send a change as a page of ours does."""
        headers = {"Origin": self.people.origin, "X-CSRF-Token": self.csrf}
        headers |= options.pop("headers", {})
        if body is not None:
            options["json"] = body
        url = self.people.origin + path
        answer = await self.http.request(
            method, url, headers=headers, allow_redirects=False, **options
        )
        await answer.read()
        return answer

    async def post(self, path: str, body: Any = None, **options: Any) -> aiohttp.ClientResponse:
        return await self.send("POST", path, body, **options)

    async def depart(self, return_to: str = "/", step_up: int = 0) -> str:
        """Begin a sign-in; return Discord's address."""
        answer = await self.get(f"/auth/discord/login?return_to={return_to}&step_up={step_up}")
        assert answer.status == 303, await answer.text()
        return answer.headers["Location"]

    async def agree(self, authorize_url: str, who: str) -> str:
        """Agree at a provider as `who`; return our callback's address."""
        answer = await self.http.get(
            str(URL(authorize_url).update_query({"as": who})), allow_redirects=False
        )
        assert answer.status == 302, await answer.text()
        return answer.headers["Location"]

    async def sign_in(self, who: str, return_to: str = "/") -> aiohttp.ClientResponse:
        """Sign in with Discord as `who`; return the callback's answer."""
        answer = await self.get(await self.agree(await self.depart(return_to), who))
        await self.look()
        return answer

    async def look(self) -> dict[str, Any]:
        """Ask who is signed in, and keep the CSRF token."""
        document: dict[str, Any] = await (await self.get("/auth/session")).json()
        self.csrf = document["csrf_token"] or ""
        self.user_id = document["user_id"] or ""
        return document

    async def link(self, roblox_id: int) -> aiohttp.ClientResponse:
        """Link a Roblox account; return the callback's answer."""
        answer = await self.post("/auth/roblox/link")
        assert answer.status == 200, await answer.text()
        url = (await answer.json())["authorize_url"]
        return await self.get(await self.agree(url, str(roblox_id)))

    async def consent(self) -> None:
        """Agree to every document."""
        policy = self.people.process.settings.policy
        versions = {
            "TERMS": policy.terms,
            "PRIVACY": policy.privacy,
            "AGE_18": policy.age_18,
            "ROBLOX_POLICY": policy.roblox_policy,
        }
        for document, version in versions.items():
            body = {"document": document, "version": version}
            answer = await self.post("/api/v1/me/consents", body)
            assert answer.status in (200, 201), await answer.text()

    def cookie(self, name: str) -> str:
        """Return a cookie's value, "" when there is none."""
        for path in ("/", "/auth/refresh"):
            found = self.http.cookie_jar.filter_cookies(URL(self.people.origin + path)).get(name)
            if found is not None:
                return found.value
        return ""

    def set_cookie(self, name: str, value: str, path: str = "/") -> None:
        """Replace a cookie of that name and path, as the server's own would be."""
        cookie: SimpleCookie = SimpleCookie()
        cookie[name] = value
        cookie[name]["path"] = path
        self.http.cookie_jar.update_cookies(cookie, URL(self.people.origin + path))

    @property
    def actor(self) -> Actor:
        return actor(self.user_id)


class People:
    """Everything a test about people needs."""

    def __init__(
        self,
        process: TestProcess,
        application: web.Application,
        client: "TestClient[Any, Any]",
        discord: DiscordStandIn,
        roblox: RobloxStandIn,
    ) -> None:
        self.process = process
        self.application = application
        self.client = client
        self.discord = discord
        self.roblox = roblox
        self.origin = process.settings.web.public_url
        self._browsers: list[aiohttp.ClientSession] = []
        self._number = 0

    @property
    def clock(self) -> ManualClock:
        return self.process.clock

    @property
    def market(self) -> Market:
        return self.application[DEPS].market

    def browser(self) -> Browser:
        session = aiohttp.ClientSession(cookie_jar=CookieJar(unsafe=True))
        self._browsers.append(session)
        return Browser(self, session)

    async def close(self) -> None:
        for session in self._browsers:
            await session.close()

    def persona(self, **options: Any) -> DiscordPersona:
        """Add somebody new at Discord, with an account from 2019."""
        self._number += 1
        milliseconds = int((OLD - DISCORD_EPOCH) / timedelta(milliseconds=1))
        values = {
            "id": str((milliseconds << 22) + self._number),
            "username": f"person{self._number}",
            "global_name": f"Person {self._number}",
            "email": f"person{self._number}@example.com",
        }
        return self.discord.add(DiscordPersona(**(values | options)))

    def robloxian(self, roblox_id: int, **options: Any) -> RobloxPersona:
        values = {"id": roblox_id, "name": f"Builder{roblox_id}", "created": OLD}
        return self.roblox.add_user(RobloxPersona(**(values | options)))

    def experience(self, universe_id: int, owner_id: int, **options: Any) -> Experience:
        values: dict[str, Any] = {
            "universe_id": universe_id,
            "root_place_id": universe_id + 1_000_000,
            "name": f"Game {universe_id}",
            "owner_id": owner_id,
            "created": OLD,
            "updated": OLD,
            "visits": 41_208,
        }
        return self.roblox.add_experience(Experience(**(values | options)))

    def group(self, group_id: int, owner_id: int | None, **options: Any) -> Group:
        values = {"id": group_id, "name": f"Group {group_id}", "owner_id": owner_id}
        return self.roblox.add_group(Group(**(values | options)))

    async def signed_in(self, **options: Any) -> Browser:
        """Return a browser of somebody new who has signed in."""
        browser = self.browser()
        answer = await browser.sign_in(self.persona(**options).id)
        assert answer.status == 303, await answer.text()
        assert browser.user_id
        return browser

    async def linked(self, roblox_id: int, **options: Any) -> Browser:
        """Return a browser of somebody who has signed in and linked Roblox."""
        browser = await self.signed_in(**options)
        if roblox_id not in self.roblox.world.users:
            self.robloxian(roblox_id)
        answer = await browser.link(roblox_id)
        assert answer.headers["Location"] == "/link/done", answer.headers
        return browser

    async def staff(self, role: str = "ADMIN") -> Browser:
        """Return a browser of a member of staff."""
        browser = await self.signed_in()
        async with database.transaction() as tx:
            await tx.execute(
                "INSERT INTO staff_members (user_id, role, granted_at) VALUES ($1, $2, $3)",
                UUID(browser.user_id),
                role,
                self.clock.now(),
            )
        return browser

    async def audited(self, action: str) -> list[dict[str, Any]]:
        return await database.fetch("SELECT * FROM audit_log WHERE action = $1 ORDER BY id", action)

    async def said(self) -> list[str]:
        """Return the kinds of facts in the outbox, in order."""
        rows = await database.fetch(
            "SELECT event_type FROM outbox WHERE topic = 'marketplace.events.v1' ORDER BY id"
        )
        return [row["event_type"] for row in rows]


def actor(user_id: str) -> Actor:
    return Actor(UUID(user_id), Channel.WEB, metadata.new_traceparent(), ip="127.0.0.1")


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def form_of(page: str) -> tuple[str, str]:
    """Return the action and the CSRF token of a page's form."""
    action = re.search(r'action="([^"]+)"', page)
    token = re.search(r'name=_csrf value="([^"]+)"', page)
    assert action is not None
    assert token is not None
    return action[1], token[1]
