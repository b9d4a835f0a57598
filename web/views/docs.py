"""The API's description: for machines, for people, and a page for each error code."""

import asyncio
import hashlib
from http import HTTPStatus

from aiohttp import web
from markupsafe import Markup

from bloxtr8.errors import NotFound
from web import html
from web.call import Call
from web.openapi import make_document
from web.openapi.document import rendered
from web.openapi.page import make_page
from web.problems import error_classes
from web.refusals import ENDS
from web.routes import Reply, Route, Who

_CODES = Markup(
    "<table class=codes><thead><tr><th scope=col>Status<th scope=col>Code<th scope=col>Meaning"
    "</thead><tbody>{}</tbody></table><p><a class=go href=/docs>The API</a></p>"
)
_CODE = Markup("<tr><td>{0}<td><a href=/problems/{1}><code>{1}</code></a><td>{2}")
_CACHED = {"Cache-Control": "public, max-age=300"}


async def description(call: Call) -> Reply:
    """This description, OpenAPI 3.1."""
    body = rendered(call.deps.routes)
    return Reply(_unless_known(call, body, "application/json"))


async def page(call: Call) -> Reply:
    """This description as a page."""
    shown = call.deps.docs
    if shown is None:
        sandbox = call.deps.settings.mode == "sandbox"
        document = make_document(call.deps.routes)
        # Some hundred milliseconds, once.
        shown = call.deps.docs = await asyncio.to_thread(make_page, document, sandbox=sandbox)
    response = _unless_known(call, shown.html.encode(), "text/html")
    response.headers["Content-Security-Policy"] = shown.policy
    return Reply(response)


async def problems(_call: Call) -> Reply:
    """Every error code, with its status and meaning."""
    refused = [(error.status, error.code, error.title) for error in error_classes().values()]
    ended = [(status, code, title) for code, (status, title) in ENDS.items()]
    rows = Markup("").join(_CODE.format(*entry) for entry in sorted([*refused, *ended]))
    return Reply(html.document_page("Error codes", _CODES.format(rows)))


async def problem(call: Call) -> Reply:
    """What an error code means."""
    code = call.parameter("code")
    found = error_classes().get(code)
    if found is not None:
        status, title = found.status, found.title
        more = (found.__doc__ or "").strip() if "__doc__" in vars(found) else ""
    elif code in ENDS:
        (status, title), more = ENDS[code], "An operation ended with it."
    else:
        raise NotFound
    lines = [f"Code: {code}", f"HTTP status {status} {HTTPStatus(status).phrase}"]
    lines += [more.replace("`", "")] if more else []
    actions = (html.Link("All codes", "/problems"), html.Link("The API", "/docs"))
    return Reply(html.page(title, *lines, actions=actions))


def _unless_known(call: Call, body: bytes, kind: str) -> web.Response:
    """Return `body`, or 304 to who has it."""
    etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    headers = {"ETag": etag, **_CACHED}
    if call.request.headers.get("If-None-Match") == etag:
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)


ROUTES = (
    Route("GET", "/openapi.json", description, Who.ANYONE, "This description, for machines"),
    Route("GET", "/docs", page, Who.ANYONE, "This description, for people", content="text/html"),
    Route("GET", "/problems", problems, Who.ANYONE, "Every error code", content="text/html"),
    Route(
        "GET",
        "/problems/{code}",
        problem,
        Who.ANYONE,
        "What an error code means",
        content="text/html",
    ),
)
