"""Fast answers from the table of transitions, built once at import."""

from bloxtr8.escrow import transitions
from bloxtr8.escrow.states import State
from bloxtr8.escrow.transitions import Role, Row
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import events_pb2 as events
from proto.bloxtr8.payments.v1 import payments_pb2 as payments


def _bodies(message: type) -> dict[str, str]:
    """Return the fields of the message's `body` with the names of their types."""
    oneof = message.DESCRIPTOR.oneofs_by_name["body"]  # type: ignore[attr-defined]
    return {field.name: field.message_type.name for field in oneof.fields}


# Field of the body → name of the message: "release_funds" → "ReleaseFunds".
COMMANDS: dict[str, str] = _bodies(commands.EscrowCommand)
FACTS: dict[str, str] = _bodies(payments.PaymentEvent)
EVENTS: dict[str, str] = _bodies(events.EscrowEvent)

_FIELDS = {name: field for fields in (COMMANDS, FACTS) for field, name in fields.items()}
assert len(_FIELDS) == len(COMMANDS) + len(FACTS), "no command is named like a fact"


def _index() -> dict[tuple[State, str], Row]:
    index: dict[tuple[State, str], Row] = {}
    for row in transitions.ROWS:
        for source in row.sources:
            key = (source, _FIELDS[row.cause])
            assert key not in index, f"two rows for {key}"
            index[key] = row
    return index


_INDEX = _index()
_EVER: dict[str, frozenset[Role]] = {
    field: frozenset().union(*(row.by for row in transitions.ROWS if row.cause == name))
    for name, field in _FIELDS.items()
}


def row_of(state: State, cause: str) -> Row | None:
    """Return the row of a cause (field name of the body) in a state, None when there is none."""
    return _INDEX.get((state, cause))


def ever_allowed(cause: str) -> frozenset[Role]:
    """Return who may cause this in any state."""
    return _EVER.get(cause, frozenset())
