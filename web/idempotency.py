"""Idempotency-Key: the same request sent again gets the same answer and has no second effect."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from aiohttp import web
from pydantic import BaseModel

from bloxtr8.access.identity import Identity
from bloxtr8.errors import (
    IdempotencyKeyMalformed,
    IdempotencyKeyMissing,
    IdempotencyKeyReused,
)
from bloxtr8.store import database
from bloxtr8.store.idempotency import Claim, Stored
from web.routes import KeyRule, Reply, Route

_KEY = re.compile(r"[\x21-\x7e]{16,255}")
_KEPT = timedelta(hours=24)
_KEPT_MONEY = timedelta(days=90)
HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"


def read_key(
    request: web.Request, route: Route, identity: Identity | None, now: datetime
) -> Claim | None:
    """Return the request's key, still without the fingerprint of its body.

    Raises IdempotencyKeyMissing and IdempotencyKeyMalformed.
    """
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
    # Hashed, so that every path fits the column.
    scope = hashlib.sha256(f"{request.method} {request.path}".encode()).hexdigest()
    return Claim(identity.user_id, scope, value, b"", now + kept)


def with_body(key: Claim | None, raw: bytes) -> Claim | None:
    """Return the key with the fingerprint of the whole request: method, path, canonical JSON."""
    if key is None:
        return None
    canonical = json.dumps(json.loads(raw), sort_keys=True, separators=(",", ":"))
    fingerprint = hashlib.sha256(f"{key.route}\n{canonical}".encode()).digest()
    return replace(key, fingerprint=fingerprint)


def with_files(key: Claim | None, fields: BaseModel, hashes: Sequence[str]) -> Claim | None:
    """Return the key with the fingerprint of a form: its fields and its files' SHA-256."""
    content = {"fields": fields.model_dump(mode="json"), "files": list(hashes)}
    return with_body(key, json.dumps(content).encode())


async def earlier_reply(key: Claim | None, now: datetime) -> Reply | None:
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
    return replayed(Stored(row["status_code"], json.loads(row["response"])))


def replayed(stored: Stored) -> Reply:
    """Return a stored answer as it is given again."""
    return Reply(stored.document, stored.status_code, {REPLAYED_HEADER: "true"})
