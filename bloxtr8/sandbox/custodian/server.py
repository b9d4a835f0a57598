"""The custodian as an HTTP server: its contract under /v1, its controls under /sandbox."""

import asyncio
import contextlib
import hmac
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256

from aiohttp import web
from pydantic import ValidationError

from bloxtr8 import ids
from bloxtr8.clock import Clock, SystemClock
from bloxtr8.sandbox.chain.wallets import USDC
from bloxtr8.sandbox.custodian import control
from bloxtr8.sandbox.custodian.contract import JSON, NewAddress, NewTransfer
from bloxtr8.sandbox.custodian.node import Node
from bloxtr8.sandbox.custodian.vault import Full, Vault
from bloxtr8.sandbox.custodian.webhooks import CustodianWebhooks
from bloxtr8.sandbox.faults import Fault, FaultPlan, FaultRule

API_KEY = "custodian-sandbox-key"
WEBHOOK_SECRET = "custodian-sandbox-secret"  # noqa: S105 - the sandbox's own, worth nothing
CHAIN = "base-local"
ASSET = "USDC"
_BODY_BYTES_MAX = 64 * 1024
_KEYS_MAX = 100_000
_KEY_CHARACTERS_MAX = 255
_BEFORE = {Fault.TIMEOUT_BEFORE, Fault.DISCONNECT_BEFORE, Fault.ERROR_BEFORE, Fault.RATE_LIMIT}
_GARBAGE = b"<html>\x00\xff not what you asked for"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refusal(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body: JSON = {"error": {"code": code, "message": message}}


@dataclass(slots=True)
class _Kept:
    fingerprint: str
    status: int = 0
    body: bytes | None = None


class CustodianStandIn:
    """A custodian of USDC that really moves tokens on the local chain at `rpc_url`.

    `await start()` listens on loopback (`base_url`, `control_url`), `await stop()` ends it.
    `looks_by_itself`: it watches the chain all the time, else only at each `vault.tick()`.
    """

    def __init__(
        self,
        rpc_url: str,
        *,
        webhook_url: str = "",
        webhook_secret: str = WEBHOOK_SECRET,
        api_key: str = API_KEY,
        clock: Clock | None = None,
        looks_by_itself: bool = True,
    ) -> None:
        self._looks_by_itself = looks_by_itself
        self.api_key = api_key
        self.webhook_secret = webhook_secret
        self.clock = clock or SystemClock()
        self.faults = FaultPlan()
        self.webhooks = CustodianWebhooks(webhook_url, webhook_secret)
        self._node = Node(rpc_url)
        self.vault = Vault(self._node, USDC.hex, CHAIN, ASSET, self.clock, self._emit)
        self.base_url = ""
        self._keys: OrderedDict[str, _Kept] = OrderedDict()
        self._runner: web.AppRunner | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    @property
    def control_url(self) -> str:
        return f"{self.base_url}/sandbox"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._closing.clear()
        await self._node.start()
        await self.webhooks.start()
        self._runner = web.AppRunner(self.make_app(), access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        bound = self._runner.addresses[0]
        self.base_url = f"http://{bound[0]}:{bound[1]}"
        if self._looks_by_itself:
            self._task = asyncio.create_task(self.vault.run())

    async def stop(self) -> None:
        self._closing.set()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._runner is not None:
            await self._runner.cleanup()
        await self.webhooks.stop()
        await self._node.stop()

    def make_app(self) -> web.Application:
        app = web.Application(client_max_size=_BODY_BYTES_MAX)
        control.add_routes(app, self)
        for verb, path, handler in (
            ("POST", "/v1/addresses", self._new_address),
            ("GET", "/v1/addresses/{address}/deposits", self._deposits),
            ("POST", "/v1/transfers", self._new_transfer),
            ("GET", "/v1/transfers", self._transfers),
            ("GET", "/v1/transfers/{id}", self._transfer),
        ):
            app.router.add_route(verb, path, self._guarded(handler))
        return app

    def _emit(self, type_: str, body: JSON) -> None:
        self.webhooks.send(
            {
                "id": f"evt_{ids.uuid7().hex}",
                "type": type_,
                "created_at": self.vault.now(),
                "data": body,
            }
        )

    # The contract.

    async def _new_address(self, request: web.Request) -> tuple[int, JSON]:
        order = NewAddress.model_validate_json(await request.read())
        self._check_chain(order.chain)
        made = self.vault.address(order.reference)
        return 201, {
            "id": made.id,
            "address": made.hex,
            **order.model_dump(),
            "created_at": made.created_at,
        }

    async def _deposits(self, request: web.Request) -> tuple[int, JSON]:
        address = request.match_info["address"].lower()
        if address not in self.vault.addresses:
            raise Refusal(404, "unknown_address", "That address is not one of ours.")
        return 200, {"deposits": self.vault.deposits_of(address)}

    async def _new_transfer(self, request: web.Request) -> tuple[int, JSON]:
        order = NewTransfer.model_validate_json(await request.read())
        self._check_chain(order.chain)
        if self.vault.find_reference(order.from_reference) is None:
            raise Refusal(422, "unknown_reference", "Nothing came in under that reference.")
        return 201, self.vault.transfer(order.model_dump())

    async def _transfers(self, request: web.Request) -> tuple[int, JSON]:
        reference = request.query.get("reference", "")
        if not reference:
            raise Refusal(400, "reference_missing", "Which transfers?")
        return 200, {"transfers": self.vault.transfers_of(reference)}

    async def _transfer(self, request: web.Request) -> tuple[int, JSON]:
        job = self.vault.jobs.get(request.match_info["id"])
        if job is None:
            raise Refusal(404, "unknown_transfer", "There is no such transfer.")
        return 200, job.body

    def _check_chain(self, chain: str) -> None:
        if chain != CHAIN:
            raise Refusal(422, "unknown_chain", f"This custodian is on {CHAIN}.")

    # Around it: authentication, keys, faults.

    def _guarded(self, handler: Callable[[web.Request], Awaitable[tuple[int, JSON]]]) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            rule = self.faults.take(request.method, request.path)
            if rule is not None and rule.fault in _BEFORE:
                return await self._fail_before(request, rule)
            response = await self._answer(request, handler, rule)
            return response if rule is None else await self._spoil(request, rule, response)

        return handle

    async def _answer(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[tuple[int, JSON]]],
        rule: FaultRule | None,
    ) -> web.Response:
        try:
            self._authenticate(request)
            if request.method == "GET":
                return _json(*await handler(request))
            return await self._post(request, handler, rule)
        except Refusal as refusal:
            return _json(refusal.status, refusal.body)
        except (ValidationError, ValueError):
            return _json(400, Refusal(400, "malformed", "The request is not as it should be.").body)
        except Full:
            return _json(500, Refusal(500, "full", "The sandbox is full.").body)

    async def _post(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[tuple[int, JSON]]],
        rule: FaultRule | None,
    ) -> web.Response:
        key = request.headers.get("Idempotency-Key", "")
        if not 0 < len(key) <= _KEY_CHARACTERS_MAX:
            raise Refusal(400, "idempotency_key_missing", "A POST has an Idempotency-Key.")
        fingerprint = sha256(request.path.encode() + await request.read()).hexdigest()
        kept = self._keys.get(key)
        if kept is not None:
            return _repeat(kept, fingerprint)
        self._keys[key] = kept = _Kept(fingerprint)
        while len(self._keys) > _KEYS_MAX:
            self._keys.popitem(last=False)
        response = await self._execute(request, handler, rule)
        assert isinstance(response.body, bytes), "an answer is bytes"
        kept.status, kept.body = response.status, response.body
        return response

    async def _execute(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[tuple[int, JSON]]],
        rule: FaultRule | None,
    ) -> web.Response:
        fault = None if rule is None else rule.fault
        if rule is not None and fault is Fault.DELAY:
            await self._wait(rule.seconds)
        if rule is not None and fault is Fault.REFUSE:
            return _json(422, Refusal(422, rule.code or "refused", "Refused on demand.").body)
        if fault is Fault.ERROR_STICKY:
            return _internal_error()
        try:
            status, body = await handler(request)
        except Refusal as refusal:
            return _json(refusal.status, refusal.body)
        return _internal_error() if fault is Fault.ERROR_AFTER else _json(status, body)

    def _authenticate(self, request: web.Request) -> None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        same = hmac.compare_digest(given.encode(), self.api_key.encode())
        if scheme.lower() != "bearer" or not same:
            raise Refusal(401, "unauthorized", "That key opens nothing here.")

    async def _fail_before(self, request: web.Request, rule: FaultRule) -> web.StreamResponse:
        if rule.fault is Fault.RATE_LIMIT:
            response = _json(429, Refusal(429, "rate_limited", "Too many requests.").body)
            response.headers["Retry-After"] = str(max(0, round(rule.seconds)))
            return response
        if rule.fault is Fault.ERROR_BEFORE:
            return _internal_error()
        if rule.fault is Fault.TIMEOUT_BEFORE:
            await self._wait(rule.seconds)
        return _hang_up(request)

    async def _spoil(
        self, request: web.Request, rule: FaultRule, response: web.Response
    ) -> web.StreamResponse:
        if rule.fault is Fault.GARBAGE:
            return web.Response(body=_GARBAGE, content_type="text/html")
        if rule.fault is Fault.TIMEOUT_AFTER:
            await self._wait(rule.seconds)
            return _hang_up(request)
        if rule.fault is Fault.DISCONNECT_AFTER:
            return _hang_up(request)
        if rule.fault is Fault.DELAY and request.method == "GET":
            await self._wait(rule.seconds)
        return response

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)


def _repeat(kept: _Kept, fingerprint: str) -> web.Response:
    if kept.fingerprint != fingerprint:
        raise Refusal(409, "idempotency_key_reused", "That key was used for something else.")
    if kept.body is None:
        raise Refusal(409, "idempotency_key_in_use", "The first request is still running.")
    return web.Response(status=kept.status, body=kept.body, content_type="application/json")


def _json(status: int, body: JSON) -> web.Response:
    raw = json.dumps(body).encode()
    return web.Response(status=status, body=raw, content_type="application/json")


def _internal_error() -> web.Response:
    return _json(500, Refusal(500, "internal", "Something went wrong.").body)


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)
