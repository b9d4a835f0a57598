"""Identifiers: UUIDv7 for what is new, UUIDv5 for what is derived from something else."""

import os
import time
from uuid import UUID, uuid5

# The project's own namespace for derived ids; never changes, or derived ids would.
NAMESPACE = UUID("b10c7268-0000-5000-8000-00000000e5c0")


def uuid7() -> UUID:
    """Return a new time-ordered UUID (RFC 9562, section 5.7)."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def derived(*parts: str | int) -> UUID:
    """Return the UUIDv5 of `parts`: the same parts always give the same id."""
    return uuid5(NAMESPACE, "/".join(str(part) for part in parts))


def escrow_id_for(contract_id: str) -> str:
    """Return the id of the one escrow that a contract can have."""
    return str(derived("escrow", contract_id))


def operation_id_for(escrow_id: str, kind: str, generation: int) -> str:
    """Return the id, and the provider's idempotency key, of one money operation."""
    return str(derived("operation", escrow_id, kind, generation))
