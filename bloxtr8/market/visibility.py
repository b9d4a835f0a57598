"""Who may see a listing.

PUBLIC ones anyone, GUILD ones the members of that guild; what is off the market only its seller,
those with an offer on it, and staff.
"""

from datetime import datetime
from uuid import UUID

from bloxtr8.errors import Forbidden, NotFound
from bloxtr8.market import clocks
from bloxtr8.market.listing_rows import Row
from bloxtr8.market.place import Change
from bloxtr8.store.database import Transaction

_HIDDEN = ("INACTIVE", "CANCELLED")


async def may_read(
    tx: Transaction, user_id: UUID | None, listing: Row, now: datetime, *, staff: bool = False
) -> bool:
    """Tell whether the user (None: nobody signed in) may see the listing."""
    public = listing["visibility"] == "PUBLIC" and listing["status"] not in _HIDDEN
    if public or staff:
        return True
    if user_id is None:
        return False
    if user_id == listing["seller_id"] or await _has_offer(tx, user_id, listing["id"]):
        return True
    if listing["status"] in _HIDDEN:
        return False
    return listing["guild_id"] in await guilds_of(tx, user_id, now)


async def guilds_of(tx: Transaction, user_id: UUID, now: datetime) -> list[UUID]:
    """Return the guilds that Discord named the user a member of, in the last 15 minutes."""
    rows = await tx.fetch(
        "SELECT guild_id FROM guild_members WHERE user_id = $1 AND is_member AND checked_at > $2",
        user_id,
        now - clocks.MEMBERSHIP.length,
    )
    return [row["guild_id"] for row in rows]


async def require_guild(change: Change, guild_id: UUID | None) -> None:
    """Check that the actor may list in the guild: set up, and they are a member.

    Raises NotFound for a guild without Bloxtr8, Forbidden for one that they are not in.
    """
    if guild_id is None:
        return
    ready = await change.tx.fetchval(
        "SELECT 1 FROM guilds WHERE id = $1 AND left_at IS NULL AND setup_status <> 'NONE'",
        guild_id,
    )
    if ready is None:
        raise NotFound("Bloxtr8 is not set up in that guild.")
    if guild_id not in await guilds_of(change.tx, change.actor.id, change.now):
        raise Forbidden("Only members of a guild may list in it.")


async def _has_offer(tx: Transaction, user_id: UUID, listing_id: UUID) -> bool:
    found = await tx.fetchval(
        "SELECT 1 FROM offers WHERE listing_id = $1 AND buyer_id = $2 LIMIT 1", listing_id, user_id
    )
    return found is not None
