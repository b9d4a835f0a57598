"""TRM Labs and Chainalysis as one HTTP server: their paths, and controls under /sandbox."""

import asyncio
import base64
import binascii
import contextlib
import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bloxtr8.sandbox.faults import Fault, FaultPlan, FaultRule
from bloxtr8.sandbox.screening.answers import (
    KINDS,
    NOTHING,
    Standing,
    chainalysis_answer,
    trm_entry,
)

TRM_KEY = "trm-sandbox-key"
CHAINALYSIS_KEY = "chainalysis-sandbox-key"
_WALLETS_MAX = 10_000
_BATCH_MAX = 100
_BODY_BYTES_MAX = 64 * 1024
_GARBAGE = b"<html>\x00\xff not what you asked for"
# An opinion has no effect, so before and after are the same.
_HANG_UP = {
    Fault.TIMEOUT_BEFORE,
    Fault.TIMEOUT_AFTER,
    Fault.DISCONNECT_BEFORE,
    Fault.DISCONNECT_AFTER,
}
_SLOW = {Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER, Fault.DELAY}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Address = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


T = TypeVar("T", bound=_Body)


class WalletOrder(_Body):
    address: Address
    kind: Literal["low", "medium", "high", "severe", "sanctioned", "listed", "nothing"]


class FaultOrder(_Body):
    route: str
    fault: Fault
    times: int = 1
    seconds: float = 15.0
    code: str = ""


class ScreeningStandIn:
    """Both providers at one address; faults are planned by path.

    `await start()` listens on loopback (`base_url`, `control_url`), `await stop()` ends it.
    """

    def __init__(self, *, trm_key: str = TRM_KEY, chainalysis_key: str = CHAINALYSIS_KEY) -> None:
        self.trm_key = trm_key
        self.chainalysis_key = chainalysis_key
        self.wallets: dict[str, Standing] = {}
        self.faults = FaultPlan()
        self.asked: dict[str, int] = {"trm": 0, "chainalysis": 0}
        self.base_url = ""
        self._runner: web.AppRunner | None = None
        self._closing = asyncio.Event()

    @property
    def control_url(self) -> str:
        return f"{self.base_url}/sandbox"

    def know(self, address: str, kind: str) -> None:
        """Let both providers know `address` as `kind` (a key of KINDS, or "nothing")."""
        if len(self.wallets) >= _WALLETS_MAX:
            raise ValueError("too many wallets are known")
        self.wallets[address.lower()] = KINDS.get(kind, NOTHING)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._closing.clear()
        self._runner = web.AppRunner(self.make_app(), access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        bound = self._runner.addresses[0]
        self.base_url = f"http://{bound[0]}:{bound[1]}"

    async def stop(self) -> None:
        self._closing.set()
        if self._runner is not None:
            await self._runner.cleanup()

    def make_app(self) -> web.Application:
        app = web.Application(client_max_size=_BODY_BYTES_MAX)
        for verb, path, handler in (
            ("POST", "/public/v2/screening/addresses", self._faulty(self._trm)),
            ("GET", "/api/v1/address/{address}", self._faulty(self._chainalysis)),
            ("POST", "/sandbox/wallets", self._guarded(self._set_wallet)),
            ("POST", "/sandbox/faults", self._guarded(self._set_fault)),
            ("DELETE", "/sandbox/faults", self._guarded(self._clear_faults)),
        ):
            app.router.add_route(verb, path, handler)
        return app

    # The providers.

    async def _trm(self, request: web.Request) -> web.Response:
        if not _is_basic(request.headers.get("Authorization", ""), self.trm_key):
            return _error(401, "Unauthorized")
        try:
            asked = json.loads(await request.read())
        except (ValueError, RecursionError):
            return _error(400, "Bad Request")
        if not isinstance(asked, list) or not 0 < len(asked) <= _BATCH_MAX:
            return _error(400, "Bad Request")
        if not all(isinstance(entry, dict) and _is_wallet(entry) for entry in asked):
            return _error(400, "Bad Request")
        self.asked["trm"] += 1
        return _json(
            201,
            [
                trm_entry(
                    entry["address"],
                    entry["chain"],
                    entry.get("accountExternalId"),
                    self._standing(entry["address"]),
                )
                for entry in asked
            ],
        )

    async def _chainalysis(self, request: web.Request) -> web.Response:
        given = request.headers.get("X-API-Key", "")
        if not hmac.compare_digest(given.encode(), self.chainalysis_key.encode()):
            return _json(403, {"message": "Forbidden"})
        self.asked["chainalysis"] += 1
        address = request.match_info["address"]
        return _json(200, chainalysis_answer(address, self._standing(address)))

    def _standing(self, address: str) -> Standing:
        return self.wallets.get(address.lower(), NOTHING)

    # Around them.

    def _faulty(self, handler: Callable[[web.Request], Awaitable[web.Response]]) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            rule = self.faults.take(request.method, request.path)
            return (
                await handler(request) if rule is None else await self._fail(request, handler, rule)
            )

        return handle

    async def _fail(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.Response]],
        rule: FaultRule,
    ) -> web.StreamResponse:
        if rule.fault in _SLOW:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), rule.seconds)
        if rule.fault in _HANG_UP:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=499)
        if rule.fault is Fault.RATE_LIMIT:
            response = _error(429, "Too Many Requests")
            response.headers["Retry-After"] = str(max(0, round(rule.seconds)))
            return response
        if rule.fault is Fault.REFUSE:
            # With a code: an answer of that shape, which is none of theirs.
            return _json(200, json.loads(rule.code)) if rule.code else _error(403, "Forbidden")
        if rule.fault is Fault.GARBAGE:
            return web.Response(body=_GARBAGE, content_type="text/html")
        return await handler(request) if rule.fault is Fault.DELAY else _error(500, "Server Error")

    def _guarded(self, handler: Callable[[web.Request], Awaitable[None]]) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                await handler(request)
            except (ValidationError, ValueError) as error:
                return _json(400, {"error": {"message": str(error)}})
            return _json(200, {})

        return handle

    async def _set_wallet(self, request: web.Request) -> None:
        order = await _read(request, WalletOrder)
        self.know(order.address, order.kind)

    async def _set_fault(self, request: web.Request) -> None:
        self.faults.add(FaultRule(**(await _read(request, FaultOrder)).model_dump()))

    async def _clear_faults(self, _: web.Request) -> None:
        self.faults.clear()


async def _read(request: web.Request, model: type[T]) -> T:
    return model.model_validate_json(await request.read() or b"{}")


def _is_wallet(entry: dict[str, Any]) -> bool:
    return isinstance(entry.get("address"), str) and isinstance(entry.get("chain"), str)


def _is_basic(header: str, key: str) -> bool:
    scheme, _, given = header.partition(" ")
    try:
        decoded = base64.b64decode(given, validate=True)
    except binascii.Error:
        return False
    return scheme.lower() == "basic" and hmac.compare_digest(decoded, f"{key}:{key}".encode())


def _error(status: int, message: str) -> web.Response:
    return _json(status, {"code": status, "name": message})


def _json(status: int, body: Any) -> web.Response:
    return web.json_response(body, status=status)
