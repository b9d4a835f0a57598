"""From what a provider answered to the operation's next status and what there is to say."""

from dataclasses import replace
from datetime import datetime, timedelta

from bloxtr8 import telemetry
from bloxtr8.payments import book as books
from bloxtr8.payments import operations
from bloxtr8.payments.book import Artifact, Book, StaffTask, money
from bloxtr8.payments.operations import REFUNDS, Kind, Operation, Status
from bloxtr8.payments.rails import (
    Absent,
    Confirmed,
    Failed,
    Instrument,
    InstrumentStatus,
    Outcome,
    Pending,
    Unknown,
)
from bloxtr8.payments.receipts import ASK_AGAIN, USDC_BASE, take_receipts
from proto.bloxtr8.payments.v1 import payments_pb2 as payments

ALREADY_PAID = "ALREADY_PAID"
# For a cancellation: there is no instrument, and nobody can pay.
INSTRUMENT_GONE = "INSTRUMENT_GONE"
NEVER_ARRIVED = "NEVER_ARRIVED"
# So many tries without an outcome, and a person looks.
STALLED_TRIES = 8
# Banks take days over a refund; a transfer on the chain is final within the hour, or never.
SLOW_AFTER = {"STRIPE": timedelta(days=14), USDC_BASE: timedelta(hours=2)}

_log = telemetry.get_logger(__name__)


def settle(book: Book, asked: Operation, outcome: Outcome, now: datetime, livemode: bool) -> None:
    """Take what the provider said of `asked` into the book; the same again changes nothing.

    An answer to an older try comes from somebody who was taken for dead. It counts where it
    proves an effect; that nothing happened is for the try to say that is under way now.
    """
    operation = book.operations[asked.operation_id]
    if not operation.due:
        _report_unexpected(book, operation, outcome)
        return
    if asked.attempts != operation.attempts and not _is_effect(outcome):
        _log.warning("answer_too_late", operation_id=operation.operation_id, tried=asked.attempts)
        return
    if isinstance(outcome, Unknown | Absent):
        _doubt(book, operation, outcome, now)
    elif isinstance(outcome, Instrument):
        settle_instrument(book, operation, outcome, now, livemode)
    elif isinstance(outcome, Pending):
        _wait(book, operation, outcome.ref, now)
    elif isinstance(outcome, Failed):
        settle_failure(book, operation, outcome, now)
    else:
        settle_movement(book, operation, outcome, now)
    after = book.operations[operation.operation_id]
    if after.status is not operation.status:
        telemetry.OPERATIONS.labels(kind=after.kind.value, status=after.status.value).inc()


def _is_effect(outcome: Outcome) -> bool:
    """Tell whether an answer proves something that no later answer takes back."""
    if isinstance(outcome, Instrument):
        return outcome.status in (InstrumentStatus.PAID, InstrumentStatus.CANCELLED)
    return isinstance(outcome, Confirmed)


def _report_unexpected(book: Book, operation: Operation, outcome: Outcome) -> None:
    """Money moved after the escrow was told that it had not: a person has to look at once."""
    if isinstance(outcome, Confirmed) and operation.status is Status.FAILED:
        _log.error("moved_after_failure", operation_id=operation.operation_id, ref=outcome.ref)
        task = StaffTask("RECONCILIATION", operation.operation_id, outcome.amount_minor)
        book.tasks.append(task)


def settle_movement(book: Book, operation: Operation, outcome: Confirmed, now: datetime) -> None:
    """A payout or refund is done; one that is not what was ordered is for a person to see."""
    assert operation.kind in operations.SPENDING, "only what spends moves money"
    if not _as_ordered(operation, outcome):
        doubt = operations.doubt(operation, "NOT_AS_ORDERED", now)
        book.put(doubt)
        book.tasks.append(StaffTask("RECONCILIATION", operation.operation_id, outcome.amount_minor))
        return
    done = operations.confirm(operation, outcome.ref, now)
    book.put(done)
    kind = books.TRANSFER if operation.kind is Kind.PAYOUT else books.REFUND
    _keep(book, done, kind, "CONFIRMED")
    say_end(book, done, now)


def settle_failure(book: Book, operation: Operation, outcome: Failed, now: datetime) -> None:
    """The provider said no. That an instrument does not exist is as good as its being cancelled."""
    if operation.kind is Kind.CANCEL:
        gone = operations.confirm(operation, None, now)
        book.put(gone)
        say_end(book, gone, now)
        return
    failed = operations.fail(
        operation, outcome.code, now, nothing_happened=outcome.nothing_happened
    )
    book.put(failed)
    if operation.kind is Kind.INTENT:
        _hasten_cancel(book, failed, now)
    say_end(book, failed, now)


