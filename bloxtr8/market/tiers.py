"""Tiers: raised by linking, granted by staff with a reason, lowered when their ground is gone."""

from datetime import datetime, timedelta
from uuid import UUID

from bloxtr8.errors import InvalidState, NotFound
from bloxtr8.market import audit
from bloxtr8.market.actors import Actor
from bloxtr8.market.audit import Deed
from bloxtr8.market.events import Events
from bloxtr8.market.standing import Tier
from bloxtr8.messaging.metadata import timestamp
from bloxtr8.store.database import Transaction
from proto.bloxtr8.market.v1 import market_pb2 as market

TIER_2_VALID = timedelta(days=730)
_NAMES = {
    Tier.TIER_0: market.TIER_ZERO,
    Tier.TIER_1: market.TIER_ONE,
    Tier.TIER_2: market.TIER_TWO,
}


async def grant_verified(
    tx: Transaction, actor: Actor, user_id: UUID, reason: str, events: Events, now: datetime
) -> None:
    """Staff grant TIER_2 for 24 months; raises NotFound and InvalidState (nothing linked)."""
    before = await _locked(tx, user_id)
    if before is Tier.TIER_0:
        raise InvalidState("A Roblox account has to be linked first.", current_status=before.name)
    await change(tx, actor, user_id, (before, Tier.TIER_2), events, now)
    deed = Deed("tier.granted", audit.on_user(user_id), reason)
    await audit.record(tx, actor, deed, now)


async def revoke_verified(
    tx: Transaction, actor: Actor, user_id: UUID, reason: str, events: Events, now: datetime
) -> None:
    """Staff take TIER_2 away; raises NotFound and InvalidState (there is none)."""
    before = await _locked(tx, user_id)
    if before is not Tier.TIER_2:
        raise InvalidState("The account is not at TIER_2.", current_status=before.name)
    await change(tx, actor, user_id, (before, Tier.TIER_1), events, now)
    deed = Deed("tier.revoked", audit.on_user(user_id), reason)
    await audit.record(tx, actor, deed, now)


async def change(
    tx: Transaction,
    actor: Actor,
    user_id: UUID,
    tiers: tuple[Tier, Tier],
    events: Events,
    now: datetime,
) -> None:
    """Write the new of `tiers` (before, after) and say so; the user's row is locked."""
    before, after = tiers
    until = now + TIER_2_VALID if after is Tier.TIER_2 else None
    await tx.execute(
        "UPDATE users SET tier = $2, tier2_until = $3, version = version + 1, updated_at = $4"
        " WHERE id = $1",
        user_id,
        after.name,
        until,
        now,
    )
    event = market.TierChanged(before=_NAMES[before], after=_NAMES[after])
    if until is not None:
        event.until.CopyFrom(timestamp(until))
    await events.say(tx, actor, user_id, event, now)


async def _locked(tx: Transaction, user_id: UUID) -> Tier:
    name = await tx.fetchval("SELECT tier FROM users WHERE id = $1 FOR UPDATE", user_id)
    if name is None:
        raise NotFound
    return Tier[name]
