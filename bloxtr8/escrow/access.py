"""Who is asking, in which role, and whether enough members of staff agreed."""

from bloxtr8.escrow import fees
from bloxtr8.escrow.change import Change, Refused
from bloxtr8.escrow.lookup import ever_allowed
from bloxtr8.escrow.transitions import STAFF, Role, Row
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import record_pb2 as records
from proto.bloxtr8.escrow.v1 import types_pb2 as types

_STAFF_ROLES: dict[int, Role] = {
    common.STAFF_ROLE_SUPPORT: Role.SUPPORT,
    common.STAFF_ROLE_MODERATOR: Role.MODERATOR,
    common.STAFF_ROLE_ADMIN: Role.ADMIN,
}
APPROVERS_MIN = 2


def role_of(escrow: records.Escrow, actor: common.Actor) -> Role:
    """Return the actor's role towards this escrow.

    Refused: MALFORMED (an actor that names nobody), NOT_A_PARTY, NOT_ALLOWED (staff who are a
    side of the trade).
    """
    if actor.kind == common.ACTOR_KIND_SYSTEM:
        return Role.SYSTEM
    if not actor.user_id:
        raise Refused(types.REFUSAL_CODE_MALFORMED, "The command names no actor.")
    if actor.kind == common.ACTOR_KIND_USER:
        if actor.user_id == escrow.buyer_id:
            return Role.BUYER
        if actor.user_id == escrow.seller_id:
            return Role.SELLER
        raise Refused(types.REFUSAL_CODE_NOT_A_PARTY, "You are not a party of this trade.")
    role = _STAFF_ROLES.get(actor.staff_role)
    if actor.kind != common.ACTOR_KIND_STAFF or role is None:
        raise Refused(types.REFUSAL_CODE_MALFORMED, "The command names no actor.")
    if actor.user_id in (escrow.buyer_id, escrow.seller_id):
        raise Refused(types.REFUSAL_CODE_NOT_ALLOWED, "Staff do not decide their own trades.")
    return role


def check(change: Change, row: Row | None, cause: str) -> None:
    """Refuse what the table does not allow this actor, in this state, now.

    The codes in this order: NOT_ALLOWED where the role never may, WRONG_STATE, NOT_ALLOWED
    where it may not here, ON_HOLD, APPROVAL_MISSING.
    """
    role = change.role
    if role not in ever_allowed(cause):
        raise Refused(types.REFUSAL_CODE_NOT_ALLOWED, "You may not do that.")
    if row is None:
        raise Refused(
            types.REFUSAL_CODE_WRONG_STATE, "That is not possible in the state the trade is in."
        )
    if role not in row.by:
        raise Refused(types.REFUSAL_CODE_NOT_ALLOWED, "You may not do that now.")
    if row.blocked_by_hold and change.escrow.HasField("hold") and role != Role.SYSTEM:
        raise Refused(types.REFUSAL_CODE_ON_HOLD, "The trade is on hold; no money moves.")
    if row.second_approval and role in STAFF and is_large(change.escrow):
        require_second_approval(change)


def is_large(escrow: records.Escrow) -> bool:
    """Tell whether the price is above 10,000 USD or USDC."""
    return escrow.price.minor > fees.units(escrow.rail, fees.SECOND_APPROVAL_ABOVE)


def require_second_approval(change: Change, roles: frozenset[Role] = STAFF) -> None:
    """Refuse unless two members of staff agreed, the actor among them.

    Only those count whom the row allows and who have one of `roles`.
    """
    escrow, row, cause = change.escrow, change.row, change.cause
    assert row is not None, "only what the table lists is approved"
    assert isinstance(cause, commands.EscrowCommand), "facts need no approval"
    agreed = {
        approval.user_id
        for approval in cause.approvals
        if approval.user_id and _STAFF_ROLES.get(approval.staff_role) in row.by & roles
    } - {escrow.buyer_id, escrow.seller_id}
    if len(agreed) < APPROVERS_MIN or change.actor.user_id not in agreed:
        raise Refused(
            types.REFUSAL_CODE_APPROVAL_MISSING, "A second member of staff must approve this."
        )
