"""Reading Kafka records whose header names are not UTF-8.

The protocol says that a header's name is UTF-8, brokers do not check it, and aiokafka's reader
raises where it is not: the partition could never be read past such a record. Here only a batch
that holds one is read again, slowly, with the offending bytes written as escapes; the message
then goes the way of every other one.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record import memory_records
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy


class _LenientBuffer(bytearray):
    """A buffer in which every run of bytes can be read as text."""

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        return _LenientBuffer(part) if isinstance(key, slice) else part

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return super().decode(encoding, "backslashreplace")


class _LenientBatch:
    """A record batch like aiokafka's, but for header names."""

    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch = batch
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:  # of a control batch
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        given = 0
        try:
            for record in self._batch:
                given += 1
                yield record
        except UnicodeDecodeError:
            again = _DefaultRecordBatchPy(self._data)
            again._maybe_uncompress()
            again._buffer = _LenientBuffer(again._buffer)
            for number, record in enumerate(again):
                if number >= given:
                    yield record


class LenientRecords(memory_records._MemoryRecordsPy):  # type: ignore[misc]
    """What a fetch answered; takes the place of aiokafka's `MemoryRecords`."""

    def next_batch(self, *args: Any) -> Any:
        data = self._next_slice
        batch = super().next_batch(*args)
        return _LenientBatch(batch, data) if isinstance(batch, DefaultRecordBatch) else batch


def install() -> None:
    """Make every consumer of this process read this way."""
    fetcher.MemoryRecords = LenientRecords
