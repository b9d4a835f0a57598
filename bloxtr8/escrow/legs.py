"""Money leaving an escrow: legs ordered, confirmed, failed, tried again."""

from bloxtr8 import ids
from bloxtr8.escrow import fees, holds, orders, states, stray
from bloxtr8.escrow.access import require_second_approval
from bloxtr8.escrow.change import Change, Ignored, Refused
from bloxtr8.escrow.creation import check_payee
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import events_pb2 as events
from proto.bloxtr8.escrow.v1 import record_pb2 as records
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.payments.v1 import payments_pb2 as payments

_CONFIRMED = types.LEG_STATUS_CONFIRMED
_FAILED = types.LEG_STATUS_FAILED
_ORDERED = types.LEG_STATUS_ORDERED
_DEFERRED = types.LEG_STATUS_DEFERRED


def release(change: Change, reason: "types.ReleaseReason.ValueType") -> None:
    """Order that the seller is paid."""
    check_divisible(change, 0)
    plan = fees.release(change.terms)
    close_settlement(change)
    change.emit(
        events.EscrowReleasing(
            reason=reason,
            payout=_leg(change, orders.PAYOUT, plan.payout_minor),
            fees_minor=plan.fees_minor,
            refund=_leg(change, orders.REFUND, plan.refund_minor),
        ),
        states.RELEASING,
    )
    _order_legs(change)


def refund(change: Change, reason: "types.RefundReason.ValueType") -> None:
    """Order that the buyer gets back everything that was received."""
    plan = fees.refund(change.terms)
    close_settlement(change)
    leg = _leg(change, orders.REFUND, plan.refund_minor)
    change.emit(events.EscrowRefunding(reason=reason, refund=leg), states.REFUNDING)
    _order_legs(change)


def refund_receipt(
    change: Change, payment_ref: str, received_minor: int, *, deferred: bool
) -> None:
    """Take in a receipt of a cancelled trade; it goes back now or, `deferred`, later."""
    change.emit(
        events.EscrowRefunding(
            reason=types.REFUND_REASON_CANCELLED_WHILE_PAYING,
            refund=orders.new_leg(change, orders.REFUND, received_minor, deferred=deferred),
            received_minor=received_minor,
            payment_ref=payment_ref,
        ),
        states.REFUNDING,
    )
    if not deferred:
        orders.refund(change)


def divide(
    change: Change,
    refund_minor: int,
    release_reason: "types.ReleaseReason.ValueType",
    refund_reason: "types.RefundReason.ValueType",
) -> None:
    """Order that `refund_minor` of the price (0 … price) goes back and the rest is paid out."""
    price = change.escrow.price.minor
    if refund_minor == 0:
        release(change, release_reason)
    elif refund_minor == price:
        refund(change, refund_reason)
    else:
        _split(change, refund_minor)


def check_divisible(change: Change, refund_minor: int) -> None:
    """Refuse now what `divide` could not do."""
    reason = obstacle(change.escrow, refund_minor)
    if reason is not None:
        raise reason


def obstacle(escrow: records.Escrow, refund_minor: int) -> Refused | None:
    """Return why `refund_minor` of the price cannot go back with the rest paid out."""
    if refund_minor == escrow.price.minor:
        return None
    terms = fees.terms_of(escrow)
    disputed_review = getattr(escrow.dispute, "from") == states.FUNDS_REVIEW
    if terms.excess_minor < 0 or disputed_review:
        # Money under review that was never approved can only go back.
        return Refused(types.REFUSAL_CODE_AMOUNT_OUT_OF_RANGE, "These funds were never approved.")
    if fees.divide(terms, refund_minor).payout_minor and not escrow.payee.destination:
        return Refused(
            types.REFUSAL_CODE_PAYEE_MISSING, "The seller has not chosen where to be paid."
        )
    return None


def close_settlement(change: Change) -> None:
    """An open proposal ends when the escrow moves on without it."""
    if change.escrow.HasField("settlement"):
        change.emit(
            events.SettlementClosed(
                proposal_id=change.escrow.settlement.proposal_id,
                end=types.SETTLEMENT_END_SUPERSEDED,
            )
        )