def settle_instrument(
    book: Book, operation: Operation, instrument: Instrument, now: datetime, livemode: bool
) -> None:
    """Take what the provider says of a payment instrument, asked for whatever reason."""
    intent = _intent_of(book, operation, instrument.ref)
    news = intent is not None and _has_news(intent)
    if intent is not None and intent.provider_ref is None:
        intent = _created(book, intent, instrument, now)
    open_question = take_receipts(book, intent, instrument, now, livemode)
    if instrument.receipt is not None:
        _refuse_cancel(book, operation, now)
    elif instrument.status is InstrumentStatus.CANCELLED:
        instrument_cancelled(book, intent, instrument.ref, now)
    elif instrument.status is InstrumentStatus.PROCESSING and intent is not None:
        processing(book, intent, now)
    if intent is not None and (open_question or news):
        at = now if news else now + ASK_AGAIN
        book.put(operations.ask_again(book.operations[intent.operation_id], at))
    current = book.operations[operation.operation_id]
    if current.due and not (open_question and current.kind is Kind.INTENT):
        # Cancelling has to be tried again; an open instrument is only looked at now and then.
        cancelling = current.kind is Kind.CANCEL
        book.put(
            operations.doubt(current, "STILL_OPEN", now) if cancelling else _later(current, now)
        )


def _has_news(intent: Operation) -> bool:
    """Tell whether money came by an address that the answer may not know of.

    The address stays open to everybody, so what ends the instrument does not end this.
    """
    return intent.rail == USDC_BASE and intent.due and operations.was_heard(intent)


def instrument_cancelled(book: Book, intent: Operation | None, ref: str, now: datetime) -> None:
    """Nobody can pay with it any more, on our order or not."""
    cancel = None if intent is None else book.cancel_of(intent.operation_id)
    known = book.artifacts.get(ref)
    fresh = known is not None and known.status == books.OPEN
    if known is not None and fresh:
        book.keep(replace(known, status=books.CANCELLED))
    if intent is not None and intent.due:
        book.put(operations.finish(intent, now))
    if cancel is not None and cancel.due:
        done = operations.confirm(cancel, ref, now)
        book.put(done)
        say_end(book, done, now)
    elif cancel is None and intent is not None and fresh:
        _say_intent_dead(book, intent, "CANCELED", now)


def processing(book: Book, intent: Operation, now: datetime) -> None:
    """The buyer's bank takes its time; said once."""
    if not intent.due or intent.result.get("processing"):
        return
    book.put(replace(intent, result={**intent.result, "processing": True}))
    body = payments.PaymentProcessing(
        operation_id=intent.operation_id, provider_ref=intent.provider_ref or ""
    )
    book.say(now, intent, ("processing", intent.operation_id), payment_processing=body)


def say_end(book: Book, operation: Operation, now: datetime) -> None:
    """Say how an operation ended. A failure is told per attempt, a success once and for all."""
    confirmed = operation.status is Status.CONFIRMED
    fact: tuple[str | int, ...] = (operation.operation_id, operation.status.value)
    if not confirmed:
        fact = (*fact, operation.attempt)
    if operation.kind is Kind.INTENT:
        if not confirmed:
            _say_intent_dead(book, operation, operation.last_error or "", now)
    elif operation.kind is Kind.CANCEL:
        if confirmed:
            body = payments.PaymentCancelled(
                operation_id=operation.operation_id, provider_ref=operation.provider_ref or ""
            )
            book.say(now, operation, fact, payment_cancelled=body)
    elif confirmed:
        _say_moved(book, operation, fact, now)
    else:
        _say_not_moved(book, operation, fact, now)


def _say_moved(
    book: Book, operation: Operation, fact: tuple[str | int, ...], now: datetime
) -> None:
    amount = money(operation.amount_minor, operation.currency)
    if operation.kind is Kind.PAYOUT:
        paid = payments.TransferSucceeded(
            operation_id=operation.operation_id,
            generation=operation.generation,
            amount=amount,
            provider_ref=operation.provider_ref or "",
            destination=operation.destination or "",
        )
        book.say(now, operation, fact, transfer_succeeded=paid)
        return
    refunded = payments.RefundSucceeded(
        operation_id=operation.operation_id,
        generation=operation.generation,
        amount=amount,
        provider_ref=operation.provider_ref or "",
        kind=_proto_kind(operation),
    )
    book.say(now, operation, fact, refund_succeeded=refunded)


def _say_not_moved(
    book: Book, operation: Operation, fact: tuple[str | int, ...], now: datetime
) -> None:
    proven = bool(operation.result.get("nothing_happened"))
    code = operation.last_error or ""
    if operation.kind is Kind.PAYOUT:
        failed = payments.TransferFailed(
            operation_id=operation.operation_id,
            generation=operation.generation,
            code=code,
            nothing_happened=proven,
        )
        book.say(now, operation, fact, transfer_failed=failed)
        return
    refused = payments.RefundFailed(
        operation_id=operation.operation_id,
        generation=operation.generation,
        code=code,
        nothing_happened=proven,
        kind=_proto_kind(operation),
    )
    book.say(now, operation, fact, refund_failed=refused)


