"""Money that belongs to no trade any more: recorded and sent back."""

from bloxtr8 import ids
from bloxtr8.escrow import holds, orders, states
from bloxtr8.escrow.access import require_second_approval
from bloxtr8.escrow.appliers import STRAY_MAX
from bloxtr8.escrow.change import Change, Ignored
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import events_pb2 as events
from proto.bloxtr8.escrow.v1 import record_pb2 as records
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.payments.v1 import payments_pb2 as payments

Receipt = payments.PaymentSucceeded | payments.FundsUnderReview
_SANCTIONED = "SANCTIONED"


def new_receipt(change: Change, body: Receipt) -> str:
    """Return the receipt's reference; Ignored when it is counted already or says nothing."""
    reference = body.payment_ref or change.cause.metadata.message_id
    if reference in change.escrow.payment_refs:
        raise Ignored("the receipt is counted already")
    if body.amount.minor <= 0:
        raise Ignored("a receipt of nothing")
    return reference


def received(change: Change, body: Receipt) -> None:
    """Another receipt than the one that counts: it goes back, unless something freezes it."""
    reference = new_receipt(change, body)
    risk = body.risk if isinstance(body, payments.FundsUnderReview) else ""
    frozen = risk == _SANCTIONED
    if frozen and change.escrow.state not in states.TERMINAL:
        holds.escalate(change, types.HOLD_KIND_COMPLIANCE)
    send_back(change, reference, body.amount, frozen=frozen)


def send_back(
    change: Change, payment_ref: str, amount: common.Money, *, frozen: bool = False
) -> None:
    """Record stray funds and order their return; deferred while a hold is set or if `frozen`."""
    escrow = change.escrow
    if len(escrow.stray) >= STRAY_MAX and not any(stray.refunded for stray in escrow.stray):
        raise Ignored("more stray receipts than can be remembered; reconciliation reports them")
    deferred = frozen or holds.freezes(escrow)
    generation = next_generation(change)
    change.emit(
        events.StrayFundsReceived(
            payment_ref=payment_ref,
            amount_minor=amount.minor,
            currency=amount.currency,
            operation_id=_operation_id(change, generation),
            generation=generation,
            status=types.LEG_STATUS_DEFERRED if deferred else types.LEG_STATUS_ORDERED,
        )
    )
    if not deferred:
        orders.stray_refund(change, escrow.stray[-1])


def next_generation(change: Change) -> int:
    """Return a generation that no return of stray funds of this escrow has had."""
    return change.escrow.stray_generation + 1


def refunded(change: Change, body: payments.RefundSucceeded) -> bool:
    """Record that stray funds are back; False when the fact is about something else."""
    for stray in change.escrow.stray:
        if stray.operation_id == body.operation_id:
            if stray.refunded:
                raise Ignored("known already")
            change.emit(
                events.StrayFundsRefunded(
                    operation_id=stray.operation_id, amount_minor=stray.amount_minor
                )
            )
            return True
    return False


def refund_failed(change: Change, body: payments.RefundFailed) -> bool:
    """Order the return again, or leave it to staff; False when it is about something else."""
    for stray in change.escrow.stray:
        if stray.operation_id == body.operation_id:
            break
    else:
        return False
    if stray.status != types.LEG_STATUS_ORDERED:
        raise Ignored("nothing was under way")
    leg = orders.stray_leg(stray)
    if leg.attempt % orders.ATTEMPTS_MAX == 0:
        leg.status = types.LEG_STATUS_FAILED
        leg.nothing_happened = body.nothing_happened
        _emit_failed(change, body.code, leg, stray.payment_ref)
        return True
    reference = stray.payment_ref
    leg = _next(change, leg, body.nothing_happened)
    leg.not_before.CopyFrom(orders.after_backoff(change, leg.attempt - 1))
    frozen = holds.freezes(change.escrow)
    leg.status = types.LEG_STATUS_DEFERRED if frozen else types.LEG_STATUS_ORDERED
    _emit_failed(change, body.code, leg, reference)
    if not frozen:
        orders.stray_refund(change, stray, leg.not_before)
    return True


def retry(change: Change) -> bool:
    """Order the first return that failed for good, else the first frozen one; False without any.

    Frozen ones are what a hold deferred until the escrow had ended, or sanctioned money: they
    need a second approval, and never go out in the place of one that only failed.
    """
    for status in (types.LEG_STATUS_FAILED, types.LEG_STATUS_DEFERRED):
        for stray in change.escrow.stray:
            if stray.status == status:
                _retry(change, stray)
                return True
    return False


def _retry(change: Change, stray: records.StrayFunds) -> None:
    if stray.status == types.LEG_STATUS_DEFERRED:
        require_second_approval(change)
    leg = _next(change, orders.stray_leg(stray), stray.nothing_happened)
    change.emit(events.LegRetried(refund=leg, stray_ref=stray.payment_ref))
    orders.stray_refund(change, stray)


def _next(change: Change, leg: types.Leg, nothing_happened: bool) -> types.Leg:
    generation = next_generation(change) if nothing_happened else leg.generation
    return orders.next_leg(change, leg, orders.STRAY_REFUND, generation, None)


def _emit_failed(change: Change, code: str, leg: types.Leg, payment_ref: str) -> None:
    change.emit(events.RefundFailed(code=code, refund=leg, stray_ref=payment_ref))


def _operation_id(change: Change, generation: int) -> str:
    return ids.operation_id_for(change.escrow.escrow_id, orders.STRAY_REFUND, generation)