def transfer_succeeded(change: Change, body: payments.TransferSucceeded) -> None:
    leg = change.escrow.payout
    _require_leg(change, leg, orders.PAYOUT, body.operation_id, body.amount)
    _confirm(change, "payout", _done(leg, body.provider_ref))


def refund_succeeded(change: Change, body: payments.RefundSucceeded) -> None:
    if stray.refunded(change, body):
        return
    leg = change.escrow.refund
    _require_leg(change, leg, orders.REFUND, body.operation_id, body.amount)
    _confirm(change, "refund", _done(leg, body.provider_ref))


def transfer_failed(change: Change, body: payments.TransferFailed) -> None:
    leg, ordered = _after_failure(change, change.escrow.payout, orders.PAYOUT, body)
    hold = _hold_after(change, leg, types.HOLD_KIND_PAYOUT_FAILED)
    change.emit(events.PayoutFailed(code=body.code, payout=leg, hold=hold))
    if ordered:
        orders.payout(change)


def refund_failed(change: Change, body: payments.RefundFailed) -> None:
    if stray.refund_failed(change, body):
        return
    leg, ordered = _after_failure(change, change.escrow.refund, orders.REFUND, body)
    hold = _hold_after(change, leg, types.HOLD_KIND_REFUND_FAILED)
    change.emit(events.RefundFailed(code=body.code, refund=leg, hold=hold))
    if ordered:
        orders.refund(change)


def retry_payout(change: Change, body: commands.RetryPayout) -> None:
    """Pay again what failed for good, to another destination if staff agreed on one."""
    leg = change.escrow.payout
    _require_retry(change, leg)
    payee = body.payee if body.HasField("payee") else None
    if payee is not None:
        check_payee(payee)
        require_second_approval(change)
        if not leg.nothing_happened:
            raise Refused(
                types.REFUSAL_CODE_WRONG_STATE,
                "The last payout is not proven to have failed; it cannot go elsewhere.",
            )
    generation = leg.generation + (1 if leg.nothing_happened else 0)
    again = orders.next_leg(change, leg, orders.PAYOUT, generation, None)
    change.emit(events.LegRetried(payout=again, payee=payee))
    orders.payout(change)


def retry_refund(change: Change, _: commands.RetryRefund) -> None:
    """Refund again what failed for good: the escrow's own leg first, then stray funds."""
    leg = change.escrow.refund
    if leg.status != _FAILED:
        _require_thawed(change)
        if not stray.retry(change):
            raise Refused(types.REFUSAL_CODE_WRONG_STATE, "No refund has failed.")
        return
    _require_retry(change, leg)
    generation = leg.generation + (1 if leg.nothing_happened else 0)
    again = orders.next_leg(change, leg, orders.REFUND, generation, None)
    change.emit(events.LegRetried(refund=again))
    orders.refund(change)


def _split(change: Change, refund_minor: int) -> None:
    check_divisible(change, refund_minor)
    plan = fees.split(change.terms, refund_minor)
    close_settlement(change)
    change.emit(
        events.EscrowSplitting(
            payout=_leg(change, orders.PAYOUT, plan.payout_minor),
            refund=_leg(change, orders.REFUND, plan.refund_minor),
            fees_minor=plan.fees_minor,
        ),
        states.SPLITTING,
    )
    _order_legs(change)


def _leg(change: Change, kind: str, amount_minor: int) -> types.Leg | None:
    return orders.new_leg(change, kind, amount_minor) if amount_minor else None


def _order_legs(change: Change) -> None:
    if change.escrow.HasField("payout"):
        orders.payout(change)
    if change.escrow.HasField("refund"):
        orders.refund(change)


def require_payee(change: Change) -> None:
    if not change.escrow.payee.destination:
        raise Refused(
            types.REFUSAL_CODE_PAYEE_MISSING, "The seller has not chosen where to be paid."
        )


