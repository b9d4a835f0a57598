"""Records as people and machines read them: decoded, with ids, without long bytes."""

from datetime import UTC
from typing import Any
from uuid import UUID

from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp

from bloxtr8.messaging import envelope, topics
from bloxtr8.messaging.inspection import Record
from bloxtr8.messaging.signatures import Keyring, SignatureInvalid
from proto.bloxtr8.common.v1.common_pb2 import DeadLetter
from proto.bloxtr8.escrow.v1.record_pb2 import EscrowRecord

_ID_BYTES = 16
# Longer bytes are a provider's raw body or a whole message: only their length is shown.
_BYTES_MAX = 64


def decode(record: Record, keyring: Keyring) -> tuple[Message | None, str]:
    """Return the message of a record and what is wrong with it ("" when nothing is)."""
    spec = topics.BY_NAME.get(record.topic)
    if spec is not None:
        try:
            message: Message = envelope.decode(
                spec, record.key, record.value, record.headers, keyring
            )
        except (envelope.Malformed, SignatureInvalid) as error:
            return None, f"{type(error).__name__}: {error}"
        return message, ""
    kind = _other_kind(record.topic)
    if kind is None or record.value is None:
        return None, ""
    try:
        return kind.FromString(record.value), ""
    except DecodeError as error:
        return None, f"Malformed: {error}"


def _other_kind(topic: str) -> type[Message] | None:
    if topic.endswith(topics.DLQ_SUFFIX):
        return DeadLetter
    if topic.endswith(topics.changelog_name("", "escrows")):
        return EscrowRecord
    return None


def body_name(message: Any) -> str:
    """Return the name of what a message says, e.g. "ReleaseFunds"."""
    if "body" not in message.DESCRIPTOR.oneofs_by_name:
        return str(message.DESCRIPTOR.name)
    field = message.WhichOneof("body")
    return str(message.DESCRIPTOR.fields_by_name[field].message_type.name)


def to_dict(message: Any) -> dict[str, Any]:
    """Return the fields that are set, by name: times in ISO 8601, enums by name."""
    return {
        field.name: [_value(field, item) for item in value]
        if field.is_repeated
        else _value(field, value)
        for field, value in message.ListFields()
    }


def _value(field: Any, value: Any) -> Any:
    if isinstance(value, Timestamp):
        return value.ToDatetime(tzinfo=UTC).isoformat()
    if isinstance(value, Message):
        return to_dict(value)
    if field.enum_type is not None:
        number = field.enum_type.values_by_number.get(value)
        return value if number is None else number.name
    if isinstance(value, bytes):
        return _bytes(value)
    return value


def _bytes(value: bytes) -> str:
    if len(value) == _ID_BYTES:
        return str(UUID(bytes=value))
    return value.hex() if len(value) <= _BYTES_MAX else f"<{len(value)} bytes>"
