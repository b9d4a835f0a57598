"""Which rows of the transition table a run has reached, read from the topics alone."""

from collections import defaultdict
from typing import Any

from aiokafka import ConsumerRecord

from bloxtr8.escrow.transitions import ROWS
from bloxtr8.messaging.topics import ESCROW_COMMANDS, ESCROW_EVENTS, PAYMENTS_EVENTS


class Coverage:
    """Listens to an Observer; `rows()` are the numbers of the rows that were reached."""

    def __init__(self) -> None:
        self._causes: dict[str, str] = {}
        # escrow → sequence → (message that caused the event, state after it, is a refusal)
        self._events: dict[str, dict[int, tuple[str, int, bool]]] = defaultdict(dict)

    async def listen(self, record: ConsumerRecord, message: Any) -> None:
        if record.topic in (ESCROW_COMMANDS.name, PAYMENTS_EVENTS.name):
            body = getattr(message, message.WhichOneof("body"))
            self._causes[message.metadata.message_id] = body.DESCRIPTOR.name
        elif record.topic == ESCROW_EVENTS.name and message.sequence:
            refused = message.HasField("escrow_command_rejected")
            seen = (message.metadata.causation_id, message.state, refused)
            self._events[message.escrow_id][message.sequence] = seen

    def rows(self) -> set[str]:
        """Return the numbers of all rows whose cause had events in one of its states."""
        reached: set[str] = set()
        for events in self._events.values():
            before: int | None = None
            last_cause = ""
            for _, (causation_id, after, refused) in sorted(events.items()):
                if causation_id != last_cause and not refused:
                    reached |= _rows_of(before, self._causes.get(causation_id, ""))
                before, last_cause = after, causation_id
        return reached


def _rows_of(before: int | None, cause: str) -> set[str]:
    return {
        row.number
        for row in ROWS
        if row.cause == cause and (before in row.sources if before else not row.sources)
    }
