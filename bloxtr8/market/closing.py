"""Closing an account: nothing open, then everything personal is erased and ids stay."""

from datetime import datetime
from typing import Any

from bloxtr8.config import PolicySettings
from bloxtr8.errors import CloseBlocked
from bloxtr8.market import audit, links, roblox_accounts, sessions, standing
from bloxtr8.market.actors import Actor
from bloxtr8.market.audit import Deed
from bloxtr8.market.commitments import open_commitments
from bloxtr8.market.events import Events
from bloxtr8.market.standing import Lock
from bloxtr8.store.database import Transaction
from proto.bloxtr8.market.v1 import market_pb2 as market

CLOSED_NAME = "Closed account"


async def close(
    tx: Transaction, actor: Actor, policy: PolicySettings, events: Events, now: datetime
) -> None:
    """Close the actor's own account; raises CloseBlocked, AccountFrozen."""
    found = await standing.read(tx, actor.id, policy, now, Lock.UPDATE)
    found.require_active()
    blockers = await _blockers(tx, actor, now)
    if blockers:
        raise CloseBlocked(blockers=blockers)
    await roblox_accounts.take_off(tx, actor, actor.id, "closed", events, now)
    await links.end_all(tx, actor.id, now)
    await sessions.revoke_all(tx, actor, actor.id, "closed", now)
    await _erase(tx, actor, now)
    await audit.record(tx, actor, Deed("user.closed", audit.on_user(actor.id)), now)
    await events.say(tx, actor, actor.id, market.UserClosed(), now)


async def _blockers(tx: Transaction, actor: Actor, now: datetime) -> list[dict[str, Any]]:
    blockers = [item.to_json() for item in await open_commitments(tx, actor.id, now)]
    is_staff = await tx.fetchval(
        "SELECT 1 FROM staff_members WHERE user_id = $1 AND revoked_at IS NULL", actor.id
    )
    if is_staff is not None:
        blockers.append({"kind": "STAFF", "id": str(actor.id), "ref": None})
    return blockers


async def _erase(tx: Transaction, actor: Actor, now: datetime) -> None:
    await tx.execute(
        "UPDATE users SET status = 'CLOSED', display_name = $2, avatar_url = NULL, email = NULL,"
        " email_verified = false, closed_at = $3, version = version + 1, updated_at = $3"
        " WHERE id = $1",
        actor.id,
        CLOSED_NAME,
        now,
    )
    # Discord's id stays: it is what keeps the account closed.
    await tx.execute(
        "UPDATE accounts SET username = '', display_name = NULL WHERE user_id = $1", actor.id
    )
    await tx.execute(
        "UPDATE sessions SET ip = NULL, user_agent = NULL WHERE user_id = $1", actor.id
    )
    await tx.execute(
        "UPDATE payout_methods SET status = 'DISABLED', is_default = false, proof = NULL,"
        " disabled_at = coalesce(disabled_at, $2), updated_at = $2,"
        " external_ref = CASE kind WHEN 'BASE_WALLET' THEN 'erased' ELSE external_ref END"
        " WHERE user_id = $1",
        actor.id,
        now,
    )
