"""Who is in which guild: asked of Discord with the bot's token, believed for 15 minutes."""

from uuid import UUID

from bloxtr8.clock import Clock
from bloxtr8.market import clocks
from bloxtr8.market.discord import Discord
from bloxtr8.store import database


class Memberships:
    """Keeps `guild_members` for whoever is about to rely on it; asks outside any transaction."""

    def __init__(self, discord: Discord, clock: Clock) -> None:
        self._discord = discord
        self._clock = clock

    async def learn(self, user_id: UUID, guild_id: UUID) -> None:
        """Make sure that it is known whether the user is in the guild; nothing for unknown ones."""
        now = self._clock.now()
        row = await database.fetchrow(
            "SELECT g.discord_id, a.external_id FROM guilds g"
            " JOIN accounts a ON a.user_id = $2 AND a.provider = 'DISCORD'"
            " AND a.unlinked_at IS NULL WHERE g.id = $1 AND g.left_at IS NULL AND NOT EXISTS"
            " (SELECT 1 FROM guild_members m WHERE m.guild_id = g.id AND m.user_id = $2"
            " AND m.checked_at > $3)",
            guild_id,
            user_id,
            now - clocks.MEMBERSHIP.length,
        )
        if row is None:
            return
        inside = await self._discord.is_member(row["discord_id"], row["external_id"])
        async with database.transaction() as tx:
            await tx.execute(
                "INSERT INTO guild_members (guild_id, user_id, is_member, checked_at)"
                " VALUES ($1, $2, $3, $4) ON CONFLICT (guild_id, user_id) DO UPDATE"
                " SET is_member = $3, checked_at = $4,"
                " is_admin = guild_members.is_admin AND $3",
                guild_id,
                user_id,
                inside,
                now,
            )

    async def learn_of_listing(self, user_id: UUID, listing: UUID | str) -> None:
        """The same for the guild of a listing (its id or ref), if it is one of a guild's."""
        column = "id" if isinstance(listing, UUID) else "ref"
        row = await database.fetchrow(
            f"SELECT guild_id FROM listings WHERE {column} = $1"  # noqa: S608
            " AND guild_id IS NOT NULL AND seller_id <> $2",
            listing,
            user_id,
        )
        if row is not None:
            await self.learn(user_id, row["guild_id"])
