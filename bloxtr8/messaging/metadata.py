"""Making the Metadata that every message starts with."""

import secrets
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from bloxtr8 import ids
from bloxtr8.messaging.envelope import SCHEMA_VERSION
from proto.bloxtr8.common.v1 import common_pb2 as common


def timestamp(moment: datetime) -> Timestamp:
    """Return `moment` (timezone-aware) as a protobuf Timestamp."""
    result = Timestamp()
    result.FromDatetime(moment.astimezone(UTC))
    return result


def moment(stamp: Timestamp) -> datetime:
    """Return the Timestamp as an aware datetime in UTC."""
    return stamp.ToDatetime(tzinfo=UTC)


def new_traceparent() -> str:
    """Return a fresh, sampled W3C traceparent."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def new(
    producer: "common.Producer.ValueType",
    now: datetime,
    *,
    traceparent: str = "",
    correlation_id: str = "",
    message_id: str = "",
) -> common.Metadata:
    """Return Metadata of a message that starts something (nothing caused it)."""
    message_id = message_id or str(ids.uuid7())
    return common.Metadata(
        message_id=message_id,
        occurred_at=timestamp(now),
        traceparent=traceparent or new_traceparent(),
        correlation_id=correlation_id or message_id,
        producer=producer,
        schema_version=SCHEMA_VERSION,
    )


def caused_by(
    cause: common.Metadata,
    producer: "common.Producer.ValueType",
    now: datetime,
    message_id: str,
) -> common.Metadata:
    """Return Metadata of a message that follows from `cause`."""
    return common.Metadata(
        message_id=message_id,
        occurred_at=timestamp(now),
        traceparent=cause.traceparent,
        correlation_id=cause.correlation_id or cause.message_id,
        causation_id=cause.message_id,
        producer=producer,
        schema_version=SCHEMA_VERSION,
    )
