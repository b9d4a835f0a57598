"""From an order of the escrow to an operation, or to a refusal before anybody is asked."""

from dataclasses import replace
from datetime import datetime

from bloxtr8 import telemetry
from bloxtr8.messaging import metadata
from bloxtr8.money import currency_code
from bloxtr8.payments import operations
from bloxtr8.payments.book import PAID, Book, Funds, StaffTask
from bloxtr8.payments.operations import Kind, Operation, Status
from bloxtr8.payments.settling import say_end
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.payments.v1 import payments_pb2 as payments

RAILS = {common.RAIL_STRIPE: "STRIPE", common.RAIL_USDC_BASE: "USDC_BASE"}
REFUSED_BY_LEDGER = "REFUSED_BY_LEDGER"
FENCED = "FENCED"

Order = (
    payments.CreatePaymentIntent
    | payments.CancelPayment
    | payments.TransferToSeller
    | payments.InitiateRefund
)


class BadOrder(Exception):
    """The command cannot be an order: a field is missing or contradicts itself."""


def currency_of(command: payments.PaymentCommand) -> str:
    """Return the currency of an escrow by its rail; raises BadOrder."""
    if command.rail not in RAILS:
        raise BadOrder("the rail is unknown")
    return "USD" if command.rail == common.RAIL_STRIPE else "USDC"


def take_order(book: Book, command: payments.PaymentCommand, now: datetime) -> None:
    """Take a command into the book as a new operation or the next attempt of a failed one.

    Seen before: nothing happens. Fenced, or beyond what was received: refused here, the last
    line before real money. Raises BadOrder.
    """
    wanted = _operation(command, now)
    if book.funds is None:
        book.funds = Funds(currency_of(command))
    known = book.operations.get(wanted.operation_id)
    stale = command.fencing_token < book.funds.fencing_token
    if stale and (known is None or wanted.attempt > known.attempt):
        _refuse_fenced(book, wanted)
        return
    token = max(command.fencing_token, book.funds.fencing_token)
    book.funds = replace(book.funds, fencing_token=token)
    if known is None:
        _take_new(book, wanted, now)
    else:
        _take_again(book, known, wanted, now)


def _take_new(book: Book, wanted: Operation, now: datetime) -> None:
    same = (wanted.kind, wanted.generation)
    if any((entry.kind, entry.generation) == same for entry in book.operations.values()):
        raise BadOrder("another operation has this kind and generation")
    if wanted.kind is Kind.PAYOUT:
        wanted = replace(wanted, payment_ref=book.charge_for_payout())
    if wanted.kind is Kind.STRAY_REFUND:
        wanted = _mark_stray(book, wanted)
    if wanted.kind in operations.SPENDING and not _payable(book, wanted):
        _refuse(book, wanted, now)
        return
    book.put(wanted)


def _take_again(book: Book, known: Operation, wanted: Operation, now: datetime) -> None:
    if _terms(known) != _terms(wanted):
        raise BadOrder("the operation is known with other terms")
    if wanted.attempt <= known.attempt:
        telemetry.DUPLICATES.labels(consumer="payments").inc()
        return
    if known.status is Status.CONFIRMED:
        say_end(book, known, now)
        return
    if known.status is not Status.FAILED:
        book.put(replace(known, attempt=wanted.attempt))
        return
    again = operations.order_again(known, wanted.attempt, wanted.not_before)
    if again.kind is Kind.PAYOUT:
        again = replace(again, payment_ref=known.payment_ref or book.charge_for_payout())
    if again.kind in operations.SPENDING and not _payable(book, again):
        _refuse(book, again, now)
        return
    book.put(again)


def _terms(operation: Operation) -> tuple[object, ...]:
    return (
        operation.kind,
        operation.generation,
        operation.amount_minor,
        operation.intent_operation_id,
    )


def _mark_stray(book: Book, wanted: Operation) -> Operation:
    receipt = book.artifacts.get(wanted.payment_ref or "")
    if receipt is None or receipt.status not in PAID:
        return wanted
    if receipt.status != "STRAY":
        book.receive(receipt, stray=True)
    returned_by = receipt.body.get("payment_ref") if receipt.body.get("returned") else None
    return replace(
        wanted,
        currency=receipt.currency or wanted.currency,
        destination=None if returned_by is None else str(returned_by),
    )


