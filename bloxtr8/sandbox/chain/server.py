"""The local chain as an HTTP server: JSON-RPC at /, its controls under /sandbox."""

import asyncio
import contextlib
import json
from typing import Any

from aiohttp import web

from bloxtr8.clock import Clock, SystemClock
from bloxtr8.sandbox.chain import control
from bloxtr8.sandbox.chain.evm import Evm
from bloxtr8.sandbox.chain.ledger import Chain
from bloxtr8.sandbox.chain.rpc import Rpc
from bloxtr8.sandbox.chain.wallets import Bank, founders
from bloxtr8.sandbox.chain.wire import JSON, RpcError
from bloxtr8.sandbox.faults import Fault, FaultPlan, FaultRule

CHAIN_ID = 845_320
_BODY_BYTES_MAX = 256 * 1024
_BATCH_MAX = 100
_BEFORE = {
    Fault.TIMEOUT_BEFORE,
    Fault.DISCONNECT_BEFORE,
    Fault.ERROR_BEFORE,
    Fault.ERROR_STICKY,
    Fault.RATE_LIMIT,
    Fault.REFUSE,
}
_GARBAGE = b"<html>\x00\xff not what you asked for"


class LocalChain:
    """A chain of one node, in memory. Faults are planned for routes like "RPC eth_getLogs".

    `await start()` listens on loopback (`rpc_url`, `control_url`), `await stop()` ends it.
    `block_seconds`: a block is mined as often as that; 0: only with each transaction or on demand.
    `beside`: another node of the same chain, with lies and faults of its own.
    """

    def __init__(
        self,
        *,
        chain_id: int = CHAIN_ID,
        clock: Clock | None = None,
        block_seconds: float = 0.0,
        usdc_takes_fee: bool = False,
        beside: "LocalChain | None" = None,
    ) -> None:
        if beside is None:
            evm = Evm(chain_id, founders(usdc_takes_fee=usdc_takes_fee))
            self.chain = Chain(evm, clock or SystemClock())
        else:
            self.chain = beside.chain
        self.rpc = Rpc(self.chain)
        self.bank = Bank(self.chain)
        self.faults = FaultPlan()
        self.rpc_url = ""
        self._block_seconds = block_seconds
        self._runner: web.AppRunner | None = None
        self._miner: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    @property
    def control_url(self) -> str:
        return f"{self.rpc_url}/sandbox"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._closing.clear()
        self._runner = web.AppRunner(self.make_app(), access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        bound = self._runner.addresses[0]
        self.rpc_url = f"http://{bound[0]}:{bound[1]}"
        if self._block_seconds:
            self._miner = asyncio.create_task(self._mine())

    async def stop(self) -> None:
        self._closing.set()
        if self._miner is not None:
            self._miner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._miner
        if self._runner is not None:
            await self._runner.cleanup()

    def make_app(self) -> web.Application:
        app = web.Application(client_max_size=_BODY_BYTES_MAX)
        control.add_routes(app, self)
        app.router.add_post("/", self._handle)
        return app

    async def _mine(self) -> None:
        while True:
            await asyncio.sleep(self._block_seconds)
            if not self.chain.paused:
                self.chain.mine()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            asked = json.loads(await request.read())
        except (ValueError, RecursionError):
            return _json(_error(None, RpcError(-32700, "parse error")))
        if isinstance(asked, list):
            if not 0 < len(asked) <= _BATCH_MAX:
                return _json(_error(None, RpcError(-32600, "invalid request")))
            return _json([self._answer(entry) for entry in asked])
        rule = self.faults.take("RPC", _method(asked))
        if rule is not None and rule.fault in _BEFORE:
            return await self._fail_before(request, asked, rule)
        answer = self._answer(asked)
        return _json(answer) if rule is None else await self._spoil(request, asked, rule, answer)

    def _answer(self, asked: Any) -> JSON:
        if not isinstance(asked, dict):
            return _error(None, RpcError(-32600, "invalid request"))
        try:
            result = self.rpc.answer(asked.get("method"), asked.get("params", []))
        except RpcError as error:
            return _error(asked, error)
        return {"jsonrpc": "2.0", "id": asked.get("id"), "result": result}

    async def _fail_before(
        self, request: web.Request, asked: Any, rule: FaultRule
    ) -> web.StreamResponse:
        if rule.fault is Fault.RATE_LIMIT:
            error = RpcError(-32005, "rate limit exceeded")
            return _json(_error(asked, error), 429, {"Retry-After": str(round(rule.seconds))})
        if rule.fault in (Fault.ERROR_BEFORE, Fault.ERROR_STICKY):
            return _json(_error(asked, RpcError(-32603, "internal error")), 500)
        if rule.fault is Fault.REFUSE:
            return _json(_error(asked, RpcError(-32000, rule.code or "refused on demand")))
        if rule.fault is Fault.TIMEOUT_BEFORE:
            await self._wait(rule.seconds)
        return _hang_up(request)

    async def _spoil(
        self, request: web.Request, asked: Any, rule: FaultRule, answer: JSON
    ) -> web.StreamResponse:
        if rule.fault is Fault.GARBAGE:
            return web.Response(body=_GARBAGE, content_type="text/html")
        if rule.fault is Fault.ERROR_AFTER:
            return _json(_error(asked, RpcError(-32603, "internal error")), 500)
        if rule.fault is Fault.DELAY:
            await self._wait(rule.seconds)
            return _json(answer)
        if rule.fault is Fault.TIMEOUT_AFTER:
            await self._wait(rule.seconds)
        return _hang_up(request)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)


def _method(asked: Any) -> str:
    return str(asked.get("method"))[:60] if isinstance(asked, dict) else ""


def _error(asked: Any, error: RpcError) -> JSON:
    asked_id = asked.get("id") if isinstance(asked, dict) else None
    return {"jsonrpc": "2.0", "id": asked_id, "error": error.body}


def _json(
    body: JSON | list[JSON], status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    return web.json_response(body, status=status, headers=headers)


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)
