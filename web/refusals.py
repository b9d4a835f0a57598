"""The rules' refusals as the API's errors."""

from bloxtr8.errors import (
    AmountOutOfRange,
    ApprovalRequired,
    Bloxtr8Error,
    Forbidden,
    InvalidState,
    NotFound,
    OnHold,
    OperationConflict,
    PayoutMethodMissing,
    ProposalStale,
    SettlementTurn,
)
from web.problems import error_classes

_ERRORS: dict[str, type[Bloxtr8Error]] = {
    "ESCROW_NOT_FOUND": NotFound,
    "WRONG_STATE": InvalidState,
    "NOT_A_PARTY": NotFound,
    "NOT_ALLOWED": Forbidden,
    "ON_HOLD": OnHold,
    "APPROVAL_MISSING": ApprovalRequired,
    "PAYEE_MISSING": PayoutMethodMissing,
    "AMOUNT_OUT_OF_RANGE": AmountOutOfRange,
    "STALE_PROPOSAL": ProposalStale,
    "NOT_YOUR_TURN": SettlementTurn,
    "DEADLINE_CHANGED": OperationConflict,
}
# Ends of an operation that are no refusals of the rules: status and meaning by code.
ENDS = {
    "taken_back": (409, "You took it back before it was sent."),
    "approval_expired": (409, "Nobody agreed to it in time."),
    "approval_rejected": (409, "A second member of staff did not agree."),
    "superseded": (409, "A later request took its place."),
    "not_sent": (503, "It could not be sent within a day."),
}


def error_for(code: str, message: str, status: str) -> Bloxtr8Error:
    """Return the error for a refusal; `code` without its prefix, `status` the escrow's."""
    found = _ERRORS.get(code)
    if found is None:
        return Bloxtr8Error()
    if found is NotFound:
        return NotFound()
    return found(message or None, current_status=status)


def problem_of(code: str, *, path: str, trace_id: str) -> dict[str, object]:
    """Return the problem that an operation shows for its error code.

    `path`: of the operation; `trace_id`: of the request that asked for it.
    """
    if code in ENDS:
        status, title = ENDS[code]
    else:
        found = _ERRORS.get(code) or error_classes().get(code) or Bloxtr8Error
        code, status, title = found.code, found.status, found.title
    return {
        "type": f"/problems/{code}",
        "title": title,
        "status": status,
        "detail": title,
        "instance": path,
        "code": code,
        "trace_id": trace_id,
        "errors": [],
    }
