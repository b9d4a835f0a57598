"""What may stand on a topic, and what decoding says about everything else."""

import contextlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bloxtr8 import ids
from bloxtr8.messaging import envelope, framing
from bloxtr8.messaging.schema import Poison, ProtobufSchema
from bloxtr8.messaging.signatures import Keyring, SignatureInvalid
from bloxtr8.messaging.topics import (
    ESCROW_COMMANDS,
    ESCROW_EVENTS,
    MESSAGE_BYTES_MAX,
    TOPICS,
    WEBHOOK_EVENTS,
)
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowEvent
from proto.bloxtr8.webhook.v1.webhook_pb2 import WebhookEvent
from tests.unit.messaging.samples import release

RING = Keyring.generate()
UNSIGNED = replace(ESCROW_COMMANDS, name="escrow.test.v1", producers=frozenset())


def decode(key: bytes | None, value: bytes | None, spec: Any = UNSIGNED) -> Any:
    return envelope.decode(spec, key, value, {}, RING)


def wire_of(message: Any = None) -> envelope.Wire:
    return envelope.encode(UNSIGNED, message or release())


def test_plain_and_framed_values_stand_in_one_topic() -> None:
    message = release()
    plain = envelope.encode(UNSIGNED, message)
    framed = envelope.encode(UNSIGNED, message, schema_id=7)
    assert framed.value[:6] == b"\x00\x00\x00\x00\x07\x00"
    assert decode(plain.key, plain.value) == decode(framed.key, framed.value) == message


def test_the_signature_covers_the_frame() -> None:
    signer = RING.signer(common.PRODUCER_WEB)
    wire = envelope.encode(ESCROW_COMMANDS, release(), signer, schema_id=7)
    unframed = framing.unframe(wire.value)
    with pytest.raises(SignatureInvalid):
        envelope.decode(ESCROW_COMMANDS, wire.key, unframed, wire.headers, RING)
    envelope.decode(ESCROW_COMMANDS, wire.key, wire.value, wire.headers, RING)


def test_headers_say_what_tools_need_without_decoding() -> None:
    message = release()
    headers = wire_of(message).headers
    assert headers["type"] == b"release_funds"
    assert headers["message_id"] == message.metadata.message_id.encode()
    assert headers["traceparent"] == message.metadata.traceparent.encode()


def test_the_key_is_the_id_in_ascii() -> None:
    message = release()
    assert wire_of(message).key == message.escrow_id.encode("ascii")


@pytest.mark.parametrize(("key", "value"), [(None, b"x"), (b"", b"x"), (b"k", None)])
def test_key_and_value_are_needed(key: bytes | None, value: bytes | None) -> None:
    with pytest.raises(envelope.Malformed, match="key and a value"):
        decode(key, value)


def test_an_empty_value_has_no_body() -> None:
    with pytest.raises(envelope.Malformed, match="body"):
        decode(b"k", b"")


def test_garbage_is_malformed() -> None:
    with pytest.raises(envelope.Malformed, match="not a EscrowCommand"):
        decode(str(ids.uuid7()).encode(), b"\xff" * 40)


def test_a_truncated_message_is_malformed() -> None:
    wire = wire_of()
    with pytest.raises(envelope.Malformed):
        decode(wire.key, wire.value[:-1])


def test_a_body_of_a_later_version_is_seen_as_such() -> None:
    message = release()
    message.ClearField("body")
    # Field 999, length-delimited, empty: a body that this version does not know.
    value = message.SerializeToString() + b"\xba\x3e\x00"
    with pytest.raises(envelope.Malformed, match="kind that this version does not know"):
        decode(message.escrow_id.encode(), value)


def test_unknown_fields_beside_a_known_body_are_fine() -> None:
    wire = wire_of()
    assert decode(wire.key, wire.value + b"\xba\x3e\x00").HasField("release_funds")


def test_the_key_is_the_messages_own() -> None:
    with pytest.raises(envelope.Malformed, match="the key is not"):
        decode(str(ids.uuid7()).encode(), wire_of().value)


@pytest.mark.parametrize("bad", ["", "x", "00000000-0000-0000-0000-00000000000G", "A" * 36])
def test_ids_are_uuids_in_their_one_form(bad: str) -> None:
    message = release(message_id=bad or " ")
    with pytest.raises(envelope.Malformed):
        decode(message.escrow_id.encode(), message.SerializeToString())
    message = release()
    message.escrow_id = bad
    with pytest.raises(envelope.Malformed):
        decode(bad.encode(), message.SerializeToString())


def test_an_upper_case_uuid_is_another_key() -> None:
    message = release(str(ids.uuid7()).upper())
    with pytest.raises(envelope.Malformed, match="not a UUID"):
        decode(message.escrow_id.encode(), message.SerializeToString())


