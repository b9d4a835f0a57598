"""Confluent framing: read what others frame, refuse what only looks framed."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bloxtr8.messaging import framing


def test_framing_is_what_confluent_documents() -> None:
    assert framing.frame(0x01020304, b"payload") == b"\x00\x01\x02\x03\x04\x00payload"


@given(st.binary(max_size=100), st.integers(0, 2**32 - 1))
def test_a_frame_comes_off_again(payload: bytes, schema_id: int) -> None:
    assert framing.unframe(framing.frame(schema_id, payload)) == payload


@given(st.binary(max_size=100).filter(lambda value: value[:1] != b"\x00"))
def test_plain_values_pass_unchanged(value: bytes) -> None:
    assert framing.unframe(value) == value


@pytest.mark.parametrize(
    ("indexes", "what"),
    [
        (b"\x02\x00", "[0] written out"),
        (b"\x02\x02", "[1]"),
        (b"\x04\x02\x00", "[1, 0]"),
        (b"\x02\x80\x01", "an index of two bytes"),
    ],
)
def test_other_index_paths_are_read_over(indexes: bytes, what: str) -> None:
    assert framing.unframe(b"\x00\x00\x00\x00\x07" + indexes + b"rest") == b"rest", what


@pytest.mark.parametrize("length", range(1, 6))
def test_a_cut_off_header_is_refused(length: int) -> None:
    with pytest.raises(framing.BadFrame):
        framing.unframe(framing.frame(7, b"payload")[:length])


@pytest.mark.parametrize(
    "tail",
    [
        b"\x80\x80\x80\x80\x80\x80\x80\x80",  # a number that does not end
        b"\xfe\xff\xff\xff\x0f",  # 2**31 - 1 indexes
        b"\x01",  # minus one index
        b"\x22" + b"\x00" * 17,  # 17 indexes
        b"\x04\x02",  # two indexes announced, one there
        b"\x80",  # cut inside a number
    ],
)
def test_impossible_index_paths_are_refused(tail: bytes) -> None:
    with pytest.raises(framing.BadFrame):
        framing.unframe(b"\x00\x00\x00\x00\x07" + tail)


@given(st.binary(max_size=60))
def test_anything_after_the_magic_byte_is_read_or_refused(tail: bytes) -> None:
    with contextlib.suppress(framing.BadFrame):
        assert len(framing.unframe(b"\x00" + tail)) <= len(tail)
