"""What each event writes into the state; `evolve` calls these and nobody else does."""

from collections.abc import Callable
from typing import Any

from bloxtr8.escrow import deadlines
from proto.bloxtr8.escrow.v1 import events_pb2 as events
from proto.bloxtr8.escrow.v1 import record_pb2 as records
from proto.bloxtr8.escrow.v1 import types_pb2 as types

# How many stray receipts are remembered (returned ones are forgotten first), and receipts.
STRAY_MAX = 100
PAYMENT_REFS_MAX = 256

_CONFIRMED = types.LEG_STATUS_CONFIRMED


def _created(escrow: records.Escrow, body: events.EscrowCreated, event: events.EscrowEvent) -> None:
    escrow.escrow_id = event.escrow_id
    escrow.contract_id = body.contract_id
    escrow.contract_sha256 = body.contract_sha256
    escrow.buyer_id = body.buyer_id
    escrow.seller_id = body.seller_id
    escrow.price.CopyFrom(body.price)
    escrow.buyer_fee_minor = body.buyer_fee_minor
    escrow.seller_fee_minor = body.seller_fee_minor
    escrow.fee_schedule = body.fee_schedule
    escrow.rail = body.rail
    escrow.network = body.network
    escrow.delivery_days = body.delivery_days
    if body.HasField("payee"):
        escrow.payee.CopyFrom(body.payee)
    escrow.created_at.CopyFrom(event.metadata.occurred_at)


def _deadline(escrow: records.Escrow, deadline: types.Deadline) -> None:
    if deadlines.is_set(deadline):
        escrow.deadline.CopyFrom(deadline)
        escrow.deadline_version = deadline.version
    else:
        escrow.ClearField("deadline")


def _await_funds(escrow: records.Escrow, body: events.EscrowAwaitFunds, _: Any) -> None:
    _deadline(escrow, body.deadline)
    escrow.intent.operation_id = body.operation_id
    escrow.intent.generation = body.generation


def _payment_ready(escrow: records.Escrow, body: events.PaymentReady, _: Any) -> None:
    escrow.intent.provider_ref = body.provider_ref


def _processing(escrow: records.Escrow, body: events.PaymentProcessing, _: Any) -> None:
    escrow.intent.processing = True


def _attempt_failed(escrow: records.Escrow, body: events.PaymentAttemptFailed, _: Any) -> None:
    escrow.intent.failed_attempts = body.attempt
    escrow.intent.processing = False
    if body.operation_id:
        escrow.intent.operation_id = body.operation_id
        escrow.intent.generation = body.generation
        escrow.intent.provider_ref = ""


def _count_receipt(escrow: records.Escrow, payment_ref: str) -> None:
    if payment_ref not in escrow.payment_refs:
        escrow.payment_refs.append(payment_ref)
    if len(escrow.payment_refs) > PAYMENT_REFS_MAX:
        del escrow.payment_refs[0]


def _funded(escrow: records.Escrow, payment_ref: str, received_minor: int) -> None:
    _count_receipt(escrow, payment_ref)
    escrow.funding_ref = payment_ref
    escrow.received_minor = received_minor
    escrow.intent.processing = False


def _funds_held(escrow: records.Escrow, body: events.EscrowFundsHeld, _: Any) -> None:
    _funded(escrow, body.payment_ref, body.received_minor)
    _deadline(escrow, body.deadline)


def _under_review(
    escrow: records.Escrow, body: events.EscrowFundsUnderReview, event: events.EscrowEvent
) -> None:
    _funded(escrow, body.payment_ref, body.received_minor)
    escrow.ClearField("deadline")
    escrow.review_reason = body.reason
    escrow.review_risk = body.risk
    if body.HasField("foreign"):
        escrow.foreign.CopyFrom(body.foreign)
    _hold(escrow, body.hold, event)


def _cancelling(escrow: records.Escrow, body: events.EscrowCancelling, _: Any) -> None:
    escrow.cancel_reason = body.reason
    escrow.ClearField("deadline")


def _cancelled(escrow: records.Escrow, body: events.EscrowCancelled, _: Any) -> None:
    escrow.cancel_reason = body.reason


def _delivered(escrow: records.Escrow, body: events.EscrowDelivered, _: Any) -> None:
    _deadline(escrow, body.deadline)


def _ordered(
    escrow: records.Escrow,
    body: events.EscrowReleasing | events.EscrowRefunding | events.EscrowSplitting,
    _: Any,
) -> None:
    escrow.ClearField("deadline")
    escrow.ClearField("waiting_until")
    escrow.ClearField("waiting_proposer")
    if isinstance(body, events.EscrowRefunding):
        escrow.refund_reason = body.reason
        if body.received_minor:
            _funded(escrow, body.payment_ref, body.received_minor)
    else:
        escrow.planned_fees_minor = body.fees_minor
        if body.HasField("payout"):
            escrow.payout.CopyFrom(body.payout)
    if body.HasField("refund"):
        escrow.refund.CopyFrom(body.refund)


