"""The stand-in's OpenID Connect provider. ES256, one key; `?as=<user id>` agrees at once."""

from typing import Any

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey

from bloxtr8.clock import Clock
from bloxtr8.sandbox.grants import Grant, Grants, OauthError, choose_page, error_response
from bloxtr8.sandbox.roblox.world import World

_SECONDS_VALID = 899
_ALGORITHMS = ["ES256"]


class Provider:
    """`issuer_base`: returns the origin, known once the server listens.

    `claims`: put over the ID token's own, so that tests can say something untrue.
    """

    def __init__(self, world: World, grants: Grants, clock: Clock) -> None:
        self.world = world
        self.grants = grants
        self.clock = clock
        self.origin = ""
        self.claims: dict[str, Any] = {}
        self.key = ECKey.generate_key("P-256", {"kid": "roblox-1"})

    @property
    def issuer(self) -> str:
        return f"{self.origin}/oauth/"

    def rotate(self) -> None:
        """Sign with a new key from now on; the old one is not published any more."""
        number = int(str(self.key.kid).rpartition("-")[2]) + 1
        self.key = ECKey.generate_key("P-256", {"kid": f"roblox-{number}"})

    def add_routes(self, app: web.Application) -> None:
        router = app.router
        router.add_get("/oauth/.well-known/openid-configuration", self._configuration)
        router.add_get("/oauth/v1/authorize", self._authorize)
        router.add_post("/oauth/v1/token", self._token)
        router.add_post("/oauth/v1/token/revoke", self._revoke)
        router.add_get("/oauth/v1/certs", self._certs)
        router.add_get("/oauth/v1/userinfo", self._userinfo)

    async def _configuration(self, _request: web.Request) -> web.Response:
        base = f"{self.origin}/oauth/v1"
        return web.json_response(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{base}/authorize",
                "token_endpoint": f"{base}/token",
                "revocation_endpoint": f"{base}/token/revoke",
                "jwks_uri": f"{base}/certs",
                "userinfo_endpoint": f"{base}/userinfo",
                "id_token_signing_alg_values_supported": _ALGORITHMS,
            }
        )

    async def _authorize(self, request: web.Request) -> web.StreamResponse:
        try:
            self.grants.check(request)
        except OauthError as error:
            return error_response(error)
        chosen = request.query.get("as", "")
        if chosen == "deny":
            raise web.HTTPFound(self.grants.deny(request))
        if not chosen.isdigit() or int(chosen) not in self.world.users:
            names = {str(key): person.name for key, person in self.world.users.items()}
            return choose_page(request, "Roblox (sandbox)", names)
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
                "refresh_token": f"refresh-{token}",
                "id_token": self._id_token(grant),
                "token_type": "Bearer",
                "expires_in": _SECONDS_VALID,
                "scope": grant.scope,
            }
        )

    def _id_token(self, grant: Grant) -> str:
        seconds = int(self.clock.now().timestamp())
        claims = {
            "iss": self.issuer,
            "aud": self.grants.client.client_id,
            "sub": grant.subject,
            "iat": seconds,
            "exp": seconds + _SECONDS_VALID,
            "nonce": grant.nonce,
        }
        header = {"alg": "ES256", "kid": self.key.kid}
        return jwt.encode(header, claims | self.claims, self.key, algorithms=_ALGORITHMS)

    async def _revoke(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        try:
            self.grants.revoke(form, request.headers.get("Authorization", ""))
        except OauthError as error:
            return error_response(error)
        return web.json_response({})

    async def _certs(self, _request: web.Request) -> web.Response:
        key = self.key.as_dict(private=False) | {"use": "sig", "alg": "ES256"}
        return web.json_response({"keys": [key]})

    async def _userinfo(self, request: web.Request) -> web.Response:
        try:
            grant = self.grants.of(request)
        except OauthError as error:
            return error_response(error)
        person = self.world.users[int(grant.subject)]
        profile = {"sub": str(person.id)}
        if "profile" not in grant.scope.split():
            return web.json_response(profile)
        return web.json_response(
            profile
            | {
                "name": person.display_name or person.name,
                "nickname": person.display_name or person.name,
                "preferred_username": person.name,
                "created_at": None if person.ageless else int(person.created.timestamp()),
                "profile": f"https://www.roblox.com/users/{person.id}/profile",
                "picture": None,
            }
        )
