"""One effect on the outside and its life: REQUESTED → SENT → CONFIRMED | FAILED | UNKNOWN.

Pure: every function takes an operation and returns the next one. UNKNOWN is never a failure; it
is settled by asking the provider, or by the same call with the same key while the provider keeps
keys. FAILED needs the provider's own word, or our own refusal before anything was sent.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

# Stripe keeps idempotency keys for at least 24 hours; an hour is left as a margin.
REPEATABLE = timedelta(hours=23)
# An executor that has not come back by then is taken for dead.
LEASE = timedelta(seconds=30)
# What an open payment instrument or a pending refund is asked about without being told to.
INQUIRY_INTERVAL = timedelta(hours=1)
_BACK_OFF_FIRST = timedelta(seconds=1)
_BACK_OFF_MAX = timedelta(minutes=5)
_ERROR_CHARACTERS_MAX = 500


class Kind(StrEnum):
    INTENT = "INTENT"
    CANCEL = "CANCEL"
    PAYOUT = "PAYOUT"
    REFUND = "REFUND"
    STRAY_REFUND = "STRAY_REFUND"


class Status(StrEnum):
    REQUESTED = "REQUESTED"
    SENT = "SENT"
    CONFIRMED = "CONFIRMED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


UNDER_WAY = frozenset({Status.REQUESTED, Status.SENT, Status.UNKNOWN})
REFUNDS = frozenset({Kind.REFUND, Kind.STRAY_REFUND})
SPENDING = REFUNDS | {Kind.PAYOUT}


@dataclass(frozen=True, slots=True)
class Operation:
    """A row of `payment_operations`.

    `operation_id` is the provider's idempotency key. `payment_ref` is the receipt that a refund
    gives back, or the charge that a payout draws on. `destination` is where a payout goes; of a
    refund it is the payment that it goes back by, where that is not the receipt itself.
    `not_before` is when it is next due; an operation with `finished_at` is never due. `attempt`
    counts the escrow's orders, `attempts` the times that an executor took it up.
    """

    operation_id: str
    escrow_id: str
    kind: Kind
    generation: int
    rail: str
    provider: str
    amount_minor: int
    currency: str
    command_id: str
    requested_at: datetime
    not_before: datetime
    fees_minor: int = 0
    attempt: int = 1
    contract_id: str | None = None
    destination: str | None = None
    party_id: str | None = None
    intent_operation_id: str | None = None
    payment_ref: str | None = None
    status: Status = Status.REQUESTED
    provider_ref: str | None = None
    attempts: int = 0
    last_error: str | None = None
    result: dict[str, Any] = field(default_factory=dict)
    lease_owner: str | None = None
    lease_until: datetime | None = None
    fencing_token: int = 0
    escrow_sequence: int = 0
    traceparent: str = ""
    correlation_id: str = ""
    sent_at: datetime | None = None
    finished_at: datetime | None = None

    def __post_init__(self) -> None:
        assert self.amount_minor >= 0, "an amount is not negative"
        assert self.fees_minor >= 0, "fees are not negative"
        assert self.generation > 0, "generations count from 1"

    @property
    def under_way(self) -> bool:
        """Whether its effect is still open."""
        return self.status in UNDER_WAY

    @property
    def due(self) -> bool:
        return self.finished_at is None


def claim(operation: Operation, owner: str, now: datetime) -> Operation:
    """Return it as `owner` has it while asking the provider; this is stored before the call."""
    assert operation.due, "a finished operation is not taken up"
    asked_again = operation.status is Status.CONFIRMED
    return replace(
        operation,
        status=Status.CONFIRMED if asked_again else Status.SENT,
        attempts=operation.attempts + 1,
        # Of the first call with this key: how long the provider remembers counts from here.
        sent_at=operation.sent_at or now,
        lease_owner=owner,
        lease_until=now + LEASE,
    )


def confirm(
    operation: Operation,
    provider_ref: str | None,
    now: datetime,
    *,
    again_at: datetime | None = None,
) -> Operation:
    """Return it as confirmed by the provider; `again_at`: its object is to be asked about then."""
    return replace(
        _released(operation),
        status=Status.CONFIRMED,
        provider_ref=provider_ref,
        last_error=None,
        not_before=again_at or now,
        finished_at=None if again_at else now,
    )


def fail(operation: Operation, code: str, now: datetime, *, nothing_happened: bool) -> Operation:
    """Return it as refused; `nothing_happened`: proven, so that a new generation is safe."""
    return replace(
        _released(operation),
        status=Status.FAILED,
        last_error=code[:_ERROR_CHARACTERS_MAX],
        result={**operation.result, "nothing_happened": nothing_happened},
        finished_at=now,
    )


def doubt(operation: Operation, reason: str, now: datetime, *, asked: bool = True) -> Operation:
    """Return it with its outcome unknown, to be settled after a pause that doubles.

    While no try has `asked` the provider for the effect, its key is as fresh as at the start,
    however long that takes.
    """
    confirmed = operation.status is Status.CONFIRMED
    doubted = replace(
        _released(operation),
        status=Status.CONFIRMED if confirmed else Status.UNKNOWN,
        last_error=reason[:_ERROR_CHARACTERS_MAX],
        not_before=after_pause(operation, now),
    )
    if asked or not never_asked(operation):
        return doubted
    unasked = {**operation.result, "unasked_tries": operation.attempts}
    return replace(doubted, result=unasked, sent_at=None)


def never_asked(operation: Operation) -> bool:
    """Tell whether no try before this one can have had an effect at the provider."""
    return int(operation.result.get("unasked_tries", 0)) >= operation.attempts - 1


def after_pause(operation: Operation, now: datetime) -> datetime:
    """Return when to try again: after a pause that doubles with each try."""
    exponent = min(max(operation.attempts - 1, 0), 20)
    factor: int = 2**exponent
    return now + min(_BACK_OFF_MAX, _BACK_OFF_FIRST * factor)


def wait(operation: Operation, provider_ref: str, until: datetime) -> Operation:
    """Return it as taken on by the provider, which will say later how it ended."""
    return replace(
        _released(operation),
        status=Status.SENT,
        provider_ref=provider_ref,
        last_error=None,
        not_before=until,
    )


def hasten(operation: Operation, now: datetime, called_at: datetime | None = None) -> Operation:
    """Return it due now: something was heard about it, by a provider's call if `called_at`.

    It remembers during which try that was, because the answer to that try may be older.
    """
    heard = {**operation.result, "heard_in_try": operation.attempts}
    if called_at is not None:
        heard["called_at"] = called_at.isoformat()
    return replace(operation, result=heard, not_before=min(operation.not_before, now))


def was_heard(operation: Operation) -> bool:
    """Tell whether something was heard since it was last taken up."""
    return operation.result.get("heard_in_try") == operation.attempts


def called_at(operation: Operation) -> datetime | None:
    """Return when the provider last called about it."""
    said = operation.result.get("called_at")
    return datetime.fromisoformat(said) if isinstance(said, str) else None


def finish(operation: Operation, now: datetime, **result: Any) -> Operation:
    """Return a confirmed one with nothing left to ask about."""
    assert operation.status is Status.CONFIRMED, "only what is confirmed is finished"
    return replace(_released(operation), result={**operation.result, **result}, finished_at=now)


def ask_again(operation: Operation, at: datetime) -> Operation:
    """Return a confirmed one due at `at`, whether it was finished or not."""
    assert operation.status is Status.CONFIRMED, "only what is confirmed is asked about again"
    return replace(_released(operation), not_before=at, finished_at=None)


def aim(operation: Operation, payment_ref: str) -> Operation:
    """Return a cancellation that knows which instrument it is about."""
    assert operation.kind is Kind.CANCEL, "only a cancellation is about an instrument"
    return replace(operation, payment_ref=payment_ref)


def order_again(operation: Operation, attempt: int, not_before: datetime) -> Operation:
    """Return a failed one under way again: same generation, same key, the escrow's next attempt."""
    assert operation.status is Status.FAILED, "only what failed is ordered again"
    assert attempt > operation.attempt, "attempts only rise"
    return replace(
        operation,
        status=Status.REQUESTED,
        attempt=attempt,
        not_before=not_before,
        finished_at=None,
    )


def may_repeat(operation: Operation, now: datetime) -> bool:
    """Tell whether the provider still knows the key, so that the same call has one effect."""
    return operation.sent_at is None or now - operation.sent_at < REPEATABLE


def _released(operation: Operation) -> Operation:
    return replace(operation, lease_owner=None, lease_until=None)
