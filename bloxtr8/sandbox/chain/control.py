"""The controls under /sandbox: pay as somebody, mine, reorganise, lie, stop."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from aiohttp import web
from pydantic import Field, ValidationError

from bloxtr8.sandbox.chain import wallets
from bloxtr8.sandbox.chain.evm import Refused
from bloxtr8.sandbox.chain.ledger import Fate
from bloxtr8.sandbox.chain.rpc import Lies
from bloxtr8.sandbox.chain.wallets import TOKENS
from bloxtr8.sandbox.chain.wire import JSON, data
from bloxtr8.sandbox.faults import FaultRule
from bloxtr8.sandbox.orders import Body, FaultOrder, Handler, read

if TYPE_CHECKING:
    from bloxtr8.sandbox.chain.server import LocalChain

Name = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,40}$")]
Address = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")]
Minor = Annotated[int, Field(ge=0, le=10**18)]
TokenName = Literal["usdc", "other", "fee"]


class Gift(Body):
    """From the faucet: tokens, wei, or both."""

    to: Address
    token: TokenName = "usdc"  # noqa: S105 - the name of a coin
    amount_minor: Minor = 0
    wei: Annotated[int, Field(ge=0, le=10**24)] = 0


class Payment(Body):
    """From the wallet of somebody; the faucet gives them what they need."""

    wallet: Name = "buyer"
    to: Address
    amount_minor: Minor
    token: TokenName = "usdc"  # noqa: S105 - the name of a coin


class Mining(Body):
    blocks: Annotated[int, Field(ge=1, le=10_000)] = 1


class Reorganisation(Body):
    depth: Annotated[int, Field(ge=1, le=64)]
    transactions: Fate = Fate.KEEP


class Ways(Body):
    """How the chain goes on; what is left out stays as it is."""

    auto_mine: bool | None = None
    paused: bool | None = None
    finality_depth: Annotated[int, Field(ge=0, le=10_000)] | None = None
    safe_depth: Annotated[int, Field(ge=0, le=10_000)] | None = None
    base_fee_wei: Annotated[int, Field(ge=0, le=10**15)] | None = None


class LieOrder(Body):
    lag: Annotated[int, Field(ge=0)] = 0
    head_shift: int = 0
    finalized_shift: int = 0
    hide_logs: Annotated[int, Field(ge=0)] = 0
    forged_logs: Annotated[list[JSON], Field(default_factory=list, max_length=100)]


class Ban(Body):
    token: TokenName = "usdc"  # noqa: S105 - the name of a coin
    address: Address


class Text(Body):
    text: Annotated[str, Field(max_length=10_000)]


def add_routes(app: web.Application, local: "LocalChain") -> None:
    """Add the control routes of `local` to `app`."""
    controls = _Controls(local)
    for verb, path, handler in (
        ("GET", "/sandbox/state", controls.state),
        ("POST", "/sandbox/faucet", controls.give),
        ("POST", "/sandbox/pay", controls.pay),
        ("POST", "/sandbox/mine", controls.mine),
        ("POST", "/sandbox/reorg", controls.reorganise),
        ("POST", "/sandbox/ways", controls.ways),
        ("POST", "/sandbox/lies", controls.lies),
        ("POST", "/sandbox/blacklist", controls.blacklist),
        ("GET", "/sandbox/wallets/{name}", controls.wallet),
        ("POST", "/sandbox/wallets/{name}/sign", controls.sign),
        ("POST", "/sandbox/faults", controls.add_fault),
        ("DELETE", "/sandbox/faults", controls.clear_faults),
    ):
        app.router.add_route(verb, path, _guarded(handler))


def _guarded(handler: Callable[[web.Request], Awaitable[Any]]) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return web.json_response(await handler(request))
        except (ValidationError, ValueError, Refused) as error:
            return web.json_response({"error": {"message": str(error)}}, status=400)

    return handle


class _Controls:
    def __init__(self, local: "LocalChain") -> None:
        self._local = local
        self._chain = local.chain

    async def state(self, _: web.Request) -> JSON:
        chain = self._chain
        return {
            "chain_id": chain.chain_id,
            "head": chain.head.number,
            "transactions": chain.transactions,
            "waiting": len(chain.waiting),
            "auto_mine": chain.auto_mine,
            "paused": chain.paused,
            "finality_depth": chain.finality_depth,
            "base_fee_wei": chain.base_fee_wei,
            "tokens": {name: token.hex for name, token in TOKENS.items()},
            "faults": [[rule.route, rule.fault] for rule in self._local.faults.rules],
        }

    async def give(self, request: web.Request) -> JSON:
        gift = await read(request, Gift)
        hashes = []
        if gift.wei:
            hashes.append(self._local.bank.give_gas(gift.to, gift.wei))
        if gift.amount_minor:
            token = TOKENS[gift.token]
            hashes.append(self._local.bank.give(gift.to, token, gift.amount_minor))
        return {"transactions": [data(entry) for entry in hashes]}

    async def pay(self, request: web.Request) -> JSON:
        order = await read(request, Payment)
        sent = self._local.bank.pay(order.wallet, TOKENS[order.token], order.to, order.amount_minor)
        return {"transaction": data(sent), "from": wallets.named(order.wallet).address}

    async def mine(self, request: web.Request) -> JSON:
        self._chain.mine((await read(request, Mining)).blocks)
        return {"head": self._chain.head.number}

    async def reorganise(self, request: web.Request) -> JSON:
        order = await read(request, Reorganisation)
        self._chain.reorganise(order.depth, order.transactions)
        return {"head": self._chain.head.number}

    async def ways(self, request: web.Request) -> JSON:
        order = await read(request, Ways)
        for name, value in order.model_dump(exclude_none=True).items():
            setattr(self._chain, name, value)
        return await self.state(request)

    async def lies(self, request: web.Request) -> JSON:
        self._local.rpc.lies = Lies(**(await read(request, LieOrder)).model_dump())
        return {}

    async def blacklist(self, request: web.Request) -> JSON:
        order = await read(request, Ban)
        sent = self._local.bank.blacklist(TOKENS[order.token], order.address)
        return {"transaction": data(sent)}

    async def wallet(self, request: web.Request) -> JSON:
        return {"address": wallets.named(request.match_info["name"]).address}

    async def sign(self, request: web.Request) -> JSON:
        text = (await read(request, Text)).text
        return {"signature": wallets.sign_text(request.match_info["name"], text)}

    async def add_fault(self, request: web.Request) -> JSON:
        self._local.faults.add(FaultRule(**(await read(request, FaultOrder)).model_dump()))
        return {}

    async def clear_faults(self, _: web.Request) -> JSON:
        self._local.faults.clear()
        return {}
