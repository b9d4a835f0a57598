"""From a message to what stands on the wire and back: key, value, headers, signature."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from google.protobuf.message import DecodeError

from bloxtr8.messaging import framing
from bloxtr8.messaging.signatures import Keyring, SignatureInvalid, Signer
from bloxtr8.messaging.topics import MESSAGE_BYTES_MAX, TopicSpec
from proto.bloxtr8.common.v1 import common_pb2 as common

TYPE_HEADER = "type"
MESSAGE_ID_HEADER = "message_id"
TRACEPARENT_HEADER = "traceparent"
SCHEMA_VERSION = 1


class Malformed(Exception):
    """The bytes are not a message that this topic may hold."""


@dataclass(frozen=True, slots=True)
class Wire:
    """A message as the broker sees it."""

    key: bytes
    value: bytes
    headers: dict[str, bytes]


def encode(
    spec: TopicSpec, message: Any, signer: Signer | None = None, *, schema_id: int | None = None
) -> Wire:
    """Return `message` as `spec`'s topic holds it.

    `schema_id`: frame the value the Confluent way. Signed topics need a `signer` that may
    write there.
    """
    assert isinstance(message, spec.message), f"{spec.name} holds {spec.message.__name__}"
    assert message.WhichOneof("body"), "a message says something"
    key = str(getattr(message, spec.key_field)).encode("ascii")
    assert key, f"{spec.key_field} is the key"
    value: bytes = message.SerializeToString()
    if schema_id is not None:
        value = framing.frame(schema_id, value)
    assert len(value) <= MESSAGE_BYTES_MAX, "a message has a limit"
    headers = {
        TYPE_HEADER: str(message.WhichOneof("body")).encode(),
        MESSAGE_ID_HEADER: message.metadata.message_id.encode(),
        TRACEPARENT_HEADER: message.metadata.traceparent.encode(),
    }
    if spec.signed:
        assert signer is not None, f"{spec.name} is signed"
        assert signer.producer in spec.producers, f"not a producer of {spec.name}"
        assert signer.producer == message.metadata.producer, "signed as who it says it is"
        headers |= signer.sign(spec.name, key, value)
    return Wire(key, value, headers)


def decode(
    spec: TopicSpec,
    key: bytes | None,
    value: bytes | None,
    headers: Mapping[str, bytes] | Iterable[tuple[str, bytes]] | None,
    keyring: Keyring,
) -> Any:
    """Return the message of type `spec.message`.

    Raises Malformed (not decodable, wrong key, no body, ids that are none) and
    SignatureInvalid (signed topics only).
    """
    if not key or value is None:
        raise Malformed("a message has a key and a value")
    if len(value) > MESSAGE_BYTES_MAX:
        raise Malformed(f"{len(value)} bytes are more than a message may have")
    if spec.signed:
        producer = keyring.verify(spec.name, key, value, dict(headers or ()))
        if producer not in spec.producers:
            raise SignatureInvalid(f"{common.Producer.Name(producer)} may not write here")  # type: ignore[arg-type]
    message = spec.message()
    try:
        message.ParseFromString(framing.unframe(value))
    except (DecodeError, framing.BadFrame) as error:
        raise Malformed(f"not a {spec.message.__name__}: {error}") from None
    _check(spec, key, message)
    if spec.signed and message.metadata.producer != producer:
        raise SignatureInvalid("signed by another producer than it says")
    return message


def _check(spec: TopicSpec, key: bytes, message: Any) -> None:
    if message.WhichOneof("body") is None:
        raise Malformed("the body is missing or of a kind that this version does not know")
    named = str(getattr(message, spec.key_field))
    if named.encode() != key:
        raise Malformed(f"the key is not the message's {spec.key_field}")
    if not is_uuid(message.metadata.message_id):
        raise Malformed("message_id is not a UUID")
    if spec.key_field != "provider_payment_id" and not is_uuid(named):
        raise Malformed(f"{spec.key_field} is not a UUID")


def is_uuid(text: str) -> bool:
    """Tell whether `text` is a UUID in its canonical form."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
