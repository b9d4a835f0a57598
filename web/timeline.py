"""An escrow's events as its parties may read them."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from bloxtr8.clock import rfc3339
from bloxtr8.escrow.lookup import EVENTS
from bloxtr8.messaging.metadata import moment
from bloxtr8.money import currency_code
from proto.bloxtr8.escrow.v1 import events_pb2 as events
from proto.bloxtr8.escrow.v1 import record_pb2 as record
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from web import answers, present
from web.fields import money

Facts = dict[str, Any]


def render(
    escrow: record.Escrow,
    shown: Sequence[events.EscrowEvent],
    earlier: events.EscrowEvent | None,
    *,
    staff: bool,
) -> list[answers.TimelineItem]:
    """Return `shown`, in order; `earlier` is the event before them.

    Parties do not see refused commands, wallet risks, payees, or which member of staff acted.
    """
    items = []
    state = earlier.state if earlier else types.ESCROW_STATE_UNSPECIFIED
    for event in shown:
        body = event.WhichOneof("body") or ""
        if staff or body != "escrow_command_rejected":
            items.append(_item(escrow, event, body, state, staff))
        state = event.state
    return items


def with_remarks(
    items: list[answers.TimelineItem],
    shown: Sequence[events.EscrowEvent],
    remarks: Sequence[Facts],
) -> list[answers.TimelineItem]:
    """Return `items` with the remarks of their time, each after the event before it.

    `shown` are all events of the page, also those that the reader does not see.
    """
    added = [_remark(_before(shown, row), row) for row in remarks]
    # Sorting keeps events before what was remarked after them.
    return sorted([*items, *added], key=lambda item: item.sequence)


def _before(shown: Sequence[events.EscrowEvent], row: Facts) -> events.EscrowEvent:
    earlier = [event for event in shown if moment(event.metadata.occurred_at) <= row["at"]]
    return earlier[-1] if earlier else shown[0]


def _remark(event: events.EscrowEvent, row: Facts) -> answers.TimelineItem:
    state = present.name(types.EscrowState, event.state)
    return answers.TimelineItem(
        at=row["at"],
        sequence=event.sequence,
        kind=row["kind"].title().replace("_", ""),
        actor=row["side"],
        from_state=state,
        to=state,
        text_code=f"timeline.{row['kind'].lower()}",
        data=json.loads(row["data"]),
    )


def _item(
    escrow: record.Escrow, event: events.EscrowEvent, body: str, before: int, staff: bool
) -> answers.TimelineItem:
    facts = _FACTS.get(body)
    data = facts(getattr(event, body), escrow) if facts else {}
    if staff and event.actor.user_id:
        data["actor_id"] = event.actor.user_id
    return answers.TimelineItem(
        at=moment(event.metadata.occurred_at),
        sequence=event.sequence,
        kind=EVENTS.get(body, "Unknown"),
        actor=present.actor_label(event.actor, escrow),
        from_state=present.optional_name(types.EscrowState, before),
        to=present.name(types.EscrowState, event.state),
        text_code=f"timeline.{body}",
        data=data,
    )


def _amount(escrow: record.Escrow, minor: int) -> dict[str, Any]:
    return money(minor, currency_code(escrow.price.currency)).model_dump()


def _received(body: Any, escrow: record.Escrow) -> Facts:
    return {"received": _amount(escrow, body.received_minor)}


def _cancel(body: Any, _escrow: record.Escrow) -> Facts:
    return {"reason": present.optional_name(types.CancelReason, body.reason)}


def _releasing(body: Any, escrow: record.Escrow) -> Facts:
    return {
        "reason": present.optional_name(types.ReleaseReason, body.reason),
        "payout": _amount(escrow, body.payout.amount_minor),
    }


def _refunding(body: Any, escrow: record.Escrow) -> Facts:
    return {
        "reason": present.optional_name(types.RefundReason, body.reason),
        "refund": _amount(escrow, body.refund.amount_minor),
    }


def _legs(body: Any, escrow: record.Escrow) -> Facts:
    return {
        "payout": _amount(escrow, body.payout.amount_minor),
        "refund": _amount(escrow, body.refund.amount_minor),
    }


def _disputed(body: Any, _escrow: record.Escrow) -> Facts:
    return {
        "reason": present.optional_name(types.DisputeReason, body.reason),
        "wanted": present.optional_name(types.Outcome, body.wanted),
        "statement_id": body.statement.id or None,
    }


def _resolved(body: Any, escrow: record.Escrow) -> Facts:
    return {
        "outcome": present.optional_name(types.Outcome, body.outcome),
        "refund": _amount(escrow, body.refund_minor),
        "verdict_id": body.verdict.id or None,
    }


def _proposed(body: Any, escrow: record.Escrow) -> Facts:
    return {
        "proposal_id": body.proposal_id,
        "seller_amount": _amount(escrow, escrow.price.minor - body.refund_minor),
    }


def _closed(body: Any, _escrow: record.Escrow) -> Facts:
    return {
        "proposal_id": body.proposal_id,
        "end": present.optional_name(types.SettlementEnd, body.end),
    }


def _extended(body: Any, _escrow: record.Escrow) -> Facts:
    deadline = body.deadline
    at = rfc3339(moment(deadline.at)) if deadline.HasField("at") else None
    return {"deadline": present.optional_name(types.DeadlineKind, deadline.kind), "at": at}


def _delivered(body: Any, _escrow: record.Escrow) -> Facts:
    return {
        "method": present.optional_name(types.DeliveryMethod, body.method),
        "note_id": body.note.id or None,
        "evidence_ids": [shown.id for shown in body.evidence],
    }


def _approaching(body: Any, _escrow: record.Escrow) -> Facts:
    return {
        "deadline": present.optional_name(types.DeadlineKind, body.kind),
        "percent": body.percent,
    }


def _rejected(body: Any, _escrow: record.Escrow) -> Facts:
    return {
        "command": body.command,
        "command_id": body.command_id,
        "code": present.optional_name(types.RefusalCode, body.code),
    }


# Only what is listed here is shown of an event's body.
_FACTS: dict[str, Callable[[Any, record.Escrow], Facts]] = {
    "escrow_funds_held": _received,
    "escrow_funds_under_review": _received,
    "escrow_cancelling": _cancel,
    "escrow_cancelled": _cancel,
    "escrow_delivered": _delivered,
    "escrow_releasing": _releasing,
    "escrow_refunding": _refunding,
    "escrow_splitting": _legs,
    "escrow_disputed": _disputed,
    "escrow_dispute_resolved": _resolved,
    "settlement_proposed": _proposed,
    "settlement_closed": _closed,
    "deadline_extended": _extended,
    "deadline_approaching": _approaching,
    "escrow_command_rejected": _rejected,
}