def test_a_providers_id_need_not_be_a_uuid() -> None:
    event = WebhookEvent(provider_payment_id="pi_123")
    event.metadata.message_id = str(ids.uuid7())
    event.reference.escrow_id = str(ids.uuid7())
    spec = replace(WEBHOOK_EVENTS, producers=frozenset())
    assert decode(b"pi_123", event.SerializeToString(), spec) == event


def test_a_huge_message_is_malformed_whatever_it_holds() -> None:
    wire = wire_of()
    with pytest.raises(envelope.Malformed, match="more than a message may have"):
        decode(wire.key, wire.value + b"\x00" * MESSAGE_BYTES_MAX)


def test_a_huge_message_is_not_made() -> None:
    event = EscrowEvent(escrow_id=str(ids.uuid7()))
    event.metadata.message_id = str(ids.uuid7())
    event.escrow_command_rejected.message = "x" * MESSAGE_BYTES_MAX
    with pytest.raises(AssertionError):
        envelope.encode(ESCROW_EVENTS, event)


@given(
    key=st.none() | st.binary(max_size=40),
    value=st.none() | st.binary(max_size=400),
    headers=st.dictionaries(
        st.sampled_from(["key_id", "signature", "type", "x"]),
        st.none() | st.binary(max_size=80) | st.sampled_from([b"web-1", b"bot-1"]),
    ),
    spec=st.sampled_from(TOPICS),
)
def test_decoding_anything_raises_only_what_it_says(
    key: bytes | None, value: bytes | None, headers: dict[str, Any], spec: Any
) -> None:
    with contextlib.suppress(envelope.Malformed, SignatureInvalid):
        envelope.decode(spec, key, value, headers, RING)


@given(
    flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8),
    cut=st.integers(0, 200),
    framed=st.booleans(),
)
def test_decoding_damaged_messages_raises_only_what_it_says(
    flips: list[tuple[int, int]], cut: int, framed: bool
) -> None:
    message = release(str(ids.derived("fuzz")), message_id=str(ids.derived("message")))
    wire = envelope.encode(UNSIGNED, message, schema_id=1 if framed else None)
    value = bytearray(wire.value[: len(wire.value) - cut] if cut else wire.value)
    for position, byte in flips:
        if value:
            value[position % len(value)] = byte
    with contextlib.suppress(envelope.Malformed):
        decode(wire.key, bytes(value))


class _Message:
    def __init__(self, key: Any, value: Any, headers: Any) -> None:
        self.key, self.value, self.headers = key, value, headers


class TestSchema:
    schema = ProtobufSchema(ESCROW_COMMANDS, RING)

    def load(self, key: Any, value: Any, headers: Any) -> Any:
        return self.schema.loads_value(None, _Message(key, value, headers))

    def test_a_good_message_is_decoded(self) -> None:
        message = release()
        wire = envelope.encode(ESCROW_COMMANDS, message, RING.signer(common.PRODUCER_WEB))
        assert self.load(wire.key, wire.value, list(wire.headers.items())) == message

    def test_unsigned_is_unauthentic(self) -> None:
        wire = wire_of()
        poison = self.load(wire.key, wire.value, [])
        assert isinstance(poison, Poison)
        assert poison.kind == common.DEAD_LETTER_KIND_UNAUTHENTIC

    def test_signed_garbage_is_malformed(self) -> None:
        headers = RING.signer(common.PRODUCER_WEB).sign(ESCROW_COMMANDS.name, b"k", b"\xff" * 9)
        poison = self.load(b"k", b"\xff" * 9, headers)
        assert isinstance(poison, Poison)
        assert poison.kind == common.DEAD_LETTER_KIND_MALFORMED

    @given(
        key=st.none() | st.binary(max_size=9) | st.integers(),
        value=st.none() | st.binary(max_size=50) | st.integers(),
        headers=st.none() | st.integers() | st.lists(st.binary(max_size=3), max_size=3),
    )
    def test_it_never_raises(self, key: Any, value: Any, headers: Any) -> None:
        loaded = self.load(key, value, headers)
        assert isinstance(loaded, Poison)
        assert self.schema.loads_key(None, _Message(key, value, headers)) == key

    def test_a_wire_message_is_put_out_with_its_headers(self) -> None:
        wire = wire_of()
        value, headers = self.schema.dumps_value(None, wire, headers={"a": b"b"})
        assert value == wire.value
        assert headers == {"a": b"b", **wire.headers}

    def test_bytes_pass_unchanged(self) -> None:
        assert self.schema.dumps_value(None, b"raw", headers=None) == (b"raw", None)
