"""W3C trace context of a request."""

import re
import secrets

from aiohttp import web

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
TRACEPARENT: web.RequestKey[str] = web.RequestKey("traceparent", str)


def traceparent_for(header: str | None) -> str:
    """Return our own span under the caller's trace, or a new trace when there is none."""
    match = _TRACEPARENT.fullmatch(header or "")
    valid = match and set(match[1]) != {"0"} and set(match[2]) != {"0"}
    trace = match[1] if match and valid else secrets.token_hex(16)
    return f"00-{trace}-{secrets.token_hex(8)}-01"


def trace_id(traceparent: str) -> str:
    """Return the 32 hex digits that name the trace."""
    return traceparent[3:35]
