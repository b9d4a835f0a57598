"""Listings that people keep an eye on."""

from uuid import UUID

from bloxtr8.errors import LimitReached, NotFound
from bloxtr8.market import listing_rows, rules, standing, visibility
from bloxtr8.market.place import Change

# Advisory lock: watchers of one listing are counted one after the other.
_WATCHERS = 0x626C_7877


async def watch(change: Change, listing_id: UUID) -> None:
    """Watch a listing; doing it again changes nothing. Raises NotFound and LimitReached:
    200 listings, or 1,000 people."""
    listing = await listing_rows.seen(change.tx, listing_id)
    if not await visibility.may_read(change.tx, change.actor.id, listing, change.now):
        raise NotFound
    # The user's row is held while the watches are counted.
    await standing.hold(change.tx, change.actor.id)
    others = await change.tx.fetchval(
        "SELECT count(*) FROM listing_watches WHERE user_id = $1 AND listing_id <> $2",
        change.actor.id,
        listing_id,
    )
    if others >= rules.WATCHES_MAX:
        raise LimitReached("You may watch 200 listings.", limit=rules.WATCHES_MAX)
    await _check_room(change, listing_id)
    await change.tx.execute(
        "INSERT INTO listing_watches (user_id, listing_id, created_at) VALUES ($1, $2, $3)"
        " ON CONFLICT (user_id, listing_id) DO NOTHING",
        change.actor.id,
        listing_id,
        change.now,
    )


async def _check_room(change: Change, listing_id: UUID) -> None:
    """Raises LimitReached when as many watch the listing as can be told at once."""
    # One after the other, without holding up whoever changes the listing.
    await change.tx.lock(_WATCHERS, str(listing_id))
    watchers = await change.tx.fetchval(
        "SELECT count(*) FROM listing_watches WHERE listing_id = $1 AND user_id <> $2",
        listing_id,
        change.actor.id,
    )
    if watchers >= rules.WATCHERS_MAX:
        raise LimitReached("1,000 people watch this listing already.", limit=rules.WATCHERS_MAX)


async def unwatch(change: Change, listing_id: UUID) -> None:
    """Stop watching a listing; not watching it changes nothing."""
    await change.tx.execute(
        "DELETE FROM listing_watches WHERE user_id = $1 AND listing_id = $2",
        change.actor.id,
        listing_id,
    )
