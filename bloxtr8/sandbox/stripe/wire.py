"""Stripe's way of writing: bracketed forms, error objects, ids.

Sources: docs.stripe.com/api, "Errors", "Idempotent requests", "Expanding responses".
"""

import secrets
from typing import Any
from urllib.parse import parse_qsl

JSON = dict[str, Any]

_FIELDS_MAX = 500
_DEPTH_MAX = 5


class ApiError(Exception):
    """What Stripe answers instead of an object.

    `kept`: the request had begun to execute, so its idempotency key repeats this answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type_: str = "invalid_request_error",
        code: str = "",
        param: str = "",
        kept: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kept = kept
        self.body: JSON = {"error": {"type": type_, "message": message}}
        if code:
            self.body["error"]["code"] = code
        if param:
            self.body["error"]["param"] = param


def missing(kind: str, ref: str) -> ApiError:
    """Return Stripe's answer for an id that it does not know."""
    return ApiError(404, f"No such {kind}: '{ref}'", code="resource_missing", param="id")


def new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"


def parse_form(text: str) -> JSON:
    """Return the nested object that a bracketed form stands for; raises ApiError."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_FIELDS_MAX)
    except ValueError:
        raise ApiError(400, "Too many parameters.") from None
    result: JSON = {}
    for name, value in pairs:
        _put(result, name, value)
    return {name: _lists(value) for name, value in result.items()}


def _put(target: JSON, name: str, value: str) -> None:
    head, *rest = name.split("[")
    path = [head, *(part.removesuffix("]") for part in rest)]
    if len(path) > _DEPTH_MAX:
        raise ApiError(400, f"Invalid hash: {head} is nested too deeply.", param=head)
    for part in path[:-1]:
        inner = target.setdefault(part, {})
        if not isinstance(inner, dict):
            raise ApiError(400, f"Invalid hash: {head}", param=head)
        target = inner
    leaf = path[-1]
    target[leaf if leaf else str(len(target))] = value


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(inner) for key, inner in value.items()}


def text(params: JSON, name: str, *, required: bool = False) -> str:
    """Return a string parameter, "" when absent; raises ApiError."""
    value = params.get(name, "")
    if not isinstance(value, str):
        raise ApiError(400, f"Invalid string: {name}", param=name)
    if required and not value:
        raise ApiError(
            400, f"Missing required param: {name}.", code="parameter_missing", param=name
        )
    return value


def positive(params: JSON, name: str, default: int | None = None) -> int:
    """Return an amount parameter in minor units; raises ApiError."""
    value = text(params, name, required=default is None)
    if not value and default is not None:
        return default
    if not value.isascii() or not value.isdigit() or len(value) > 12:
        raise ApiError(
            400, f"Invalid integer: {value[:40]}", code="parameter_invalid_integer", param=name
        )
    if int(value) < 1:
        raise ApiError(
            400,
            "This value must be greater than or equal to 1.",
            code="parameter_invalid_integer",
            param=name,
        )
    return int(value)


def metadata(params: JSON) -> dict[str, str]:
    """Return the metadata of a request; raises ApiError beyond Stripe's limits."""
    value = params.get("metadata") or {}
    if not isinstance(value, dict) or not all(isinstance(entry, str) for entry in value.values()):
        raise ApiError(400, "Invalid hash: metadata", param="metadata")
    if len(value) > 50 or any(len(key) > 40 or len(entry) > 500 for key, entry in value.items()):
        raise ApiError(400, "Metadata is limited to 50 keys.", param="metadata")
    return dict(value)


def page(objects: list[JSON], params: JSON, url: str) -> JSON:
    """Return Stripe's list object, newest first, at most `limit` (1 to 100, else 10)."""
    limit = min(positive(params, "limit", 10), 100)
    after = text(params, "starting_after")
    ordered = objects[::-1]
    if after:
        places = [index for index, entry in enumerate(ordered) if entry["id"] == after]
        if not places:
            raise missing("object", after)
        ordered = ordered[places[0] + 1 :]
    return {
        "object": "list",
        "url": url,
        "data": ordered[:limit],
        "has_more": len(ordered) > limit,
    }
