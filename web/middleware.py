"""What happens around every request: trace, cross-origin questions, errors, metrics."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web

from bloxtr8 import telemetry
from bloxtr8.errors import (
    BadHeader,
    Bloxtr8Error,
    BodyTooLarge,
    MalformedJson,
    MethodNotAllowed,
    NotFound,
    RateLimited,
    Unavailable,
)
from bloxtr8.messaging.publisher import PublishTimeout
from bloxtr8.store.database import is_transient
from web import html
from web.addresses import client_address
from web.deps import DEPS
from web.headers import ALLOWANCE, is_shared
from web.limits import RateClass
from web.problems import problem_response
from web.routes import Route
from web.trace import TRACEPARENT, trace_id, traceparent_for

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REQUEST_TIMEOUT_S = 30.0
_ADDRESS_CHARACTERS_MAX = 4096
_HEAD_BYTES_MAX = 16 * 1024
_CORS_METHODS = "GET, POST, PUT, PATCH, DELETE"
_CORS_REQUEST = "Authorization, Content-Type, Idempotency-Key, If-Match, traceparent"
_log = telemetry.get_logger(__name__)


@web.middleware
async def trace_and_measure(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request a trace, and count and log its answer by route, never by path."""
    traceparent = traceparent_for(request.headers.get("traceparent"))
    request[TRACEPARENT] = traceparent
    started = time.monotonic()
    with structlog.contextvars.bound_contextvars(trace_id=trace_id(traceparent)):
        response = await handler(request)
        seconds = time.monotonic() - started
        route = _route_name(request)
        method = request.method if request.method in _KNOWN_METHODS else "OTHER"
        telemetry.HTTP_REQUESTS.labels(route, method, str(response.status)).inc()
        if not is_stream(request):
            telemetry.HTTP_SECONDS.labels(route, method).observe(seconds)
        _log.info(
            "request",
            route=route,
            method=method,
            status=response.status,
            milliseconds=round(seconds * 1000, 1),
        )
    return response


_KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@web.middleware
async def answer_preflights(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer what browsers ask before a request from another origin."""
    if not (is_shared(request) and _is_preflight(request)):
        return await handler(request)
    headers = {
        "Access-Control-Allow-Methods": _CORS_METHODS,
        "Access-Control-Allow-Headers": _CORS_REQUEST,
        "Access-Control-Max-Age": "600",
    }
    return web.Response(status=204, headers=headers)


@web.middleware
async def tell_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn everything that is raised into a problem document; end what takes too long."""
    try:
        _check_head(request)
        async with asyncio.timeout(None if is_stream(request) else REQUEST_TIMEOUT_S):
            return await handler(request)
    except (asyncio.CancelledError, ConnectionResetError):
        raise
    except web.HTTPException as error:
        if error.status < 400:
            raise
        told = _counted(request, _of_http(error))
    except Bloxtr8Error as error:
        told = error
    except Exception as error:
        told = _of_unexpected(error)
    route = route_of(request)
    if route is not None and route.page:
        return html.error_page(told)
    return problem_response(
        told,
        origin=request.app[DEPS].settings.web.public_url.rstrip("/"),
        path=request.path,
        trace_id=trace_id(request[TRACEPARENT]),
    )


MIDDLEWARES: tuple[Any, ...] = (trace_and_measure, answer_preflights, tell_errors)


def _check_head(request: web.Request) -> None:
    """Raises BadHeader for an address or header fields that are too long."""
    if len(request.raw_path) > _ADDRESS_CHARACTERS_MAX:
        raise BadHeader(f"An address may have {_ADDRESS_CHARACTERS_MAX} characters.")
    if sum(len(name) + len(value) for name, value in request.raw_headers) > _HEAD_BYTES_MAX:
        raise BadHeader(f"Header fields may have {_HEAD_BYTES_MAX} bytes together.")


def _counted(request: web.Request, error: Bloxtr8Error) -> Bloxtr8Error:
    """Return what is told of a request that goes nowhere: looking around is not free either."""
    deps = request.app[DEPS]
    address = client_address(request, deps.proxies)
    try:
        request[ALLOWANCE] = deps.limiter.take_from(RateClass.READ_UNSIGNED, address)
    except RateLimited as refusal:
        return refusal
    return error


def _of_http(error: web.HTTPException) -> Bloxtr8Error:
    if isinstance(error, web.HTTPMethodNotAllowed):
        return MethodNotAllowed(headers={"Allow": ", ".join(sorted(error.allowed_methods))})
    if error.status == 413:
        return BodyTooLarge()
    return NotFound() if error.status == 404 else MalformedJson("The request is malformed.")


def _of_unexpected(error: Exception) -> Bloxtr8Error:
    if isinstance(error, PublishTimeout):
        return Unavailable(retry_after_s=5)
    if type(error).__name__ == "LockNotAvailableError":
        # Somebody else has held the row for two seconds.
        return Unavailable("Somebody else is changing that right now.", retry_after_s=1)
    if isinstance(error, TimeoutError) or is_transient(error):
        _log.warning("request_unavailable", error=type(error).__name__)
        return Unavailable(retry_after_s=5)
    _log.exception("request_failed")
    return Bloxtr8Error()


def _is_preflight(request: web.Request) -> bool:
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


def route_of(request: web.Request) -> Route | None:
    """Return the entry that the request goes to, None when it goes nowhere."""
    route = next(iter(getattr(request.match_info.handler, "args", ())), None)
    return route if isinstance(route, Route) else None


def is_stream(request: web.Request) -> bool:
    """Tell whether the answer goes on until somebody ends it."""
    route = route_of(request)
    return route is not None and route.stream


def _route_name(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"
