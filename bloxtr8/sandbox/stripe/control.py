"""The controls under /sandbox: be the buyer, be the buyer's bank, make things fail."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from aiohttp import web
from pydantic import Field, ValidationError

from bloxtr8.sandbox.faults import FaultRule
from bloxtr8.sandbox.orders import Body, FaultOrder, Handler, WebhookOrder, read
from bloxtr8.sandbox.stripe.webhooks import Unruliness
from bloxtr8.sandbox.stripe.wire import JSON, ApiError, missing

if TYPE_CHECKING:
    from bloxtr8.sandbox.stripe.server import StripeStandIn

_DUMP_MAX = 1000


class Payment(Body):
    """`amount_minor`, `currency`, `livemode`, `metadata`: pay something else than was asked."""

    outcome: Literal["success", "decline", "processing"] = "success"
    amount_minor: Annotated[int, Field(ge=1)] | None = None
    currency: str | None = None
    livemode: bool | None = None
    metadata: dict[str, str] | None = None


class NewDispute(Body):
    reason: str = "fraudulent"
    amount_minor: Annotated[int, Field(ge=1)] | None = None


class DisputeEnd(Body):
    won: bool


class RefundEnd(Body):
    succeeded: bool


class Release(Body):
    order: list[str] | None = None


class NewAccount(Body):
    """An account that can be paid at once."""

    id: Annotated[str, Field(pattern=r"^acct_[A-Za-z0-9]+$")] | None = None
    transfers: Literal["active", "inactive", "pending"] = "active"


class AccountChange(Body):
    transfers: Literal["active", "inactive", "pending"]


def add_routes(app: web.Application, stripe: "StripeStandIn") -> None:
    """Add the control routes of `stripe` to `app`."""
    controls = _Controls(stripe)
    for verb, path, handler in (
        ("GET", "/sandbox/state", controls.state),
        ("POST", "/sandbox/reset", controls.reset),
        ("POST", "/sandbox/payment_intents/{ref}/pay", controls.pay),
        ("POST", "/sandbox/escrows/{ref}/pay", controls.pay_escrow),
        ("POST", "/sandbox/escrows/{ref}/dispute", controls.dispute_escrow),
        ("POST", "/sandbox/charges/{ref}/dispute", controls.dispute),
        ("POST", "/sandbox/disputes/{ref}/close", controls.close_dispute),
        ("POST", "/sandbox/refunds/{ref}/settle", controls.settle_refund),
        ("POST", "/sandbox/accounts", controls.add_account),
        ("POST", "/sandbox/accounts/{ref}", controls.change_account),
        ("GET", "/sandbox/faults", controls.faults),
        ("POST", "/sandbox/faults", controls.add_fault),
        ("DELETE", "/sandbox/faults", controls.clear_faults),
        ("POST", "/sandbox/webhooks", controls.webhooks),
        ("POST", "/sandbox/webhooks/release", controls.release),
    ):
        app.router.add_route(verb, path, _guarded(handler))
    app.router.add_get("/sandbox/onboarding/{ref}", controls.onboard)


def _guarded(handler: Callable[[web.Request], Awaitable[Any]]) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return web.json_response(await handler(request))
        except ApiError as error:
            return web.json_response(error.body, status=error.status)
        except (ValidationError, ValueError) as error:
            return web.json_response({"error": {"message": str(error)}}, status=400)

    return handle


class _Controls:
    def __init__(self, stripe: "StripeStandIn") -> None:
        self._stripe = stripe
        self._world = stripe.world

    async def state(self, _: web.Request) -> JSON:
        world, sender = self._world, self._stripe.webhooks
        return {
            "objects": {
                kind: list(entries.values())[-_DUMP_MAX:] for kind, entries in world.objects.items()
            },
            "balance": world.balance(),
            "events": [{"id": event["id"], "type": event["type"]} for event in world.events],
            "held": [{"id": event["id"], "type": event["type"]} for event in sender.held],
            "webhooks": {"delivered": sender.delivered, "refused": sender.refused},
        }

    async def reset(self, _: web.Request) -> JSON:
        self._stripe.reset()
        return {}

    async def pay(self, request: web.Request) -> JSON:
        return self._pay(request.match_info["ref"], await read(request, Payment))

    async def pay_escrow(self, request: web.Request) -> JSON:
        return self._pay(self._intent_of(request.match_info["ref"]), await read(request, Payment))

    def _pay(self, ref: str, order: Payment) -> JSON:
        if order.outcome == "decline":
            return self._world.decline(ref)
        if order.outcome == "processing":
            return self._world.process(ref)
        chosen = {
            "amount": order.amount_minor,
            "currency": order.currency,
            "livemode": order.livemode,
            "metadata": order.metadata,
        }
        return self._world.pay(ref, **{k: v for k, v in chosen.items() if v is not None})

    def _intent_of(self, escrow_id: str) -> str:
        found = self._world.all("payment_intent", transfer_group=escrow_id)
        if not found:
            raise missing("escrow", escrow_id)
        return str(found[-1]["id"])

    async def dispute(self, request: web.Request) -> JSON:
        order = await read(request, NewDispute)
        ref = request.match_info["ref"]
        return self._world.open_dispute(ref, order.reason, order.amount_minor)

    async def dispute_escrow(self, request: web.Request) -> JSON:
        order = await read(request, NewDispute)
        found = self._world.all("charge", transfer_group=request.match_info["ref"])
        if not found:
            raise missing("charge of escrow", request.match_info["ref"])
        return self._world.open_dispute(found[-1]["id"], order.reason, order.amount_minor)

    async def close_dispute(self, request: web.Request) -> JSON:
        order = await read(request, DisputeEnd)
        return self._world.close_dispute(request.match_info["ref"], won=order.won)

    async def settle_refund(self, request: web.Request) -> JSON:
        order = await read(request, RefundEnd)
        return self._world.settle_refund(request.match_info["ref"], succeeded=order.succeeded)

    async def add_account(self, request: web.Request) -> JSON:
        order = await read(request, NewAccount)
        return add_account(self._stripe, order.id, order.transfers)

    async def change_account(self, request: web.Request) -> JSON:
        order = await read(request, AccountChange)
        account = self._world.get("account", request.match_info["ref"])
        _set_transfers(account, order.transfers)
        self._world.emit("account.updated", account)
        return account

    async def onboard(self, request: web.Request) -> web.StreamResponse:
        """Complete an account, as a seller does on Stripe's pages, and go back."""
        try:
            account = self._world.get("account", request.match_info["ref"])
        except ApiError as error:
            return web.json_response(error.body, status=error.status)
        _set_transfers(account, "active")
        self._world.emit("account.updated", account)
        raise web.HTTPSeeOther(request.query.get("return_url") or "/")

    async def faults(self, _: web.Request) -> JSON:
        plan = self._stripe.faults
        return {
            "rules": [
                {"route": rule.route, "fault": rule.fault, "times": rule.times}
                for rule in plan.rules
            ],
            "taken": [{"route": route, "fault": fault} for route, fault in plan.taken],
        }

    async def add_fault(self, request: web.Request) -> JSON:
        order = await read(request, FaultOrder)
        self._stripe.faults.add(FaultRule(**order.model_dump()))
        return {}

    async def clear_faults(self, _: web.Request) -> JSON:
        self._stripe.faults.clear()
        return {}

    async def webhooks(self, request: web.Request) -> JSON:
        order = await read(request, WebhookOrder)
        self._stripe.webhooks.unruly = Unruliness(**order.model_dump())
        return {}

    async def release(self, request: web.Request) -> JSON:
        order = await read(request, Release)
        return {"released": self._stripe.webhooks.release(order.order)}


def add_account(stripe: "StripeStandIn", ref: str | None = None, transfers: str = "active") -> JSON:
    """Add a seller's connected account and return it."""
    account = stripe.world.make(
        "account", "acct", type="express", country="US", capabilities={}, metadata={}
    )
    if ref is not None:
        accounts = stripe.world.objects["account"]
        del accounts[account["id"]]
        account["id"] = ref
        accounts[ref] = account
    _set_transfers(account, transfers)
    stripe.world.emit("account.updated", account)
    return account


def _set_transfers(account: JSON, transfers: str) -> None:
    account["capabilities"] = {"transfers": transfers}
    account["payouts_enabled"] = account["details_submitted"] = transfers == "active"
