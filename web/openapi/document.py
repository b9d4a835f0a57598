"""The description as a whole: paths, components, security."""

import inspect
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any

from web.openapi.examples import example
from web.openapi.links import Links, operation_id
from web.openapi.parameters import parameters
from web.openapi.problems import Problems
from web.openapi.schemas import Schemas
from web.routes import Route

Json = dict[str, Any]
VERSION = "1.0.0"
# Statuses of answers without a body.
_EMPTY = frozenset({204, 302, 303})
_INTRODUCTION = (
    "Escrow and verification for trades of Roblox games. Money is whole minor units; times are"
    " RFC 3339 in UTC; unknown fields are refused. Changes of a trade answer 202 with an"
    " operation that settles. Refusals are problem documents (RFC 9457): branch on `code`. Within"
    " `/api/v1` things are only added; what will go says so in `Deprecation` and `Sunset` headers"
    " at least 180 days ahead."
)
_TAGS = {
    "system": "How the service is, what it charges, what its codes mean",
    "sign-in": "Signing in with Discord, sessions, linking Roblox",
    "me": "Oneself: profile, consents, payout methods, what waits",
    "experiences": "Experiences at Roblox and whose they are",
    "listings": "What is for sale",
    "offers": "Negotiation",
    "contracts": "Documents and signatures",
    "escrows": "Trades, their money, disputes and settlements",
    "operations": "Following a command to its outcome",
    "statistics": "Figures",
    "webhooks": "What payment providers call",
    "staff": "Cases, people, approvals",
}
_TAG_OF = {
    "auth": "sign-in",
    "link": "sign-in",
    "sign": "contracts",
    "webhooks": "webhooks",
    "offer-drafts": "offers",
    "reports": "listings",
    "stats": "statistics",
    "guilds": "statistics",
    "users": "me",
}
_SECURITY = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token of a signed-in person, valid for ten minutes.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-b8_at",
        "description": "The same token as our pages keep it.",
    },
    "csrf": {
        "type": "apiKey",
        "in": "header",
        "name": "X-CSRF-Token",
        "description": "Of GET /auth/session; with the cookie, every change needs it.",
    },
}


def described(routes: Iterable[Route]) -> list[Route]:
    """Return the routes that are for others than our own workers."""
    return [route for route in routes if not route.path.startswith("/internal/")]


def make_document(routes: Iterable[Route]) -> Json:
    """Return the OpenAPI 3.1 document of `routes`."""
    shown = described(routes)
    parts = _Parts(Schemas(shown), Links(shown), Problems())
    paths: dict[str, Json] = {}
    for route in shown:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, parts)
    tags = {operation["tags"][0] for path in paths.values() for operation in path.values()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Bloxtr8",
            "version": VERSION,
            "summary": "Escrow for Roblox games",
            "description": _INTRODUCTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": t, "description": text} for t, text in _TAGS.items() if t in tags],
        "paths": paths,
        "components": {
            "schemas": parts.schemas.all,
            "responses": parts.problems.all,
            "securitySchemes": _SECURITY,
            "headers": _HEADERS,
        },
    }


