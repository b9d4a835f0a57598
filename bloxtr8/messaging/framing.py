"""Confluent wire format of Protobuf values: 0x00, schema id, message index path, payload.

Source: Confluent Schema Registry, "Wire format". A plain Protobuf message never starts with
0x00 (field number 0 does not exist), so the first byte tells framed from plain.
"""

_MAGIC = 0
_HEADER_BYTES = 5
_INDEXES_MAX = 16
_VARINT_BYTES_MAX = 5


class BadFrame(Exception):
    """The value starts like a framed one and is not."""


def frame(schema_id: int, payload: bytes) -> bytes:
    """Return `payload` framed for the first message of schema `schema_id`."""
    # The index path [0] is abbreviated to a single zero byte.
    return bytes([_MAGIC]) + schema_id.to_bytes(4, "big") + b"\x00" + payload


def unframe(value: bytes) -> bytes:
    """Return the Protobuf payload of `value`, framed or plain; raises BadFrame."""
    if not value or value[0] != _MAGIC:
        return value
    if len(value) <= _HEADER_BYTES:
        raise BadFrame("the frame is cut off")
    count, position = _zigzag(value, _HEADER_BYTES)
    if not 0 <= count <= _INDEXES_MAX:
        raise BadFrame("the message index path is too long")
    for _ in range(count):
        _, position = _zigzag(value, position)
    return value[position:]


def _zigzag(value: bytes, position: int) -> tuple[int, int]:
    number = 0
    for shift in range(_VARINT_BYTES_MAX):
        if position >= len(value):
            raise BadFrame("the frame is cut off")
        byte = value[position]
        position += 1
        number |= (byte & 0x7F) << (7 * shift)
        if not byte & 0x80:
            return (number >> 1) ^ -(number & 1), position
    raise BadFrame("a number of the frame does not end")
