"""Time, injected: the system's clock, one that tests move, one that a sandbox moves."""

import mmap
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

_MICROSECONDS = struct.Struct("<q")


def rfc3339(moment: datetime) -> str:
    """Return a time as people and programs outside are given it: UTC, milliseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Clock(Protocol):
    """Something that knows the time."""

    def now(self) -> datetime:
        """Return the time, timezone-aware, UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class ManualClock:
    """A clock that stands still until it is moved; for tests and simulations."""

    def __init__(self, start: datetime) -> None:
        assert start.tzinfo is not None, "business time is timezone-aware"
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> datetime:
        """Move forward by `by` (>= 0) and return the new time."""
        assert by >= timedelta(0), "time does not run backwards"
        self._now += by
        return self._now


class SharedOffsetClock:
    """The system clock plus an offset that every process on the machine reads from one file.

    The sandbox moves time for worker, web and stand-ins at once by writing the file; a
    memory map makes reading it as cheap as reading a variable.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(_MICROSECONDS.pack(0))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _MICROSECONDS.size)

    @property
    def offset(self) -> timedelta:
        (microseconds,) = _MICROSECONDS.unpack_from(self._map)
        return timedelta(microseconds=microseconds)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def advance(self, by: timedelta) -> datetime:
        """Move every reader of the file forward by `by` (>= 0) and return the new time."""
        assert by >= timedelta(0), "time does not run backwards"
        moved = self.offset + by
        _MICROSECONDS.pack_into(self._map, 0, moved // timedelta(microseconds=1))
        return self.now()