def tag_of(route: Route) -> str:
    """Return the group of `route`."""
    parts = route.path.removeprefix("/api/v1").strip("/").split("/")
    if parts[0] == "me" and parts[-1] in ("experiences", "verifications"):
        return "experiences"
    if parts[-1] == "stats" and parts[0] != "staff":
        return "statistics"
    if len(parts) > 2 and parts[0] == "listings" and parts[2] in ("offers", "draft"):
        return "offers"
    found = _TAG_OF.get(parts[0], parts[0])
    return found if found in _TAGS else "system"


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the operations share."""

    schemas: Schemas
    links: Links
    problems: Problems


def _operation(route: Route, parts: _Parts) -> Json:
    found: Json = {
        "operationId": operation_id(route),
        "summary": route.summary,
        "description": _description(route),
        "tags": [tag_of(route)],
        "security": _security(route),
    }
    given = parameters(route, parts.schemas)
    if given:
        found["parameters"] = given
    body = _body(route, parts.schemas)
    if body is not None:
        found["requestBody"] = body
    found["responses"] = {**_answers(route, parts), **parts.problems.of(route)}
    return found


def _description(route: Route) -> str:
    lines = [inspect.cleandoc(route.handler.__doc__)] if route.handler.__doc__ else []
    lines.append(f"Who: {route.who.value}.")
    if route.step_up or (route.staff and route.changes):
        lines.append("The sign-in may be at most 15 minutes old.")
    if route.rate is not None:
        lines.append(
            f"Limit `{route.rate.label}`: {route.rate.requests} in {route.rate.seconds} s."
        )
    return "\n\n".join(lines)


def _security(route: Route) -> list[Json]:
    if not route.signed_in:
        return [{}, {"bearer": []}] if route.shared else []
    session: Json = {"session": [], "csrf": []} if route.changes else {"session": []}
    return [{"bearer": []}, session]


def _body(route: Route, schemas: Schemas) -> Json | None:
    if route.path.startswith("/webhooks/"):
        schema: Json = {"type": "object", "description": "As the provider sends it."}
        return {"required": True, "content": {"application/json": {"schema": schema}}}
    if route.form:
        form = {"type": "object", "properties": {"_csrf": {"type": "string"}}}
        return {"content": {"application/x-www-form-urlencoded": {"schema": form}}}
    if route.upload is not None:
        return _files(schemas.resolved(schemas.sent(route.upload)))
    if route.body is None:
        return None
    schema = schemas.sent(route.body)
    needed = bool(schemas.resolved(schema).get("required"))
    content = {"schema": schema, "example": example(schema, schemas)}
    return {"required": needed, "content": {"application/json": content}}


def _files(fields: Json) -> Json:
    """Return the body of an upload: its fields, and the files."""
    files = {"type": "array", "items": {"type": "string", "contentMediaType": "*/*"}}
    required = [*fields.get("required", ()), "files"]
    schema = {
        "type": "object",
        "required": required,
        "properties": {**fields.get("properties", {}), "files": files},
    }
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


def _answers(route: Route, parts: _Parts) -> Json:
    schemas = parts.schemas
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in _headers_of(route)}
    found: Json = {}
    for status in sorted({route.status, *route.also}):
        answer: Json = {"description": HTTPStatus(status).phrase, "headers": headers}
        if route.stream and route.answer is not None:
            # Each event's data is one of these; the stream as a whole is text.
            text = {"type": "string", "x-data": schemas.answered(route.answer)}
            answer["content"] = {route.content: {"schema": text}}
        elif status in _EMPTY:
            pass
        elif route.answer is not None:
            schema = schemas.answered(route.answer)
            content = {"schema": schema, "example": example(schema, schemas)}
            answer["content"] = {route.content: content}
        elif route.page or route.content != "application/json":
            kind = "text/html" if route.page else route.content
            answer["content"] = {kind: {"schema": {"type": "string"}}}
        else:
            answer["content"] = {route.content: {"schema": {"type": "object"}}}
        linked = parts.links.of(route)
        if linked and status < 300:
            answer["links"] = linked
        found[str(status)] = answer
    if route.preview is not None:
        schema = schemas.answered(route.preview)
        content = {"application/json": {"schema": schema, "example": example(schema, schemas)}}
        found["200"] = {"description": "What would happen", "content": content}
    return found


def _headers_of(route: Route) -> list[str]:
    found = ["X-Request-Id"]
    if route.limited:
        found += ["RateLimit", "RateLimit-Policy"]
    fields = route.answer.model_fields if route.answer else {}
    if "version" in fields:
        found.append("ETag")
    if "next_cursor" in fields:
        found.append("Link")
    if route.status in (201, 202) and getattr(route.answer, "location", None):
        found.append("Location")
    if route.key.name != "NONE":
        found.append("Idempotency-Replayed")
    return found


def _text(description: str) -> Json:
    return {"description": description, "schema": {"type": "string"}}


_HEADERS = {
    "X-Request-Id": _text("The trace of the request, 32 hex digits."),
    "RateLimit": _text('What is left: `"write";r=57;t=41`.'),
    "RateLimit-Policy": _text('The limit: `"write";q=60;w=60`.'),
    "Retry-After": _text("Seconds to wait."),
    "ETag": _text("The version, for If-Match."),
    "Link": _text("The next page."),
    "Location": _text("What was made."),
    "Idempotency-Replayed": _text("`true` when the answer was given before."),
}


@cache
def rendered(routes: tuple[Route, ...]) -> bytes:
    """Return the document as JSON; made once."""
    return json.dumps(make_document(routes), ensure_ascii=False, separators=(",", ":")).encode()
