"""Cursors of lists: where the next page starts, tied to the filters and signed."""

import base64
import hashlib
import hmac
import json
from datetime import datetime, timedelta
from typing import Any

from bloxtr8.access.tokens import TokenKeys
from bloxtr8.errors import BadCursor

LIFETIME = timedelta(hours=24)
_MAC_BYTES = 16
_CURSOR_MAX = 1024


def filter_hash(filters: dict[str, Any]) -> str:
    """Return a short hash of the filters that a cursor belongs to."""
    text = json.dumps(filters, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def make(keys: TokenKeys, position: list[str], filters: dict[str, Any], now: datetime) -> str:
    """Return the cursor after the row with sort key and id `position`."""
    content = [*position, filter_hash(filters), int(now.timestamp())]
    body = json.dumps(content, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_mac(keys, body) + body).rstrip(b"=").decode()


def read(keys: TokenKeys, cursor: str, filters: dict[str, Any], now: datetime) -> list[str]:
    """Return the position in `cursor`; raises BadCursor when it is not ours, old, or of others."""
    if len(cursor) > _CURSOR_MAX:
        raise BadCursor
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise BadCursor from None
    mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(keys, body)):
        raise BadCursor
    *position, hashed, made_at = json.loads(body)
    if hashed != filter_hash(filters):
        raise BadCursor("The cursor belongs to other filters.")
    if now - datetime.fromtimestamp(made_at, now.tzinfo) > LIFETIME:
        raise BadCursor("The cursor is more than a day old; start again.")
    return [str(part) for part in position]


def _mac(keys: TokenKeys, body: bytes) -> bytes:
    return keys.mac("cursor", body.decode("utf-8", "replace"))[:_MAC_BYTES]