def _require_thawed(change: Change) -> None:
    if holds.freezes(change.escrow):
        raise Refused(types.REFUSAL_CODE_ON_HOLD, "The trade is on hold.")


def _require_retry(change: Change, leg: types.Leg) -> None:
    if leg.status != _FAILED:
        raise Refused(types.REFUSAL_CODE_WRONG_STATE, "No payout has failed.")
    _require_thawed(change)


def _require_leg(
    change: Change, leg: types.Leg, kind: str, operation_id: str, amount: common.Money
) -> None:
    """Ignore a success that is not about this leg, in its current or an older generation."""
    if not leg.generation or leg.status == _CONFIRMED:
        raise Ignored("nothing is under way")
    if operation_id != leg.operation_id and not any(
        operation_id == ids.operation_id_for(change.escrow.escrow_id, kind, generation)
        for generation in range(1, leg.generation)
    ):
        raise Ignored("another operation")
    if amount.currency and (
        amount.minor != leg.amount_minor or amount.currency != change.escrow.price.currency
    ):
        raise Ignored("the provider moved another amount; reconciliation reports it")


def _done(leg: types.Leg, provider_ref: str) -> types.Leg:
    done = types.Leg()
    done.CopyFrom(leg)
    done.status = _CONFIRMED
    done.provider_ref = provider_ref
    done.ClearField("not_before")
    return done


def _confirm(change: Change, name: str, done: types.Leg) -> None:
    escrow = change.escrow
    other = "refund" if name == "payout" else "payout"
    if escrow.HasField(other) and getattr(escrow, other).status != _CONFIRMED:  # type: ignore[arg-type]
        change.emit(events.LegConfirmed(**{name: done}))
        return
    legs = {side: getattr(escrow, side) for side in (other,) if escrow.HasField(side)}  # type: ignore[arg-type]
    legs[name] = done
    _finish(change, escrow, legs)


def _finish(change: Change, escrow: records.Escrow, legs: dict[str, types.Leg]) -> None:
    """Say that all that was ordered has been confirmed."""
    payout, refunded = legs.get("payout"), legs.get("refund")
    if escrow.state == states.REFUNDING:
        change.emit(
            events.EscrowRefunded(refund=refunded, reason=escrow.refund_reason), states.REFUNDED
        )
    elif escrow.state == states.RELEASING:
        change.emit(
            events.EscrowReleased(
                payout=payout, fees_minor=escrow.planned_fees_minor, refund=refunded
            ),
            states.RELEASED,
        )
    else:
        change.emit(
            events.EscrowSplit(
                released_minor=payout.amount_minor if payout else 0,
                refunded_minor=refunded.amount_minor if refunded else 0,
                fees_minor=escrow.planned_fees_minor,
                payout=payout,
                refund=refunded,
            ),
            states.SPLIT,
        )


def _after_failure(
    change: Change,
    leg: types.Leg,
    kind: str,
    body: payments.TransferFailed | payments.RefundFailed,
) -> tuple[types.Leg, bool]:
    """Return the leg after a failed attempt and whether to order it again now."""
    if leg.status != _ORDERED or body.operation_id != leg.operation_id:
        raise Ignored("nothing of this is under way")
    if leg.attempt % orders.ATTEMPTS_MAX == 0:
        failed = types.Leg()
        failed.CopyFrom(leg)
        failed.status = _FAILED
        failed.nothing_happened = body.nothing_happened
        return failed, False
    generation = leg.generation + (1 if body.nothing_happened else 0)
    again = orders.next_leg(
        change, leg, kind, generation, orders.after_backoff(change, leg.attempt)
    )
    if holds.freezes(change.escrow):
        again.status = _DEFERRED
    return again, again.status == _ORDERED


def _hold_after(
    change: Change, leg: types.Leg, kind: "types.HoldKind.ValueType"
) -> "types.HoldKind.ValueType":
    """Return the hold to set after a failure: none while attempts are left or one is set."""
    if leg.status == _FAILED and change.escrow.hold.kind == types.HOLD_KIND_UNSPECIFIED:
        return kind
    return types.HOLD_KIND_UNSPECIFIED
