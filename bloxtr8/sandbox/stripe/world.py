"""What the stand-in remembers, and the rules by which money moves in it."""

from collections import OrderedDict, deque
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from bloxtr8.clock import Clock
from bloxtr8.sandbox.stripe.wire import JSON, ApiError, missing, new_id

OBJECTS_MAX = 200_000
EVENTS_MAX = 20_000
API_VERSION = "2026-10-28.endive"
KINDS = (
    "payment_intent",
    "charge",
    "transfer",
    "transfer_reversal",
    "refund",
    "account",
    "dispute",
    "balance_transaction",
)
# Whose documents name no `livemode`.
_MODELESS = frozenset({"account", "balance_transaction", "refund", "transfer_reversal"})
# Stripe's US card price: 2.9 % + 30 cents.
_FEE_PER_MILLE = 29
_FEE_FIXED_MINOR = 30
_DISPUTE_FEE_MINOR = 1500


class World:
    """Every object by kind and id, oldest first; `on_event` hears of each event."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.objects: dict[str, OrderedDict[str, JSON]] = {kind: OrderedDict() for kind in KINDS}
        self.events: deque[JSON] = deque(maxlen=EVENTS_MAX)
        self.slow_refunds = False  # refunds stay pending until they are settled
        self.base_url = ""  # where its pages are
        self.on_event: Callable[[JSON], None] = lambda event: None

    def now(self) -> int:
        return int(self._clock.now().timestamp())

    def reset(self) -> None:
        for objects in self.objects.values():
            objects.clear()
        self.events.clear()
        self.slow_refunds = False

    def get(self, kind: str, ref: str) -> JSON:
        """Raises ApiError 404."""
        found = self.objects[kind].get(ref)
        if found is None:
            raise missing(kind, ref)
        return found

    def all(self, kind: str, **wanted: Any) -> list[JSON]:
        """Return the objects whose fields equal `wanted`, oldest first."""
        return [
            entry
            for entry in self.objects[kind].values()
            if all(entry.get(name) == value for name, value in wanted.items())
        ]

    def make(self, kind: str, prefix: str, **fields: Any) -> JSON:
        """Store a new object; raises ApiError when the stand-in is full."""
        if len(self.objects[kind]) >= OBJECTS_MAX:
            raise ApiError(500, "The sandbox is full.", type_="api_error")
        made: JSON = {
            "id": new_id(prefix),
            "object": kind,
            "created": self.now(),
            **({} if kind in _MODELESS else {"livemode": False}),
            **fields,
        }
        self.objects[kind][made["id"]] = made
        return made

    def emit(self, type_: str, subject: JSON) -> None:
        """Record an event about `subject` as it is now, and hand it to `on_event`."""
        event: JSON = {
            "id": new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now(),
            "livemode": subject.get("livemode", False),
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": type_,
            "data": {"object": deepcopy(subject)},
        }
        self.events.append(event)
        self.on_event(event)

    def book(self, type_: str, source: JSON, amount: int, fee: int = 0) -> str:
        """Record a balance transaction of the platform and return its id."""
        made = self.make(
            "balance_transaction",
            "txn",
            type=type_,
            source=source["id"],
            amount=amount,
            fee=fee,
            net=amount - fee,
            currency=source["currency"],
            status="available",
        )
        return str(made["id"])

    def balance(self) -> dict[str, int]:
        """Return what the platform has, in minor units by currency."""
        total: dict[str, int] = {}
        for entry in self.objects["balance_transaction"].values():
            total[entry["currency"]] = total.get(entry["currency"], 0) + entry["net"]
        return total

    # Payments of buyers.

    def pay(self, ref: str, **overrides: Any) -> JSON:
        """Let the buyer's card pay; `overrides` replace fields of the intent first.

        Raises ApiError when the intent can not be paid any more.
        """
        intent = self._payable(ref)
        intent.update(overrides)
        charge = self.make(
            "charge",
            "ch",
            amount=intent["amount"],
            amount_captured=intent["amount"],
            amount_refunded=0,
            refunded=False,
            currency=intent["currency"],
            payment_intent=intent["id"],
            transfer_group=intent["transfer_group"],
            metadata=dict(intent["metadata"]),
            status="succeeded",
            paid=True,
            disputed=False,
        )
        charge["livemode"] = intent["livemode"]
        fee = -(-intent["amount"] * _FEE_PER_MILLE // 1000) + _FEE_FIXED_MINOR
        charge["balance_transaction"] = self.book("charge", charge, charge["amount"], fee)
        intent["latest_charge"] = charge["id"]
        intent["amount_received"] = intent["amount"]
        intent["status"] = "succeeded"
        self.emit("charge.succeeded", charge)
        self.emit("payment_intent.succeeded", intent)
        return intent

    def decline(self, ref: str, code: str = "card_declined") -> JSON:
        """Let the buyer's bank say no; the intent can be tried again."""
        intent = self._payable(ref)
        intent["status"] = "requires_payment_method"
        intent["last_payment_error"] = {
            "type": "card_error",
            "code": code,
            "decline_code": "generic_decline",
            "message": "Your card was declined.",
        }
        self.emit("payment_intent.payment_failed", intent)
        return intent

    def process(self, ref: str) -> JSON:
        """Let the payment hang between the banks; `pay` or `decline` ends that."""
        intent = self._payable(ref)
        intent["status"] = "processing"
        self.emit("payment_intent.processing", intent)
        return intent

    def cancel(self, ref: str, reason: str) -> JSON:
        """Raises ApiError when the intent has succeeded, is processing or is cancelled."""
        intent = self.get("payment_intent", ref)
        if intent["status"] in ("succeeded", "processing", "canceled"):
            raise _unexpected_state(intent, "cancel")
        intent["status"] = "canceled"
        intent["canceled_at"] = self.now()
        intent["cancellation_reason"] = reason or None
        self.emit("payment_intent.canceled", intent)
        return intent

    def _payable(self, ref: str) -> JSON:
        intent = self.get("payment_intent", ref)
        if intent["status"] in ("succeeded", "canceled"):
            raise _unexpected_state(intent, "confirm")
        return intent

    # Disputes: the buyer's bank takes the money back.

    def open_dispute(self, charge_ref: str, reason: str, amount: int | None = None) -> JSON:
        charge = self.get("charge", charge_ref)
        dispute = self.make(
            "dispute",
            "du",
            amount=amount or charge["amount"],
            currency=charge["currency"],
            charge=charge["id"],
            payment_intent=charge["payment_intent"],
            reason=reason,
            status="needs_response",
            metadata={},
        )
        charge["disputed"] = True
        self.book("adjustment", dispute, -dispute["amount"], _DISPUTE_FEE_MINOR)
        self.emit("charge.dispute.created", dispute)
        self.emit("charge.dispute.funds_withdrawn", dispute)
        return dispute

    def close_dispute(self, ref: str, *, won: bool) -> JSON:
        dispute = self.get("dispute", ref)
        if dispute["status"] in ("won", "lost"):
            raise ApiError(400, "This dispute is already closed.")
        dispute["status"] = "won" if won else "lost"
        if won:
            self.book("adjustment", dispute, dispute["amount"])
            self.emit("charge.dispute.funds_reinstated", dispute)
        self.emit("charge.dispute.closed", dispute)
        return dispute

    def settle_refund(self, ref: str, *, succeeded: bool) -> JSON:
        """End a pending refund; a failed one gives the money back to the charge.

        One that has succeeded may fail still, when the bank sends it back.
        """
        refund = self.get("refund", ref)
        if refund["status"] != "pending" and (succeeded or refund["status"] != "succeeded"):
            raise ApiError(400, "This refund is not pending.")
        refund["status"] = "succeeded" if succeeded else "failed"
        if succeeded:
            self.emit("refund.updated", refund)
            return refund
        refund["failure_reason"] = "expired_or_canceled_card"
        charge = self.get("charge", refund["charge"])
        charge["amount_refunded"] -= refund["amount"]
        charge["refunded"] = False
        self.book("refund_failure", refund, refund["amount"])
        self.emit("refund.failed", refund)
        return refund


def _unexpected_state(intent: JSON, verb: str) -> ApiError:
    error = ApiError(
        400,
        f"You cannot {verb} this PaymentIntent because it has a status of {intent['status']}.",
        code="payment_intent_unexpected_state",
        kept=True,
    )
    error.body["error"]["payment_intent"] = deepcopy(intent)
    return error
