"""Deciding: what a command or a payment fact does to an escrow, without doing anything."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from bloxtr8 import ids
from bloxtr8.escrow import (
    access,
    chargebacks,
    creation,
    delivery,
    disputes,
    funding,
    holds,
    legs,
    settlement,
    states,
    stray,
    timers,
)
from bloxtr8.escrow.change import SYSTEM_ACTOR, Cause, Change, Context, Ignored, Refused
from bloxtr8.escrow.lookup import COMMANDS, row_of
from bloxtr8.escrow.states import State
from bloxtr8.escrow.transitions import Role
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import record_pb2 as records
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowCommandRejected, EscrowEvent
from proto.bloxtr8.payments.v1.payments_pb2 import PaymentCommand

# Ids a record remembers. People's commands end earlier, so that facts always find room.
ABSORBED_MAX = 4096
ABSORBED_BY_PEOPLE_MAX = 3072
REFUSED_MAX = 64


class Verdict(Enum):
    """What became of a cause."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Decision:
    """`record` is to be stored (None: nothing changes); its outbox is `events` and `orders`.

    A refusal of an escrow that does not exist has an event to publish and nothing to store.
    """

    verdict: Verdict
    record: records.EscrowRecord | None = None
    events: tuple[EscrowEvent, ...] = ()
    orders: tuple[PaymentCommand, ...] = ()
    code: "types.RefusalCode.ValueType" = types.REFUSAL_CODE_UNSPECIFIED
    message: str = ""


def decide(record: records.EscrowRecord | None, cause: Cause, context: Context) -> Decision:
    """Return what `cause` does to the escrow that `record` holds (None: there is none yet).

    Pure: `record` and `cause` are left as they are. A command whose producer may not send it
    is the caller's to refuse (`authority.permits`, `refuse`).
    """
    message_id = _bytes(cause.metadata.message_id)
    if record is None:
        return _begin(cause, context, message_id)
    assert record.escrow.escrow_id == cause.escrow_id, "the record of another escrow"
    if message_id in record.absorbed or message_id in record.refused:
        return Decision(Verdict.DUPLICATE)
    change = _change_of(record, cause, context)
    try:
        _run(change, record)
    except Ignored as reason:
        return Decision(Verdict.IGNORED, message=str(reason))
    except Refused as refusal:
        if isinstance(cause, commands.EscrowCommand):
            return refuse(record, cause, context, refusal.code, refusal.message)
        return Decision(Verdict.IGNORED, code=refusal.code, message=refusal.message)
    return _accepted(change, record, context, message_id)


def refuse(
    record: records.EscrowRecord | None,
    command: commands.EscrowCommand,
    context: Context,
    code: "types.RefusalCode.ValueType",
    message: str,
) -> Decision:
    """Return the refusal of `command`: the state stays, whoever asked is told.

    With a record the refusal has a sequence and the command's id is remembered among the
    refused; without one it has sequence 0 and nothing is stored.
    """
    escrow = records.Escrow(escrow_id=command.escrow_id)
    if record is not None:
        escrow.CopyFrom(record.escrow)
    previous = 0 if record is None else record.fencing_token
    change = Change(escrow, command, command.actor, context, previous)
    body = EscrowCommandRejected(
        command_id=command.metadata.message_id,
        code=code,
        message=message,
        command=COMMANDS.get(command.WhichOneof("body") or "", ""),
    )
    if record is None:
        refusal_id = str(ids.derived("refusal", command.metadata.message_id))
        event = change.event(body, states.NONE, 0, refusal_id)
        return Decision(Verdict.REFUSED, None, (event,), (), code, message)
    change.emit(body)
    stored = _stored(change, record, context)
    stored.refused.append(_bytes(command.metadata.message_id))
    if len(stored.refused) > REFUSED_MAX:
        del stored.refused[0]
    return Decision(Verdict.REFUSED, stored, tuple(change.events), (), code, message)


def _begin(cause: Cause, context: Context, message_id: bytes) -> Decision:
    if not isinstance(cause, commands.EscrowCommand):
        return Decision(Verdict.IGNORED, message="a fact about an escrow that does not exist")
    if cause.WhichOneof("body") != "create_escrow":
        not_found = types.REFUSAL_CODE_ESCROW_NOT_FOUND
        return refuse(None, cause, context, not_found, "There is no such trade.")
    if cause.actor.kind != common.ACTOR_KIND_SYSTEM:
        not_allowed = types.REFUSAL_CODE_NOT_ALLOWED
        return refuse(None, cause, context, not_allowed, "You may not do that.")
    change = Change(records.Escrow(), cause, cause.actor, context)
    try:
        creation.create(change, cause.create_escrow)
    except Refused as refusal:
        return refuse(None, cause, context, refusal.code, refusal.message)
    return _accepted(change, None, context, message_id)


