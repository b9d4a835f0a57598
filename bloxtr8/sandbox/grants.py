"""OAuth's authorisation codes as a provider keeps them: one use, one minute, one verifier.

RFC 6749, 4.1; RFC 7636, 4.6.
"""

import base64
import hashlib
import hmac
import html
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import unquote, urlencode

from aiohttp import web

CODE_LIFETIME = timedelta(minutes=1)
_CODES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Registered:
    """A client as the provider knows it. Without `redirect_uris` any address is taken."""

    client_id: str
    client_secret: str
    redirect_uris: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Grant:
    """What somebody agreed to."""

    subject: str
    scope: str
    redirect_uri: str
    challenge: str
    nonce: str
    at: datetime


class OauthError(Exception):
    """`code` is one of RFC 6749, 5.2."""

    def __init__(self, code: str, status: int = 400) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


class Grants:
    """Codes and tokens in memory."""

    def __init__(self, client: Registered) -> None:
        self.client = client
        self._codes: dict[str, Grant] = {}
        self._tokens: dict[str, Grant] = {}
        self.revoked: list[str] = []

    def check(self, request: web.Request) -> None:
        """Raises OauthError when the browser was sent with something unusable."""
        query = request.query
        if query.get("client_id") != self.client.client_id:
            raise OauthError("invalid_client")
        allowed = self.client.redirect_uris
        if not query.get("redirect_uri") or (allowed and query["redirect_uri"] not in allowed):
            raise OauthError("invalid_request")
        if query.get("response_type") != "code" or query.get("code_challenge_method") != "S256":
            raise OauthError("unsupported_response_type")

    def agree(self, request: web.Request, subject: str, now: datetime) -> str:
        """Return the address that the browser goes back to after `subject` agreed."""
        query = request.query
        code = secrets.token_urlsafe(24)
        self._codes[code] = Grant(
            subject=subject,
            scope=query.get("scope", ""),
            redirect_uri=query["redirect_uri"],
            challenge=query.get("code_challenge", ""),
            nonce=query.get("nonce", ""),
            at=now,
        )
        assert len(self._codes) <= _CODES_MAX, "a sandbox is started afresh before that"
        return self._back(request, code=code)

    def deny(self, request: web.Request) -> str:
        """Return the address that the browser goes back to after a refusal."""
        return self._back(request, error="access_denied")

    def exchange(
        self, form: dict[str, str], authorization: str, now: datetime
    ) -> tuple[str, Grant]:
        """Return an access token for a code; raises OauthError."""
        self._authenticate(form, authorization)
        if form.get("grant_type") != "authorization_code":
            raise OauthError("unsupported_grant_type")
        grant = self._codes.pop(form.get("code", ""), None)
        if grant is None or now - grant.at > CODE_LIFETIME:
            raise OauthError("invalid_grant")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if not hmac.compare_digest(challenge, grant.challenge):
            raise OauthError("invalid_grant")
        if form.get("redirect_uri") != grant.redirect_uri:
            raise OauthError("invalid_grant")
        token = secrets.token_urlsafe(24)
        self._tokens[token] = grant
        return token, grant

    def revoke(self, form: dict[str, str], authorization: str) -> None:
        self._authenticate(form, authorization)
        token = form.get("token", "")
        self._tokens.pop(token.removeprefix("refresh-"), None)
        self.revoked.append(token)

    def of(self, request: web.Request) -> Grant:
        """Return what the request's bearer token stands for; raises OauthError (401)."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        grant = self._tokens.get(token) if scheme.lower() == "bearer" else None
        if grant is None:
            raise OauthError("invalid_token", 401)
        return grant

    @property
    def open_tokens(self) -> int:
        return len(self._tokens)

    def _authenticate(self, form: dict[str, str], authorization: str) -> None:
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() == "basic":
            decoded = base64.b64decode(given).decode("utf-8", "replace")
            client_id, _, secret = decoded.partition(":")
            client_id, secret = unquote(client_id), unquote(secret)
        else:
            client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        known = (self.client.client_id, self.client.client_secret)
        if not all(map(hmac.compare_digest, (client_id, secret), known)):
            raise OauthError("invalid_client", 401)

    def _back(self, request: web.Request, **answer: str) -> str:
        query = urlencode(answer | {"state": request.query.get("state", "")})
        return f"{request.query['redirect_uri']}?{query}"


def choose_page(request: web.Request, title: str, people: dict[str, str]) -> web.Response:
    """Return a page on which a person of the sandbox picks who they are."""
    links = [
        f'<li><a href="{html.escape(str(request.rel_url.update_query({"as": key})))}">'
        f"{html.escape(name)}</a></li>"
        for key, name in [*people.items(), ("deny", "Refuse")]
    ]
    text = f"<!doctype html><meta charset=utf-8><title>{title}</title><h1>{title}</h1>"
    return web.Response(text=text + "<ul>" + "".join(links) + "</ul>", content_type="text/html")


def error_response(error: OauthError) -> web.Response:
    return web.json_response({"error": error.code}, status=error.status)
