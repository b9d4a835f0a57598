"""The Stripe rail: separate charges and transfers on Connect, through the `stripe` library.

Source of the parameters: docs.stripe.com/connect/separate-charges-and-transfers.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from bloxtr8.clock import Clock
from bloxtr8.config import StripeSettings
from bloxtr8.payments import stripe_objects as objects
from bloxtr8.payments.operations import REFUNDS, Kind, Operation
from bloxtr8.payments.rails import (
    Absent,
    Confirmed,
    Failed,
    Instrument,
    InstrumentOutcome,
    LookUpOutcome,
    MovementOutcome,
    Pending,
    Unknown,
)
from bloxtr8.payments.stripe_calls import CallLimits, StripeCalls

JSON = dict[str, Any]
T = TypeVar("T")
_WITH_FEE = ["latest_charge.balance_transaction"]
_PAGE = 100


class StripeRail:
    provider = "STRIPE"

    def __init__(
        self, settings: StripeSettings, clock: Clock, limits: CallLimits | None = None
    ) -> None:
        self._calls = StripeCalls(settings, clock, limits)

    async def close(self) -> None:
        await self._calls.close()

    async def create_intent(self, operation: Operation) -> InstrumentOutcome:
        params: Any = {
            "amount": operation.amount_minor,
            "currency": operation.currency.lower(),
            "automatic_payment_methods": {"enabled": True},
            # Captured at once, so that the fee is known when the payment is.
            "capture_method": "automatic",
            "transfer_group": operation.escrow_id,
            "metadata": _metadata(operation),
        }
        answer = await self._ask(
            "intent_create",
            lambda: self._calls.v1.payment_intents.create_async(params, _key(operation)),
        )
        return _read(answer, objects.read_intent)

    async def cancel(self, operation: Operation) -> InstrumentOutcome:
        ref = _required(operation.payment_ref)
        # A refusal is kept under its key for a day, and an instrument that is processing may be
        # open a minute later. Cancelling twice is cancelling once, so each try has its own key.
        key: Any = {"idempotency_key": f"{operation.operation_id}:{operation.attempts}"}
        answer = await self._ask(
            "intent_cancel", lambda: self._calls.v1.payment_intents.cancel_async(ref, {}, key)
        )
        if isinstance(answer, Failed):
            # It was paid, cancelled or is processing: what it is now decides, not the refusal.
            now = await self._instrument(ref)
            return answer if isinstance(now, Absent) else now
        return _read(answer, objects.read_intent)

    async def payout(self, operation: Operation) -> MovementOutcome:
        params: Any = {
            "amount": operation.amount_minor,
            "currency": operation.currency.lower(),
            "destination": _required(operation.destination),
            "source_transaction": _required(operation.payment_ref),
            "transfer_group": operation.escrow_id,
            "metadata": _metadata(operation),
        }
        answer = await self._ask(
            "transfer_create",
            lambda: self._calls.v1.transfers.create_async(params, _key(operation)),
        )
        return _read(answer, _read_transfer)

    async def refund(self, operation: Operation) -> MovementOutcome:
        try:
            trouble = await self._reverse_shortfall(operation)
        except objects.BadObject:
            return _BAD
        if trouble is not None:
            return trouble
        params: Any = {
            "payment_intent": _paid_by(operation),
            "amount": operation.amount_minor,
            "metadata": _metadata(operation),
        }
        answer = await self._ask(
            "refund_create",
            lambda: self._calls.v1.refunds.create_async(params, _key(operation)),
        )
        return _read(answer, read_refund)

    async def look_up(self, operation: Operation) -> LookUpOutcome:
        if operation.kind is Kind.INTENT:
            return await self._look_up_intent(operation)
        if operation.kind is Kind.CANCEL:
            return await self._instrument(_required(operation.payment_ref))
        if operation.kind in REFUNDS:
            params: JSON = {"payment_intent": _paid_by(operation), "limit": _PAGE}
            listed = self._calls.v1.refunds.list_async
            return await self._find(operation, "refund_list", listed, params)
        params = {"transfer_group": operation.escrow_id, "limit": _PAGE}
        return await self._find(
            operation, "transfer_list", self._calls.v1.transfers.list_async, params
        )

    async def client_secret(self, intent_ref: str) -> tuple[str, str] | Failed | Unknown:
        """Return the client secret and status of a PaymentIntent, for the buyer's pay page only."""
        answer = await self._ask(
            "intent_retrieve", lambda: self._calls.v1.payment_intents.retrieve_async(intent_ref)
        )
        if isinstance(answer, Failed | Unknown):
            return answer
        secret, status = answer.get("client_secret"), answer.get("status")
        return (secret, status) if isinstance(secret, str) and isinstance(status, str) else _BAD

    async def _ask(self, name: str, call: Callable[[], Awaitable[Any]]) -> JSON | Failed | Unknown:
        return await self._calls.ask(name, call)

    async def _look_up_intent(self, operation: Operation) -> LookUpOutcome:
        if operation.provider_ref:
            return await self._instrument(operation.provider_ref)
        query = f"metadata['operation_id']:'{operation.operation_id}'"
        answer = await self._ask(
            "intent_search",
            lambda: self._calls.v1.payment_intents.search_async({"query": query, "limit": 1}),
        )
        if isinstance(answer, Failed | Unknown):
            return Unknown("SEARCH_FAILED")
        found = answer.get("data") or []
        return await self._instrument(found[0]["id"]) if found else Absent()

    async def _instrument(self, ref: str) -> Instrument | Absent | Unknown:
        answer = await self._ask(
            "intent_retrieve",
            lambda: self._calls.v1.payment_intents.retrieve_async(ref, {"expand": _WITH_FEE}),
        )
        if isinstance(answer, Failed):
            missing = answer.code == "resource_missing"
            return Absent() if missing else Unknown(f"LOOK_UP: {answer.code}")
        read = _read(answer, objects.read_intent)
        assert not isinstance(read, Failed), "reading does not refuse"
        return read

    async def _find(
        self,
        operation: Operation,
        name: str,
        listed: Callable[..., Awaitable[Any]],
        params: JSON,
    ) -> Confirmed | Pending | Failed | Absent | Unknown:
        """Return the one listed object that carries the operation's id, over all pages."""
        reader: Callable[[JSON], Confirmed | Pending | Failed] = (
            read_refund if operation.kind in REFUNDS else _read_transfer
        )
        while True:
            page = await self._ask(name, lambda: listed(params))  # noqa: B023 - awaited at once
            if isinstance(page, Failed | Unknown):
                return Unknown("LOOK_UP_FAILED")
            entries = page.get("data") or []
            for entry in entries:
                if objects.metadata(entry).get("operation_id") == operation.operation_id:
                    return _read(entry, reader)
            if not page.get("has_more") or not entries:
                return Absent()
            params = {**params, "starting_after": entries[-1]["id"]}

    async def _reverse_shortfall(self, operation: Operation) -> Failed | Unknown | None:
        """Take back from transfers what the charge no longer holds; None when all is well.

        Money that has gone to a seller has to come back before it can go to the buyer.
        """
        ref = _paid_by(operation)
        intent = await self._ask(
            "intent_retrieve",
            lambda: self._calls.v1.payment_intents.retrieve_async(
                ref, {"expand": ["latest_charge"]}
            ),
        )
        transfers = await self._ask(
            "transfer_list",
            lambda: self._calls.v1.transfers.list_async(
                {"transfer_group": operation.escrow_id, "limit": _PAGE}
            ),
        )
        if isinstance(intent, Failed | Unknown):
            return intent
        if isinstance(transfers, Failed | Unknown):
            return Unknown("LOOK_UP_FAILED")
        charge = objects.table(intent, "latest_charge")
        drawn = [entry for entry in transfers["data"] if _draws_on(entry, charge)]
        held = _left(charge, "amount_refunded") - sum(_left(e, "amount_reversed") for e in drawn)
        return await self._reverse(operation, drawn, operation.amount_minor - held)

    async def _reverse(
        self, operation: Operation, transfers: list[JSON], missing_minor: int
    ) -> Failed | Unknown | None:
        for transfer in transfers:
            amount = min(missing_minor, _left(transfer, "amount_reversed"))
            if amount <= 0:
                continue
            answer = await self._reversal(operation, transfer["id"], amount)
            if isinstance(answer, Failed | Unknown):
                return answer
            missing_minor -= amount
        return None

    async def _reversal(
        self, operation: Operation, transfer_ref: str, amount_minor: int
    ) -> JSON | Failed | Unknown:
        params: Any = {"amount": amount_minor, "metadata": _metadata(operation)}
        key: Any = {"idempotency_key": f"{operation.operation_id}:{transfer_ref}"}
        return await self._ask(
            "reversal_create",
            lambda: self._calls.v1.transfers.reversals.create_async(transfer_ref, params, key),
        )


