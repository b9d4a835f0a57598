"""Blocks: whom a user does not want to hear from."""

from datetime import datetime
from typing import Any
from uuid import UUID

from bloxtr8.errors import LimitReached, NotFound, ValidationFailed
from bloxtr8.market import standing
from bloxtr8.market.actors import Actor
from bloxtr8.store.database import Transaction

BLOCKS_MAX = 500


async def add(tx: Transaction, actor: Actor, blocked_id: UUID, now: datetime) -> None:
    """Block a user; again changes nothing. Raises NotFound, LimitReached, ValidationFailed."""
    if blocked_id == actor.id:
        raise ValidationFailed("You cannot block yourself.")
    # Held, so that two at once do not both find room for one.
    await standing.hold(tx, actor.id)
    if await tx.fetchval("SELECT 1 FROM users WHERE id = $1", blocked_id) is None:
        raise NotFound
    if await is_blocked(tx, by=actor.id, whom=blocked_id):
        return
    count = await tx.fetchval("SELECT count(*) FROM user_blocks WHERE user_id = $1", actor.id)
    if count >= BLOCKS_MAX:
        raise LimitReached(f"You can block {BLOCKS_MAX} people.")
    await tx.execute(
        "INSERT INTO user_blocks (user_id, blocked_id, created_at) VALUES ($1, $2, $3)",
        actor.id,
        blocked_id,
        now,
    )


async def remove(tx: Transaction, actor: Actor, blocked_id: UUID) -> None:
    """Lift a block; harmless when there is none."""
    await tx.execute(
        "DELETE FROM user_blocks WHERE user_id = $1 AND blocked_id = $2", actor.id, blocked_id
    )


async def is_blocked(tx: Transaction, *, by: UUID, whom: UUID) -> bool:
    """Tell whether `by` does not want to hear from `whom`."""
    found = await tx.fetchval(
        "SELECT 1 FROM user_blocks WHERE user_id = $1 AND blocked_id = $2", by, whom
    )
    return found is not None


async def one(tx: Transaction, actor: Actor, blocked_id: UUID) -> dict[str, Any]:
    """Return the actor's block of somebody; raises NotFound."""
    row = await tx.fetchrow(
        "SELECT b.blocked_id, u.display_name, b.created_at FROM user_blocks b"
        " JOIN users u ON u.id = b.blocked_id WHERE b.user_id = $1 AND b.blocked_id = $2",
        actor.id,
        blocked_id,
    )
    if row is None:
        raise NotFound
    return row


async def of_user(
    tx: Transaction, user_id: UUID, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Return whom a user has blocked, the latest first; `before`: the id of the last one shown."""
    return await tx.fetch(
        "SELECT b.id, b.blocked_id, u.display_name, b.created_at FROM user_blocks b"
        " JOIN users u ON u.id = b.blocked_id WHERE b.user_id = $1"
        " AND ($2::bigint IS NULL OR b.id < $2) ORDER BY b.id DESC LIMIT $3",
        user_id,
        before,
        limit,
    )
