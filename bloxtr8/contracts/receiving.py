"""The Roblox group that a buyer wants the game in: named once the money is held.

Roblox hands a person's game to groups only, so the seller has to know which one. It counts if
Roblox shows the buyer as its owner; the group that has the game already, handed over whole,
is one of those then.
"""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from bloxtr8.contracts import messages, rows
from bloxtr8.contracts.rows import Row
from bloxtr8.disputes import sides
from bloxtr8.errors import NotFound, NotOwner, TierRequired, UpstreamUnavailable
from bloxtr8.market import audit, notices, remarks, standing
from bloxtr8.market.audit import Deed
from bloxtr8.market.experiences import Experiences
from bloxtr8.market.notices import Notice
from bloxtr8.market.place import Change
from bloxtr8.market.remarks import Remark
from bloxtr8.market.standing import Lock
from bloxtr8.roblox.api import Group
from bloxtr8.roblox.client import ACTION_S
from bloxtr8.store import database
from bloxtr8.store.database import to_json
from proto.bloxtr8.contracts.v1 import contracts_pb2 as contracts

STATES = ("FUNDS_HELD", "DELIVERED")


@dataclass(frozen=True, slots=True)
class Sight:
    """A group of the buyer's, as Roblox shows it.

    `buyer_id`, `seller_id`: linked Roblox accounts. `seller_is_member`: whether the seller may
    publish there; None when Roblox does not say.
    """

    group: Group
    buyer_id: int
    buyer_name: str
    seller_id: int | None
    seller_is_member: bool | None


async def look(experiences: Experiences, escrow_id: UUID, group_id: int) -> Sight:
    """Ask Roblox about a group for a trade; outside any transaction.

    Raises NotOwner when somebody else than the buyer owns it, NotFound when there is none,
    UpstreamUnavailable, and TierRequired when the buyer has no linked account.
    """
    linked = await database.fetch(
        "SELECT a.external_id, a.username, a.user_id = c.buyer_id AS buyer FROM contracts c"
        " JOIN accounts a ON a.user_id IN (c.buyer_id, c.seller_id)"
        " AND a.provider = 'ROBLOX' AND a.unlinked_at IS NULL WHERE c.escrow_id = $1",
        escrow_id,
    )
    buyer = next((row for row in linked if row["buyer"]), None)
    seller = next((row for row in linked if not row["buyer"]), None)
    if buyer is None:
        raise TierRequired("Link your Roblox account first.", required_tier="TIER_1")
    buyer_id = int(buyer["external_id"])
    seller_id = int(seller["external_id"]) if seller else None
    try:
        async with asyncio.timeout(ACTION_S):
            group = await experiences.group(group_id)
            if group.owner_id != buyer_id:
                raise NotOwner("Roblox does not show you as the owner of that group.")
            member = await experiences.is_member(group_id, seller_id) if seller_id else None
    except TimeoutError:
        raise UpstreamUnavailable(retry_after_s=30) from None
    return Sight(group, buyer_id, buyer["username"], seller_id, member)


async def name(change: Change, escrow_id: UUID, sight: Sight) -> Row:
    """Keep the group as the one that the buyer wants the game in; return the contract.

    The seller is told when it is another one than before. Raises NotFound, InvalidState, and
    NotOwner when the buyer has linked another account meanwhile.
    """
    now, actor = change.now, change.actor
    buyer = await standing.read(change.tx, actor.id, change.place.policy, now, Lock.SHARE)
    if buyer.roblox_user_id != sight.buyer_id:
        raise NotOwner
    before = await _locked(change, escrow_id)
    trade = await sides.lock(change.tx, actor, escrow_id)
    trade.require_state(*STATES)
    row = await _kept(change, before, sight)
    data = {"group_id": str(sight.group.id), "seller_is_member": sight.seller_is_member}
    deed = Deed(
        "contract.receiving_group_set",
        rows.on_contract(row["id"]),
        data=data,
        escrow_id=escrow_id,
    )
    await audit.record(change.tx, actor, deed, now)
    if before["receiving_group_id"] != sight.group.id:
        await _tell(change, row, sight)
    return row


async def _locked(change: Change, escrow_id: UUID) -> Row:
    contract_id = await change.tx.fetchval(
        "SELECT id FROM contracts WHERE escrow_id = $1 AND buyer_id = $2",
        escrow_id,
        change.actor.id,
    )
    if contract_id is None:
        raise NotFound
    return await rows.locked(change.tx, contract_id)


async def _kept(change: Change, before: Row, sight: Sight) -> Row:
    seen = {
        "name": sight.group.name,
        "locked": sight.group.locked,
        "owner_id": str(sight.buyer_id),
        "owner_name": sight.buyer_name,
        "seller_is_member": sight.seller_is_member,
    }
    row = await change.tx.fetchrow(
        "UPDATE contracts SET receiving_group_id = $2, receiving_group = $3,"  # noqa: S608
        " receiving_group_at = $4, version = version + 1, updated_at = $4 WHERE id = $1"
        f" RETURNING {rows.COLUMNS}",
        before["id"],
        sight.group.id,
        to_json(seen),
        change.now,
    )
    assert row is not None, "the contract is locked"
    return row


async def _tell(change: Change, row: Row, sight: Sight) -> None:
    """Say it on the topic, in the timeline and to the seller."""
    escrow_id = row["escrow_id"]
    body = contracts.ReceivingGroupSet(
        escrow_id=str(escrow_id),
        buyer_id=str(row["buyer_id"]),
        seller_id=str(row["seller_id"]),
    )
    event_id = await messages.say(change, row, body, str(row["version"]))
    group = {"group_id": str(sight.group.id), "seller_is_member": sight.seller_is_member}
    remark = Remark("RECEIVING_GROUP_SET", "BUYER", group)
    await remarks.add(change.tx, escrow_id, remark, change.now)
    notice = Notice(
        "receiving_group_set",
        "ESCROW",
        f"escrow:{escrow_id}",
        {"seller_is_member": sight.seller_is_member},
    )
    await notices.tell(change.tx, event_id, notice, [row["seller_id"]], change.now)
