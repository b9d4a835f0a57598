"""Discord as the one who knows people: OAuth 2.0 and the profile of whoever signed in.

Source: discord.com/developers/docs/topics/oauth2 and resources/user.
"""

from typing import Any
from urllib.parse import quote

import structlog

from bloxtr8.config import DiscordSettings
from bloxtr8.errors import Forbidden, OauthExchangeFailed, UpstreamUnavailable
from bloxtr8.market import oauth
from bloxtr8.market.oauth import Client, Endpoints
from bloxtr8.market.users import DiscordPerson
from bloxtr8.outbound import Ask, Outbound, Unreachable, Unreadable

CALLBACK = "/auth/discord/callback"
_SCOPE = "identify email"
_SNOWFLAKE_MAX = 20

_log = structlog.get_logger(__name__)


class Discord:
    """Discord's side of a sign-in. `public_url`: our origin, where the callback is."""

    def __init__(self, settings: DiscordSettings, public_url: str, http: Outbound) -> None:
        base = settings.base.rstrip("/")
        self._http = http
        self._base = base
        self._endpoints = Endpoints(
            authorize=f"{base}/oauth2/authorize",
            token=f"{base}/api/oauth2/token",
            revoke=f"{base}/api/oauth2/token/revoke",
        )
        self._client = Client(
            settings.client_id,
            settings.client_secret.get_secret_value(),
            public_url.rstrip("/") + CALLBACK,
            "client_secret_basic",
        )
        self._bot_token = settings.bot_token.get_secret_value()

    @property
    def issuer(self) -> str:
        return self._base

    def authorize_url(self, state: str, verifier: str, *, step_up: bool) -> str:
        """Return where the browser goes; a step-up asks the person again.

        Raises UpstreamUnavailable when we are not registered at Discord.
        """
        if not self._client.client_id:
            raise UpstreamUnavailable("Signing in with Discord is not set up here.")
        prompt = "consent" if step_up else "none"
        return oauth.authorize_url(
            self._client,
            self._endpoints,
            state=state,
            verifier=verifier,
            scope=_SCOPE,
            prompt=prompt,
        )

    async def person(self, code: str, verifier: str) -> DiscordPerson:
        """Return who agreed to `code`; the token is given back before this returns.

        Raises OauthExchangeFailed, and Forbidden for bots.
        """
        tokens = await oauth.exchange(
            self._http, self._client, self._endpoints, code=code, verifier=verifier
        )
        try:
            if "identify" not in tokens.scope:
                raise OauthExchangeFailed
            return _person(await self._profile(tokens.access_token))
        finally:
            await oauth.revoke(self._http, self._client, self._endpoints, tokens.access_token)

    async def is_member(self, guild_id: str, discord_id: str) -> bool:
        """Tell whether somebody is in a guild; what Discord does not say counts as no."""
        path = f"/api/v10/guilds/{quote(guild_id, safe='')}/members/{quote(discord_id, safe='')}"
        headers = {"Authorization": f"Bot {self._bot_token}"}
        try:
            answer = await self._http.ask(Ask("GET", self._base + path, headers=headers))
        except Unreachable as error:
            _log.warning("discord_member_unknown", why=str(error))
            return False
        if answer.status not in (200, 404):
            _log.warning("discord_member_unknown", status=answer.status)
        return answer.status == 200

    async def _profile(self, access_token: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {access_token}"}
        try:
            answer = await self._http.ask(
                Ask("GET", f"{self._base}/api/v10/users/@me", headers=headers)
            )
            if answer.status != 200:
                raise OauthExchangeFailed
            return answer.object()
        except (Unreachable, Unreadable):
            raise OauthExchangeFailed from None


def _person(profile: dict[str, Any]) -> DiscordPerson:
    if profile.get("bot") or profile.get("system"):
        raise Forbidden("Bots have no account here.")
    discord_id, username = profile.get("id"), profile.get("username")
    if not (isinstance(discord_id, str) and isinstance(username, str) and username):
        raise OauthExchangeFailed
    if not (discord_id.isascii() and discord_id.isdigit() and len(discord_id) <= _SNOWFLAKE_MAX):
        raise OauthExchangeFailed
    verified = profile.get("verified") is True
    return DiscordPerson(
        discord_id=discord_id,
        username=username,
        global_name=_text(profile.get("global_name")),
        avatar=_avatar(profile.get("avatar")),
        email=_text(profile.get("email")) if verified else None,
        mfa=profile.get("mfa_enabled") is True,
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _avatar(value: Any) -> str | None:
    """Return Discord's hash of a picture; it becomes part of an address."""
    text = _text(value)
    return text if text and len(text) <= 64 and text.replace("_", "").isalnum() else None
