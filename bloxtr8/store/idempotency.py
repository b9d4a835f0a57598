"""Requests that may be repeated: the key and the answer commit with the effect."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from bloxtr8.errors import IdempotencyInProgress, IdempotencyKeyReused
from bloxtr8.store import database
from bloxtr8.store.database import Transaction


@dataclass(frozen=True, slots=True)
class Claim:
    """A caller's key within a route; `fingerprint` is a hash of the whole request."""

    caller: str
    route: str
    key: str
    fingerprint: bytes
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Stored:
    """The answer that was given to the same request before."""

    status_code: int
    document: Any


async def claim(tx: Transaction, key: Claim, now: datetime) -> Stored | None:
    """Take the key in `tx`, before anything else; or return the answer it already has.

    A request with the same key that is still running is waited for, 2 s at most. Raises
    IdempotencyInProgress and IdempotencyKeyReused.
    """
    await tx.execute(
        "DELETE FROM idempotency_keys"
        " WHERE caller = $1 AND route = $2 AND key = $3 AND expires_at <= $4",
        key.caller,
        key.route,
        key.key,
        now,
    )
    try:
        taken = await tx.execute(
            "INSERT INTO idempotency_keys (caller, route, key, fingerprint, expires_at)"
            " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (caller, route, key) DO NOTHING",
            key.caller,
            key.route,
            key.key,
            key.fingerprint,
            key.expires_at,
        )
    except asyncpg.LockNotAvailableError:
        raise IdempotencyInProgress(retry_after_s=1) from None
    return None if taken else await _stored(tx, key)


async def keep(tx: Transaction, key: Claim, status_code: int, document: Any) -> None:
    """Keep the answer of the request that took `key` in the same transaction."""
    await tx.execute(
        "UPDATE idempotency_keys SET status_code = $4, response = $5"
        " WHERE caller = $1 AND route = $2 AND key = $3",
        key.caller,
        key.route,
        key.key,
        status_code,
        database.to_json(document),
    )


async def purge(now: datetime, limit: int = 5_000) -> int:
    """Delete keys that have expired, at most `limit`; return how many."""
    async with database.transaction() as tx:
        return await tx.execute(
            "DELETE FROM idempotency_keys WHERE id IN (SELECT id FROM idempotency_keys"
            " WHERE expires_at <= $1 LIMIT $2)",
            now,
            limit,
        )


async def _stored(tx: Transaction, key: Claim) -> Stored:
    row = await tx.fetchrow(
        "SELECT fingerprint, status_code, response FROM idempotency_keys"
        " WHERE caller = $1 AND route = $2 AND key = $3",
        key.caller,
        key.route,
        key.key,
    )
    if row is None:
        # It was rolled back or purged between the two statements; the next try will have it.
        raise IdempotencyInProgress(retry_after_s=1)
    if row["fingerprint"] != key.fingerprint:
        raise IdempotencyKeyReused
    response = row["response"]
    return Stored(row["status_code"] or 202, None if response is None else json.loads(response))
