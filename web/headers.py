"""Header fields of every answer, set when its head is about to be sent."""

from aiohttp import web

from web.deps import DEPS
from web.limits import Allowance
from web.problems import CONTENT_TYPE
from web.trace import TRACEPARENT, trace_id

# What a request has told so far, for its answer, whatever that will be.
ALLOWANCE: web.RequestKey[Allowance] = web.RequestKey("allowance", Allowance)
PRIVATE: web.RequestKey[bool] = web.RequestKey("private", bool)

_PERMISSIONS = 'camera=(), microphone=(), geolocation=(), payment=(self "https://js.stripe.com")'
_ALWAYS = {
    "Server": "bloxtr8",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": _PERMISSIONS,
}
_TRANSPORT_SECURITY = "max-age=31536000; includeSubDomains"
_JSON_POLICY = "default-src 'none'; frame-ancestors 'none'"
_DATA = frozenset({"application/json", CONTENT_TYPE, "text/plain", "text/event-stream"})
_SHARED = "/api/v1/"
_EXPOSED = (
    "ETag, Link, Location, RateLimit, RateLimit-Policy, Retry-After, Idempotency-Replayed,"
    " X-Request-Id"
)


def is_shared(request: web.Request) -> bool:
    """Tell whether the request comes from another origin that may read the answer."""
    allowed = request.app[DEPS].settings.web.cors_origins
    return request.path.startswith(_SHARED) and request.headers.get("Origin", "") in allowed


async def finish(request: web.Request, response: web.StreamResponse) -> None:
    """Complete the head of `response`."""
    settings = request.app[DEPS].settings.web
    headers = response.headers
    headers.update(_ALWAYS)
    if settings.public_url.startswith("https://"):
        headers["Strict-Transport-Security"] = _TRANSPORT_SECURITY
    if response.content_type in _DATA:
        headers["Content-Security-Policy"] = _JSON_POLICY
    if TRACEPARENT in request:
        headers["X-Request-Id"] = trace_id(request[TRACEPARENT])
    if ALLOWANCE in request:
        headers.update(request[ALLOWANCE].headers())
    if PRIVATE in request:
        headers["Cache-Control"] = "no-store"
    if settings.cors_origins and request.path.startswith(_SHARED):
        headers.add("Vary", "Origin")
    if is_shared(request):
        headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        headers["Access-Control-Expose-Headers"] = _EXPOSED
