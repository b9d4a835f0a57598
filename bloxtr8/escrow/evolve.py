"""Folding events into the state: the only way an Escrow changes."""

from bloxtr8.escrow import states
from bloxtr8.escrow.appliers import APPLIERS
from proto.bloxtr8.escrow.v1 import events_pb2 as events
from proto.bloxtr8.escrow.v1 import record_pb2 as records


def evolve(escrow: records.Escrow | None, event: events.EscrowEvent) -> records.Escrow:
    """Return the state after `event`; `escrow` is left as it was (None before the first event).

    Raises ValueError when the event is not the next one of this escrow.
    """
    after = records.Escrow()
    if escrow is not None:
        after.CopyFrom(escrow)
    if event.sequence != after.sequence + 1:
        raise ValueError(f"event {event.sequence} does not follow {after.sequence}")
    if after.sequence and event.escrow_id != after.escrow_id:
        raise ValueError(f"an event of {event.escrow_id} is none of {after.escrow_id}")
    apply(after, event)
    return after


def apply(escrow: records.Escrow, event: events.EscrowEvent) -> None:
    """Write `event` into `escrow`."""
    assert event.sequence == escrow.sequence + 1, "events have no gaps"
    assert escrow.state not in states.TERMINAL or event.state == escrow.state, "an end is an end"
    escrow.sequence = event.sequence
    escrow.state = event.state
    field = event.WhichOneof("body")
    if field != "escrow_command_rejected":
        escrow.updated_at.CopyFrom(event.metadata.occurred_at)
        assert field is not None, "an event says something"
        applier = APPLIERS.get(field)
        if applier is not None:
            applier(escrow, getattr(event, field), event)
        _balance(escrow)
    if escrow.state in states.TERMINAL and not escrow.HasField("ended_at"):
        _end(escrow, event)


def _balance(escrow: records.Escrow) -> None:
    out = escrow.released_minor + escrow.refunded_minor + escrow.fees_minor
    escrow.held_minor = escrow.received_minor - out
    assert escrow.held_minor >= 0, "no more leaves than came in"
    assert min(escrow.released_minor, escrow.refunded_minor, escrow.fees_minor) >= 0, "no debts"


def _end(escrow: records.Escrow, event: events.EscrowEvent) -> None:
    assert escrow.held_minor == 0, "nothing is held at the end"
    escrow.ended_at.CopyFrom(event.metadata.occurred_at)
    for field in ("deadline", "hold", "settlement", "waiting_until", "waiting_proposer"):
        escrow.ClearField(field)
