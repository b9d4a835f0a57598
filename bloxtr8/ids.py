"""Identifiers: UUIDv7 for what is new, UUIDv5 for what is derived from something else."""

import os
import threading
import time
from uuid import UUID, uuid5

# The project's own namespace for derived ids; never changes, or derived ids would.
NAMESPACE = UUID("b10c7268-0000-5000-8000-00000000e5c0")


class _Ticks:
    """Counts 4,096ths of milliseconds since 1970, each later than the one before it."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def next(self) -> int:
        milliseconds, rest = divmod(time.time_ns(), 1_000_000)
        with self._lock:
            self._last = max(milliseconds << 12 | (rest << 12) // 1_000_000, self._last + 1)
            return self._last


_ticks = _Ticks()


def uuid7() -> UUID:
    """Return a new UUID; of one process each is greater than the one before it.

    RFC 9562, section 5.7, with the 12 bits after the milliseconds as their fraction
    (section 6.2, method 3): rows made in one millisecond sort in the order of their making,
    also when the clock goes back.
    """
    tick = _ticks.next()
    head = tick >> 12 << 16 | 0x7 << 12 | tick & 0xFFF
    tail = 0x2 << 62 | int.from_bytes(os.urandom(8), "big") >> 2
    return UUID(int=head << 64 | tail)


def derived(*parts: str | int) -> UUID:
    """Return the UUIDv5 of `parts`: the same parts always give the same id."""
    return uuid5(NAMESPACE, "/".join(str(part) for part in parts))


def escrow_id_for(contract_id: str) -> str:
    """Return the id of the one escrow that a contract can have."""
    return str(derived("escrow", contract_id))


def creation_id_for(contract_id: str) -> str:
    """Return the id of the command that creates a contract's escrow: however often it is sent."""
    return str(derived("create", contract_id))


def operation_id_for(escrow_id: str, kind: str, generation: int) -> str:
    """Return the id, and the provider's idempotency key, of one money operation."""
    return str(derived("operation", escrow_id, kind, generation))
