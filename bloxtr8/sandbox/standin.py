"""What HTTP stand-ins share: a loopback server, faults on demand, small controls."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from bloxtr8.clock import Clock, SystemClock
from bloxtr8.sandbox.faults import Fault, FaultPlan, FaultRule
from bloxtr8.sandbox.orders import FaultOrder, Handler, read

JSON = dict[str, Any]

_BODY_BYTES_MAX = 64 * 1024
_GARBAGE = b"<html>\x00\xff not what you asked for"
_SANDBOX = "/sandbox/"


class StandIn:
    """A provider in memory. `await start()` listens on loopback, `await stop()` ends it."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.faults = FaultPlan()
        self.asked: list[str] = []
        self.base_url = ""
        self._runner: web.AppRunner | None = None
        self._closing = asyncio.Event()

    @property
    def control_url(self) -> str:
        return f"{self.base_url}/sandbox"

    def add_routes(self, app: web.Application) -> None:
        """Add the provider's endpoints and its controls."""
        raise NotImplementedError

    def refuse(self, rule: FaultRule) -> web.Response:
        """Return the provider's own words for a refusal on demand."""
        status = int(rule.code) if rule.code.isdigit() else 400
        return web.json_response({"message": "Refused on demand."}, status=status)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._closing.clear()
        app = web.Application(client_max_size=_BODY_BYTES_MAX, middlewares=[self._misbehave])
        self.add_routes(app)
        app.router.add_post("/sandbox/faults", guarded(self._add_fault))
        app.router.add_delete("/sandbox/faults", guarded(self._clear_faults))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        bound = self._runner.addresses[0]
        self.base_url = f"http://{bound[0]}:{bound[1]}"

    async def stop(self) -> None:
        self._closing.set()
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _misbehave(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(_SANDBOX):
            return await handler(request)
        self.asked = [*self.asked[-999:], f"{request.method} {request.path}"]
        rule = self.faults.take(request.method, request.path)
        if rule is None:
            return await handler(request)
        before = await self._fail_before(request, rule)
        if before is not None:
            return before
        response = await handler(request)
        return await self._spoil_after(request, rule, response)

    async def _fail_before(self, request: web.Request, rule: FaultRule) -> web.Response | None:
        if rule.fault is Fault.REFUSE:
            return self.refuse(rule)
        if rule.fault is Fault.RATE_LIMIT:
            headers = {"Retry-After": str(round(rule.seconds))}
            return web.json_response({"message": "Too many requests"}, status=429, headers=headers)
        if rule.fault in (Fault.ERROR_BEFORE, Fault.ERROR_STICKY):
            status = int(rule.code) if rule.code.isdigit() else 500
            return web.json_response({"message": "Internal error"}, status=status)
        if rule.fault in (Fault.TIMEOUT_BEFORE, Fault.DELAY):
            await self._wait(rule.seconds)
        if rule.fault in (Fault.TIMEOUT_BEFORE, Fault.DISCONNECT_BEFORE):
            return _hang_up(request)
        return None

    async def _spoil_after(
        self, request: web.Request, rule: FaultRule, response: web.StreamResponse
    ) -> web.StreamResponse:
        if rule.fault is Fault.GARBAGE:
            return web.Response(body=_GARBAGE, content_type="text/html")
        if rule.fault is Fault.ERROR_AFTER:
            return web.json_response({"message": "Internal error"}, status=500)
        if rule.fault is Fault.TIMEOUT_AFTER:
            await self._wait(rule.seconds)
        if rule.fault in (Fault.TIMEOUT_AFTER, Fault.DISCONNECT_AFTER):
            return _hang_up(request)
        return response

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            return

    async def _add_fault(self, request: web.Request) -> JSON:
        order = await read(request, FaultOrder)
        self.faults.add(FaultRule(**order.model_dump()))
        return {}

    async def _clear_faults(self, _request: web.Request) -> JSON:
        self.faults.clear()
        return {}


def guarded(handler: Callable[[web.Request], Awaitable[Any]]) -> Handler:
    """Return `handler` as one that answers JSON, and 400 for what it cannot read."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return web.json_response(await handler(request))
        except (ValidationError, ValueError, KeyError) as error:
            return web.json_response({"message": str(error)}, status=400)

    return handle


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)
