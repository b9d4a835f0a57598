"""Discord over HTTP. In the browser one picks who one is; `?as=<id>` picks at once.

Source: discord.com/developers/docs/topics/oauth2, resources/user, resources/guild.
"""

import hmac
from typing import Annotated

from aiohttp import web
from pydantic import Field

from bloxtr8.clock import Clock
from bloxtr8.sandbox.grants import Grants, OauthError, Registered, choose_page, error_response
from bloxtr8.sandbox.orders import Body, read
from bloxtr8.sandbox.standin import JSON, StandIn, guarded

CLIENT_ID = "1100000000000000001"
CLIENT_SECRET = "discord-sandbox"  # noqa: S105 - the sandbox's own, worth nothing
BOT_TOKEN = "bot-sandbox"  # noqa: S105 - the sandbox's own, worth nothing
_SECONDS_VALID = 604_800


class DiscordPersona(Body):
    """Somebody at Discord. `guilds`: ids of those they are in."""

    id: Annotated[str, Field(pattern=r"^[0-9]{1,20}$")]
    username: Annotated[str, Field(min_length=1, max_length=64)]
    global_name: str | None = None
    avatar: str | None = None
    email: str | None = None
    verified: bool = True
    mfa_enabled: bool = True
    bot: bool = False
    guilds: list[str] = Field(default_factory=list)


class DiscordStandIn(StandIn):
    """Discord with the people that were put there."""

    def __init__(self, clock: Clock | None = None, client: Registered | None = None) -> None:
        super().__init__(clock)
        self.grants = Grants(client or Registered(CLIENT_ID, CLIENT_SECRET))
        self.people: dict[str, DiscordPersona] = {}
        self.scope: str | None = None

    def add(self, person: DiscordPersona) -> DiscordPersona:
        """Add or replace somebody."""
        self.people[person.id] = person
        return person

    def add_routes(self, app: web.Application) -> None:
        router = app.router
        router.add_get("/oauth2/authorize", self._authorize)
        router.add_post("/api/oauth2/token", self._token)
        router.add_post("/api/oauth2/token/revoke", self._revoke)
        router.add_get("/api/v10/users/@me", self._me)
        router.add_get("/api/v10/guilds/{guild}/members/{user}", self._member)
        router.add_get("/sandbox/state", guarded(self._state))
        router.add_post("/sandbox/people", guarded(self._add_person))

    async def _authorize(self, request: web.Request) -> web.StreamResponse:
        try:
            self.grants.check(request)
        except OauthError as error:
            return error_response(error)
        chosen = request.query.get("as")
        if chosen == "deny":
            raise web.HTTPFound(self.grants.deny(request))
        if chosen not in self.people:
            names = {key: person.username for key, person in self.people.items()}
            return choose_page(request, "Discord (sandbox)", names)
        raise web.HTTPFound(self.grants.agree(request, chosen, self.clock.now()))

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        authorization = request.headers.get("Authorization", "")
        try:
            token, grant = self.grants.exchange(form, authorization, self.clock.now())
        except OauthError as error:
            return error_response(error)
        return web.json_response(
            {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": _SECONDS_VALID,
                "refresh_token": f"refresh-{token}",
                "scope": self.scope if self.scope is not None else grant.scope,
            }
        )

    async def _revoke(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        try:
            self.grants.revoke(form, request.headers.get("Authorization", ""))
        except OauthError as error:
            return error_response(error)
        return web.json_response({})

    async def _me(self, request: web.Request) -> web.Response:
        try:
            grant = self.grants.of(request)
        except OauthError as error:
            return error_response(error)
        person = self.people[grant.subject]
        hidden = {"guilds"} if "email" in grant.scope.split() else {"guilds", "email", "verified"}
        return web.json_response(person.model_dump(exclude=hidden))

    async def _member(self, request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given, f"Bot {BOT_TOKEN}"):
            return web.json_response({"message": "401: Unauthorized", "code": 0}, status=401)
        person = self.people.get(request.match_info["user"])
        if person is None or request.match_info["guild"] not in person.guilds:
            return web.json_response({"message": "Unknown Member", "code": 10007}, status=404)
        user = person.model_dump(include={"id", "username", "global_name", "avatar"})
        return web.json_response({"user": user, "roles": []})

    async def _state(self, _request: web.Request) -> JSON:
        people = [person.model_dump() for person in self.people.values()]
        return {"people": people, "open_tokens": self.grants.open_tokens}

    async def _add_person(self, request: web.Request) -> JSON:
        return self.add(await read(request, DiscordPersona)).model_dump()
