"""The hold overlay: while it is set no money is ordered and no deadline runs."""

from bloxtr8.escrow import deadlines, orders
from bloxtr8.escrow.access import require_second_approval
from bloxtr8.escrow.change import Change, Refused
from bloxtr8.escrow.transitions import Role
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import events_pb2 as events
from proto.bloxtr8.escrow.v1 import record_pb2 as records
from proto.bloxtr8.escrow.v1 import types_pb2 as types

_NONE = types.HOLD_KIND_UNSPECIFIED
# Only a stronger hold replaces one that is set.
_STRENGTH: dict[int, int] = {
    _NONE: 0,
    types.HOLD_KIND_PAYOUT_FAILED: 1,
    types.HOLD_KIND_REFUND_FAILED: 1,
    types.HOLD_KIND_CHARGEBACK: 2,
    types.HOLD_KIND_MANUAL: 3,
    types.HOLD_KIND_RECOVERY_MISMATCH: 4,
    types.HOLD_KIND_COMPLIANCE: 5,
}
_BY_STAFF = frozenset({types.HOLD_KIND_MANUAL, types.HOLD_KIND_COMPLIANCE})
_BY_SYSTEM = _BY_STAFF | {types.HOLD_KIND_RECOVERY_MISMATCH}


def freezes(escrow: records.Escrow) -> bool:
    """Tell whether facts that would order money must defer it.

    A leg that failed for good holds back itself only, so its hold does not freeze.
    """
    return _STRENGTH[escrow.hold.kind] > _STRENGTH[types.HOLD_KIND_PAYOUT_FAILED]


def is_stronger(escrow: records.Escrow, kind: "types.HoldKind.ValueType") -> bool:
    """Tell whether a hold of `kind` would replace the one that is set."""
    return _STRENGTH[kind] > _STRENGTH[escrow.hold.kind]


def escalate(change: Change, kind: "types.HoldKind.ValueType") -> None:
    """Set a hold of `kind` unless one as strong is set; the deadline stands still."""
    escrow = change.escrow
    if not is_stronger(escrow, kind):
        return
    deadline = escrow.deadline if deadlines.is_set(escrow.deadline) else None
    if deadline is not None and deadlines.is_running(deadline):
        deadline = deadlines.paused(deadline, escrow.deadline_version + 1, change.now)
    change.emit(events.EscrowHeldByStaff(kind=kind, deadline=deadline))


def place(change: Change, body: commands.PlaceHold) -> None:
    if body.kind not in (_BY_SYSTEM if change.role == Role.SYSTEM else _BY_STAFF):
        raise Refused(types.REFUSAL_CODE_MALFORMED, "There is no such hold to place.")
    if not is_stronger(change.escrow, body.kind):
        raise Refused(types.REFUSAL_CODE_WRONG_STATE, "The trade is on hold already.")
    escalate(change, body.kind)


def lift(change: Change, _: commands.LiftHold) -> None:
    escrow = change.escrow
    kind = escrow.hold.kind
    if kind == _NONE:
        raise Refused(types.REFUSAL_CODE_WRONG_STATE, "The trade is not on hold.")
    if needs_two_admins(escrow):
        if change.role != Role.ADMIN:
            raise Refused(types.REFUSAL_CODE_NOT_ALLOWED, "Only two admins lift this hold.")
        require_second_approval(change, frozenset({Role.ADMIN}))
    release(change)


def needs_two_admins(escrow: records.Escrow) -> bool:
    """Tell whether lifting takes two admins: compliance, and a chargeback still open."""
    kind = escrow.hold.kind
    return kind == types.HOLD_KIND_COMPLIANCE or (
        kind == types.HOLD_KIND_CHARGEBACK and has_open_chargeback(escrow)
    )


def has_open_chargeback(escrow: records.Escrow) -> bool:
    """Tell whether the bank has yet to decide about money that is still here."""
    return any(
        chargeback.status == events.CHARGEBACK_STATUS_OPEN and not chargeback.after_release
        for chargeback in escrow.chargebacks
    )


def release(change: Change) -> None:
    """Lift the hold: order what it deferred, let the deadline run; or set the one below it."""
    escrow = change.escrow
    below = _below(escrow)
    if _STRENGTH[below] > _STRENGTH[types.HOLD_KIND_PAYOUT_FAILED]:
        _replace(change, below)
        return
    lifted = events.EscrowHoldLifted(kind=escrow.hold.kind)
    if deadlines.is_set(escrow.deadline):
        version = escrow.deadline_version + 1
        lifted.deadline.CopyFrom(deadlines.resumed(escrow.deadline, version, change.now))
    _emit_with_deferred(change, lifted)
    if below != _NONE:
        change.emit(events.EscrowHeldByStaff(kind=below))


def _emit_with_deferred(change: Change, lifted: events.EscrowHoldLifted) -> None:
    """Say that the hold is lifted and order all that it had deferred."""
    escrow = change.escrow
    deferred = [side for side in ("payout", "refund") if _is_deferred(getattr(escrow, side))]
    for side in deferred:
        leg = getattr(lifted, side)
        leg.CopyFrom(getattr(escrow, side))
        leg.status = types.LEG_STATUS_ORDERED
    returns = [stray for stray in escrow.stray if _is_deferred(stray)]
    lifted.stray_refs.extend(stray.payment_ref for stray in returns)
    change.emit(lifted)
    for side in deferred:
        (orders.payout if side == "payout" else orders.refund)(change)
    for stray in returns:
        orders.stray_refund(change, stray)


def _replace(change: Change, below: "types.HoldKind.ValueType") -> None:
    """Swap the hold for a weaker one that has its own reason; everything stays frozen."""
    deadline = change.escrow.deadline if deadlines.is_set(change.escrow.deadline) else None
    change.emit(events.EscrowHoldLifted(kind=change.escrow.hold.kind, deadline=deadline))
    change.emit(events.EscrowHeldByStaff(kind=below, deadline=deadline))


def _below(escrow: records.Escrow) -> "types.HoldKind.ValueType":
    """Return the hold that stands again when the present one is lifted."""
    strength = _STRENGTH[escrow.hold.kind]
    if strength > _STRENGTH[types.HOLD_KIND_CHARGEBACK] and has_open_chargeback(escrow):
        return types.HOLD_KIND_CHARGEBACK
    if strength > _STRENGTH[types.HOLD_KIND_PAYOUT_FAILED]:
        if escrow.payout.status == types.LEG_STATUS_FAILED:
            return types.HOLD_KIND_PAYOUT_FAILED
        if escrow.refund.status == types.LEG_STATUS_FAILED:
            return types.HOLD_KIND_REFUND_FAILED
    return _NONE


def _is_deferred(leg: types.Leg | records.StrayFunds) -> bool:
    return leg.status == types.LEG_STATUS_DEFERRED
