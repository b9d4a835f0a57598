"""The controls under /sandbox: how the custodian behaves, and what it has."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

from aiohttp import web
from pydantic import Field, ValidationError

from bloxtr8.sandbox.custodian.vault import Ways
from bloxtr8.sandbox.faults import FaultRule
from bloxtr8.sandbox.orders import Body, FaultOrder, Handler, WebhookOrder, read
from bloxtr8.sandbox.stripe.webhooks import Unruliness

if TYPE_CHECKING:
    from bloxtr8.sandbox.custodian.server import CustodianStandIn

_DUMP_MAX = 1000


class WaysOrder(Body):
    confirmations: Annotated[int, Field(ge=1, le=1000)] = 1
    frozen: bool = False
    claims_completed: bool = False
    fails_with: str = ""


def add_routes(app: web.Application, custodian: "CustodianStandIn") -> None:
    """Add the control routes of `custodian` to `app`."""
    controls = _Controls(custodian)
    for verb, path, handler in (
        ("GET", "/sandbox/state", controls.state),
        ("POST", "/sandbox/ways", controls.ways),
        ("POST", "/sandbox/webhooks", controls.webhooks),
        ("POST", "/sandbox/webhooks/release", controls.release),
        ("POST", "/sandbox/faults", controls.add_fault),
        ("DELETE", "/sandbox/faults", controls.clear_faults),
    ):
        app.router.add_route(verb, path, _guarded(handler))


def _guarded(handler: Callable[[web.Request], Awaitable[Any]]) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return web.json_response(await handler(request))
        except (ValidationError, ValueError) as error:
            return web.json_response({"error": {"message": str(error)}}, status=400)

    return handle


class _Controls:
    def __init__(self, custodian: "CustodianStandIn") -> None:
        self._custodian = custodian

    async def state(self, _: web.Request) -> dict[str, Any]:
        vault, sender = self._custodian.vault, self._custodian.webhooks
        return {
            "addresses": {entry.reference: entry.hex for entry in vault.addresses.values()},
            "deposits": list(vault.deposits.values())[-_DUMP_MAX:],
            "transfers": [job.body for job in vault.jobs.values()][-_DUMP_MAX:],
            "webhooks": {"delivered": sender.delivered, "refused": sender.refused},
        }

    async def ways(self, request: web.Request) -> dict[str, Any]:
        self._custodian.vault.ways = Ways(**(await read(request, WaysOrder)).model_dump())
        return {}

    async def webhooks(self, request: web.Request) -> dict[str, Any]:
        order = await read(request, WebhookOrder)
        self._custodian.webhooks.unruly = Unruliness(**order.model_dump())
        return {}

    async def release(self, _: web.Request) -> dict[str, Any]:
        return {"released": self._custodian.webhooks.release()}

    async def add_fault(self, request: web.Request) -> dict[str, Any]:
        order = await read(request, FaultOrder)
        self._custodian.faults.add(FaultRule(**order.model_dump()))
        return {}

    async def clear_faults(self, _: web.Request) -> dict[str, Any]:
        self._custodian.faults.clear()
        return {}