_BAD = Unknown("UNREADABLE")


def _read(answer: JSON | Failed | Unknown, reader: Callable[[JSON], T]) -> T | Failed | Unknown:
    if isinstance(answer, Failed | Unknown):
        return answer
    try:
        return reader(answer)
    except objects.BadObject:
        return _BAD


def _read_transfer(transfer: JSON) -> Confirmed:
    return Confirmed(
        objects.text(transfer, "id"),
        objects.minor(transfer, "amount"),
        objects.currency(transfer),
        objects.reference(transfer, "destination"),
    )


def read_refund(refund: JSON) -> Confirmed | Pending | Failed:
    """Return what a Refund says about its outcome."""
    ref, status = objects.text(refund, "id"), objects.text(refund, "status")
    if status == "succeeded":
        return Confirmed(ref, objects.minor(refund, "amount"), objects.currency(refund))
    if status in ("failed", "canceled"):
        return Failed(objects.text(refund, "failure_reason", required=False) or status)
    return Pending(ref)


def _metadata(operation: Operation) -> dict[str, str]:
    return {
        "escrow_id": operation.escrow_id,
        "operation_id": operation.operation_id,
        "contract_id": operation.contract_id or "",
    }


def _key(operation: Operation) -> Any:
    return {"idempotency_key": operation.operation_id}


def _required(value: str | None) -> str:
    assert value, "the operation was checked when it was taken on"
    return value


def _paid_by(refund: Operation) -> str:
    """Return the PaymentIntent that a refund goes back by."""
    return _required(refund.destination or refund.payment_ref)


def _draws_on(transfer: JSON, charge: JSON) -> bool:
    return objects.reference(transfer, "source_transaction") == charge.get("id")


def _left(source: JSON, spent: str) -> int:
    return objects.minor(source, "amount") - objects.minor(source, spent)
