"""Money that came in: counted once, told as what it is, screened until somebody knows."""

from dataclasses import replace
from datetime import datetime, timedelta

from bloxtr8.payments import book as books
from bloxtr8.payments import disputes, operations
from bloxtr8.payments.book import Artifact, Book, money
from bloxtr8.payments.operations import SPENDING, Operation
from bloxtr8.payments.rails import Instrument, Receipt
from proto.bloxtr8.common.v1.common_pb2 import Money
from proto.bloxtr8.payments.v1 import payments_pb2 as payments

# A risk that nobody could tell is asked for again.
ASK_AGAIN = timedelta(minutes=10)
LOW, UNKNOWN, RISK = "LOW", "UNKNOWN", "RISK"
USDC_BASE = "USDC_BASE"


def take_receipts(
    book: Book, intent: Operation | None, instrument: Instrument, now: datetime, livemode: bool
) -> bool:
    """Take in all that came by an instrument; return whether a risk has to be asked for again."""
    if intent is None:
        return False
    receipt = instrument.receipt
    if receipt is not None:
        receive(book, intent, receipt, now, livemode)
    for stray in instrument.strays:
        receive_stray(book, intent, stray, now)
    return receipt is not None and receipt.risk == UNKNOWN and not _is_spent(book)


def receive(book: Book, intent: Operation, receipt: Receipt, now: datetime, livemode: bool) -> None:
    """Record a payment once: held if it is exactly what was asked for, else for review."""
    known = book.artifacts.get(receipt.payment_ref)
    if known is not None and known.status in books.PAID:
        _rescreened(book, intent, known, receipt, now)
        return
    same_currency = receipt.currency == intent.currency
    book.receive(
        Artifact(
            books.INTENT,
            receipt.payment_ref,
            intent.operation_id,
            receipt.amount_minor,
            receipt.currency,
            books.RECEIVED if same_currency else books.FOREIGN,
            {"charge_ref": receipt.charge_ref, "risk": receipt.risk},
        )
    )
    if receipt.charge_ref:
        _keep_charge(book, intent, receipt)
    book.put(operations.finish(intent, now, paid=receipt.payment_ref))
    _say_receipt(book, intent, receipt, _mismatch(book, intent, receipt, livemode), now)
    disputes.apply_waiting(book, receipt.payment_ref, now)


def receive_stray(book: Book, intent: Operation, receipt: Receipt, now: datetime) -> None:
    """Record money that came after the end, once; the escrow orders its return."""
    known = book.artifacts.get(receipt.payment_ref)
    if known is not None and known.status in books.PAID:
        return
    book.receive_stray(
        Artifact(
            books.INTENT,
            receipt.payment_ref,
            intent.operation_id,
            receipt.amount_minor,
            receipt.currency,
            books.STRAY,
            {"risk": receipt.risk},
        )
    )
    _say_receipt(book, intent, receipt, "", now)


def _rescreened(
    book: Book, intent: Operation, known: Artifact, receipt: Receipt, now: datetime
) -> None:
    """Say what screening has found out about a receipt whose risk nobody could tell."""
    if known.body.get("risk") == UNKNOWN and receipt.risk not in ("", UNKNOWN):
        book.keep(replace(known, body={**known.body, "risk": receipt.risk}))
        screened = payments.FundsScreened(payment_ref=receipt.payment_ref, risk=receipt.risk)
        fact = ("screened", receipt.payment_ref, receipt.risk)
        book.say(now, intent, fact, funds_screened=screened)
    current = book.operations[intent.operation_id]
    if current.due:
        book.put(operations.finish(current, now))


def _is_spent(book: Book) -> bool:
    """Tell whether the money was ordered out again, so that nobody waits for its risk."""
    return any(entry.kind in SPENDING for entry in book.operations.values())


def _say_receipt(
    book: Book, intent: Operation, receipt: Receipt, mismatch: str, now: datetime
) -> None:
    amount, fee = money(receipt.amount_minor, receipt.currency), _fee(receipt)
    fact = ("receipt", receipt.payment_ref)
    risky = receipt.risk not in ("", LOW)
    if mismatch or risky:
        review = payments.FundsUnderReview(
            operation_id=intent.operation_id,
            payment_ref=receipt.payment_ref,
            amount=amount,
            reason=mismatch or RISK,
            risk=receipt.risk,
            provider_fee=fee,
        )
        book.say(now, intent, fact, funds_under_review=review)
        return
    succeeded = payments.PaymentSucceeded(
        operation_id=intent.operation_id,
        payment_ref=receipt.payment_ref,
        amount=amount,
        provider_fee=fee,
        charge_ref=receipt.charge_ref,
    )
    book.say(now, intent, fact, payment_succeeded=succeeded)


def _fee(receipt: Receipt) -> Money | None:
    if receipt.fee_minor is None:
        return None
    # Taken in the currency that the provider settles in, which need not be the buyer's.
    fee = money(receipt.fee_minor, receipt.fee_currency or receipt.currency)
    return fee if fee.currency else None


def _mismatch(book: Book, intent: Operation, receipt: Receipt, livemode: bool) -> str:
    """Return in which way a payment is not the one that was asked for; "" when it is."""
    if receipt.currency != intent.currency:
        return "WRONG_CURRENCY"
    if receipt.amount_minor < intent.amount_minor and not _is_called_off(book, intent):
        return "AMOUNT_TOO_SMALL"
    if receipt.amount_minor > intent.amount_minor and intent.rail != USDC_BASE:
        # By chain anybody may send too much; how much of that is borne is the escrow's rule.
        return "AMOUNT_TOO_LARGE"
    if receipt.livemode != livemode:
        return "LIVEMODE"
    wanted = {
        "escrow_id": intent.escrow_id,
        "operation_id": intent.operation_id,
        "contract_id": intent.contract_id or "",
    }
    given = {name: receipt.metadata.get(name, "") for name in wanted}
    return "" if given == wanted else "METADATA"


def _is_called_off(book: Book, intent: Operation) -> bool:
    """Tell whether a deposit address was closed with a part of what was due, which goes back."""
    return intent.rail == USDC_BASE and book.cancel_of(intent.operation_id) is not None


def _keep_charge(book: Book, intent: Operation, receipt: Receipt) -> None:
    book.keep(
        Artifact(
            books.CHARGE,
            receipt.charge_ref,
            intent.operation_id,
            receipt.amount_minor,
            receipt.currency,
            "CONFIRMED",
        )
    )
