"""Header names that are not UTF-8 are read, not a reason to stop."""

from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from bloxtr8.messaging.records import LenientRecords


def _batch(names: list[str], compression: int = 0) -> bytes:
    builder = DefaultRecordBatchBuilder(2, compression, 0, -1, -1, -1, 1 << 20)
    for number, name in enumerate(names):
        builder.append(number, 1_000, b"key", b"value %d" % number, [(name, b"v")])
    built: bytes = bytes(builder.build())
    return built


def _read(data: bytes) -> list[Any]:
    records = LenientRecords(data)
    read: list[Any] = []
    while records.has_next():
        read.extend(records.next_batch())
    return read


def test_good_records_are_read_as_ever() -> None:
    read = _read(_batch(["a", "b"]) + _batch(["c"]))
    assert [(r.offset, r.value, list(r.headers)) for r in read] == [
        (0, b"value 0", [("a", b"v")]),
        (1, b"value 1", [("b", b"v")]),
        (0, b"value 0", [("c", b"v")]),
    ]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_bad_name_stops_nobody(at: int) -> None:
    names = ["one", "two", "six"]
    names[at] = "bad"
    read = _read(_spoil(_batch(names)) + _batch(["next"]))
    assert [r.value for r in read] == [b"value 0", b"value 1", b"value 2", b"value 0"]
    assert [r.offset for r in read[:3]] == [0, 1, 2]
    assert list(read[at].headers) == [("\\xffad", b"v")]
    assert read[at].key == b"key"


def _spoil(data: bytes) -> bytes:
    """Make the name "bad" one that no UTF-8 has. (The reader checks sums elsewhere.)"""
    assert data.count(b"bad") == 1
    return data.replace(b"bad", b"\xffad")
