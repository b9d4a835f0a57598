"""What a person may do with an escrow right now, as pages, cards and the API list it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from bloxtr8.escrow import access, deadlines, disputes, holds, legs, settlement, states
from bloxtr8.escrow.change import Refused
from bloxtr8.escrow.fees import terms_of
from bloxtr8.escrow.funding import SANCTIONED
from bloxtr8.escrow.lookup import row_of
from bloxtr8.escrow.transitions import Role
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import record_pb2 as records
from proto.bloxtr8.escrow.v1 import types_pb2 as types


@dataclass(frozen=True, slots=True)
class _View:
    escrow: records.Escrow
    user_id: str
    role: Role
    now: Timestamp


def allowed_actions(
    escrow: records.Escrow,
    now: datetime,
    *,
    user_id: str,
    staff_role: "common.StaffRole.ValueType" = common.STAFF_ROLE_UNSPECIFIED,
) -> list[str]:
    """Return the names of the actions open to a user, or to staff, at `now` (aware).

    A name here means that the command would be accepted with a proper body (and approvals,
    where the table asks for them); strangers and staff who are a party get none.
    """
    staff = staff_role != common.STAFF_ROLE_UNSPECIFIED
    actor = common.Actor(
        kind=common.ACTOR_KIND_STAFF if staff else common.ACTOR_KIND_USER,
        user_id=user_id,
        staff_role=staff_role,
    )
    try:
        role = access.role_of(escrow, actor)
    except Refused:
        return []
    stamp = Timestamp()
    stamp.FromDatetime(now)
    view = _View(escrow, user_id, role, stamp)
    return [name for name, (cause, guard) in ACTIONS.items() if _is_open(view, cause, guard)]


_Guard = Callable[[_View], bool]


def _is_open(view: _View, cause: str, guard: _Guard | None) -> bool:
    row = row_of(view.escrow.state, cause)
    if row is None or view.role not in row.by:
        return False
    if row.blocked_by_hold and view.escrow.HasField("hold"):
        return False
    return guard is None or guard(view)


def _has_payee(view: _View) -> bool:
    return bool(view.escrow.payee.destination)


def _may_set_payee(view: _View) -> bool:
    return view.escrow.state != states.DISPUTED or not _has_payee(view)


def _may_withdraw_dispute(view: _View) -> bool:
    return disputes.may_withdraw(view.escrow, view.user_id)


def _may_propose(view: _View) -> bool:
    return settlement.may_propose(view.escrow, view.user_id, view.now)


def _may_answer(view: _View) -> bool:
    own = view.escrow.settlement.by == view.user_id
    return settlement.is_open(view.escrow, view.now) and not own


def _may_accept(view: _View) -> bool:
    possible = legs.obstacle(view.escrow, view.escrow.settlement.refund_minor) is None
    return possible and _may_answer(view)


def _may_take_back(view: _View) -> bool:
    own = view.escrow.settlement.by == view.user_id
    return settlement.is_open(view.escrow, view.now) and own


def _may_hold(view: _View) -> bool:
    return holds.is_stronger(view.escrow, types.HOLD_KIND_COMPLIANCE)


def _may_lift(view: _View) -> bool:
    two_admins = holds.needs_two_admins(view.escrow)
    return view.escrow.HasField("hold") and (view.role == Role.ADMIN or not two_admins)


def _may_extend(view: _View) -> bool:
    left = view.escrow.extensions < deadlines.EXTENSIONS_MAX
    return left and deadlines.is_set(view.escrow.deadline)


def _may_approve(view: _View) -> bool:
    if view.escrow.cancel_reason:
        return view.escrow.received_minor > 0
    return terms_of(view.escrow).excess_minor >= 0


def _may_reject(view: _View) -> bool:
    return view.escrow.review_risk != SANCTIONED


def _may_retry_payout(view: _View) -> bool:
    failed = view.escrow.payout.status == types.LEG_STATUS_FAILED
    return failed and not holds.freezes(view.escrow)


def _may_retry_refund(view: _View) -> bool:
    escrow = view.escrow
    statuses = [escrow.refund.status, *(stray.status for stray in escrow.stray)]
    return types.LEG_STATUS_FAILED in statuses and not holds.freezes(escrow)


# Name in the API → field of the command's body, and what must hold beyond the table.
ACTIONS: dict[str, tuple[str, _Guard | None]] = {
    "cancel": ("cancel_escrow", None),
    "mark_delivered": ("mark_delivered", _has_payee),
    "release": ("release_funds", None),
    "refund": ("refund_buyer", None),
    "dispute": ("raise_dispute", None),
    "withdraw_dispute": ("withdraw_dispute", _may_withdraw_dispute),
    "propose_settlement": ("propose_settlement", _may_propose),
    "accept_settlement": ("accept_settlement", _may_accept),
    "reject_settlement": ("reject_settlement", _may_answer),
    "withdraw_settlement": ("withdraw_settlement", _may_take_back),
    "set_payee": ("set_payee", _may_set_payee),
    "extend_deadline": ("extend_deadline", _may_extend),
    "resolve": ("resolve_dispute", None),
    "hold": ("place_hold", _may_hold),
    "unhold": ("lift_hold", _may_lift),
    "approve_funds": ("approve_funds", _may_approve),
    "reject_funds": ("reject_funds", _may_reject),
    "retry_payout": ("retry_payout", _may_retry_payout),
    "retry_refund": ("retry_refund", _may_retry_refund),
}
