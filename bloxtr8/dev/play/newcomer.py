"""Somebody who is nobody yet: signs up with Discord, links Roblox, agrees, can be paid.

All of it over the public routes, with a browser of their own.
"""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from bloxtr8.dev.play.api import JSON
from bloxtr8.dev.play.people import Person
from bloxtr8.sandbox.discord import DiscordPersona
from bloxtr8.sandbox.roblox import Experience, RobloxPersona

if TYPE_CHECKING:
    from bloxtr8.dev.play.stage import Stage

_ACCESS_COOKIE = "b8_at"
_DISCORD_EPOCH = datetime(2015, 1, 1, tzinfo=UTC)
_SINCE = datetime(2019, 5, 1, tzinfo=UTC)
# Discord's ids have the time of the sign-up there in their upper bits.
_SNOWFLAKE_SHIFT = 22
_SIGN_IN_AGAIN_AFTER = timedelta(minutes=8)
_PAYOUT_USABLE_AFTER = timedelta(hours=24, minutes=5)
_WAIT_SECONDS_MAX = 30.0
_POLL_SECONDS = 0.2


class Refused(Exception):
    """A step of the sign-up did not lead where it should."""


@dataclass(slots=True)
class Newcomer(Person):
    """Made by `arrive`. `discord_id`, `roblox_id`: who they are at the stand-ins."""

    discord_id: str = ""
    roblox_id: int = 0
    _origin: str = field(default="", repr=False)
    _browser: aiohttp.ClientSession | None = field(default=None, repr=False)
    _signed_in_at: datetime | None = field(default=None, repr=False)

    async def token(self) -> str:
        """Return the access token of a sign-in that is recent enough to sign and to move money."""
        now = self._people.clock.now()
        if self._signed_in_at is None or now - self._signed_in_at > _SIGN_IN_AGAIN_AFTER:
            await self.sign_in()
        cookies = self.browser.cookie_jar.filter_cookies(URL(self._origin))
        return cookies[_ACCESS_COOKIE].value

    @property
    def browser(self) -> aiohttp.ClientSession:
        assert self._browser is not None, "a newcomer has a browser"
        return self._browser

    async def sign_in(self) -> None:
        """Sign in with Discord; the first time makes the account."""
        leave = await self._leads("GET", "/auth/discord/login?return_to=/")
        back = await self._agree(leave, self.discord_id)
        await self._leads("GET", back)
        self._signed_in_at = self._people.clock.now()
        self.id = str((await self._who())["user_id"])

    async def link_roblox(self) -> None:
        """Link the Roblox account, whose holder they are at Roblox's own page."""
        session = await self._who()
        headers = {"Origin": self._origin, "X-CSRF-Token": str(session["csrf_token"])}
        async with self.browser.post(f"{self._origin}/auth/roblox/link", headers=headers) as answer:
            if answer.status != 200:
                raise Refused(await answer.text())
            leave = str((await answer.json())["authorize_url"])
        back = await self._agree(leave, str(self.roblox_id))
        if await self._leads("GET", back) != "/link/done":
            raise Refused("Roblox was not linked")

    async def open(self, url: str) -> None:
        """Open a page of a provider, as its link tells to."""
        async with self.browser.get(url, allow_redirects=False) as answer:
            if answer.status >= 400:
                raise Refused(f"{answer.status}: {await answer.text()}")

    async def _who(self) -> JSON:
        async with self.browser.get(f"{self._origin}/auth/session") as answer:
            found: JSON = await answer.json()
            return found

    async def _agree(self, authorize_url: str, who: str) -> str:
        """Agree at a provider as `who`; return our callback's address."""
        return await self._leads("GET", str(URL(authorize_url).update_query({"as": who})))

    async def _leads(self, method: str, path: str) -> str:
        """Return where an answer leads; raises Refused when it leads nowhere."""
        url = path if path.startswith("http") else self._origin + path
        async with self.browser.request(method, url, allow_redirects=False) as answer:
            target = answer.headers.get("Location")
            if target is None:
                raise Refused(f"{answer.status}: {(await answer.text())[:200]}")
            return target


def appear(stage: "Stage", name: str, number: int) -> Newcomer:
    """Return somebody whom Discord and Roblox know, and who is nobody here yet."""
    stand_ins, stack = stage.stack.stand_ins, stage.stack
    milliseconds = int((_SINCE - _DISCORD_EPOCH) / timedelta(milliseconds=1))
    discord_id = str((milliseconds << _SNOWFLAKE_SHIFT) + number)
    stand_ins.discord.add(DiscordPersona(id=discord_id, username=name.lower(), global_name=name))
    roblox_id = 7_000 + number
    stand_ins.roblox.add_user(RobloxPersona(id=roblox_id, name=f"{name}Builds", created=_SINCE))
    return Newcomer(
        id="",
        name=name,
        role=None,
        payout_method_id="",
        wallet="",
        _people=stage.people,
        discord_id=discord_id,
        roblox_id=roblox_id,
        _origin=stack.settings.web.public_url,
        _browser=stage.browser(),
    )


async def arrive(stage: "Stage", name: str, number: int) -> Newcomer:
    """Return somebody new, signed up and linked, who has agreed to everything."""
    newcomer = appear(stage, name, number)
    await newcomer.sign_in()
    await newcomer.link_roblox()
    versions = stage.stack.settings.policy.model_dump()
    for document in (await stage.api.get("/me/consents", newcomer))["missing"]:
        body = {"document": document, "version": versions[document.lower()]}
        await stage.api.post("/me/consents", newcomer, body)
    return newcomer


async def become_payable(stage: "Stage", seller: Newcomer) -> None:
    """Open a payout account at the provider and let the day pass in which it is not used."""
    added = await stage.api.post("/me/payout-methods", seller, {"kind": "STRIPE_ACCOUNT"})
    await seller.open(added["onboarding_url"])

    async def verified() -> bool:
        methods = (await stage.api.get("/me/payout-methods", seller))["items"]
        return [method["status"] for method in methods] == ["VERIFIED"]

    await until(verified, "the payout account is not verified")
    stage.travel(_PAYOUT_USABLE_AFTER)


def own_experience(stage: "Stage", seller: Newcomer, name: str) -> Experience:
    """Return an experience that Roblox says is the seller's."""
    universe_id = 5_795_000_000 + seller.roblox_id
    return stage.stack.stand_ins.roblox.add_experience(
        Experience(
            universe_id=universe_id,
            root_place_id=universe_id + 1_000_000,
            name=name,
            description="A city to build, with shop, pets and daily quests.",
            owner_id=seller.roblox_id,
            created=_SINCE,
            updated=_SINCE,
            visits=41_208,
        )
    )


async def until(ask: Any, failure: str) -> None:
    """Wait until `ask()` is true; raises Refused with `failure` after 30 s."""
    end = time.monotonic() + _WAIT_SECONDS_MAX
    while not await ask():
        if time.monotonic() > end:
            raise Refused(failure)
        await asyncio.sleep(_POLL_SECONDS)
