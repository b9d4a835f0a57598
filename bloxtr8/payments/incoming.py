"""Taking a provider's facts into the book: ask about what was heard, say what is certain."""

from dataclasses import replace
from datetime import datetime

from bloxtr8.payments import book as books
from bloxtr8.payments import operations
from bloxtr8.payments.book import Book, StaffTask, money
from bloxtr8.payments.disputes import DisputeFact, take_dispute
from bloxtr8.payments.facts import AttemptFailed, Fact, Heard, TransferTakenBack
from bloxtr8.payments.operations import Kind, Operation, Status
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.payments.v1 import payments_pb2 as payments

# What a provider may have something new to say about.
_ASKED = frozenset({Status.SENT, Status.UNKNOWN})


def take_fact(book: Book, fact: Fact, event_id: str, cause: common.Metadata, now: datetime) -> None:
    """Take one fact of the provider's event `event_id` into the book."""
    if isinstance(fact, Heard):
        _heard(book, fact, now)
    elif isinstance(fact, AttemptFailed):
        _attempt_failed(book, fact, event_id, cause, now)
    elif isinstance(fact, TransferTakenBack):
        _taken_back(book, fact, cause, now)
    else:
        _ask_about_instrument(book, fact, now)
        take_dispute(book, fact, now)


def _heard(book: Book, fact: Heard, now: datetime) -> None:
    operation = book.operations.get(fact.operation_id)
    if operation is None and fact.instrument_ref:
        operation = book.intent_of(fact.instrument_ref)
    if operation is None:
        if fact.movement_ref:
            # Money moved that nobody here ordered.
            book.tasks.append(StaffTask("RECONCILIATION", fact.movement_ref))
        return
    if operation.due and operation.status is not Status.REQUESTED:
        # One that was only requested has nothing to be asked about, and perhaps a pause to keep.
        book.put(operations.hasten(operation, now, book.called_at))
    elif fact.failed and operation.status is Status.CONFIRMED:
        _sent_back(book, operation, fact.movement_ref, now)
    elif fact.movement_ref and (operation.kind, operation.status) == (Kind.PAYOUT, Status.FAILED):
        # It was taken for never made, and perhaps made again.
        book.tasks.append(StaffTask("RECONCILIATION", fact.movement_ref, operation.amount_minor))
    if fact.instrument_ref:
        _hasten_refunds(book, fact.instrument_ref, now)


def _hasten_refunds(book: Book, payment_ref: str, now: datetime) -> None:
    for operation in list(book.operations.values()):
        pending = operation.kind in operations.REFUNDS and operation.status in _ASKED
        if pending and payment_ref in (operation.payment_ref, operation.destination):
            book.put(operations.hasten(operation, now, book.called_at))


def _sent_back(book: Book, refund: Operation, ref: str, now: datetime) -> None:
    """The buyer's bank sent a refund back that had succeeded: the escrow is told of its money.

    It arrives like any other late money and is returned like it; staff learn of it, because a
    card that refused once will often refuse again.
    """
    known = book.artifacts.get(ref)
    if refund.kind not in operations.REFUNDS or known is None or known.status in books.PAID:
        return
    paid_by = refund.destination or refund.payment_ref or ""
    body = {**known.body, "returned": True, "payment_ref": paid_by}
    book.receive_stray(replace(known, body=body))
    book.tasks.append(StaffTask("RECONCILIATION", ref, refund.amount_minor))
    received = payments.PaymentSucceeded(
        operation_id=refund.operation_id,
        payment_ref=ref,
        amount=money(refund.amount_minor, refund.currency),
    )
    book.say(now, refund, (ref, "RETURNED"), payment_succeeded=received)


def _attempt_failed(
    book: Book, fact: AttemptFailed, event_id: str, cause: common.Metadata, now: datetime
) -> None:
    intent = book.intent_of(fact.instrument_ref)
    if intent is None or not intent.due:
        return
    body = payments.PaymentFailed(
        operation_id=intent.operation_id, provider_ref=fact.instrument_ref, code=fact.code
    )
    book.say(now, cause, ("attempt-failed", event_id), payment_failed=body)


def _taken_back(book: Book, fact: TransferTakenBack, cause: common.Metadata, now: datetime) -> None:
    known = any(
        entry.kind is Kind.PAYOUT and entry.provider_ref == fact.ref
        for entry in book.operations.values()
    )
    if not known or fact.ref not in book.artifacts:
        book.tasks.append(StaffTask("RECONCILIATION", fact.ref, fact.amount_minor))
        return
    # The provider tells the total each time, in any order; what is said is what came on top.
    fresh = book.take_back_payout(fact.ref, fact.amount_minor)
    if not fresh:
        return
    body = payments.TransferReversed(provider_ref=fact.ref, amount=money(fresh, fact.currency))
    book.say(now, cause, (fact.ref, "REVERSED", fact.amount_minor), transfer_reversed=body)


def _ask_about_instrument(book: Book, fact: DisputeFact, now: datetime) -> None:
    """A dispute is about a payment; if that is not known yet, it is asked for."""
    receipt = book.artifacts.get(fact.payment_ref)
    if receipt is not None and receipt.status in books.PAID:
        return
    intent = book.intent_of(fact.payment_ref)
    if intent is not None and intent.due:
        book.put(operations.hasten(intent, now, book.called_at))
