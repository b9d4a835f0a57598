"""Decoration remembered for a while: names, pictures, places, details. Never ownership."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from bloxtr8.store import database
from bloxtr8.store.database import to_json

PURGE_MAX = 5_000


async def read(kind: str, external_ids: Sequence[int], now: datetime) -> dict[int, dict[str, Any]]:
    """Return what is remembered and not too old, by id."""
    rows = await database.fetch(
        "SELECT external_id, payload FROM roblox_cache"
        " WHERE kind = $1 AND external_id = ANY($2::bigint[]) AND expires_at > $3",
        kind,
        list(external_ids),
        now,
    )
    return {row["external_id"]: json.loads(row["payload"]) for row in rows}


async def write(
    kind: str, payloads: dict[int, dict[str, Any]], kept: timedelta, now: datetime
) -> None:
    """Remember `payloads` by id for `kept`."""
    async with database.transaction() as tx:
        await tx.executemany(
            "INSERT INTO roblox_cache (kind, external_id, payload, fetched_at, expires_at,"
            " created_at) VALUES ($1, $2, $3, $4, $5, $4) ON CONFLICT (kind, external_id)"
            " DO UPDATE SET payload = $3, fetched_at = $4, expires_at = $5",
            # In one order, so that two writers of the same do not wait for each other.
            [(kind, key, to_json(payloads[key]), now, now + kept) for key in sorted(payloads)],
        )


async def purge(now: datetime) -> int:
    """Forget what is too old, at most 5,000 entries; return how many."""
    async with database.transaction() as tx:
        return await tx.execute(
            "DELETE FROM roblox_cache WHERE id IN"
            " (SELECT id FROM roblox_cache WHERE expires_at <= $1 LIMIT $2)",
            now,
            PURGE_MAX,
        )
