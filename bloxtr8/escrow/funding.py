"""From the payment instrument to money that is held, reviewed or called off."""

from bloxtr8 import ids
from bloxtr8.escrow import chargebacks, fees, holds, legs, orders, states, stray
from bloxtr8.escrow.access import require_second_approval
from bloxtr8.escrow.change import Change, Ignored, Refused
from bloxtr8.escrow.transitions import Role
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import events_pb2 as events
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.payments.v1 import payments_pb2 as payments

Receipt = payments.PaymentSucceeded | payments.FundsUnderReview

# Card attempts that are written down one by one; the provider limits them long before.
FAILED_ATTEMPTS_MAX = 100
LOW, UNKNOWN, SANCTIONED = "LOW", "UNKNOWN", "SANCTIONED"
_RISK = "RISK"  # the reason of a review that is about nothing else
_SERIOUS_RISKS = frozenset({"HIGH", SANCTIONED})
_USER_REASONS = frozenset(
    {
        types.CANCEL_REASON_CHANGED_MIND,
        types.CANCEL_REASON_TERMS,
        types.CANCEL_REASON_OTHER,
    }
)


def intent_created(change: Change, body: payments.PaymentIntentCreated) -> None:
    intent = change.escrow.intent
    if body.operation_id != intent.operation_id or intent.provider_ref:
        raise Ignored("another instrument is in use")
    change.emit(events.PaymentReady(operation_id=body.operation_id, provider_ref=body.provider_ref))


def payment_processing(change: Change, body: payments.PaymentProcessing) -> None:
    intent = change.escrow.intent
    if body.operation_id != intent.operation_id or intent.processing:
        raise Ignored("nothing new about the instrument in use")
    change.emit(events.PaymentProcessing(provider_ref=body.provider_ref))


def payment_failed(change: Change, body: payments.PaymentFailed) -> None:
    """The instrument stays usable, unless the provider says that it is dead."""
    escrow = change.escrow
    if body.operation_id != escrow.intent.operation_id:
        raise Ignored("another instrument is in use")
    failures = escrow.intent.failed_attempts + 1
    if failures > FAILED_ATTEMPTS_MAX:
        raise Ignored("more failures than are written down")
    failed = events.PaymentAttemptFailed(attempt=failures, code=body.code)
    if body.intent_dead and failures < orders.ATTEMPTS_MAX:
        failed.generation = escrow.intent.generation + 1
        failed.operation_id = ids.operation_id_for(
            escrow.escrow_id, orders.INTENT, failed.generation
        )
    change.emit(failed)
    if failed.operation_id:
        orders.create_intent(change)


def payment_succeeded(change: Change, body: payments.PaymentSucceeded) -> None:
    """The money is here and cleared: hold it if it is what was due, else review it."""
    reference = stray.new_receipt(change, body)
    reason = _mismatch(change, body.amount)
    if reason:
        _review(change, body, reference, reason, "")
        return
    change.emit(_held(change, reference, body.amount.minor), states.FUNDS_HELD)
    if body.operation_id and body.operation_id != change.escrow.intent.operation_id:
        # An older instrument was paid after all: nobody shall pay the newer one too.
        orders.cancel_intent(change)
    chargebacks.catch_up(change)


def under_review(change: Change, body: payments.FundsUnderReview) -> None:
    """The money is here and somebody has to look at it first."""
    reference = stray.new_receipt(change, body)
    reason = body.reason or _mismatch(change, body.amount) or _RISK
    _review(change, body, reference, reason, body.risk)


def funds_screened(change: Change, body: payments.FundsScreened) -> None:
    """Screening that had no answer has one: clear funds move on, all others wait for people."""
    escrow = change.escrow
    if body.payment_ref != escrow.funding_ref or escrow.review_risk != UNKNOWN:
        raise Ignored("nobody waits for that answer")
    if body.risk in ("", UNKNOWN):
        raise Ignored("that is no answer")
    if escrow.state != states.FUNDS_REVIEW:
        _freeze_approved(change, body.risk)
        return
    clear = body.risk == LOW and not holds.freezes(escrow)
    if clear and escrow.cancel_reason:
        legs.refund(change, types.REFUND_REASON_CANCELLED_WHILE_PAYING)
    elif clear and escrow.review_reason == _RISK:
        change.emit(_held(change, escrow.funding_ref, escrow.received_minor), states.FUNDS_HELD)
    else:
        _write_risk(change, body.risk)


def _freeze_approved(change: Change, risk: str) -> None:
    """Nobody who approved funds of an unknown risk can have meant money that may not move."""
    if risk != SANCTIONED or not holds.is_stronger(change.escrow, types.HOLD_KIND_COMPLIANCE):
        raise Ignored("people have decided about these funds")
    holds.escalate(change, types.HOLD_KIND_COMPLIANCE)