def _say_intent_dead(book: Book, intent: Operation, code: str, now: datetime) -> None:
    body = payments.PaymentFailed(
        operation_id=intent.operation_id,
        provider_ref=intent.provider_ref or "",
        code=code,
        intent_dead=True,
    )
    book.say(now, intent, (intent.operation_id, "DEAD"), payment_failed=body)


def _proto_kind(operation: Operation) -> "payments.OperationKind.ValueType":
    assert operation.kind in REFUNDS, "only refunds name their kind"
    if operation.kind is Kind.REFUND:
        return payments.OPERATION_KIND_REFUND
    return payments.OPERATION_KIND_STRAY_REFUND


def _created(book: Book, intent: Operation, instrument: Instrument, now: datetime) -> Operation:
    made = operations.confirm(intent, instrument.ref, now, again_at=_next_look(intent, now))
    book.put(made)
    _keep(book, made, books.INTENT, books.OPEN)
    body = payments.PaymentIntentCreated(
        operation_id=made.operation_id, generation=made.generation, provider_ref=instrument.ref
    )
    book.say(now, made, (made.operation_id, "CREATED"), payment_intent_created=body)
    _hasten_cancel(book, made, now)
    return made


def _hasten_cancel(book: Book, intent: Operation, now: datetime) -> None:
    """Whoever wanted to cancel it had to wait for it to exist, or not to."""
    cancel = book.cancel_of(intent.operation_id)
    if cancel is not None and cancel.due:
        book.put(operations.hasten(cancel, now))


def _refuse_cancel(book: Book, operation: Operation, now: datetime) -> None:
    intent_id = operation.intent_operation_id or operation.operation_id
    cancel = book.cancel_of(intent_id)
    if cancel is not None and cancel.due:
        book.put(operations.fail(cancel, ALREADY_PAID, now, nothing_happened=True))


def _intent_of(book: Book, operation: Operation, ref: str) -> Operation | None:
    if operation.kind is Kind.INTENT:
        return operation
    return book.operations.get(operation.intent_operation_id or "") or book.intent_of(ref)


def _as_ordered(operation: Operation, outcome: Confirmed) -> bool:
    right = (outcome.amount_minor, outcome.currency) == (
        operation.amount_minor,
        operation.currency,
    )
    if operation.kind is Kind.PAYOUT:
        return right and outcome.destination == operation.destination
    return right


def _doubt(book: Book, operation: Operation, outcome: Unknown | Absent, now: datetime) -> None:
    reason = outcome.reason if isinstance(outcome, Unknown) else "ABSENT"
    asked = not isinstance(outcome, Unknown) or outcome.asked
    book.put(operations.doubt(operation, reason, now, asked=asked))
    if operation.attempts >= STALLED_TRIES and operation.under_way:
        book.tasks.append(
            StaffTask("STALLED_OPERATION", operation.operation_id, operation.amount_minor)
        )


def _wait(book: Book, operation: Operation, ref: str, now: datetime) -> None:
    waiting = operations.wait(operation, ref, _next_news(operation, now))
    book.put(waiting)
    if operation.sent_at is not None and now - operation.sent_at >= SLOW_AFTER[operation.rail]:
        task = StaffTask("STALLED_OPERATION", operation.operation_id, operation.amount_minor)
        book.tasks.append(task)
    _keep(book, waiting, books.REFUND, "PENDING")


def _later(operation: Operation, now: datetime) -> Operation:
    ref = operation.provider_ref
    assert ref, "an instrument that is looked at has a reference"
    return operations.confirm(operation, ref, now, again_at=_next_look(operation, now))


def _next_news(operation: Operation, now: datetime) -> datetime:
    """Return when to ask again about a movement that is on its way.

    A chain tells nobody when a transfer has become final.
    """
    soon = operation.rail == USDC_BASE and not operations.was_heard(operation)
    return operations.after_pause(operation, now) if soon else _next_look(operation, now)


def _next_look(operation: Operation, now: datetime) -> datetime:
    """Return when to ask again: at once if something was heard while the answer was on its way."""
    return now if operations.was_heard(operation) else now + operations.INQUIRY_INTERVAL


def _keep(book: Book, operation: Operation, kind: str, status: str) -> None:
    assert operation.provider_ref, "an artifact has a reference"
    book.keep(
        Artifact(
            kind,
            operation.provider_ref,
            operation.operation_id,
            operation.amount_minor,
            operation.currency,
            status,
        )
    )
