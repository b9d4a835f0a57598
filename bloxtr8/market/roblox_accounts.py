"""The Roblox account of a user: linked once, unlinked with nothing open, waits between."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.config import PolicySettings
from bloxtr8.errors import (
    Bloxtr8Error,
    InvalidState,
    NotFound,
    RobloxAlreadyLinked,
    RobloxLinkedElsewhere,
    UnlinkBlocked,
    WaitRequired,
)
from bloxtr8.market import audit, standing, tiers
from bloxtr8.market.actors import Actor
from bloxtr8.market.audit import Deed
from bloxtr8.market.commitments import open_commitments
from bloxtr8.market.events import Events
from bloxtr8.market.standing import Lock, Tier
from bloxtr8.roblox.openid import RobloxPerson
from bloxtr8.store.database import Transaction
from bloxtr8.text import tame
from proto.bloxtr8.market.v1 import market_pb2 as market

ANOTHER_ACCOUNT_AFTER = timedelta(days=7)
ANOTHER_USER_AFTER = timedelta(days=30)
_USERNAME_MAX = 64
_DISPLAY_NAME_MAX = 80


@dataclass(frozen=True, slots=True)
class Tools:
    """What changing accounts takes besides the transaction."""

    policy: PolicySettings
    events: Events


async def require_linkable(tx: Transaction, user_id: UUID, tools: Tools, now: datetime) -> None:
    """Raises what would refuse any account now: AccountFrozen, Forbidden, RobloxAlreadyLinked.

    Which waits apply is known only with the account.
    """
    found = await standing.read(tx, user_id, tools.policy, now)
    found.require_active()
    if found.roblox_user_id is not None:
        raise RobloxAlreadyLinked


async def link(
    tx: Transaction, actor: Actor, person: RobloxPerson, tools: Tools, now: datetime
) -> Bloxtr8Error | None:
    """Link `person`'s account to the actor; the same again changes nothing.

    Returns what stands against it, so that the refusal's audit row is committed:
    RobloxAlreadyLinked, RobloxLinkedElsewhere or WaitRequired. Raises AccountFrozen, Forbidden.
    """
    found = await standing.read(tx, actor.id, tools.policy, now, Lock.UPDATE)
    found.require_active()
    if found.roblox_user_id == person.roblox_id:
        return None
    refusal = await _refusal(tx, actor.id, found.roblox_user_id, person.roblox_id, now)
    account_id = ids.uuid7()
    if refusal is None and not await _insert(tx, actor, account_id, person, now):
        refusal = RobloxLinkedElsewhere()
    if refusal is not None:
        deed = Deed("roblox.link_refused", audit.on_user(actor.id), data={"code": refusal.code})
        await audit.record(tx, actor, deed, now)
        return refusal
    deed = Deed("roblox.linked", audit.on_user(actor.id), data={"account_id": str(account_id)})
    await audit.record(tx, actor, deed, now)
    linked = market.AccountLinked(
        provider=market.ACCOUNT_PROVIDER_ROBLOX, account_id=str(account_id)
    )
    await tools.events.say(tx, actor, actor.id, linked, now)
    if found.tier is Tier.TIER_0:
        change = (Tier.TIER_0, Tier.TIER_1)
        await tiers.change(tx, actor, actor.id, change, tools.events, now)
    return None


async def unlink(tx: Transaction, actor: Actor, tools: Tools, now: datetime) -> None:
    """Take the actor's Roblox account off; raises NotFound, UnlinkBlocked, AccountFrozen."""
    found = await standing.read(tx, actor.id, tools.policy, now, Lock.UPDATE)
    found.require_active()
    if found.roblox_user_id is None:
        raise NotFound("No Roblox account is linked.")
    blockers = await open_commitments(tx, actor.id, now)
    if blockers:
        raise UnlinkBlocked(blockers=[blocker.to_json() for blocker in blockers])
    await take_off(tx, actor, actor.id, "own_request", tools.events, now)


