"""From a credential to an identity, and the checks that every signed-in request passes."""

import hmac
from base64 import urlsafe_b64encode

from aiohttp import web

from bloxtr8.access.identity import Identity
from bloxtr8.access.tokens import AccessTokens, TokenKeys
from bloxtr8.config import Settings
from bloxtr8.errors import BadHeader, CsrfFailed, Unauthenticated

_ACCESS_COOKIE = "b8_at"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_HEADER = "X-CSRF-Token"


def access_cookie(settings: Settings) -> str:
    """Return the cookie's name: the `__Host-` prefix needs https (RFC 6265bis)."""
    https = settings.web.public_url.startswith("https://")
    return f"__Host-{_ACCESS_COOKIE}" if https else _ACCESS_COOKIE


def csrf_token(keys: TokenKeys, session_id: str) -> str:
    """Return the token that a page of this session sends with every change."""
    return urlsafe_b64encode(keys.mac("csrf", session_id)).rstrip(b"=").decode()


def authenticate(
    request: web.Request,
    tokens: AccessTokens,
    settings: Settings,
    *,
    form_token: str | None = None,
) -> Identity | None:
    """Return who asks, or None without a credential.

    A header outranks the cookie. `form_token`: what a page's form sent in place of the CSRF
    header. Raises BadHeader, Unauthenticated, TokenExpired, CsrfFailed.
    """
    header = request.headers.get("Authorization")
    if header is not None:
        scheme, _, credential = header.partition(" ")
        if scheme.lower() != "bearer" or not credential.strip():
            raise BadHeader("Authorization is not of the form Bearer <token>.")
        return tokens.verify(credential.strip())
    cookie = request.cookies.get(access_cookie(settings))
    if not cookie:
        return None
    identity = tokens.verify(cookie)
    if request.method not in _SAFE_METHODS:
        check_origin(request, settings)
        given = request.headers.get(CSRF_HEADER, form_token or "")
        _check_csrf(given, tokens.keys, identity)
    return identity


def require(identity: Identity | None) -> Identity:
    """Raises Unauthenticated when nobody is signed in."""
    if identity is None:
        raise Unauthenticated
    return identity


def check_origin(request: web.Request, settings: Settings) -> None:
    """Raises CsrfFailed when the request does not come from our own origin."""
    origin = request.headers.get("Origin")
    if origin is None:
        same = request.headers.get("Sec-Fetch-Site") == "same-origin"
    else:
        same = origin == settings.web.public_url.rstrip("/")
    if not same:
        raise CsrfFailed


def _check_csrf(given: str, keys: TokenKeys, identity: Identity) -> None:
    expected = csrf_token(keys, identity.session_id).encode()
    if not hmac.compare_digest(given.encode("utf-8", "replace"), expected):
        raise CsrfFailed