def _confirmed(
    escrow: records.Escrow,
    body: events.LegConfirmed | events.EscrowReleased | events.EscrowRefunded | events.EscrowSplit,
    _: Any,
) -> None:
    if not isinstance(body, events.EscrowRefunded) and body.HasField("payout"):
        assert body.payout.status == _CONFIRMED, "only what is done is booked"
        escrow.payout.CopyFrom(body.payout)
        escrow.released_minor = body.payout.amount_minor
    if body.HasField("refund"):
        assert body.refund.status == _CONFIRMED, "only what is done is booked"
        escrow.refund.CopyFrom(body.refund)
        escrow.refunded_minor = body.refund.amount_minor
    if isinstance(body, events.EscrowRefunded):
        escrow.refund_reason = body.reason
        escrow.planned_fees_minor = 0
    elif not isinstance(body, events.LegConfirmed):
        escrow.fees_minor = body.fees_minor


def _hold(escrow: records.Escrow, kind: int, event: events.EscrowEvent) -> None:
    if kind == types.HOLD_KIND_UNSPECIFIED:
        return
    escrow.hold.kind = kind  # type: ignore[assignment]
    escrow.hold.by.CopyFrom(event.actor)
    escrow.hold.since.CopyFrom(event.metadata.occurred_at)


def _payout_failed(
    escrow: records.Escrow, body: events.PayoutFailed, event: events.EscrowEvent
) -> None:
    escrow.payout.CopyFrom(body.payout)
    _hold(escrow, body.hold, event)


def _refund_failed(
    escrow: records.Escrow, body: events.RefundFailed, event: events.EscrowEvent
) -> None:
    _write_refund(escrow, body.refund, body.stray_ref)
    _hold(escrow, body.hold, event)


def _write_refund(escrow: records.Escrow, leg: types.Leg, stray_ref: str) -> None:
    if not stray_ref:
        escrow.refund.CopyFrom(leg)
        return
    for stray in escrow.stray:
        if stray.payment_ref == stray_ref:
            stray.operation_id = leg.operation_id
            stray.generation = leg.generation
            escrow.stray_generation = max(escrow.stray_generation, leg.generation)
            stray.attempt = leg.attempt
            stray.status = leg.status
            stray.nothing_happened = leg.nothing_happened


def _retried(escrow: records.Escrow, body: events.LegRetried, _: Any) -> None:
    lifted = types.HOLD_KIND_REFUND_FAILED
    if body.HasField("payout"):
        escrow.payout.CopyFrom(body.payout)
        lifted = types.HOLD_KIND_PAYOUT_FAILED
    else:
        _write_refund(escrow, body.refund, body.stray_ref)
    if body.HasField("payee"):
        escrow.payee.CopyFrom(body.payee)
    if escrow.hold.kind == lifted and not body.stray_ref:
        _next_hold(escrow)


def _next_hold(escrow: records.Escrow) -> None:
    """Take the hold of a retried leg away; the other leg's failure keeps its own."""
    if escrow.payout.status == types.LEG_STATUS_FAILED:
        escrow.hold.kind = types.HOLD_KIND_PAYOUT_FAILED
    elif escrow.refund.status == types.LEG_STATUS_FAILED:
        escrow.hold.kind = types.HOLD_KIND_REFUND_FAILED
    else:
        escrow.ClearField("hold")


def _disputed(
    escrow: records.Escrow, body: events.EscrowDisputed, event: events.EscrowEvent
) -> None:
    now = event.metadata.occurred_at
    before = escrow.deadline
    escrow.dispute.CopyFrom(
        records.Dispute(
            reason=body.reason,
            wanted=body.wanted,
            opened_by=event.actor,
            statement=body.statement if body.HasField("statement") else None,
            opened_at=now,
            paused_kind=before.kind,
            paused_seconds=deadlines.left_seconds(before, now) if before.kind else 0,
            paused_length_seconds=before.length_seconds,
            paused_reminded_percent=before.reminded_percent,
            **{"from": getattr(body, "from")},
        )
    )
    _deadline(escrow, body.deadline)
    _hold(escrow, body.hold, event)


def _withdrawn(escrow: records.Escrow, body: events.EscrowDisputeWithdrawn, _: Any) -> None:
    escrow.ClearField("dispute")
    _deadline(escrow, body.deadline)


def _overdue(escrow: records.Escrow, _body: Any, _: Any) -> None:
    escrow.dispute.overdue = True
    escrow.ClearField("deadline")


def _proposed(escrow: records.Escrow, body: events.SettlementProposed, _: Any) -> None:
    escrow.settlement.proposal_id = body.proposal_id
    escrow.settlement.by = body.by
    escrow.settlement.refund_minor = body.refund_minor
    escrow.settlement.lapses_at.CopyFrom(body.lapses_at)
    escrow.proposals += 1
    escrow.ClearField("waiting_proposer")
    escrow.ClearField("waiting_until")


