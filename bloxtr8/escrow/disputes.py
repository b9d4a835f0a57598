"""Disputes: opened by a side, withdrawn by the same, or decided by staff."""

from bloxtr8.escrow import deadlines, holds, legs, states
from bloxtr8.escrow.change import Change, Refused
from bloxtr8.escrow.creation import check_evidence
from bloxtr8.escrow.transitions import Role
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import events_pb2 as events
from proto.bloxtr8.escrow.v1 import record_pb2 as records
from proto.bloxtr8.escrow.v1 import types_pb2 as types

_SYSTEM_REASONS = frozenset({types.DISPUTE_REASON_CHARGEBACK, types.DISPUTE_REASON_COMPLIANCE})
_USER_REASONS = (
    frozenset(types.DisputeReason.values()) - _SYSTEM_REASONS - {types.DISPUTE_REASON_UNSPECIFIED}
)
_OUTCOMES = frozenset(types.Outcome.values()) - {types.OUTCOME_UNSPECIFIED}


def raise_dispute(change: Change, body: commands.RaiseDispute) -> None:
    by_system = change.role == Role.SYSTEM
    if body.reason not in (_SYSTEM_REASONS if by_system else _USER_REASONS):
        raise Refused(types.REFUSAL_CODE_MALFORMED, "Say what the dispute is about.")
    if body.wanted not in _OUTCOMES and not by_system:
        raise Refused(types.REFUSAL_CODE_MALFORMED, "Say what you want to happen.")
    statement = body.statement if body.HasField("statement") else None
    if statement is not None:
        check_evidence(statement)
    change.emit(
        events.EscrowDisputed(
            reason=body.reason,
            wanted=body.wanted,
            statement=statement,
            deadline=change.deadline(types.DEADLINE_KIND_DISPUTE),
            **{"from": change.escrow.state},  # type: ignore[arg-type]
        ),
        states.DISPUTED,
    )


def may_withdraw(escrow: records.Escrow, user_id: str) -> bool:
    """Tell whether this user opened the dispute and no bank has yet to decide."""
    opened_by = escrow.dispute.opened_by
    own = opened_by.kind == common.ACTOR_KIND_USER and opened_by.user_id == user_id
    return own and not holds.has_open_chargeback(escrow)


def withdraw_dispute(change: Change, _: commands.WithdrawDispute) -> None:
    """Go back to where it was, with what was left of that state's deadline."""
    escrow = change.escrow
    if not may_withdraw(escrow, change.actor.user_id):
        raise Refused(types.REFUSAL_CODE_NOT_ALLOWED, "Only who opened the dispute withdraws it.")
    dispute = escrow.dispute
    deadline = None
    if dispute.paused_kind:
        still = types.Deadline(
            kind=dispute.paused_kind,
            version=escrow.deadline_version + 1,
            remaining_seconds=dispute.paused_seconds,
            length_seconds=dispute.paused_length_seconds,
            reminded_percent=dispute.paused_reminded_percent,
        )
        held = escrow.HasField("hold")
        deadline = still if held else deadlines.resumed(still, still.version, change.now)
    change.emit(events.EscrowDisputeWithdrawn(deadline=deadline), getattr(dispute, "from"))


def resolve_dispute(change: Change, body: commands.ResolveDispute) -> None:
    """RELEASE and REFUND move everything; SPLIT gives `refund_minor` of the price back."""
    refund_minor = _decided_refund(body, change.escrow.price.minor)
    verdict = body.verdict if body.HasField("verdict") else None
    if verdict is not None:
        check_evidence(verdict)
    legs.check_divisible(change, refund_minor)
    legs.close_settlement(change)
    change.emit(
        events.EscrowDisputeResolved(
            outcome=body.outcome, refund_minor=refund_minor, verdict=verdict
        )
    )
    legs.divide(change, refund_minor, types.RELEASE_REASON_DISPUTE, types.REFUND_REASON_DISPUTE)


def _decided_refund(body: commands.ResolveDispute, price_minor: int) -> int:
    if body.outcome not in _OUTCOMES:
        raise Refused(types.REFUSAL_CODE_MALFORMED, "Say how the dispute ends.")
    if body.outcome == types.OUTCOME_SPLIT:
        if not 0 < body.refund_minor < price_minor:
            raise Refused(
                types.REFUSAL_CODE_AMOUNT_OUT_OF_RANGE,
                "A split gives back more than nothing and less than the price.",
            )
        return body.refund_minor
    refund_minor = 0 if body.outcome == types.OUTCOME_RELEASE else price_minor
    if body.refund_minor not in (0, refund_minor):
        raise Refused(types.REFUSAL_CODE_MALFORMED, "The amount contradicts the outcome.")
    return refund_minor
