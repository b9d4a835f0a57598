"""Chargebacks: the buyer's bank takes money back, and perhaps returns it.

Calls about one dispute come in any order. Opened is always said before closed, and neither
before the payment that they are about.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from bloxtr8.payments import book as books
from bloxtr8.payments.book import Artifact, Book, money
from bloxtr8.payments.operations import Operation
from proto.bloxtr8.payments.v1 import payments_pb2 as payments

WAITING, OPENED, WON, LOST = "WAITING", "OPENED", "WON", "LOST"


@dataclass(frozen=True, slots=True)
class DisputeFact:
    """`end` is WON, LOST or "" while it is open."""

    ref: str
    payment_ref: str
    amount_minor: int
    currency: str
    reason: str
    end: str


def take_dispute(book: Book, fact: DisputeFact, now: datetime) -> None:
    """Take a fact about a dispute into the book; it waits while the payment is not known."""
    known = book.artifacts.get(fact.ref)
    if known is None:
        known = Artifact(
            books.DISPUTE,
            fact.ref,
            None,
            fact.amount_minor,
            fact.currency,
            WAITING,
            {"payment_ref": fact.payment_ref, "reason": fact.reason, "end": fact.end},
        )
    elif fact.end and not known.body.get("end"):
        known = replace(known, body={**known.body, "end": fact.end})
    book.keep(known)
    _advance(book, known, now)


def apply_waiting(book: Book, payment_ref: str, now: datetime) -> None:
    """Say what was heard about disputes of a payment before the payment itself."""
    for artifact in list(book.artifacts.values()):
        if artifact.kind == books.DISPUTE and artifact.body.get("payment_ref") == payment_ref:
            _advance(book, artifact, now)


def _advance(book: Book, dispute: Artifact, now: datetime) -> None:
    payment_ref = str(dispute.body["payment_ref"])
    receipt = book.artifacts.get(payment_ref)
    intent = None if receipt is None else book.operations.get(receipt.operation_id or "")
    if receipt is None or receipt.status not in books.PAID or intent is None:
        return
    if dispute.status == WAITING:
        dispute = replace(dispute, status=OPENED, operation_id=intent.operation_id)
        _say_opened(book, dispute, intent, now)
    end = str(dispute.body.get("end") or "")
    if dispute.status == OPENED and end:
        dispute = replace(dispute, status=end)
        _say_closed(book, dispute, intent, now)
    book.keep(dispute)


def _say_opened(book: Book, dispute: Artifact, intent: Operation, now: datetime) -> None:
    body = payments.ChargebackOpened(
        dispute_ref=dispute.ref,
        amount=money(dispute.amount_minor or 0, dispute.currency or ""),
        payment_ref=str(dispute.body["payment_ref"]),
        reason=str(dispute.body["reason"]),
    )
    book.say(now, intent, (dispute.ref, "OPENED"), chargeback_opened=body)


def _say_closed(book: Book, dispute: Artifact, intent: Operation, now: datetime) -> None:
    body = payments.ChargebackClosed(
        dispute_ref=dispute.ref,
        amount=money(dispute.amount_minor or 0, dispute.currency or ""),
        won=dispute.status == WON,
    )
    book.say(now, intent, (dispute.ref, "CLOSED"), chargeback_closed=body)
