"""Small pages of fixed words; whatever varies in them is escaped."""

import secrets
from dataclasses import dataclass
from html import escape

from aiohttp import web
from markupsafe import Markup

from bloxtr8.errors import Bloxtr8Error

_POLICY = (
    "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self';"
    " img-src https://cdn.discordapp.com; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1rem}"
    "button,a.go{font:inherit;padding:.5rem 1rem}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;"
    "padding:.3rem .5rem;border-bottom:1px solid #bbb;overflow-wrap:anywhere}"
    ".said{white-space:pre-wrap;overflow-wrap:anywhere}code{overflow-wrap:anywhere}"
)
_PAGE = (
    "<!doctype html><html lang=en><head><meta charset=utf-8>"
    '<meta name=viewport content="width=device-width,initial-scale=1"><title>{title}</title>'
    '<style nonce="{nonce}">{style}</style></head><body><main><h1>{title}</h1>{body}</main>'
    "{script}</body></html>"
)
# Renews the session once and shows the page again; a refusal has cleared the cookies.
_RENEW = (
    "fetch('/auth/refresh',{method:'POST'}).then(function(a){"
    "if(a.ok||a.status===401){location.reload()}})"
)


@dataclass(frozen=True, slots=True)
class Link:
    text: str
    href: str


@dataclass(frozen=True, slots=True)
class Form:
    """A button that posts to `action` with the session's CSRF token."""

    text: str
    action: str
    csrf: str


def page(
    title: str, *paragraphs: str, actions: tuple[Link | Form, ...] = (), status: int = 200
) -> web.Response:
    """Return a page of `paragraphs`; neither kept by caches nor named to other sites."""
    parts = [f"<p>{escape(text)}</p>" for text in paragraphs]
    parts += [_action(action) for action in actions]
    return _response(title, "".join(parts), status)


def document_page(title: str, body: Markup, script: str) -> web.Response:
    """Return a page with markup of ours, in which whatever varies is escaped, and a script."""
    return _response(title, body, 200, script=script)


def renewal_page() -> web.Response:
    """Return a page that renews the session and comes back."""
    return _response("One moment", "<p>Your sign-in is being renewed.</p>", 200, script=_RENEW)


def error_page(error: Bloxtr8Error) -> web.Response:
    """Return the page of a refusal: the words of its code, nothing from the request."""
    response = page(
        error.title, f"Code: {error.code}", actions=(Link("Back", "/"),), status=error.status
    )
    for name, value in error.members.get("headers", {}).items():
        response.headers[name] = value
    if "retry_after_s" in error.members:
        response.headers["Retry-After"] = str(error.members["retry_after_s"])
    return response


def _action(action: Link | Form) -> str:
    if isinstance(action, Link):
        return f'<p><a class=go href="{escape(action.href)}">{escape(action.text)}</a></p>'
    return (
        f'<form method=post action="{escape(action.action)}">'
        f'<input type=hidden name=_csrf value="{escape(action.csrf)}">'
        f"<button>{escape(action.text)}</button></form>"
    )


def _response(title: str, body: str, status: int, *, script: str = "") -> web.Response:
    nonce = secrets.token_urlsafe(16)
    tag = f'<script nonce="{nonce}">{script}</script>' if script else ""
    text = _PAGE.format(title=escape(title), nonce=nonce, style=_STYLE, body=body, script=tag)
    headers = {
        "Content-Security-Policy": _POLICY.format(nonce=nonce),
        "Cache-Control": "no-store",
    }
    return web.Response(text=text, status=status, content_type="text/html", headers=headers)
