"""Problem documents (RFC 9457): how an error is told to a client."""

import json
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from bloxtr8 import errors
from bloxtr8.errors import Bloxtr8Error

CONTENT_TYPE = "application/problem+json"
# Seconds after which to try again where nobody knows better.
LATER_S = 5
# Members that other parts of the answer use and the document does not show.
_INTERNAL_MEMBERS = frozenset({"allowance", "headers"})


def problem(error: Bloxtr8Error, *, origin: str, path: str, trace_id: str) -> dict[str, Any]:
    """Return the problem document of `error`; `origin` is the public one, `path` the asked."""
    members = {k: v for k, v in error.members.items() if k not in _INTERNAL_MEMBERS}
    wait_s = _wait_s(error)
    if wait_s is not None:
        members["retry_after_s"] = wait_s
    return {
        "type": f"{origin}/problems/{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "instance": path,
        "code": error.code,
        "trace_id": trace_id,
        "errors": members.pop("errors", []),
        **members,
    }


def problem_response(error: Bloxtr8Error, *, origin: str, path: str, trace_id: str) -> web.Response:
    """Return the answer that tells `error`, with the headers that belong to it."""
    document = problem(error, origin=origin, path=path, trace_id=trace_id)
    headers = headers_of(error)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return web.Response(
        status=error.status,
        # A field's name that it repeats may hold bytes that are no text.
        body=json.dumps(document, ensure_ascii=False).encode("utf-8", "replace"),
        content_type=CONTENT_TYPE,
        headers=headers,
    )


def headers_of(error: Bloxtr8Error) -> dict[str, str]:
    """Return the header fields of a refusal, in whatever form it is told."""
    headers = dict(error.members.get("headers", {}))
    wait_s = _wait_s(error)
    if wait_s is not None:
        headers["Retry-After"] = str(wait_s)
    allowance = error.members.get("allowance")
    return headers if allowance is None else headers | allowance.headers()


def _wait_s(error: Bloxtr8Error) -> int | None:
    """Return after how many seconds to try again; None where that would not help."""
    wait_s: int | None = error.members.get(
        "retry_after_s", LATER_S if error.status == 503 else None
    )
    return wait_s


def error_classes() -> dict[str, type[Bloxtr8Error]]:
    """Return every error by its code; the class nearest to the root names a shared code."""
    found: dict[str, type[Bloxtr8Error]] = {}
    for error_class in _walk(errors.Bloxtr8Error):
        found.setdefault(error_class.code, error_class)
    return found


def _walk(root: type[Bloxtr8Error]) -> Iterator[type[Bloxtr8Error]]:
    yield root
    for child in root.__subclasses__():
        yield from _walk(child)