def _write_risk(change: Change, risk: str) -> None:
    escrow = change.escrow
    stronger = holds.is_stronger(escrow, types.HOLD_KIND_COMPLIANCE)
    frozen = risk == SANCTIONED and stronger
    change.emit(
        events.EscrowFundsUnderReview(
            reason=escrow.review_reason,
            received_minor=escrow.received_minor,
            payment_ref=escrow.funding_ref,
            risk=risk,
            hold=types.HOLD_KIND_COMPLIANCE if frozen else types.HOLD_KIND_UNSPECIFIED,
        )
    )


def paid_while_cancelling(change: Change, body: payments.PaymentSucceeded) -> None:
    """The buyer paid before the instrument could be cancelled: all of it goes back."""
    reference = stray.new_receipt(change, body)
    if body.amount.currency != change.escrow.price.currency:
        _review(change, body, reference, "WRONG_CURRENCY", "")
        return
    chargebacks.hold_if_open(change)
    returned = chargebacks.covers(change.escrow, body.amount.minor)
    deferred = returned or holds.freezes(change.escrow)
    legs.refund_receipt(change, reference, body.amount.minor, deferred=deferred)
    if returned:
        chargebacks.returned_by_bank(change)


def approve_funds(change: Change, _: commands.ApproveFunds) -> None:
    escrow = change.escrow
    if escrow.review_risk in _SERIOUS_RISKS:
        require_second_approval(change)
    if escrow.cancel_reason:
        if escrow.received_minor == 0:
            raise Refused(types.REFUSAL_CODE_AMOUNT_OUT_OF_RANGE, "Nothing here can be held.")
        legs.refund(change, types.REFUND_REASON_CANCELLED_WHILE_PAYING)
        return
    if change.terms.excess_minor < 0:
        raise Refused(types.REFUSAL_CODE_AMOUNT_OUT_OF_RANGE, "Less arrived than was due.")
    change.emit(_held(change, escrow.funding_ref, escrow.received_minor), states.FUNDS_HELD)


def reject_funds(change: Change, _: commands.RejectFunds) -> None:
    escrow = change.escrow
    if escrow.review_risk == SANCTIONED:
        raise Refused(types.REFUSAL_CODE_ON_HOLD, "Sanctioned funds stay frozen.")
    if escrow.received_minor:
        legs.refund(change, types.REFUND_REASON_FUNDS_REJECTED)
        return
    stray.send_back(change, escrow.funding_ref, escrow.foreign)
    reason = escrow.cancel_reason or types.CANCEL_REASON_STAFF
    change.emit(events.EscrowCancelled(reason=reason), states.CANCELLED)


def cancel(change: Change, body: commands.CancelEscrow) -> None:
    reason = body.reason
    if change.role == Role.ADMIN:
        reason = types.CANCEL_REASON_STAFF
    elif reason not in _USER_REASONS:
        raise Refused(types.REFUSAL_CODE_MALFORMED, "Say why the trade is cancelled.")
    start_cancelling(change, reason)


def start_cancelling(change: Change, reason: "types.CancelReason.ValueType") -> None:
    """Order the payment instrument to be called off."""
    operation_id = orders.cancel_intent(change)
    change.emit(
        events.EscrowCancelling(reason=reason, operation_id=operation_id), states.CANCELLING
    )


def payment_cancelled(change: Change, body: payments.PaymentCancelled) -> None:
    escrow = change.escrow
    own = (
        ids.operation_id_for(escrow.escrow_id, orders.CANCEL, escrow.intent.generation),
        escrow.intent.operation_id,
    )
    if body.operation_id not in own:
        raise Ignored("another instrument was cancelled")
    change.emit(events.EscrowCancelled(reason=escrow.cancel_reason), states.CANCELLED)


def _held(change: Change, reference: str, received_minor: int) -> events.EscrowFundsHeld:
    return events.EscrowFundsHeld(
        received_minor=received_minor,
        payment_ref=reference,
        deadline=change.deadline(types.DEADLINE_KIND_DELIVERY),
        excess_minor=received_minor - change.terms.due_minor,
    )


def _mismatch(change: Change, amount: common.Money) -> str:
    """Return why this is not what was due, "" when it is."""
    due, rail = change.terms.due_minor, change.escrow.rail
    if amount.currency != change.escrow.price.currency:
        return "WRONG_CURRENCY"
    if amount.minor < due:
        return "AMOUNT_TOO_SMALL"
    bearable = due * fees.EXCESS_MAX_BPS // 10_000 if rail == common.RAIL_USDC_BASE else 0
    return "AMOUNT_TOO_LARGE" if amount.minor > due + bearable else ""


def _review(change: Change, body: Receipt, reference: str, reason: str, risk: str) -> None:
    same_currency = body.amount.currency == change.escrow.price.currency
    hold = types.HOLD_KIND_COMPLIANCE if risk == SANCTIONED else types.HOLD_KIND_UNSPECIFIED
    change.emit(
        events.EscrowFundsUnderReview(
            reason=reason,
            received_minor=body.amount.minor if same_currency else 0,
            payment_ref=reference,
            risk=risk,
            hold=hold,
            foreign=None if same_currency else body.amount,
        ),
        states.FUNDS_REVIEW,
    )
    if same_currency:
        chargebacks.catch_up(change)