def _settlement_closed(escrow: records.Escrow, body: events.SettlementClosed, _: Any) -> None:
    if body.end == types.SETTLEMENT_END_REJECTED:
        escrow.waiting_proposer = escrow.settlement.by
        escrow.waiting_until.CopyFrom(escrow.settlement.lapses_at)
    escrow.ClearField("settlement")


def _settled(escrow: records.Escrow, _body: Any, _: Any) -> None:
    escrow.ClearField("settlement")


def _held_by_staff(
    escrow: records.Escrow, body: events.EscrowHeldByStaff, event: events.EscrowEvent
) -> None:
    _hold(escrow, body.kind, event)
    _deadline(escrow, body.deadline)


def _hold_lifted(escrow: records.Escrow, body: events.EscrowHoldLifted, _: Any) -> None:
    escrow.ClearField("hold")
    _deadline(escrow, body.deadline)
    if body.HasField("payout"):
        escrow.payout.CopyFrom(body.payout)
    if body.HasField("refund"):
        escrow.refund.CopyFrom(body.refund)
    for stray in escrow.stray:
        if stray.payment_ref in body.stray_refs:
            stray.status = types.LEG_STATUS_ORDERED


def _extended(escrow: records.Escrow, body: events.DeadlineExtended, _: Any) -> None:
    _deadline(escrow, body.deadline)
    escrow.extensions += 1


def _approaching(escrow: records.Escrow, body: events.DeadlineApproaching, _: Any) -> None:
    escrow.deadline.reminded_percent = body.percent


def _payee_set(escrow: records.Escrow, body: events.PayeeSet, _: Any) -> None:
    escrow.payee.CopyFrom(body.payee)


def _chargeback(escrow: records.Escrow, body: events.ChargebackRecorded, _: Any) -> None:
    for known in escrow.chargebacks:
        if known.dispute_ref == body.dispute_ref:
            break
    else:
        known = escrow.chargebacks.add(dispute_ref=body.dispute_ref)
    known.amount_minor = body.amount_minor
    known.status = body.status
    known.after_release = body.after_release


def _stray_received(escrow: records.Escrow, body: events.StrayFundsReceived, _: Any) -> None:
    _count_receipt(escrow, body.payment_ref)
    if len(escrow.stray) >= STRAY_MAX:
        returned = [at for at, stray in enumerate(escrow.stray) if stray.refunded]
        assert returned, "the rules take no more stray funds than can be remembered"
        del escrow.stray[returned[0]]
    escrow.stray_generation = body.generation
    escrow.stray.add(
        payment_ref=body.payment_ref,
        amount_minor=body.amount_minor,
        operation_id=body.operation_id,
        generation=body.generation,
        status=body.status,
        attempt=1,
        currency=body.currency,
    )


def _stray_refunded(escrow: records.Escrow, body: events.StrayFundsRefunded, _: Any) -> None:
    for stray in escrow.stray:
        if stray.operation_id == body.operation_id:
            stray.refunded = True
            stray.status = _CONFIRMED


_Applier = Callable[[records.Escrow, Any, events.EscrowEvent], None]
# EscrowDisputeResolved says nothing that the state keeps: the -ING event after it does.
APPLIERS: dict[str, _Applier] = {
    "escrow_created": _created,
    "escrow_await_funds": _await_funds,
    "payment_ready": _payment_ready,
    "payment_processing": _processing,
    "payment_attempt_failed": _attempt_failed,
    "escrow_funds_held": _funds_held,
    "escrow_funds_under_review": _under_review,
    "escrow_cancelling": _cancelling,
    "escrow_cancelled": _cancelled,
    "escrow_delivered": _delivered,
    "escrow_releasing": _ordered,
    "escrow_refunding": _ordered,
    "escrow_splitting": _ordered,
    "escrow_released": _confirmed,
    "escrow_refunded": _confirmed,
    "escrow_split": _confirmed,
    "leg_confirmed": _confirmed,
    "payout_failed": _payout_failed,
    "refund_failed": _refund_failed,
    "leg_retried": _retried,
    "escrow_disputed": _disputed,
    "escrow_dispute_withdrawn": _withdrawn,
    "dispute_overdue": _overdue,
    "settlement_proposed": _proposed,
    "settlement_closed": _settlement_closed,
    "settlement_accepted": _settled,
    "escrow_held_by_staff": _held_by_staff,
    "escrow_hold_lifted": _hold_lifted,
    "deadline_extended": _extended,
    "deadline_approaching": _approaching,
    "payee_set": _payee_set,
    "chargeback_recorded": _chargeback,
    "stray_funds_received": _stray_received,
    "stray_funds_refunded": _stray_refunded,
}
