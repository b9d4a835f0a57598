"""Operations as answers."""

import json
from typing import Any

from web.answers import OperationOut
from web.refusals import problem_of
from web.trace import trace_id

# Body of the command → the operation's kind.
KINDS = {
    "cancel_escrow": "CANCEL",
    "mark_delivered": "MARK_DELIVERED",
    "release_funds": "RELEASE",
    "refund_buyer": "REFUND",
    "raise_dispute": "DISPUTE",
    "withdraw_dispute": "WITHDRAW_DISPUTE",
    "resolve_dispute": "RESOLVE",
    "propose_settlement": "PROPOSE_SETTLEMENT",
    "accept_settlement": "ACCEPT_SETTLEMENT",
    "reject_settlement": "REJECT_SETTLEMENT",
    "withdraw_settlement": "WITHDRAW_SETTLEMENT",
    "place_hold": "HOLD",
    "lift_hold": "UNHOLD",
    "extend_deadline": "EXTENSION",
    "set_payee": "PAYEE",
    "approve_funds": "APPROVE_FUNDS",
    "reject_funds": "REJECT_FUNDS",
    "retry_payout": "RETRY_PAYOUT",
    "retry_refund": "RETRY_REFUND",
}


def render(row: dict[str, Any]) -> OperationOut:
    """Return an operation's row as the API answers it."""
    path = OperationOut.location.format(id=row["id"])
    code, trace = row["error_code"], trace_id(row["traceparent"])
    return OperationOut(
        id=str(row["id"]),
        kind=KINDS.get(row["kind"], row["kind"].upper()),
        escrow_id=_text(row["escrow_id"]),
        status=row["status"],
        approval_id=_text(row["approval_id"]),
        not_after=row["not_after"],
        submitted_at=row["created_at"],
        finished_at=row["finished_at"],
        result=json.loads(row["result"]) if row["result"] else None,
        error=problem_of(code, path=path, trace_id=trace) if code else None,
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
