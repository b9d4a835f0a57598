"""One-time links: each permits one act of one person once, within fifteen minutes."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.errors import LinkExpired
from bloxtr8.market import secrets
from bloxtr8.store.database import Transaction, to_json

Purpose = Literal["LINK_ROBLOX", "SIGN_CONTRACT", "WALLET_PROOF"]

LIFETIME = timedelta(minutes=15)
KEPT_AFTER_END = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Permit:
    """What a link is for. `subject_id`: the contract or payout method, None for linking."""

    purpose: Purpose
    user_id: UUID
    subject_id: UUID | None = None


async def make(
    tx: Transaction, permit: Permit, now: datetime, data: dict[str, Any] | None = None
) -> str:
    """Return a new link's token; earlier unused ones for the same are used up with it."""
    token = secrets.new()
    await tx.execute(
        "WITH ended AS (UPDATE one_time_tokens SET consumed_at = $7 WHERE user_id = $3"
        " AND purpose = $2 AND subject_id IS NOT DISTINCT FROM $4 AND consumed_at IS NULL)"
        " INSERT INTO one_time_tokens (id, purpose, user_id, subject_id, token_hash, data,"
        " expires_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $8, $7)",
        ids.uuid7(),
        permit.purpose,
        permit.user_id,
        permit.subject_id,
        secrets.digest(token),
        to_json(data) if data is not None else None,
        now,
        now + LIFETIME,
    )
    return token


async def owner(tx: Transaction, token: str, purpose: Purpose, now: datetime) -> UUID:
    """Return whose link it is, changing nothing; raises LinkExpired."""
    row = await tx.fetchrow(
        "SELECT user_id FROM one_time_tokens WHERE token_hash = $1 AND purpose = $2"
        " AND consumed_at IS NULL AND expires_at > $3",
        secrets.digest(token),
        purpose,
        now,
    )
    if row is None:
        raise LinkExpired
    found: UUID = row["user_id"]
    return found


async def consume(tx: Transaction, token: str, permit: Permit, now: datetime) -> dict[str, Any]:
    """Use up the link in the transaction of the act it permits; return its row.

    Raises LinkExpired, also for somebody else's, another purpose or subject.
    """
    row = await tx.fetchrow(
        "UPDATE one_time_tokens SET consumed_at = $5 WHERE token_hash = $1 AND user_id = $2"
        " AND purpose = $3 AND subject_id IS NOT DISTINCT FROM $4 AND consumed_at IS NULL"
        " AND expires_at > $5 RETURNING *",
        secrets.digest(token),
        permit.user_id,
        permit.purpose,
        permit.subject_id,
        now,
    )
    if row is None:
        raise LinkExpired
    return row


def data_of(row: dict[str, Any]) -> dict[str, Any]:
    """Return what was kept with a link."""
    found: dict[str, Any] = json.loads(row["data"]) if row["data"] else {}
    return found


async def subject(tx: Transaction, token: str, permit: Permit, now: datetime) -> UUID | None:
    """Return what `permit.user_id`'s link is about, changing nothing; raises LinkExpired."""
    row = await tx.fetchrow(
        "SELECT subject_id FROM one_time_tokens WHERE token_hash = $1 AND user_id = $2"
        " AND purpose = $3 AND consumed_at IS NULL AND expires_at > $4",
        secrets.digest(token),
        permit.user_id,
        permit.purpose,
        now,
    )
    if row is None:
        raise LinkExpired
    found: UUID | None = row["subject_id"]
    return found


async def end_all(tx: Transaction, user_id: UUID, now: datetime) -> None:
    """Use up every open link of a user."""
    await tx.execute(
        "UPDATE one_time_tokens SET consumed_at = $2 WHERE user_id = $1 AND consumed_at IS NULL",
        user_id,
        now,
    )


async def note_misuse(tx: Transaction, token: str, now: datetime) -> bool:
    """Remember that somebody else opened the link; tell whether it was the first time."""
    marked = await tx.execute(
        "UPDATE one_time_tokens SET misused_at = $2 WHERE token_hash = $1"
        " AND misused_at IS NULL AND consumed_at IS NULL AND expires_at > $2",
        secrets.digest(token),
        now,
    )
    return marked == 1
