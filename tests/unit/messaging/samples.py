"""Messages for tests: small, valid, each with fresh ids unless told otherwise."""

from datetime import UTC, datetime

from bloxtr8 import ids
from bloxtr8.messaging import metadata
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1.commands_pb2 import EscrowCommand, ReleaseFunds

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def release(
    escrow_id: str | None = None,
    *,
    producer: "common.Producer.ValueType" = common.PRODUCER_WEB,
    message_id: str = "",
) -> EscrowCommand:
    """Return a ReleaseFunds command."""
    return EscrowCommand(
        metadata=metadata.new(producer, NOW, message_id=message_id),
        escrow_id=escrow_id or str(ids.uuid7()),
        actor=common.Actor(kind=common.ACTOR_KIND_USER, user_id=str(ids.uuid7())),
        release_funds=ReleaseFunds(),
    )
