"""The seller hands the game over, the buyer confirms; or the seller gives the money back."""

from collections.abc import Sequence

from bloxtr8.escrow import legs, states
from bloxtr8.escrow.change import Change, Refused
from bloxtr8.escrow.creation import check_evidence, check_payee
from bloxtr8.escrow.transitions import Role
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import events_pb2 as events
from proto.bloxtr8.escrow.v1 import types_pb2 as types

EVIDENCE_MAX = 10

_METHODS = frozenset(types.DeliveryMethod.values()) - {types.DELIVERY_METHOD_UNSPECIFIED}


def mark_delivered(change: Change, body: commands.MarkDelivered) -> None:
    if body.method not in _METHODS:
        raise Refused(types.REFUSAL_CODE_MALFORMED, "Say how the game was handed over.")
    note = body.note if body.HasField("note") else None
    if note is not None:
        check_evidence(note)
    _check_files(body.evidence)
    legs.require_payee(change)
    change.emit(
        events.EscrowDelivered(
            method=body.method,
            note=note,
            evidence=body.evidence,
            deadline=change.deadline(types.DEADLINE_KIND_CONFIRMATION),
        ),
        states.DELIVERED,
    )


def _check_files(evidence: Sequence[types.EvidenceRef]) -> None:
    different = {shown.id for shown in evidence}
    if len(evidence) > EVIDENCE_MAX or len(different) < len(evidence):
        raise Refused(types.REFUSAL_CODE_MALFORMED, "Name at most ten files, each once.")
    for shown in evidence:
        check_evidence(shown)


def release_funds(change: Change, _: commands.ReleaseFunds) -> None:
    by_buyer = change.role == Role.BUYER
    legs.release(change, types.RELEASE_REASON_BUYER if by_buyer else types.RELEASE_REASON_STAFF)


def refund_buyer(change: Change, _: commands.RefundBuyer) -> None:
    by_seller = change.role == Role.SELLER
    legs.refund(change, types.REFUND_REASON_SELLER if by_seller else types.REFUND_REASON_STAFF)


def set_payee(change: Change, body: commands.SetPayee) -> None:
    check_payee(body.payee)
    if change.escrow.state == states.DISPUTED and change.escrow.payee.destination:
        raise Refused(types.REFUSAL_CODE_WRONG_STATE, "The payout method cannot change any more.")
    change.emit(events.PayeeSet(payee=body.payee))
