"""Small pages of fixed words; whatever varies in them is escaped."""

import secrets
from dataclasses import dataclass
from html import escape

from aiohttp import web
from markupsafe import Markup

from bloxtr8.errors import Bloxtr8Error
from web.problems import headers_of

_POLICY = (
    "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self';"
    " img-src https://cdn.discordapp.com; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
_STYLE = (
    ":root{color-scheme:light dark;--ink:#1a1d24;--soft:#5a6270;--line:#e2e5eb;--back:#fff;"
    "--link:#2856d6}"
    "@media (prefers-color-scheme:dark){:root{--ink:#e7e9ee;--soft:#a3abb9;--line:#2c313b;"
    "--back:#14171c;--link:#8aabff}}"
    "body{font:1rem/1.55 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;max-width:42rem;"
    "margin:clamp(1.5rem,8vh,5rem) auto;padding:0 1rem;color:var(--ink);background:var(--back)}"
    "h1{font-size:1.7rem;line-height:1.25;letter-spacing:-.02em;text-wrap:balance}"
    "a{color:var(--link)}:focus-visible{outline:2px solid var(--link);outline-offset:2px}"
    "button,a.go{display:inline-block;font:inherit;font-weight:600;padding:.5rem 1.1rem;border:0;"
    "border-radius:6px;color:var(--back);background:var(--link);text-decoration:none;"
    "cursor:pointer}button:disabled{opacity:.5}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;"
    "padding:.35rem .75rem .35rem 0;border-bottom:1px solid var(--line)}"
    "td{overflow-wrap:anywhere}th{color:var(--soft);font-weight:500}"
    "table.codes td:nth-child(2){white-space:nowrap}"
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
    "var later=function(){document.querySelector('p').textContent="
    "'That is not possible right now. Reload this page in a moment.'};"
    "fetch('/auth/refresh',{method:'POST'}).then(function(a){"
    "if(a.ok||a.status===401){location.reload()}else{later()}},later)"
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


def document_page(title: str, body: Markup, script: str = "") -> web.Response:
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
    response.headers.update(headers_of(error))
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
