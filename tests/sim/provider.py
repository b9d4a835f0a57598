"""A provider that is slow, doubtful and honest: one effect per key, and webhooks about it."""

import json
from dataclasses import dataclass, field
from typing import Any

from bloxtr8.payments.operations import Kind, Operation
from bloxtr8.payments.rails import (
    Absent,
    Confirmed,
    Failed,
    Instrument,
    InstrumentStatus,
    Outcome,
    Pending,
    Receipt,
    Unknown,
)
from tests.sim.faults import Faults


@dataclass(slots=True)
class Intent:
    ref: str
    operation: Operation
    status: InstrumentStatus = InstrumentStatus.OPEN
    received_minor: int = 0


@dataclass(slots=True)
class Movement:
    """A transfer or refund. `done` when the money has moved, `failed` when it never will."""

    ref: str
    operation: Operation
    done: bool
    failed: bool = False


@dataclass(slots=True)
class Dispute:
    ref: str
    intent: Intent
    amount_minor: int
    status: str = "needs_response"


@dataclass(slots=True)
class Call:
    """A webhook on its way."""

    event_id: str
    payment_ref: str
    escrow_id: str
    type: str
    body: bytes


@dataclass(slots=True)
class Provider:
    """Implements bloxtr8.payments.rails.Rail. `calls` are webhooks that nobody has fetched yet."""

    faults: Faults
    provider: str = "STRIPE"
    intents: dict[str, Intent] = field(default_factory=dict)
    movements: dict[str, Movement] = field(default_factory=dict)
    disputes: list[Dispute] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    # --- Rail -----------------------------------------------------------------------------

    async def create_intent(self, operation: Operation) -> Any:
        return self._effect(operation, self._create)

    async def cancel(self, operation: Operation) -> Any:
        return self._effect(operation, self._cancel)

    async def payout(self, operation: Operation) -> Any:
        return self._effect(operation, self._move)

    async def refund(self, operation: Operation) -> Any:
        return self._effect(operation, self._move)

    async def look_up(self, operation: Operation) -> Any:
        if self.faults.strikes(self.faults.unknown):
            return Unknown("TIME_OUT")
        if operation.kind is Kind.INTENT:
            intent = self.intents.get(operation.operation_id)
            return Absent() if intent is None else self._instrument(intent)
        if operation.kind is Kind.CANCEL:
            return self._instrument(self._by_ref(operation.payment_ref))
        movement = self.movements.get(operation.operation_id)
        return Absent() if movement is None else self._moved(movement)

    def _effect(self, operation: Operation, act: Any) -> Outcome:
        """Do it, unless the call is lost on the way; the answer may be lost as well."""
        if self.faults.strikes(self.faults.unknown):
            return Unknown("BROKEN_BEFORE")
        outcome: Outcome = act(operation)
        return Unknown("BROKEN_AFTER") if self.faults.strikes(self.faults.unknown) else outcome

    def _create(self, operation: Operation) -> Outcome:
        intent = self.intents.setdefault(
            operation.operation_id, Intent(f"pi_{operation.operation_id[:18]}", operation)
        )
        return self._instrument(intent)

    def _cancel(self, operation: Operation) -> Outcome:
        intent = self._by_ref(operation.payment_ref)
        if intent.status is InstrumentStatus.OPEN:
            intent.status = InstrumentStatus.CANCELLED
            self._call("payment_intent.canceled", intent)
        return self._instrument(intent)

    def _move(self, operation: Operation) -> Outcome:
        known = self.movements.get(operation.operation_id)
        if known is not None:
            return self._moved(known)
        if self.faults.strikes(self.faults.refusal):
            return Failed("insufficient_funds")
        refund = operation.kind is not Kind.PAYOUT
        pending = refund and self.faults.strikes(self.faults.pending)
        prefix = "re_" if refund else "tr_"
        movement = Movement(f"{prefix}{operation.operation_id[:18]}", operation, done=not pending)
        self.movements[operation.operation_id] = movement
        if not pending:
            self._movement_call(movement)
        return self._moved(movement)

    # --- what people and banks do ---------------------------------------------------------

    def pay(self, intent: Intent, amount_minor: int) -> None:
        """A buyer pays; whoever comes too late is refused by the provider."""
        if intent.status is InstrumentStatus.OPEN:
            intent.status, intent.received_minor = InstrumentStatus.PAID, amount_minor
            self._call("payment_intent.succeeded", intent)

    def decline(self, intent: Intent) -> None:
        if intent.status is InstrumentStatus.OPEN:
            self._call("payment_intent.payment_failed", intent)

    def finish(self, movement: Movement) -> None:
        if not movement.done:
            movement.done = True
            self._movement_call(movement)

    def open_dispute(self, intent: Intent) -> None:
        dispute = Dispute(f"dp_{len(self.disputes)}_{intent.ref}", intent, intent.received_minor)
        self.disputes.append(dispute)
        self._dispute_call("charge.dispute.created", dispute)

    def close_dispute(self, dispute: Dispute, status: str) -> None:
        dispute.status = status
        self._dispute_call("charge.dispute.closed", dispute)

    # --- answers --------------------------------------------------------------------------

    def _by_ref(self, ref: str | None) -> Intent:
        return next(intent for intent in self.intents.values() if intent.ref == ref)

    def _instrument(self, intent: Intent) -> Instrument:
        if intent.status is not InstrumentStatus.PAID:
            return Instrument(intent.ref, intent.status)
        receipt = Receipt(
            payment_ref=intent.ref,
            charge_ref=f"ch_{intent.ref}",
            amount_minor=intent.received_minor,
            currency=intent.operation.currency,
            fee_minor=59,
            livemode=False,
            metadata=self._metadata(intent.operation),
        )
        return Instrument(intent.ref, intent.status, receipt)

    def _moved(self, movement: Movement) -> Outcome:
        operation = movement.operation
        if not movement.done:
            return Pending(movement.ref)
        return Confirmed(
            movement.ref, operation.amount_minor, operation.currency, operation.destination or ""
        )

    def _metadata(self, operation: Operation) -> dict[str, str]:
        return {
            "escrow_id": operation.escrow_id,
            "operation_id": operation.operation_id,
            "contract_id": operation.contract_id or "",
        }

    def _call(self, kind: str, intent: Intent) -> None:
        subject = {"id": intent.ref, "metadata": self._metadata(intent.operation)}
        self._send(kind, intent.ref, intent.operation.escrow_id, subject)

    def _movement_call(self, movement: Movement) -> None:
        kind = "transfer.created" if movement.ref.startswith("tr_") else "refund.updated"
        operation = movement.operation
        subject = {"id": movement.ref, "metadata": self._metadata(operation)}
        self._send(kind, operation.payment_ref or "", operation.escrow_id, subject)

    def _dispute_call(self, kind: str, dispute: Dispute) -> None:
        subject = {
            "id": dispute.ref,
            "payment_intent": dispute.intent.ref,
            "amount": dispute.amount_minor,
            "currency": "usd",
            "status": dispute.status,
            "reason": "fraudulent",
        }
        self._send(kind, dispute.intent.ref, dispute.intent.operation.escrow_id, subject)

    def _send(self, kind: str, ref: str, escrow_id: str, subject: dict[str, Any]) -> None:
        event_id = f"evt_{len(self.calls)}_{kind}_{subject['id']}"
        body = {"id": event_id, "type": kind, "data": {"object": subject}}
        call = Call(event_id, ref, escrow_id, kind, json.dumps(body).encode())
        self.calls.append(call)
        if self.faults.strikes(self.faults.repeat):
            self.calls.append(call)
