"""What a request has beside its body: path, query and header fields."""

import re
from typing import Any

from web.openapi.schemas import Schema, Schemas
from web.routes import KeyRule, Route

Parameter = dict[str, Any]

_NAMES = re.compile(r"\{(\w+)\}")
_KEY_HELP = "The same request sent again with the same key gets the same answer."
# Paths may name these by their reference for people, too.
_REFERENCED = {"listing_id": "L-7Q2K9FA", "offer_id": "O-M3XK2PD", "contract_id": "C-9T4HW0Z"}
_PARTS: dict[str, Schema] = {
    "code": {"type": "string", "pattern": "^[a-z_]{2,60}$", "examples": ["rate_limited"]},
    "token": {"type": "string", "minLength": 1, "maxLength": 200},
    "discord_id": {"type": "string", "pattern": "^[0-9]{1,20}$", "examples": ["41771983423143937"]},
    "position": {"type": "integer", "minimum": 1},
}
_SIGNATURES: dict[str, dict[str, str]] = {
    "/webhooks/stripe": {"Stripe-Signature": "t=…,v1=… as Stripe makes it"},
    "/webhooks/custodian": {
        "X-Timestamp": "Unix seconds",
        "X-Signature": "hex HMAC-SHA256 of timestamp.body",
    },
}


def names(path: str) -> list[str]:
    """Return the names of a path's variable parts, in order."""
    return _NAMES.findall(path)


def parameters(route: Route, schemas: Schemas) -> list[Parameter]:
    """Return the parameters of `route` as OpenAPI has them."""
    return [*_of_path(route), *_of_query(route, schemas), *_of_headers(route)]


def _of_path(route: Route) -> list[Parameter]:
    found = []
    for name in names(route.path):
        schema = _PARTS.get(name, {"type": "string", "format": "uuid"})
        if name in _REFERENCED and not route.changes:
            pattern = "^[A-Za-z]-[0-9A-Za-z]{7}$"
            schema = {"anyOf": [schema, {"type": "string", "pattern": pattern}]}
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    return found


def _of_query(route: Route, schemas: Schemas) -> list[Parameter]:
    if route.query is None:
        return []
    model = schemas.resolved(schemas.sent(route.query))
    required = set(model.get("required", ()))
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _plain(schema)}
        for name, schema in model.get("properties", {}).items()
    ]


def _plain(schema: Schema) -> Schema:
    """Return the schema of a value in a query string, where null cannot be written."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "title")}
    if rest.get("default", "") is None:
        del rest["default"]
    return {**kinds[0], **rest} if len(kinds) == 1 else {**schema}


def _of_headers(route: Route) -> list[Parameter]:
    found = []
    if route.key is not KeyRule.NONE:
        schema = {"type": "string", "pattern": "^[\\x21-\\x7e]{16,255}$"}
        found.append(_header("Idempotency-Key", schema, _KEY_HELP, route.key is KeyRule.REQUIRED))
        found[-1]["example"] = "0b6d9d0e-release-a3c1"
    if route.guarded:
        schema = {"type": "string", "pattern": '^"[1-9][0-9]{0,8}"$'}
        found.append(_header("If-Match", schema, "The ETag of what was read.", True))
        found[-1]["example"] = '"1"'
    for name, help_text in _SIGNATURES.get(route.path, {}).items():
        found.append(_header(name, {"type": "string"}, help_text, True))
    return found


def _header(name: str, schema: Schema, description: str, required: bool) -> Parameter:
    return {
        "name": name,
        "in": "header",
        "required": required,
        "description": description,
        "schema": schema,
    }
