"""Every answer that any test sees, held against the description."""

import json
from functools import cache
from typing import Any

import jsonschema_rs
from aiohttp import web

from web.application import ROUTES
from web.middleware import route_of
from web.openapi import described, make_document
from web.problems import CONTENT_TYPE
from web.routes import Route

_DESCRIBED = frozenset(route.name for route in described(ROUTES))


class Observer:
    """Notes what an application answers otherwise than described."""

    def __init__(self, application: web.Application) -> None:
        self.wrong: list[str] = []
        application.on_response_prepare.append(self._look)

    async def _look(self, request: web.Request, response: web.StreamResponse) -> None:
        route = route_of(request)
        if route is None or route.name not in _DESCRIBED or response.status == 304:
            return
        found = _fault(route, response)
        if found is not None:
            self.wrong.append(f"{route.name}: {found}")


def _fault(route: Route, response: web.StreamResponse) -> str | None:
    """Return what is wrong with an answer of `route`, None when nothing is."""
    answer = _document()["paths"][route.path][route.method.lower()]["responses"].get(
        str(response.status)
    )
    body = response.body if isinstance(response, web.Response) else None
    told = body.decode("utf-8", "replace")[:300] if isinstance(body, bytes) else ""
    if answer is None:
        return f"{response.status} is not described: {told}"
    if "$ref" in answer:
        answer = _document()["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    contents = answer.get("content", {})
    if response.content_type not in contents:
        empty = not body and not contents
        return None if empty else f"{response.status} is {response.content_type}: {told}"
    if response.content_type in ("application/json", CONTENT_TYPE) and isinstance(body, bytes):
        schema = json.dumps(contents[response.content_type]["schema"])
        for error in _validator(schema).iter_errors(json.loads(body)):
            return f"{response.status} {error.message[:200]}: {told}"
    return None


@cache
def _document() -> dict[str, Any]:
    return make_document(ROUTES)


@cache
def _validator(schema: str) -> Any:
    whole = {**json.loads(schema), "components": _document()["components"]}
    return jsonschema_rs.validator_for(whole)
