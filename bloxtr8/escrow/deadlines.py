"""The clock table: how long each deadline runs, how it pauses, and when to wake up for it."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import record_pb2 as records
from proto.bloxtr8.escrow.v1 import types_pb2 as types

HOUR_SECONDS = 3600
DAY_SECONDS = 24 * HOUR_SECONDS

FUNDING_SECONDS = 72 * HOUR_SECONDS
CONFIRMATION_SECONDS = 7 * DAY_SECONDS
DISPUTE_SECONDS = 30 * DAY_SECONDS
DELIVERY_DAYS_MIN, DELIVERY_DAYS_MAX, DELIVERY_DAYS_DEFAULT = 1, 30, 7
# How long a settlement proposal stands.
SETTLEMENT_SECONDS = 72 * HOUR_SECONDS
REMINDERS_PERCENT = (50, 90)
# How far ahead of now an extension may reach: agreed by the parties, given by staff or system.
EXTENSION_PARTIES_SECONDS = 30 * DAY_SECONDS
EXTENSION_STAFF_SECONDS = 365 * DAY_SECONDS
EXTENSIONS_MAX = 20


def length_seconds(kind: int, delivery_days: int) -> int:
    """Return how long a deadline of `kind` runs."""
    if kind == types.DEADLINE_KIND_DELIVERY:
        return delivery_days * DAY_SECONDS
    return {
        types.DEADLINE_KIND_FUNDING: FUNDING_SECONDS,
        types.DEADLINE_KIND_CONFIRMATION: CONFIRMATION_SECONDS,
        types.DEADLINE_KIND_DISPUTE: DISPUTE_SECONDS,
    }[kind]  # type: ignore[index]


def later(stamp: Timestamp, seconds: int) -> Timestamp:
    """Return `stamp` moved by whole seconds."""
    return Timestamp(seconds=stamp.seconds + seconds, nanos=stamp.nanos)


def reached(stamp: Timestamp, now: Timestamp) -> bool:
    """Tell whether `now` is at or past `stamp`."""
    return (now.seconds, now.nanos) >= (stamp.seconds, stamp.nanos)


def is_set(deadline: types.Deadline) -> bool:
    return deadline.kind != types.DEADLINE_KIND_UNSPECIFIED


def is_running(deadline: types.Deadline) -> bool:
    return is_set(deadline) and deadline.HasField("at")


def left_seconds(deadline: types.Deadline, now: Timestamp) -> int:
    """Return what is left, in whole seconds rounded up; 0 when it is over."""
    if not deadline.HasField("at"):
        return deadline.remaining_seconds
    at = deadline.at
    return max(0, at.seconds - now.seconds + (at.nanos > now.nanos))


def started(kind: int, length: int, version: int, now: Timestamp) -> types.Deadline:
    """Return a deadline of `kind` that runs from `now` for `length` seconds."""
    return types.Deadline(
        kind=kind,  # type: ignore[arg-type]
        started_at=now,
        at=later(now, length),
        version=version,
        length_seconds=length,
    )


def paused(deadline: types.Deadline, version: int, now: Timestamp) -> types.Deadline:
    """Return the deadline standing still, with what is left of it."""
    assert is_set(deadline), "only a deadline can stand still"
    return types.Deadline(
        kind=deadline.kind,
        version=version,
        reminded_percent=deadline.reminded_percent,
        remaining_seconds=left_seconds(deadline, now),
        length_seconds=deadline.length_seconds,
    )


def resumed(deadline: types.Deadline, version: int, now: Timestamp) -> types.Deadline:
    """Return a paused deadline running again, for what was left of it."""
    at = later(now, deadline.remaining_seconds)
    return types.Deadline(
        kind=deadline.kind,
        started_at=later(at, -deadline.length_seconds),
        at=at,
        version=version,
        reminded_percent=deadline.reminded_percent,
        length_seconds=deadline.length_seconds,
    )


def reminder_at(deadline: types.Deadline, percent: int) -> Timestamp:
    """Return when `percent` of a running deadline's time has gone."""
    return later(deadline.at, -(deadline.length_seconds * (100 - percent) // 100))


def next_wakeup(
    escrow: records.Escrow,
) -> tuple[datetime, commands.ExpireDeadline | commands.RemindDeadline] | None:
    """Return when something is due next and the command body to send then.

    None while nothing runs: no deadline, a paused one, or a hold. A time in the past means
    now; after the command was accepted, the next call gives what comes after it.
    """
    deadline = escrow.deadline
    if not is_running(deadline) or escrow.hold.kind != types.HOLD_KIND_UNSPECIFIED:
        return None
    for percent in REMINDERS_PERCENT:
        if deadline.reminded_percent < percent:
            body = commands.RemindDeadline(
                kind=deadline.kind, version=deadline.version, percent=percent
            )
            return reminder_at(deadline, percent).ToDatetime(tzinfo=UTC), body
    return deadline.at.ToDatetime(tzinfo=UTC), commands.ExpireDeadline(
        kind=deadline.kind, version=deadline.version
    )
