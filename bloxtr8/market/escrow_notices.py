"""What the events of a trade are to its two sides."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from bloxtr8.market.notices import Category, Notice, Told
from bloxtr8.messaging.envelope import is_uuid
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowEvent
from proto.bloxtr8.escrow.v1.record_pb2 import Escrow

_BUYER, _SELLER = ("BUYER",), ("SELLER",)
_BOTH = ("BUYER", "SELLER")
_OTHERS = ("OTHERS",)  # everybody but who did it


@dataclass(frozen=True, slots=True)
class _Rule:
    template: str
    to: tuple[str, ...]
    category: Category = "ESCROW"


_RULES = {
    "escrow_await_funds": _Rule("trade_opened", _BOTH),
    "payment_attempt_failed": _Rule("payment_failed", _BUYER),
    "escrow_funds_under_review": _Rule("funds_under_review", _BOTH),
    "escrow_funds_held": _Rule("funds_held", _BOTH),
    "escrow_delivered": _Rule("delivered", _BUYER),
    "escrow_releasing": _Rule("payout_on_its_way", _SELLER),
    "escrow_refunding": _Rule("refund_on_its_way", _BUYER),
    "escrow_released": _Rule("released", _BOTH),
    "escrow_refunded": _Rule("refunded", _BOTH),
    "escrow_split": _Rule("split", _BOTH),
    "escrow_cancelled": _Rule("cancelled", _BOTH),
    "payout_failed": _Rule("payout_failed", _SELLER),
    "refund_failed": _Rule("refund_failed", _BUYER),
    "chargeback_recorded": _Rule("chargeback", _SELLER),
    "escrow_held_by_staff": _Rule("hold_placed", _BOTH),
    "escrow_hold_lifted": _Rule("hold_lifted", _BOTH),
    "deadline_extended": _Rule("deadline_extended", _BOTH),
    "stray_funds_received": _Rule("stray_funds", _BUYER),
    "escrow_disputed": _Rule("disputed", _BOTH, "DISPUTES"),
    "escrow_dispute_withdrawn": _Rule("dispute_withdrawn", _OTHERS, "DISPUTES"),
    "escrow_dispute_resolved": _Rule("dispute_resolved", _BOTH, "DISPUTES"),
    "settlement_proposed": _Rule("settlement_proposed", _OTHERS, "DISPUTES"),
    "settlement_closed": _Rule("settlement_closed", _BOTH, "DISPUTES"),
}
# Who is to do something before a deadline ends; at its last tenth the other side hears too.
_REMINDED = {
    types.DEADLINE_KIND_FUNDING: _BUYER,
    types.DEADLINE_KIND_DELIVERY: _SELLER,
    types.DEADLINE_KIND_CONFIRMATION: _BUYER,
}
_DEADLINE_PREFIX = "DEADLINE_KIND_"
_STATE_PREFIX = "ESCROW_STATE_"


def of_event(event: EscrowEvent, after: Escrow) -> Sequence[Told]:
    """Return who is told what about `event`, after which the escrow is `after`."""
    body = event.WhichOneof("body") or ""
    if body == "deadline_approaching":
        return _reminder(event, after)
    rule = _RULES.get(body)
    if rule is None:
        return ()
    state = types.EscrowState.Name(event.state).removeprefix(_STATE_PREFIX)
    notice = _notice(event, rule, {"state": state})
    return _told(event, after, notice, rule.to)


def _reminder(event: EscrowEvent, after: Escrow) -> Sequence[Told]:
    near = event.deadline_approaching
    to = _REMINDED.get(near.kind)
    if to is None:
        return ()
    kind = types.DeadlineKind.Name(near.kind).removeprefix(_DEADLINE_PREFIX)
    data = {"kind": kind, "percent": near.percent}
    return _told(event, after, _notice(event, _Rule("deadline_near", to), data), to)


def _notice(event: EscrowEvent, rule: _Rule, data: dict[str, object]) -> Notice:
    data = data | {"sequence": event.sequence}
    return Notice(rule.template, rule.category, f"escrow:{event.escrow_id}", data)


def _told(event: EscrowEvent, after: Escrow, notice: Notice, to: tuple[str, ...]) -> Sequence[Told]:
    sides = {"BUYER": after.buyer_id, "SELLER": after.seller_id}
    if to == _OTHERS:
        readers = [user for user in sides.values() if user != _person(event.actor)]
    else:
        readers = [sides[side] for side in to]
    event_id = UUID(event.metadata.message_id)
    return [Told(event_id, notice, UUID(user)) for user in readers if is_uuid(user)]


def _person(actor: common.Actor) -> str:
    return actor.user_id if actor.kind == common.ACTOR_KIND_USER else ""
