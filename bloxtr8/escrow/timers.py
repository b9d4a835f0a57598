"""What time brings about: deadlines that end, come near, or are moved."""

from google.protobuf.timestamp_pb2 import Timestamp

from bloxtr8.escrow import deadlines, funding, legs, states
from bloxtr8.escrow.change import Change, Ignored, Refused
from bloxtr8.escrow.transitions import PARTIES
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import events_pb2 as events
from proto.bloxtr8.escrow.v1 import types_pb2 as types


def expire(change: Change, body: commands.ExpireDeadline) -> None:
    """End the deadline that is meant, if it is the running one and its time has come."""
    deadline = _meant(change, body)
    if not deadlines.reached(deadline.at, change.now):
        raise Ignored("too early")
    state = change.escrow.state
    if state == states.AWAIT_FUNDS:
        funding.start_cancelling(change, types.CANCEL_REASON_TIMEOUT)
    elif state == states.FUNDS_HELD:
        legs.refund(change, types.REFUND_REASON_DELIVERY_TIMEOUT)
    elif state == states.DELIVERED:
        legs.release(change, types.RELEASE_REASON_AUTO_RELEASE)
    else:
        assert state == states.DISPUTED, "the table lists no other state with a deadline"
        change.emit(events.DisputeOverdue(deadline_version=deadline.version))


def remind(change: Change, body: commands.RemindDeadline) -> None:
    deadline = _meant(change, body)
    if body.percent not in deadlines.REMINDERS_PERCENT:
        raise Ignored("there is no such reminder")
    if body.percent <= deadline.reminded_percent:
        raise Ignored("reminded already")
    if not deadlines.reached(deadlines.reminder_at(deadline, body.percent), change.now):
        raise Ignored("too early")
    change.emit(
        events.DeadlineApproaching(kind=deadline.kind, at=deadline.at, percent=body.percent)
    )


def extend(change: Change, body: commands.ExtendDeadline) -> None:
    """Move the end of the deadline that is meant to a later time."""
    escrow, now = change.escrow, change.now
    current = escrow.deadline
    if not deadlines.is_set(current) or body.version != current.version:
        raise Refused(types.REFUSAL_CODE_DEADLINE_CHANGED, "The deadline has changed meanwhile.")
    if change.role in PARTIES:
        _check_agreement(change, body)
    _check_until(change, body.until)
    length = max(1, body.until.seconds - now.seconds)
    version = escrow.deadline_version + 1
    if deadlines.is_running(current):
        length = max(1, body.until.seconds - current.started_at.seconds)
        deadline = types.Deadline(
            kind=current.kind,
            started_at=current.started_at,
            at=body.until,
            version=version,
            length_seconds=length,
        )
    else:
        added = length - current.remaining_seconds
        deadline = types.Deadline(
            kind=current.kind,
            version=version,
            remaining_seconds=length,
            length_seconds=current.length_seconds + added,
        )
    change.emit(events.DeadlineExtended(deadline=deadline))


def _meant(
    change: Change, body: commands.ExpireDeadline | commands.RemindDeadline
) -> types.Deadline:
    escrow = change.escrow
    deadline = escrow.deadline
    if escrow.HasField("hold") or not deadlines.is_running(deadline):
        raise Ignored("no deadline runs")
    if (body.kind, body.version) != (deadline.kind, deadline.version):
        raise Ignored("the deadline has moved on")
    return deadline


def _check_agreement(change: Change, body: commands.ExtendDeadline) -> None:
    both = {change.escrow.buyer_id, change.escrow.seller_id}
    if set(body.agreed_by) != both:
        raise Refused(types.REFUSAL_CODE_NOT_ALLOWED, "Both parties must agree.")


def _check_until(change: Change, until: Timestamp) -> None:
    """Later than now and than what stands, and within reach; not too often."""
    escrow, now = change.escrow, change.now
    if escrow.extensions >= deadlines.EXTENSIONS_MAX:
        raise Refused(types.REFUSAL_CODE_NOT_ALLOWED, "The deadline was moved too often.")
    by_parties = change.role in PARTIES
    reach = deadlines.EXTENSION_PARTIES_SECONDS if by_parties else deadlines.EXTENSION_STAFF_SECONDS
    ends = deadlines.later(now, deadlines.left_seconds(escrow.deadline, now))
    if deadlines.reached(until, now) or deadlines.reached(until, ends):
        raise Refused(
            types.REFUSAL_CODE_AMOUNT_OUT_OF_RANGE, "The new end must lie after the present one."
        )
    if not deadlines.reached(until, deadlines.later(now, reach)):
        raise Refused(types.REFUSAL_CODE_AMOUNT_OUT_OF_RANGE, "The new end lies too far ahead.")