def _change_of(record: records.EscrowRecord, cause: Cause, context: Context) -> Change:
    working = records.Escrow()
    working.CopyFrom(record.escrow)
    actor = cause.actor if isinstance(cause, commands.EscrowCommand) else SYSTEM_ACTOR
    return Change(working, cause, actor, context, record.fencing_token)


def _run(change: Change, record: records.EscrowRecord) -> None:
    cause, escrow = change.cause, change.escrow
    body = cause.WhichOneof("body")
    if body is None:
        raise Refused(types.REFUSAL_CODE_MALFORMED, "The command says nothing.")
    change.row = row_of(escrow.state, body)
    if isinstance(cause, commands.EscrowCommand):
        change.role = access.role_of(escrow, cause.actor)
        if body == "create_escrow" and change.role == Role.SYSTEM:
            raise Refused(types.REFUSAL_CODE_ALREADY_EXISTS, "This trade exists already.")
        if body in _TIMERS and change.role == Role.SYSTEM and change.row is None:
            raise Ignored("nothing here waits for time")
        access.check(change, change.row, body)
        if change.role != Role.SYSTEM and len(record.absorbed) >= ABSORBED_BY_PEOPLE_MAX:
            raise Refused(types.REFUSAL_CODE_NOT_ALLOWED, "This trade has had too many changes.")
    elif change.row is None:
        raise Ignored("it does not apply any more")
    _handler(escrow.state, body)(change, getattr(cause, body))
    assert change.events, "what is accepted says so"


def _accepted(
    change: Change, record: records.EscrowRecord | None, context: Context, message_id: bytes
) -> Decision:
    stored = _stored(change, record, context)
    stored.absorbed.append(message_id)
    if len(stored.absorbed) > ABSORBED_MAX:
        del stored.absorbed[0]
    return Decision(Verdict.ACCEPTED, stored, tuple(change.events), tuple(change.orders))


def _stored(
    change: Change, record: records.EscrowRecord | None, context: Context
) -> records.EscrowRecord:
    """Return the record after the change, with its outbox."""
    sequence = change.events[-1].sequence
    for order in change.orders:
        order.escrow_sequence = sequence
    stored = records.EscrowRecord(
        escrow=change.escrow,
        fencing_token=context.fencing_token,
        origin=context.origin,
        events=change.events,
        orders=change.orders,
    )
    if record is not None:
        stored.absorbed.MergeFrom(record.absorbed)
        stored.refused.MergeFrom(record.refused)
    return stored


def _bytes(message_id: str) -> bytes:
    return bytes.fromhex(message_id.replace("-", ""))


_Handler = Callable[[Change, Any], None]
# Sent by time, not by people: where there is no row nothing is wrong. The agent itself archives.
_TIMERS = frozenset({"expire_deadline", "remind_deadline", "archive_escrow"})
_HANDLERS: dict[str, _Handler] = {
    "cancel_escrow": funding.cancel,
    "mark_delivered": delivery.mark_delivered,
    "release_funds": delivery.release_funds,
    "refund_buyer": delivery.refund_buyer,
    "raise_dispute": disputes.raise_dispute,
    "withdraw_dispute": disputes.withdraw_dispute,
    "resolve_dispute": disputes.resolve_dispute,
    "propose_settlement": settlement.propose,
    "accept_settlement": settlement.accept,
    "reject_settlement": settlement.reject,
    "withdraw_settlement": settlement.withdraw,
    "place_hold": holds.place,
    "lift_hold": holds.lift,
    "extend_deadline": timers.extend,
    "set_payee": delivery.set_payee,
    "approve_funds": funding.approve_funds,
    "reject_funds": funding.reject_funds,
    "retry_payout": legs.retry_payout,
    "retry_refund": legs.retry_refund,
    "expire_deadline": timers.expire,
    "remind_deadline": timers.remind,
    "payment_intent_created": funding.intent_created,
    "payment_processing": funding.payment_processing,
    "payment_failed": funding.payment_failed,
    "payment_cancelled": funding.payment_cancelled,
    "funds_screened": funding.funds_screened,
    "transfer_succeeded": legs.transfer_succeeded,
    "transfer_failed": legs.transfer_failed,
    "refund_succeeded": legs.refund_succeeded,
    "refund_failed": legs.refund_failed,
    "chargeback_opened": chargebacks.opened,
    "chargeback_closed": chargebacks.closed,
}
# Receipts mean something else in each phase; wherever none is awaited they are stray.
_RECEIPTS: dict[tuple[State, str], _Handler] = {
    (states.AWAIT_FUNDS, "payment_succeeded"): funding.payment_succeeded,
    (states.AWAIT_FUNDS, "funds_under_review"): funding.under_review,
    (states.CANCELLING, "payment_succeeded"): funding.paid_while_cancelling,
    (states.CANCELLING, "funds_under_review"): funding.under_review,
}


def _handler(state: State, body: str) -> _Handler:
    return _HANDLERS.get(body) or _RECEIPTS.get((state, body), stray.received)
