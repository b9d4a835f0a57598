"""Roblox as an OpenID Connect provider: whose Roblox account is this.

Source: create.roblox.com/docs/cloud/auth/oauth2-reference; OpenID Connect Core 1.0, 3.1.3.7.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from bloxtr8.clock import Clock
from bloxtr8.config import RobloxSettings
from bloxtr8.errors import OauthExchangeFailed, UpstreamUnavailable
from bloxtr8.market import oauth
from bloxtr8.market.oauth import Client, Endpoints, Tokens
from bloxtr8.outbound import Ask, Outbound, Unreachable, Unreadable

CALLBACK = "/auth/roblox/callback"
SCOPE_LINK = "openid profile"
SCOPE_GROUP = "openid group:read"
_ALGORITHMS = ["ES256"]
_LEEWAY_S = 60
_DISCOVERY_KEPT = timedelta(hours=24)
_KEYS_KEPT = timedelta(hours=1)
_REFETCH_AFTER = timedelta(minutes=1)
_ID_DIGITS_MAX = 18
_NAME_MAX = 64

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RobloxPerson:
    """Somebody as Roblox describes them."""

    roblox_id: int
    username: str
    display_name: str | None
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Discovered:
    endpoints: Endpoints
    issuer: str
    userinfo: str
    keys_url: str
    at: datetime


class RobloxOpenId:
    """Roblox's side of a link. `public_url`: our origin, where the callback is."""

    def __init__(
        self, settings: RobloxSettings, public_url: str, http: Outbound, clock: Clock
    ) -> None:
        self._base = f"{settings.apis_base.rstrip('/')}/oauth"
        self._http = http
        self._clock = clock
        self._client = Client(
            settings.client_id,
            settings.client_secret.get_secret_value(),
            public_url.rstrip("/") + CALLBACK,
            "client_secret_post",
        )
        self._discovered: _Discovered | None = None
        self._keys: tuple[KeySet, datetime] | None = None
        self._lock = asyncio.Lock()

    @property
    def issuer(self) -> str:
        return f"{self._base}/"

    async def discover(self) -> None:
        """Learn Roblox's addresses if they are not known; raises UpstreamUnavailable."""
        await self._discover()

    async def authorize_url(self, state: str, verifier: str, nonce: str, scope: str) -> str:
        """Return where the browser goes; the person picks the account there.

        Raises UpstreamUnavailable when Roblox does not tell its addresses.
        """
        found = await self._discover()
        return oauth.authorize_url(
            self._client,
            found.endpoints,
            state=state,
            verifier=verifier,
            nonce=nonce,
            scope=scope,
            prompt="select_account",
        )

    async def exchange(self, code: str, verifier: str, nonce: str) -> tuple[int, Tokens]:
        """Return the Roblox user id that agreed to `code`, and the tokens.

        The caller gives the tokens back with `revoke`. Raises OauthExchangeFailed and
        UpstreamUnavailable.
        """
        found = await self._discover()
        tokens = await oauth.exchange(
            self._http, self._client, found.endpoints, code=code, verifier=verifier
        )
        try:
            return await self._subject(found, tokens, nonce), tokens
        except (OauthExchangeFailed, UpstreamUnavailable):
            await self.revoke(tokens)
            raise

    async def person(self, subject: int, tokens: Tokens) -> RobloxPerson:
        """Return the profile of `subject`; raises OauthExchangeFailed."""
        found = await self._discover()
        headers = {"Authorization": f"Bearer {tokens.access_token}"}
        try:
            answer = await self._http.ask(Ask("GET", found.userinfo, headers=headers))
            if answer.status != 200:
                raise OauthExchangeFailed
            profile = answer.object()
        except (Unreachable, Unreadable):
            raise OauthExchangeFailed from None
        if profile.get("sub") != str(subject):
            raise OauthExchangeFailed
        return _person(subject, profile)

    async def revoke(self, tokens: Tokens) -> None:
        """Give the tokens back; failures are logged, not raised."""
        found = self._discovered
        assert found is not None, "tokens came from a discovered endpoint"
        token = tokens.refresh_token or tokens.access_token
        await oauth.revoke(self._http, self._client, found.endpoints, token)

    async def _subject(self, found: _Discovered, tokens: Tokens, nonce: str) -> int:
        """Return the subject of the ID token after every check of it."""
        claims = await self._verified(found, tokens.id_token)
        options = {
            "iss": {"essential": True, "value": found.issuer},
            "aud": {"essential": True, "value": self._client.client_id},
        }
        params = {
            "nonce": nonce,
            "client_id": self._client.client_id,
            "access_token": tokens.access_token,
        }
        header = {"alg": _ALGORITHMS[0]}
        now = self._clock.now().timestamp()
        try:
            CodeIDToken(claims, header, options, params).validate(int(now), _LEEWAY_S)
        except (JoseError, TypeError, ValueError) as error:
            _log.warning("id_token_refused", why=type(error).__name__)
            raise OauthExchangeFailed from None
        issued, audience = claims.get("iat"), claims.get("aud")
        if audience not in (self._client.client_id, [self._client.client_id]):
            raise OauthExchangeFailed
        if isinstance(issued, bool) or not isinstance(issued, int) or issued > now + _LEEWAY_S:
            raise OauthExchangeFailed
        return _roblox_id(claims.get("sub"))

    async def _verified(self, found: _Discovered, id_token: str) -> dict[str, Any]:
        for attempt in (1, 2):
            keys = await self._key_set(found, again=attempt == 2)
            try:
                return jwt.decode(id_token, keys, algorithms=_ALGORITHMS).claims
            except (JoseError, ValueError, KeyError, TypeError) as error:
                # An unknown key id may be a new key: look once more, at most once a minute.
                if attempt == 2 or not self._may_refetch():
                    _log.warning("id_token_refused", why=type(error).__name__)
                    raise OauthExchangeFailed from None
        raise AssertionError("the loop returns or raises")

    def _may_refetch(self) -> bool:
        return self._keys is None or self._clock.now() - self._keys[1] >= _REFETCH_AFTER

    async def _key_set(self, found: _Discovered, *, again: bool) -> KeySet:
        now = self._clock.now()
        if self._keys is not None and not again and now - self._keys[1] < _KEYS_KEPT:
            return self._keys[0]
        document = await self._get(found.keys_url)
        try:
            keys = KeySet.import_key_set(document)  # type: ignore[arg-type]
        except (JoseError, ValueError, KeyError, TypeError):
            raise UpstreamUnavailable from None
        self._keys = (keys, now)
        return keys

    async def _discover(self) -> _Discovered:
        """Return Roblox's addresses: read when first needed, then once a day."""
        if not self._client.client_id:
            raise UpstreamUnavailable("Linking Roblox is not set up here.")
        async with self._lock:
            now = self._clock.now()
            known = self._discovered
            if known is not None and now - known.at < _DISCOVERY_KEPT:
                return known
            try:
                document = await self._get(f"{self._base}/.well-known/openid-configuration")
                self._discovered = self._read(document, now)
            except UpstreamUnavailable:
                # Yesterday's addresses serve until today's can be read.
                if known is None:
                    raise
                return known
            return self._discovered

    def _read(self, document: dict[str, Any], now: datetime) -> _Discovered:
        names = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri")
        authorize, token, userinfo, keys_url = (str(document.get(name, "")) for name in names)
        revoke = str(document.get("revocation_endpoint") or f"{self._base}/v1/token/revoke")
        # All of them are the issuer's own: a changed document cannot send codes elsewhere.
        ours = all(url.startswith(self.issuer) for url in (authorize, token, userinfo, revoke))
        if not ours or not keys_url.startswith(self.issuer):
            _log.error("openid_configuration_refused")
            raise UpstreamUnavailable
        if document.get("issuer") != self.issuer:
            raise UpstreamUnavailable
        endpoints = Endpoints(authorize, token, revoke)
        return _Discovered(endpoints, self.issuer, userinfo, keys_url, now)

    async def _get(self, url: str) -> dict[str, Any]:
        try:
            answer = await self._http.ask(Ask("GET", url))
            if answer.status != 200:
                raise UpstreamUnavailable
            return answer.object()
        except (Unreachable, Unreadable):
            raise UpstreamUnavailable from None


def _person(subject: int, profile: dict[str, Any]) -> RobloxPerson:
    username = profile.get("preferred_username")
    if not isinstance(username, str) or not username:
        raise OauthExchangeFailed
    shown = profile.get("name") or profile.get("nickname")
    created = profile.get("created_at")
    return RobloxPerson(
        roblox_id=subject,
        username=username[:_NAME_MAX],
        display_name=shown if isinstance(shown, str) else None,
        created_at=_moment(created),
    )


def _moment(seconds: Any) -> datetime | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 < seconds < 10**11:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _roblox_id(subject: Any) -> int:
    valid = isinstance(subject, str) and subject.isascii() and subject.isdigit()
    if not valid or len(subject) > _ID_DIGITS_MAX or int(subject) == 0:
        raise OauthExchangeFailed
    return int(subject)
