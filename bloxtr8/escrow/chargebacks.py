"""Chargebacks: the buyer's bank takes money back, before or after the seller was paid."""

from bloxtr8.escrow import holds, legs, states
from bloxtr8.escrow.change import Change, Ignored
from proto.bloxtr8.escrow.v1 import events_pb2 as events
from proto.bloxtr8.escrow.v1 import record_pb2 as records
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.payments.v1 import payments_pb2 as payments

CHARGEBACKS_MAX = 32
_LOST = events.CHARGEBACK_STATUS_LOST
# A chargeback opens a dispute here; in DISPUTED it only sets its hold.
_DISPUTABLE = frozenset({states.FUNDS_REVIEW, states.FUNDS_HELD, states.DELIVERED})
_STILL_HERE = _DISPUTABLE | {states.DISPUTED}


def opened(change: Change, body: payments.ChargebackOpened) -> None:
    escrow = change.escrow
    if _known(escrow, body.dispute_ref) is not None or len(escrow.chargebacks) >= CHARGEBACKS_MAX:
        raise Ignored("known already")
    _record(change, body.dispute_ref, body.amount.minor, events.CHARGEBACK_STATUS_OPEN)
    if escrow.state in _DISPUTABLE and escrow.held_minor:
        _dispute(change)
    elif escrow.state == states.DISPUTED or _is_refund_deferred(escrow):
        holds.escalate(change, types.HOLD_KIND_CHARGEBACK)


def closed(change: Change, body: payments.ChargebackClosed) -> None:
    """Won: the money stays. Lost with all that is held: the bank has returned it."""
    escrow = change.escrow
    known = _known(escrow, body.dispute_ref)
    if known is None and len(escrow.chargebacks) >= CHARGEBACKS_MAX:
        raise Ignored("more chargebacks than can be remembered")
    if known is not None and known.status != events.CHARGEBACK_STATUS_OPEN:
        raise Ignored("closed already")
    amount = body.amount.minor or (known.amount_minor if known is not None else 0)
    status = events.CHARGEBACK_STATUS_WON if body.won else _LOST
    after_release = known.after_release if known is not None else None
    _record(change, body.dispute_ref, amount, status, after_release)
    if body.won:
        _lift_if_last(change)
    elif covers(escrow, escrow.held_minor) and (
        escrow.state in _STILL_HERE or _is_refund_deferred(escrow) or _is_refund_refused(escrow)
    ):
        returned_by_bank(change)


def _lift_if_last(change: Change) -> None:
    """The hold that a chargeback set ends with the last open one."""
    escrow = change.escrow
    mine = escrow.hold.kind == types.HOLD_KIND_CHARGEBACK
    if mine and not holds.has_open_chargeback(escrow):
        holds.release(change)


def catch_up(change: Change) -> None:
    """Apply to money that has just arrived what its bank had said before."""
    if covers(change.escrow, change.escrow.held_minor):
        returned_by_bank(change)
    elif holds.has_open_chargeback(change.escrow):
        _dispute(change)


def hold_if_open(change: Change) -> None:
    """Freeze what is about to be refunded while the bank may return it itself."""
    if holds.has_open_chargeback(change.escrow):
        holds.escalate(change, types.HOLD_KIND_CHARGEBACK)


def covers(escrow: records.Escrow, amount_minor: int) -> bool:
    """Tell whether lost chargebacks before a release took at least `amount_minor` > 0."""
    lost = sum(
        chargeback.amount_minor
        for chargeback in escrow.chargebacks
        if chargeback.status == _LOST and not chargeback.after_release
    )
    return lost >= amount_minor > 0


def returned_by_bank(change: Change) -> None:
    """End the escrow: the bank gave the buyer everything back, nothing is ordered."""
    legs.close_settlement(change)
    refund = types.Leg(amount_minor=change.escrow.held_minor, status=types.LEG_STATUS_CONFIRMED)
    change.emit(
        events.EscrowRefunded(refund=refund, reason=types.REFUND_REASON_CHARGEBACK),
        states.REFUNDED,
    )


def _dispute(change: Change) -> None:
    escrow = change.escrow
    stronger = holds.is_stronger(escrow, types.HOLD_KIND_CHARGEBACK)
    change.emit(
        events.EscrowDisputed(
            reason=types.DISPUTE_REASON_CHARGEBACK,
            wanted=types.OUTCOME_REFUND,
            deadline=change.deadline(types.DEADLINE_KIND_DISPUTE, still=True),
            hold=types.HOLD_KIND_CHARGEBACK if stronger else types.HOLD_KIND_UNSPECIFIED,
            **{"from": escrow.state},  # type: ignore[arg-type]
        ),
        states.DISPUTED,
    )


def _known(escrow: records.Escrow, dispute_ref: str) -> records.Chargeback | None:
    for chargeback in escrow.chargebacks:
        if chargeback.dispute_ref == dispute_ref:
            return chargeback
    return None


def _record(
    change: Change,
    dispute_ref: str,
    amount_minor: int,
    status: "events.ChargebackStatus.ValueType",
    after_release: bool | None = None,
) -> None:
    if after_release is None:
        after_release = change.escrow.state in states.PAYING_OUT
    change.emit(
        events.ChargebackRecorded(
            dispute_ref=dispute_ref,
            amount_minor=amount_minor,
            status=status,
            after_release=after_release,
        )
    )


def _is_refund_deferred(escrow: records.Escrow) -> bool:
    return escrow.refund.status == types.LEG_STATUS_DEFERRED


def _is_refund_refused(escrow: records.Escrow) -> bool:
    """Tell whether a refund of everything was given up, proven not to have happened.

    Providers refuse to refund what a bank is deciding about, and what it has returned.
    """
    refund = escrow.refund
    given_up = refund.status == types.LEG_STATUS_FAILED and refund.nothing_happened
    return given_up and escrow.state == states.REFUNDING
