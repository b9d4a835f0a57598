"""Reading what a client sent: bounded, strict, and refused field by field."""

import json
from collections.abc import Iterable
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import MultiMapping
from pydantic import BaseModel, ValidationError

from bloxtr8.errors import (
    BodyTooLarge,
    MalformedJson,
    UnknownField,
    UnsupportedMediaType,
    ValidationFailed,
)

JSON_BYTES_MAX = 64 * 1024
_DEPTH_MAX = 16
_ARRAY_MAX = 100
_ERRORS_MAX = 50
_QUERY_VALUE_MAX = 1024
_UTF8_NAMES = frozenset({None, "utf-8"})

Model = TypeVar("Model", bound=BaseModel)


async def read_raw(request: web.Request, bytes_max: int) -> bytes:
    """Return the body; raises BodyTooLarge as soon as it has more than `bytes_max`."""
    if (request.content_length or 0) > bytes_max:
        raise BodyTooLarge(f"A body here may have {bytes_max} bytes.")
    parts = bytearray()
    # Read in pieces: a chunked or compressed body does not say its length.
    try:
        async for chunk in request.content.iter_chunked(16 * 1024):
            parts += chunk
            if len(parts) > bytes_max:
                raise BodyTooLarge(f"A body here may have {bytes_max} bytes.")
    except web.RequestPayloadError:
        # Not what its encoding or its chunks promise.
        raise MalformedJson("The body cannot be decoded.") from None
    return bytes(parts)


async def read_json(request: web.Request) -> bytes:
    """Return the body, known to be JSON in our bounds; an empty one counts as an empty object."""
    raw = await read_raw(request, JSON_BYTES_MAX)
    if not raw:
        return b"{}"
    charset = request.charset.lower() if request.charset else None
    if request.content_type != "application/json" or charset not in _UTF8_NAMES:
        raise UnsupportedMediaType
    parse_json(raw)
    return raw


async def read_form(request: web.Request) -> dict[str, str]:
    """Return a page's form, bounded like JSON; raises UnsupportedMediaType, MalformedJson."""
    raw = await read_raw(request, JSON_BYTES_MAX)
    if request.content_type != "application/x-www-form-urlencoded" and raw:
        raise UnsupportedMediaType("Send a form.")
    try:
        pairs = parse_qsl(raw.decode("utf-8"), keep_blank_values=True, max_num_fields=_ARRAY_MAX)
    except ValueError:
        raise MalformedJson("The form is malformed.") from None
    return dict(pairs)


def parse_json(raw: bytes) -> Any:
    """Return the value of `raw`; raises MalformedJson, also for floats and repeated names."""
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_float=_refuse_number,
            parse_constant=_refuse_number,
        )
    except (UnicodeDecodeError, ValueError):
        raise MalformedJson from None
    except RecursionError:
        raise MalformedJson(f"The body is nested more than {_DEPTH_MAX} deep.") from None
    _check_shape(value)
    return value


def validated(model: type[Model], raw: bytes) -> Model:
    """Return `raw` as `model`; raises UnknownField or ValidationFailed, naming the fields."""
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise _refusal(error) from None


def validated_query(model: type[Model], query: MultiMapping[str]) -> Model:
    """Return the query string as `model`; raises ValidationFailed."""
    values: dict[str, str] = {}
    for name, value in query.items():
        if name in values or len(value) > _QUERY_VALUE_MAX:
            raise ValidationFailed(errors=[_entry(name, "invalid", "Give it once, and shorter.")])
        values[name] = value
    try:
        return model.model_validate_strings(values)
    except ValidationError as error:
        raise _refusal(error) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name is repeated")
    return result


def _refuse_number(text: str) -> Any:
    raise MalformedJson(f"{text[:40]} is not a whole number; amounts are whole minor units.")


def _check_shape(value: Any) -> None:
    level = [value]
    for _ in range(_DEPTH_MAX):
        containers = [item for item in level if isinstance(item, dict | list)]
        if not containers:
            return
        if any(isinstance(item, list) and len(item) > _ARRAY_MAX for item in containers):
            raise ValidationFailed(f"An array may have {_ARRAY_MAX} items.")
        level = [child for item in containers for child in _children(item)]
    if any(isinstance(item, dict | list) for item in level):
        raise MalformedJson(f"The body is nested more than {_DEPTH_MAX} deep.")


def _children(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


def _refusal(error: ValidationError) -> Exception:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if any(item["type"] == "json_invalid" for item in found):
        return MalformedJson()
    entries = [_entry(_pointer(i["loc"]), i["type"], i["msg"]) for i in found[:_ERRORS_MAX]]
    if all(item["type"] == "extra_forbidden" for item in found):
        return UnknownField(errors=[{**entry, "code": "unknown_field"} for entry in entries])
    return ValidationFailed(errors=entries)


def _entry(pointer: str, code: str, message: str) -> dict[str, str]:
    if not pointer.startswith("/"):
        pointer = f"/{pointer}"
    return {"field": pointer, "code": code, "message": message}


def _pointer(location: tuple[int | str, ...]) -> str:
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in location)
    return "/" + "/".join(parts)
