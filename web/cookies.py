"""Cookies: what a browser keeps of a sign-in. Prefixes and Secure need https (RFC 6265bis)."""

from aiohttp import web

from bloxtr8.config import Settings
from bloxtr8.market.sessions import IDLE
from bloxtr8.market.states import LIFETIME
from web.authentication import access_cookie

REFRESH_PATH = "/auth/refresh"
LINK_SECONDS = 900


def _https(settings: Settings) -> bool:
    return settings.web.public_url.startswith("https://")


def refresh_cookie(settings: Settings) -> str:
    return "__Secure-b8_rt" if _https(settings) else "b8_rt"


def oauth_cookie(settings: Settings) -> str:
    return "__Host-b8_oauth" if _https(settings) else "b8_oauth"


def link_cookie(settings: Settings) -> str:
    return "__Host-b8_link" if _https(settings) else "b8_link"


def set_access(response: web.StreamResponse, settings: Settings, token: str) -> None:
    """Keep the access token; past its end it still tells a page to renew the session."""
    _set(response, settings, access_cookie(settings), token, int(IDLE.total_seconds()))


def set_refresh(response: web.StreamResponse, settings: Settings, token: str) -> None:
    response.set_cookie(
        refresh_cookie(settings),
        token,
        max_age=int(IDLE.total_seconds()),
        path=REFRESH_PATH,
        secure=_https(settings),
        httponly=True,
        samesite="Strict",
    )


def set_oauth(response: web.StreamResponse, settings: Settings, secret: str) -> None:
    """Bind a sign-in under way to this browser."""
    _set(response, settings, oauth_cookie(settings), secret, int(LIFETIME.total_seconds()))


def set_link(response: web.StreamResponse, settings: Settings, token: str) -> None:
    """Keep a one-time link over the sign-in that it needs, outside of every address."""
    _set(response, settings, link_cookie(settings), token, LINK_SECONDS)


def clear_oauth(response: web.StreamResponse, settings: Settings) -> None:
    _clear(response, settings, oauth_cookie(settings), "/")


def clear_link(response: web.StreamResponse, settings: Settings) -> None:
    _clear(response, settings, link_cookie(settings), "/")


def clear_session(response: web.StreamResponse, settings: Settings) -> None:
    _clear(response, settings, access_cookie(settings), "/")
    _clear(response, settings, refresh_cookie(settings), REFRESH_PATH, samesite="Strict")


def _set(
    response: web.StreamResponse, settings: Settings, name: str, value: str, seconds: int
) -> None:
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path="/",
        secure=_https(settings),
        httponly=True,
        samesite="Lax",
    )


def _clear(
    response: web.StreamResponse, settings: Settings, name: str, path: str, samesite: str = "Lax"
) -> None:
    # With the attributes it was set with: browsers ignore a prefixed cookie without Secure.
    response.set_cookie(
        name,
        "",
        max_age=0,
        path=path,
        secure=_https(settings),
        httponly=True,
        samesite=samesite,
    )


def signed_out(settings: Settings) -> web.Response:
    """Return 204 that ends the browser's session."""
    response = web.Response(status=204)
    clear_session(response, settings)
    return response