async def take_off(
    tx: Transaction, actor: Actor, user_id: UUID, why: str, events: Events, now: datetime
) -> None:
    """Unlink whatever is linked, with tier and verifications; the user's row is locked."""
    account_id = await tx.fetchval(
        "UPDATE accounts SET unlinked_at = $2, unlink_reason = $3 WHERE user_id = $1"
        " AND provider = 'ROBLOX' AND unlinked_at IS NULL RETURNING id",
        user_id,
        now,
        why,
    )
    if account_id is None:
        return
    await tx.execute("DELETE FROM asset_verifications WHERE user_id = $1", user_id)
    data = {"account_id": str(account_id), "why": why}
    await audit.record(tx, actor, Deed("roblox.unlinked", audit.on_user(user_id), data=data), now)
    unlinked = market.AccountUnlinked(
        provider=market.ACCOUNT_PROVIDER_ROBLOX, account_id=str(account_id)
    )
    await events.say(tx, actor, user_id, unlinked, now)
    tier = Tier[await tx.fetchval("SELECT tier FROM users WHERE id = $1", user_id)]
    if tier is not Tier.TIER_0:
        await tiers.change(tx, actor, user_id, (tier, Tier.TIER_0), events, now)


async def waive_waits(
    tx: Transaction, actor: Actor, user_id: UUID, reason: str, now: datetime
) -> None:
    """Staff end the waits that follow from accounts this user has unlinked.

    Raises InvalidState when there are none.
    """
    waived = await tx.execute(
        "UPDATE accounts SET wait_waived_at = $2 WHERE user_id = $1 AND provider = 'ROBLOX'"
        " AND unlinked_at > $3 AND wait_waived_at IS NULL",
        user_id,
        now,
        now - max(ANOTHER_ACCOUNT_AFTER, ANOTHER_USER_AFTER),
    )
    if not waived:
        raise InvalidState("Nothing makes this user wait.")
    await audit.record(tx, actor, Deed("roblox.wait_waived", audit.on_user(user_id), reason), now)


async def _refusal(
    tx: Transaction, user_id: UUID, linked: int | None, roblox_id: int, now: datetime
) -> Bloxtr8Error | None:
    if linked is not None:
        return RobloxAlreadyLinked()
    latest = await tx.fetchrow(
        "SELECT max(unlinked_at) FILTER (WHERE user_id = $1 AND external_id <> $2) AS own,"
        " max(unlinked_at) FILTER (WHERE user_id <> $1 AND external_id = $2) AS others"
        " FROM accounts WHERE provider = 'ROBLOX' AND unlinked_at IS NOT NULL"
        " AND wait_waived_at IS NULL AND (user_id = $1 OR external_id = $2)",
        user_id,
        str(roblox_id),
    )
    assert latest is not None, "an aggregate has a row"
    waits = [
        released + wait
        for released, wait in (
            (latest["own"], ANOTHER_ACCOUNT_AFTER),
            (latest["others"], ANOTHER_USER_AFTER),
        )
        if released is not None
    ]
    until = max(waits, default=now)
    if until <= now:
        return None
    seconds = int((until - now).total_seconds()) + 1
    return WaitRequired(retry_after_s=seconds)


async def _insert(
    tx: Transaction, actor: Actor, account_id: UUID, person: RobloxPerson, now: datetime
) -> bool:
    """Insert the account; false when another user holds it."""
    row: dict[str, Any] | None = await tx.fetchrow(
        "INSERT INTO accounts (id, user_id, provider, external_id, username, display_name,"
        " provider_created_at, linked_at, created_at)"
        " VALUES ($1, $2, 'ROBLOX', $3, $4, $5, $6, $7, $7)"
        " ON CONFLICT (provider, external_id) WHERE unlinked_at IS NULL DO NOTHING RETURNING id",
        account_id,
        actor.id,
        str(person.roblox_id),
        tame(person.username, _USERNAME_MAX),
        tame(person.display_name, _DISPLAY_NAME_MAX) if person.display_name else None,
        person.created_at,
        now,
    )
    return row is not None
