"""One change in the making: the working copy of the state, its events, its orders."""

from dataclasses import dataclass
from datetime import datetime

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from bloxtr8 import ids
from bloxtr8.escrow import deadlines
from bloxtr8.escrow.evolve import apply
from bloxtr8.escrow.fees import Terms, terms_of
from bloxtr8.escrow.lookup import EVENTS
from bloxtr8.escrow.states import State
from bloxtr8.escrow.transitions import Role, Row
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import events_pb2 as events
from proto.bloxtr8.escrow.v1 import record_pb2 as records
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.payments.v1 import payments_pb2 as payments

# Of every message that the rules make.
SCHEMA_VERSION = 1
_FIELD_OF_EVENT = {name: field for field, name in EVENTS.items()}
SYSTEM_ACTOR = common.Actor(kind=common.ACTOR_KIND_SYSTEM)

Cause = commands.EscrowCommand | payments.PaymentEvent


class Refused(Exception):
    """The command is refused: `code` names why, `message` is one sentence for a person."""

    def __init__(self, code: "types.RefusalCode.ValueType", message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


class Ignored(Exception):
    """The cause does not apply any more; nothing happens."""


@dataclass(frozen=True, slots=True)
class Context:
    """What the rules may know of the world: time (aware), fencing token, where the input stood."""

    now: datetime
    fencing_token: int
    origin: records.Origin


class Change:
    """Collects what a cause leads to; handlers call `emit` and `order`.

    `escrow` is the working copy: after each `emit` it is the state after that event.
    `previous_token`: of the event that brought it to where it is.
    """

    __slots__ = (
        "_correlation_id",
        "_fencing_token",
        "_previous_token",
        "actor",
        "cause",
        "escrow",
        "events",
        "now",
        "orders",
        "role",
        "row",
    )

    def __init__(
        self,
        escrow: records.Escrow,
        cause: Cause,
        actor: common.Actor,
        context: Context,
        previous_token: int = 0,
    ) -> None:
        self.escrow = escrow
        self.cause = cause
        self.actor = actor
        self.role = Role.SYSTEM
        self.row: Row | None = None
        self.now = Timestamp()
        self.now.FromDatetime(context.now)
        self.events: list[events.EscrowEvent] = []
        self.orders: list[payments.PaymentCommand] = []
        self._correlation_id = cause.metadata.correlation_id or cause.metadata.message_id
        self._fencing_token = context.fencing_token
        self._previous_token = previous_token

    @property
    def terms(self) -> Terms:
        """The amounts that the money plans are computed from."""
        return terms_of(self.escrow)

    def metadata(self, message_id: str) -> common.Metadata:
        """Return the metadata of a message that follows from the cause."""
        cause = self.cause.metadata
        return common.Metadata(
            message_id=message_id,
            occurred_at=self.now,
            traceparent=cause.traceparent,
            correlation_id=self._correlation_id,
            causation_id=cause.message_id,
            producer=common.PRODUCER_ESCROW,
            schema_version=SCHEMA_VERSION,
        )

    def event(
        self, body: Message, state: State, sequence: int, message_id: str
    ) -> events.EscrowEvent:
        """Return the event that says `body`."""
        field = _FIELD_OF_EVENT[body.DESCRIPTOR.name]
        return events.EscrowEvent(
            metadata=self.metadata(message_id),
            escrow_id=self.cause.escrow_id,
            sequence=sequence,
            fencing_token=self._fencing_token,
            state=state,
            actor=self.actor,
            **{field: body},  # type: ignore[arg-type]
        )

    def emit(self, body: Message, state: State | None = None) -> None:
        """Say that something happened; the escrow is in `state` (None: where it was) after it."""
        sequence = self.escrow.sequence + 1
        event = self.event(
            body,
            self.escrow.state if state is None else state,
            sequence,
            str(ids.derived("event", self.cause.escrow_id, sequence)),
        )
        event.previous_fencing_token = self._previous_token
        self._previous_token = self._fencing_token
        apply(self.escrow, event)
        self.events.append(event)

    def order(self, operation_id: str, attempt: int, **body: Message) -> None:
        """Ask the payments agent for something; `escrow_sequence` is filled in at the end."""
        self.orders.append(
            payments.PaymentCommand(
                metadata=self.metadata(str(ids.derived("order", operation_id, attempt))),
                escrow_id=self.escrow.escrow_id,
                fencing_token=self._fencing_token,
                rail=self.escrow.rail,
                network=self.escrow.network,
                **body,  # type: ignore[arg-type]
            )
        )

    def deadline(self, kind: int, *, still: bool = False) -> types.Deadline:
        """Return a new deadline of `kind`; it stands still while a hold is set, or if told so."""
        escrow = self.escrow
        version = escrow.deadline_version + 1
        length = deadlines.length_seconds(kind, escrow.delivery_days)
        result = deadlines.started(kind, length, version, self.now)
        if still or escrow.hold.kind != types.HOLD_KIND_UNSPECIFIED:
            return deadlines.paused(result, version, self.now)
        return result
