"""Settlements: the two sides propose a division of the price to each other, in turns."""

from google.protobuf.timestamp_pb2 import Timestamp

from bloxtr8.escrow import deadlines, legs
from bloxtr8.escrow.change import Change, Refused
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import events_pb2 as events
from proto.bloxtr8.escrow.v1 import record_pb2 as records
from proto.bloxtr8.escrow.v1 import types_pb2 as types

PROPOSALS_MAX = 100


def is_open(escrow: records.Escrow, now: Timestamp) -> bool:
    """Tell whether a proposal stands; it lapses by itself."""
    return escrow.HasField("settlement") and not deadlines.reached(escrow.settlement.lapses_at, now)


def may_propose(escrow: records.Escrow, user_id: str, now: Timestamp) -> bool:
    """Tell whether it is this side's turn.

    It is not while its own proposal stands, nor after the other side rejected one, until the
    other side made one or the rejected one would have lapsed.
    """
    if escrow.proposals >= PROPOSALS_MAX:
        return False
    if is_open(escrow, now):
        return escrow.settlement.by != user_id
    rejected = escrow.waiting_proposer == user_id
    return not rejected or deadlines.reached(escrow.waiting_until, now)


def propose(change: Change, body: commands.ProposeSettlement) -> None:
    """Put `refund_minor` of the price forward; an open proposal of the other side ends."""
    escrow, user_id = change.escrow, change.actor.user_id
    if not 0 <= body.refund_minor <= escrow.price.minor:
        raise Refused(types.REFUSAL_CODE_AMOUNT_OUT_OF_RANGE, "The amount is not within the price.")
    if not may_propose(escrow, user_id, change.now):
        raise Refused(types.REFUSAL_CODE_NOT_YOUR_TURN, "It is the other side's turn.")
    if escrow.HasField("settlement"):
        lapsed = not is_open(escrow, change.now)
        _close(
            change,
            types.SETTLEMENT_END_LAPSED if lapsed else types.SETTLEMENT_END_SUPERSEDED,
        )
    change.emit(
        events.SettlementProposed(
            proposal_id=change.cause.metadata.message_id,
            by=user_id,
            refund_minor=body.refund_minor,
            lapses_at=deadlines.later(change.now, deadlines.SETTLEMENT_SECONDS),
        )
    )


def accept(change: Change, body: commands.AcceptSettlement) -> None:
    settlement = _standing(change, body.proposal_id, own=False)
    refund_minor = settlement.refund_minor
    legs.check_divisible(change, refund_minor)
    change.emit(
        events.SettlementAccepted(proposal_id=settlement.proposal_id, refund_minor=refund_minor)
    )
    legs.divide(
        change, refund_minor, types.RELEASE_REASON_SETTLEMENT, types.REFUND_REASON_SETTLEMENT
    )


def reject(change: Change, body: commands.RejectSettlement) -> None:
    _standing(change, body.proposal_id, own=False)
    _close(change, types.SETTLEMENT_END_REJECTED)


def withdraw(change: Change, body: commands.WithdrawSettlement) -> None:
    _standing(change, body.proposal_id, own=True)
    _close(change, types.SETTLEMENT_END_WITHDRAWN)


def _standing(change: Change, proposal_id: str, *, own: bool) -> records.Settlement:
    """Return the open proposal that is meant, made by the actor (`own`) or by the other side."""
    escrow = change.escrow
    if not is_open(escrow, change.now) or escrow.settlement.proposal_id != proposal_id:
        raise Refused(types.REFUSAL_CODE_STALE_PROPOSAL, "That proposal is no longer open.")
    if (escrow.settlement.by == change.actor.user_id) != own:
        raise Refused(types.REFUSAL_CODE_NOT_YOUR_TURN, "It is the other side's turn.")
    return escrow.settlement


def _close(change: Change, end: "types.SettlementEnd.ValueType") -> None:
    change.emit(events.SettlementClosed(proposal_id=change.escrow.settlement.proposal_id, end=end))
