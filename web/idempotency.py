"""Idempotency-Key: the same request sent again gets the same answer and has no second effect."""

import hashlib
import json
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from bloxtr8.access.identity import Identity
from bloxtr8.errors import (
    IdempotencyKeyMalformed,
    IdempotencyKeyMissing,
    IdempotencyKeyReused,
)
from bloxtr8.store import database
from web.routes import KeyRule, Reply, Route

_KEY = re.compile(r"[\x21-\x7e]{16,255}")
_KEPT = timedelta(hours=24)
_KEPT_MONEY = timedelta(days=90)
HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"


@dataclass(frozen=True, slots=True)
class Key:
    """A caller's key: its scope (caller, method, path) and the fingerprint of the request."""

    caller: str
    route: str
    key: str
    fingerprint: bytes
    kept: timedelta

    def with_body(self, raw: bytes) -> "Key":
        """Return the key with the fingerprint of the whole request."""
        canonical = json.dumps(json.loads(raw or b"{}"), sort_keys=True, separators=(",", ":"))
        text = f"{self.route}\n{canonical}".encode()
        return replace(self, fingerprint=hashlib.sha256(text).digest())


def read_key(request: web.Request, route: Route, identity: Identity | None) -> Key | None:
    """Return the request's key; raises IdempotencyKeyMissing and IdempotencyKeyMalformed."""
    if route.key is KeyRule.NONE or identity is None:
        return None
    value = request.headers.get(HEADER)
    if value is None:
        if route.key is KeyRule.REQUIRED:
            raise IdempotencyKeyMissing
        return None
    if not _KEY.fullmatch(value):
        raise IdempotencyKeyMalformed
    kept = _KEPT_MONEY if route.key is KeyRule.REQUIRED else _KEPT
    # Hashed, so that every path fits the column; the fingerprint tells requests apart.
    scope = hashlib.sha256(f"{request.method} {request.path}".encode()).hexdigest()
    return Key(identity.user_id, scope, value, b"", kept)


async def stored_reply(key: Key | None, now: datetime) -> Reply | None:
    """Return the answer given to this request before; raises IdempotencyKeyReused."""
    if key is None:
        return None
    row = await database.fetchrow(
        "SELECT fingerprint, status_code, response FROM idempotency_keys"
        " WHERE caller = $1 AND route = $2 AND key = $3 AND expires_at > $4",
        key.caller,
        key.route,
        key.key,
        now,
    )
    if row is None:
        return None
    if row["fingerprint"] != key.fingerprint:
        raise IdempotencyKeyReused
    response: Any = row["response"]
    document = json.loads(response) if isinstance(response, str) else response
    return Reply(document, row["status_code"], {REPLAYED_HEADER: "true"})
