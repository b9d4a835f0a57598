"""Users and their accounts: made once, whoever comes first, Discord's command or the web."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.errors import NotFound, VersionMismatch
from bloxtr8.market import audit
from bloxtr8.market.actors import Actor
from bloxtr8.market.audit import Deed
from bloxtr8.market.events import Events
from bloxtr8.store.database import Transaction
from bloxtr8.text import tame
from proto.bloxtr8.market.v1 import market_pb2 as market

_NAME_MAX = 80
_USERNAME_MAX = 64
_EMAIL_MAX = 254
# Discord's ids count milliseconds since its own epoch, above 22 other bits.
_DISCORD_EPOCH_MS = 1_420_070_400_000
_DISCORD_TIME_SHIFT = 22


@dataclass(frozen=True, slots=True)
class DiscordPerson:
    """Somebody as Discord describes them. `email` only if Discord has verified it."""

    discord_id: str
    username: str
    global_name: str | None = None
    avatar: str | None = None
    email: str | None = None
    mfa: bool = False

    @property
    def avatar_url(self) -> str | None:
        if not self.avatar:
            return None
        return f"https://cdn.discordapp.com/avatars/{self.discord_id}/{self.avatar}.png?size=128"

    @property
    def created_at(self) -> datetime:
        milliseconds = (int(self.discord_id) >> _DISCORD_TIME_SHIFT) + _DISCORD_EPOCH_MS
        return datetime.fromtimestamp(milliseconds / 1000, UTC)


class _SomebodyWasFirst(Exception):
    """Another transaction made the same user."""


async def ensure_user(
    tx: Transaction, actor: Actor, person: DiscordPerson, events: Events, now: datetime
) -> UUID:
    """Return the user of a Discord account, making them when there is none.

    Two at once make one user. The user's row is locked afterwards.
    """
    user_id = await _lock_user_of(tx, person.discord_id)
    if user_id is None:
        try:
            async with tx.savepoint():
                return await _create(tx, actor, person, events, now)
        except _SomebodyWasFirst:
            user_id = await _lock_user_of(tx, person.discord_id)
    assert user_id is not None, "the account that was in the way is committed"
    await _refresh(tx, user_id, person, now)
    return user_id


async def user_of(tx: Transaction, provider: str, external_id: str) -> UUID | None:
    """Return whose account it is now, or None."""
    found: UUID | None = await tx.fetchval(
        "SELECT user_id FROM accounts"
        " WHERE provider = $1 AND external_id = $2 AND unlinked_at IS NULL",
        provider,
        external_id,
    )
    return found


async def accounts_of(
    tx: Transaction, user_id: UUID, *, past: bool = False
) -> list[dict[str, Any]]:
    """Return a user's accounts, with `past` also those that were unlinked."""
    return await tx.fetch(
        "SELECT * FROM accounts WHERE user_id = $1 AND ($2 OR unlinked_at IS NULL)"
        " ORDER BY provider, linked_at DESC LIMIT 100",
        user_id,
        past,
    )


async def edit_profile(
    tx: Transaction, actor: Actor, version: int, changes: dict[str, str], now: datetime
) -> None:
    """Set display_name, locale or timezone; raises VersionMismatch.

    `changes` are the new values by column; they are valid already.
    """
    assert changes.keys() <= {"display_name", "locale", "timezone"}, "only these are a person's own"
    row = await tx.fetchrow("SELECT * FROM users WHERE id = $1 FOR UPDATE", actor.id)
    if row is None:
        raise NotFound
    if row["version"] != version:
        raise VersionMismatch(version=row["version"])
    values = {name: changes.get(name, row[name]) for name in ("display_name", "locale", "timezone")}
    await tx.execute(
        "UPDATE users SET display_name = $2, locale = $3, timezone = $4, version = version + 1,"
        " updated_at = $5 WHERE id = $1",
        actor.id,
        *values.values(),
        now,
    )
    deed = Deed("user.edited", audit.on_user(actor.id), data={"fields": sorted(changes)})
    await audit.record(tx, actor, deed, now)


async def _lock_user_of(tx: Transaction, discord_id: str) -> UUID | None:
    found: UUID | None = await tx.fetchval(
        "SELECT u.id FROM users u JOIN accounts a ON a.user_id = u.id"
        " WHERE a.provider = 'DISCORD' AND a.external_id = $1 AND a.unlinked_at IS NULL"
        " FOR UPDATE OF u",
        discord_id,
    )
    return found


async def _create(
    tx: Transaction, actor: Actor, person: DiscordPerson, events: Events, now: datetime
) -> UUID:
    user_id = ids.uuid7()
    await tx.execute(
        "INSERT INTO users (id, display_name, avatar_url, email, email_verified, last_seen_at,"
        " created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6, $6)",
        user_id,
        _name(person),
        person.avatar_url,
        _email(person),
        _email(person) is not None,
        now,
    )
    inserted = await tx.execute(
        "INSERT INTO accounts (id, user_id, provider, external_id, username, display_name,"
        " provider_created_at, linked_at, created_at)"
        " VALUES ($1, $2, 'DISCORD', $3, $4, $5, $6, $7, $7)"
        " ON CONFLICT (provider, external_id) WHERE unlinked_at IS NULL DO NOTHING",
        ids.uuid7(),
        user_id,
        person.discord_id,
        tame(person.username, _USERNAME_MAX),
        _name(person),
        person.created_at,
        now,
    )
    if not inserted:
        raise _SomebodyWasFirst
    await audit.record(tx, actor, Deed("user.created", audit.on_user(user_id)), now)
    await events.say(tx, actor, user_id, market.UserRegistered(), now)
    return user_id


async def _refresh(tx: Transaction, user_id: UUID, person: DiscordPerson, now: datetime) -> None:
    """Take over what Discord shows now. The name here is the person's own to change.

    Of somebody who has closed their account everything stays erased.
    """
    await tx.execute(
        "UPDATE accounts SET username = $2, display_name = $3"
        " WHERE user_id = $1 AND provider = 'DISCORD' AND unlinked_at IS NULL"
        " AND EXISTS (SELECT FROM users WHERE id = $1 AND status <> 'CLOSED')",
        user_id,
        tame(person.username, _USERNAME_MAX),
        _name(person),
    )
    await tx.execute(
        "UPDATE users SET avatar_url = $2, email = coalesce($3, email),"
        " email_verified = email_verified OR $3 IS NOT NULL, last_seen_at = $4"
        " WHERE id = $1 AND status <> 'CLOSED'",
        user_id,
        person.avatar_url,
        _email(person),
        now,
    )


def _name(person: DiscordPerson) -> str:
    return tame(person.global_name or person.username, _NAME_MAX) or person.discord_id


def _email(person: DiscordPerson) -> str | None:
    return person.email if person.email and len(person.email) <= _EMAIL_MAX else None
