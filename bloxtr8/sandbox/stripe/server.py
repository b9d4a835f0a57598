"""The stand-in as an HTTP server: Stripe's API under /v1, its controls under /sandbox."""

import asyncio
import base64
import hmac
import json
from hashlib import sha256

from aiohttp import web

from bloxtr8.clock import Clock, SystemClock
from bloxtr8.sandbox.faults import Fault, FaultPlan, FaultRule
from bloxtr8.sandbox.orders import Handler
from bloxtr8.sandbox.stripe import control
from bloxtr8.sandbox.stripe.keys import IdempotencyKeys
from bloxtr8.sandbox.stripe.resources import ROUTES, Method, expand
from bloxtr8.sandbox.stripe.webhooks import WebhookSender
from bloxtr8.sandbox.stripe.wire import JSON, ApiError, new_id, parse_form
from bloxtr8.sandbox.stripe.world import World

API_KEY = "sk_test_bloxtr8"
WEBHOOK_SECRET = "whsec_bloxtr8_sandbox"  # noqa: S105 - the sandbox's own, worth nothing
_BODY_BYTES_MAX = 256 * 1024
_BEFORE = {Fault.TIMEOUT_BEFORE, Fault.DISCONNECT_BEFORE, Fault.ERROR_BEFORE, Fault.RATE_LIMIT}
_GARBAGE = b"<html>\x00\xff not what you asked for"


class StripeStandIn:
    """One Stripe account, in memory.

    `await start()` listens on loopback (`base_url`, `control_url`), `await stop()` ends it.
    """

    def __init__(
        self,
        *,
        webhook_url: str = "",
        webhook_secret: str = WEBHOOK_SECRET,
        api_key: str = API_KEY,
        clock: Clock | None = None,
        seed: int = 0,
    ) -> None:
        self.api_key = api_key
        self.webhook_secret = webhook_secret
        self.world = World(clock or SystemClock())
        self.faults = FaultPlan()
        self.keys = IdempotencyKeys()
        self.webhooks = WebhookSender(webhook_url, webhook_secret, seed=seed)
        self.world.on_event = self.webhooks.send
        self.base_url = ""
        self._runner: web.AppRunner | None = None
        self._closing = asyncio.Event()

    @property
    def control_url(self) -> str:
        return f"{self.base_url}/sandbox"

    def reset(self) -> None:
        """Forget everything: objects, keys, faults."""
        self.world.reset()
        self.keys.clear()
        self.faults.clear()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._closing.clear()
        await self.webhooks.start()
        self._runner = web.AppRunner(self.make_app(), access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound = self._runner.addresses[0]
        self.base_url = self.world.base_url = f"http://{bound[0]}:{bound[1]}"

    async def stop(self) -> None:
        self._closing.set()
        await self.webhooks.stop()
        if self._runner is not None:
            await self._runner.cleanup()

    def make_app(self) -> web.Application:
        app = web.Application(client_max_size=_BODY_BYTES_MAX)
        control.add_routes(app, self)
        for (verb, path), method in ROUTES.items():
            app.router.add_route(verb, path, self._handler(method))
        return app

    def _handler(self, method: Method) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            rule = self.faults.take(request.method, request.path)
            if rule is not None and rule.fault in _BEFORE:
                return await self._fail_before(request, rule)
            response = await self._answer(request, method, rule)
            response.headers["Request-Id"] = new_id("req")
            if rule is None:
                return response
            return await self._spoil_after(request, rule, response)

        return handle

    async def _answer(
        self, request: web.Request, method: Method, rule: FaultRule | None
    ) -> web.Response:
        try:
            self._authenticate(request)
            if request.method == "GET":
                return _json(200, self._call(method, parse_form(request.query_string), request))
            return await self._post(request, method, rule)
        except ApiError as error:
            return _json(error.status, error.body)

    async def _post(
        self, request: web.Request, method: Method, rule: FaultRule | None
    ) -> web.Response:
        form = await request.text()
        key = request.headers.get("Idempotency-Key") or new_id("auto")
        fingerprint = sha256(f"{request.path}?{form}".encode()).hexdigest()
        kept = self.keys.begin(key, fingerprint, self.world.now())
        if kept is not None:
            assert kept.body is not None, "an answer that is repeated is complete"
            response = web.Response(
                status=kept.status, body=kept.body, content_type="application/json"
            )
            response.headers["Idempotent-Replayed"] = "true"
            return response
        try:
            if rule is not None and rule.fault is Fault.DELAY:
                await self._wait(rule.seconds)
            response = self._execute(request, method, parse_form(form), rule)
        except ApiError as error:
            response = _json(error.status, error.body)
            if not error.kept:
                self.keys.release(key)
                return response
        assert isinstance(response.body, bytes), "an answer is bytes"
        self.keys.finish(key, response.status, response.body)
        return response

    def _execute(
        self, request: web.Request, method: Method, params: JSON, rule: FaultRule | None
    ) -> web.Response:
        fault = rule.fault if rule is not None else None
        if fault is Fault.ERROR_STICKY:
            raise _internal_error()
        if rule is not None and fault is Fault.REFUSE:
            raise ApiError(400, "Refused on demand.", code=rule.code or "refused", kept=True)
        answer = self._call(method, params, request)
        if fault is Fault.ERROR_AFTER:
            raise _internal_error()
        return _json(200, answer)

    def _call(self, method: Method, params: JSON, request: web.Request) -> JSON:
        answer = method(self.world, params, request.match_info.get("ref", ""))
        return expand(self.world, answer, params)

    def _authenticate(self, request: web.Request) -> None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                given = base64.b64decode(given, validate=True).decode().removesuffix(":")
            except ValueError:
                given = ""
        if not hmac.compare_digest(given.encode(), self.api_key.encode()):
            raise ApiError(401, "Invalid API Key provided.", code="api_key_invalid")

    async def _fail_before(self, request: web.Request, rule: FaultRule) -> web.StreamResponse:
        if rule.fault is Fault.RATE_LIMIT:
            error = ApiError(429, "Too many requests.", code="rate_limit")
            response = _json(error.status, error.body)
            response.headers["Retry-After"] = str(max(0, round(rule.seconds)))
            return response
        if rule.fault is Fault.ERROR_BEFORE:
            return _json(500, _internal_error().body)
        if rule.fault is Fault.TIMEOUT_BEFORE:
            await self._wait(rule.seconds)
        return _hang_up(request)

    async def _spoil_after(
        self, request: web.Request, rule: FaultRule, response: web.Response
    ) -> web.StreamResponse:
        if rule.fault is Fault.GARBAGE:
            return web.Response(status=200, body=_GARBAGE, content_type="text/html")
        if rule.fault is Fault.TIMEOUT_AFTER:
            await self._wait(rule.seconds)
            return _hang_up(request)
        if rule.fault is Fault.DISCONNECT_AFTER:
            return _hang_up(request)
        if rule.fault is Fault.DELAY and request.method == "GET":
            await self._wait(rule.seconds)
        return response

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            return


def _json(status: int, body: JSON) -> web.Response:
    raw = json.dumps(body, indent=2).encode()
    return web.Response(status=status, body=raw, content_type="application/json")


def _internal_error() -> ApiError:
    return ApiError(500, "An unknown error occurred.", type_="api_error", kept=True)


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)
