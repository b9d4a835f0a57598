"""Listings that people keep an eye on."""

from uuid import UUID

from bloxtr8.errors import LimitReached, NotFound
from bloxtr8.market import listing_rows, rules, visibility
from bloxtr8.market.place import Change


async def watch(change: Change, listing_id: UUID) -> None:
    """Watch a listing; doing it again changes nothing. Raises NotFound and LimitReached (200)."""
    listing = await listing_rows.seen(change.tx, listing_id)
    if not await visibility.may_read(change.tx, change.actor.id, listing, change.now):
        raise NotFound
    # The user's row is held while the watches are counted.
    await change.tx.execute("SELECT 1 FROM users WHERE id = $1 FOR NO KEY UPDATE", change.actor.id)
    others = await change.tx.fetchval(
        "SELECT count(*) FROM listing_watches WHERE user_id = $1 AND listing_id <> $2",
        change.actor.id,
        listing_id,
    )
    if others >= rules.WATCHES_MAX:
        raise LimitReached("You may watch 200 listings.", limit=rules.WATCHES_MAX)
    await change.tx.execute(
        "INSERT INTO listing_watches (user_id, listing_id, created_at) VALUES ($1, $2, $3)"
        " ON CONFLICT (user_id, listing_id) DO NOTHING",
        change.actor.id,
        listing_id,
        change.now,
    )


async def unwatch(change: Change, listing_id: UUID) -> None:
    """Stop watching a listing; not watching it changes nothing."""
    await change.tx.execute(
        "DELETE FROM listing_watches WHERE user_id = $1 AND listing_id = $2",
        change.actor.id,
        listing_id,
    )