def _payable(book: Book, operation: Operation) -> bool:
    return bool(operation.payment_ref) and operation.amount_minor > 0 and book.covers(operation)


def _refuse(book: Book, wanted: Operation, now: datetime) -> None:
    telemetry.LEDGER_REFUSALS.labels(kind=wanted.kind.value).inc()
    refused = operations.fail(wanted, REFUSED_BY_LEDGER, now, nothing_happened=True)
    book.put(refused)
    book.tasks.append(StaffTask("RECONCILIATION", wanted.escrow_id, wanted.amount_minor))
    say_end(book, refused, now)


def _refuse_fenced(book: Book, wanted: Operation) -> None:
    """Whoever ordered this has been replaced by another worker, whose word counts."""
    telemetry.FENCED.labels(consumer="payments").inc()
    book.tasks.append(StaffTask("RECONCILIATION", wanted.escrow_id, wanted.amount_minor))


def _operation(command: payments.PaymentCommand, now: datetime) -> Operation:
    name = command.WhichOneof("body")
    order: Order = getattr(command, str(name))
    if not order.operation_id or order.generation < 1:
        raise BadOrder("an operation has an id and a generation")
    rail = RAILS.get(command.rail)
    if rail is None:
        raise BadOrder("the rail is unknown")
    made = Operation(
        operation_id=order.operation_id,
        escrow_id=command.escrow_id,
        kind=_kind(order),
        generation=order.generation,
        rail=rail,
        provider="STRIPE" if rail == "STRIPE" else "BASE",
        amount_minor=0,
        currency=currency_of(command),
        command_id=command.metadata.message_id,
        requested_at=now,
        not_before=now,
        fencing_token=command.fencing_token,
        escrow_sequence=command.escrow_sequence,
        traceparent=command.metadata.traceparent,
        correlation_id=command.metadata.correlation_id,
    )
    return _with_terms(made, order)


def _with_terms(made: Operation, order: Order) -> Operation:
    if isinstance(order, payments.CancelPayment):
        return replace(made, intent_operation_id=order.intent_operation_id)
    if order.amount.minor <= 0:
        raise BadOrder("an amount is positive")
    stray = made.kind is Kind.STRAY_REFUND
    if not stray and _currency(order.amount) != made.currency:
        raise BadOrder("the currency is not the rail's")
    made = replace(made, amount_minor=order.amount.minor)
    if isinstance(order, payments.CreatePaymentIntent):
        return replace(made, contract_id=order.contract_id or None, party_id=order.buyer_id or None)
    made = replace(made, attempt=max(order.attempt, 1))
    if order.HasField("not_before"):
        made = replace(made, not_before=metadata.moment(order.not_before))
    if isinstance(order, payments.InitiateRefund):
        return replace(made, payment_ref=order.payment_ref, party_id=order.buyer_id or None)
    if not order.destination or order.fees_minor < 0:
        raise BadOrder("a payout names where it goes, and fees that are not negative")
    return replace(
        made,
        destination=order.destination,
        party_id=order.seller_id or None,
        fees_minor=order.fees_minor,
    )


def _kind(order: Order) -> Kind:
    if isinstance(order, payments.CreatePaymentIntent):
        return Kind.INTENT
    if isinstance(order, payments.CancelPayment):
        return Kind.CANCEL
    if isinstance(order, payments.TransferToSeller):
        return Kind.PAYOUT
    if order.kind == payments.OPERATION_KIND_REFUND:
        return Kind.REFUND
    if order.kind == payments.OPERATION_KIND_STRAY_REFUND:
        return Kind.STRAY_REFUND
    raise BadOrder("a refund is REFUND or STRAY_REFUND")


def _currency(amount: common.Money) -> str:
    try:
        return currency_code(amount.currency)
    except ValueError as error:
        raise BadOrder(str(error)) from None
