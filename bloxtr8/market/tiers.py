"""Tiers: raised by linking, granted by staff with a reason, lowered when their ground is gone."""

from datetime import datetime, timedelta
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.clock import rfc3339
from bloxtr8.errors import InvalidState, NotFound
from bloxtr8.market import audit, notices
from bloxtr8.market.actors import Actor
from bloxtr8.market.audit import Deed
from bloxtr8.market.events import Events
from bloxtr8.market.notices import Notice
from bloxtr8.market.standing import Tier
from bloxtr8.messaging.metadata import timestamp
from bloxtr8.store.database import Transaction
from proto.bloxtr8.market.v1 import market_pb2 as market

TIER_2_VALID = timedelta(days=730)
REMINDED_BEFORE = timedelta(days=30)
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
    data = {"before": before.name, "after": Tier.TIER_2.name}
    deed = Deed("tier.granted", audit.on_user(user_id), reason, data)
    await audit.record(tx, actor, deed, now)


async def revoke_verified(
    tx: Transaction, actor: Actor, user_id: UUID, reason: str, events: Events, now: datetime
) -> None:
    """Staff take TIER_2 away; raises NotFound and InvalidState (there is none)."""
    before = await _locked(tx, user_id)
    if before is not Tier.TIER_2:
        raise InvalidState("The account is not at TIER_2.", current_status=before.name)
    await change(tx, actor, user_id, (before, Tier.TIER_1), events, now)
    data = {"before": before.name, "after": Tier.TIER_1.name}
    deed = Deed("tier.revoked", audit.on_user(user_id), reason, data)
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


async def end_due(tx: Transaction, events: Events, now: datetime, limit: int) -> int:
    """Take TIER_2 from those whose 24 months are over, at most `limit`; return how many."""
    actor = Actor.system()
    rows = await tx.fetch(
        "SELECT id FROM users WHERE tier = 'TIER_2' AND tier2_until <= $1"
        " ORDER BY tier2_until, id LIMIT $2 FOR UPDATE SKIP LOCKED",
        now,
        limit,
    )
    for row in rows:
        await change(tx, actor, row["id"], (Tier.TIER_2, Tier.TIER_1), events, now)
        await audit.record(tx, actor, Deed("tier.ended", audit.on_user(row["id"])), now)
    return len(rows)


async def remind_due(tx: Transaction, now: datetime, limit: int) -> int:
    """Tell those whose TIER_2 ends within 30 days, once, at most `limit`; return how many."""
    rows = await tx.fetch(
        "SELECT id, tier2_until FROM users u WHERE tier = 'TIER_2'"
        " AND tier2_until > $1 AND tier2_until <= $2 AND NOT EXISTS ("
        "  SELECT FROM notification_deliveries d WHERE d.user_id = u.id"
        "  AND d.template = 'tier_ending' AND d.created_at > $3)"
        " ORDER BY tier2_until, id LIMIT $4 FOR UPDATE SKIP LOCKED",
        now,
        now + REMINDED_BEFORE,
        now - 2 * REMINDED_BEFORE,
        limit,
    )
    for row in rows:
        until = rfc3339(row["tier2_until"])
        event_id = ids.derived("tier_ending", str(row["id"]), until)
        notice = Notice("tier_ending", "ACCOUNT", f"user:{row['id']}", {"until": until})
        await notices.tell(tx, event_id, notice, [row["id"]], now)
    return len(rows)


async def _locked(tx: Transaction, user_id: UUID) -> Tier:
    name = await tx.fetchval("SELECT tier FROM users WHERE id = $1 FOR UPDATE", user_id)
    if name is None:
        raise NotFound
    return Tier[name]
