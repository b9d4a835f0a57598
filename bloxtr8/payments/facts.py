"""From a Stripe event to the fact that it claims.

A call is a hint of a fact: what moves money is asked back, so that orders and repetitions do not
matter. Only what no look-up tells (a declined card, a dispute) is taken at its word, because the
signature vouches for it.
"""

import json
from dataclasses import dataclass
from typing import Any

from bloxtr8.payments import stripe_objects as objects
from bloxtr8.payments.disputes import LOST, WON, DisputeFact
from bloxtr8.payments.stripe_objects import BadObject

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Heard:
    """Something about an operation (by id, else by its instrument) is worth asking about."""

    operation_id: str
    instrument_ref: str = ""
    # Of an object that moves money, which has to belong to an operation of ours.
    movement_ref: str = ""
    # The provider took its success back.
    failed: bool = False


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """The buyer's bank said no; the instrument can be used again."""

    instrument_ref: str
    code: str


@dataclass(frozen=True, slots=True)
class TransferTakenBack:
    """`amount_minor` of a transfer came back, all reversals together."""

    ref: str
    amount_minor: int
    currency: str


Fact = Heard | AttemptFailed | TransferTakenBack | DisputeFact

_INTENT_TYPES = frozenset(
    {
        "payment_intent.succeeded",
        "payment_intent.processing",
        "payment_intent.canceled",
        "payment_intent.payment_failed",
    }
)
_REFUND_TYPES = frozenset({"refund.updated", "refund.failed"})
_DISPUTE_TYPES = frozenset(
    {
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.closed",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated",
    }
)
ACCOUNT_UPDATED = "account.updated"
# Every type of event that says something about an escrow.
EVENT_TYPES = (
    _INTENT_TYPES
    | _REFUND_TYPES
    | _DISPUTE_TYPES
    | {"charge.refunded", "transfer.created", "transfer.reversed"}
)


def read_event(body: bytes) -> JSON:
    """Return the event's object as JSON; raises BadObject."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadObject(f"not JSON: {type(error).__name__}") from None
    if not isinstance(event, dict):
        raise BadObject("not an object")
    return event


def facts_of(body: bytes) -> list[Fact]:
    """Return what the event `body` claims about an escrow; [] for types that say nothing.

    Raises BadObject.
    """
    event = read_event(body)
    kind = objects.text(event, "type")
    subject = objects.table(objects.table(event, "data"), "object")
    if kind in _INTENT_TYPES:
        return _intent(kind, subject)
    if kind == "charge.refunded":
        return [Heard("", instrument_ref=objects.reference(subject, "payment_intent"))]
    if kind in _REFUND_TYPES:
        ended = objects.text(subject, "status", required=False)
        failed = kind == "refund.failed" or ended in ("failed", "canceled")
        return [Heard(_operation(subject), movement_ref=objects.text(subject, "id"), failed=failed)]
    if kind == "transfer.created":
        return [Heard(_operation(subject), movement_ref=objects.text(subject, "id"))]
    if kind == "transfer.reversed":
        return [_taken_back(subject)]
    return _dispute(subject) if kind in _DISPUTE_TYPES else []


def _intent(kind: str, subject: JSON) -> list[Fact]:
    ref = objects.text(subject, "id")
    heard = Heard(_operation(subject), instrument_ref=ref)
    if kind != "payment_intent.payment_failed":
        return [heard]
    error = objects.table(subject, "last_payment_error")
    code = objects.text(error, "code", required=False) or "payment_failed"
    return [AttemptFailed(ref, code[:60]), heard]


def _taken_back(subject: JSON) -> TransferTakenBack:
    return TransferTakenBack(
        objects.text(subject, "id"),
        objects.minor(subject, "amount_reversed"),
        objects.currency(subject),
    )


def _dispute(subject: JSON) -> list[Fact]:
    status = objects.text(subject, "status")
    if status.startswith("warning"):
        # An inquiry: the bank asks, no money is taken.
        return []
    return [
        DisputeFact(
            ref=objects.text(subject, "id"),
            payment_ref=objects.reference(subject, "payment_intent"),
            amount_minor=objects.minor(subject, "amount"),
            currency=objects.currency(subject),
            reason=objects.text(subject, "reason", required=False)[:60],
            end={"won": WON, "lost": LOST}.get(status, ""),
        )
    ]


def _operation(subject: JSON) -> str:
    return objects.metadata(subject).get("operation_id", "")[:64]
