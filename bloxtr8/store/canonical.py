"""JSON in one form only, so that it can be hashed (RFC 8785 for what we store: no floats)."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID


def canonical_json(value: Any) -> bytes:
    """Return `value` as canonical JSON: sorted names, no blanks, UTF-8.

    Times and UUIDs become text. Raises TypeError for floats and anything else.
    """
    plain = _plain(value)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256(value: Any) -> bytes:
    """Return the SHA-256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value)).digest()


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no canonical form")
