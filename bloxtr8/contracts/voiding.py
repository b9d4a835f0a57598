"""The end of a contract that does not become a trade: its listing is free again."""

from typing import Literal
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.contracts import messages
from bloxtr8.contracts.rows import COLUMNS, Row, of_party, on_contract
from bloxtr8.errors import ConflictOfInterest, InvalidState, NotFound
from bloxtr8.market import notices, reservations
from bloxtr8.market.place import Change
from bloxtr8.market.reservations import Ended
from bloxtr8.store import staff_tasks
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowEvent

Reason = Literal[
    "EXPIRED",
    "DECLINED_BY_BUYER",
    "DECLINED_BY_SELLER",
    "OWNERSHIP_LOST",
    "PARTY_FROZEN",
    "STAFF",
]
RENDER_TASK = "RENDER_FAILED"


async def decline(change: Change, contract_id: UUID, reason: str) -> Row:
    """Call a contract off as one of its parties; raises NotFound and InvalidState."""
    _, side = await of_party(change.tx, contract_id, change.actor.id)
    why: Reason = "DECLINED_BY_BUYER" if side == "BUYER" else "DECLINED_BY_SELLER"
    return await _ended(change, contract_id, await _void(change, contract_id, why, reason))


async def by_staff(change: Change, contract_id: UUID, reason: str) -> Row:
    """End an unsigned contract as staff; raises NotFound, ConflictOfInterest, InvalidState."""
    row = await change.tx.fetchrow(
        "SELECT buyer_id, seller_id FROM contracts WHERE id = $1", contract_id
    )
    if row is None:
        raise NotFound
    if change.actor.id in (row["buyer_id"], row["seller_id"]):
        raise ConflictOfInterest
    return await _ended(change, contract_id, await _void(change, contract_id, "STAFF", reason))


async def for_lost_ownership(change: Change, contract_id: UUID) -> Row | None:
    """End a contract whose seller is the owner no more; None when it has ended already."""
    return await _void(change, contract_id, "OWNERSHIP_LOST")


async def expire(change: Change, contract_id: UUID) -> Row | None:
    """End a contract whose time to sign is over; None when it is not."""
    return await _void(change, contract_id, "EXPIRED")


async def freeze(change: Change, user_id: UUID) -> None:
    """End the unsigned contracts of a person who was frozen and whose row the caller holds."""
    rows = await change.tx.fetch(
        "SELECT id FROM contracts WHERE status = 'PENDING_SIGNATURE'"
        " AND $1 IN (buyer_id, seller_id) ORDER BY id",
        user_id,
    )
    for row in rows:
        await _void(change, row["id"], "PARTY_FROZEN")


def is_refused_beginning(event: EscrowEvent) -> bool:
    """Tell whether something was refused to an escrow that does not exist."""
    return event.WhichOneof("body") == "escrow_command_rejected" and event.sequence == 0


async def for_refused_escrow(change: Change, event: EscrowEvent) -> Row | None:
    """End the contract in force whose escrow was refused; None when `event` says nothing such.

    A party was frozen between the second signature and the beginning of the trade: nothing was
    paid yet, and without an escrow nothing else would ever end the contract.
    """
    if not is_refused_beginning(event):
        return None
    contract_id: UUID | None = await change.tx.fetchval(
        "SELECT c.id FROM contracts c WHERE c.escrow_id = $1 AND c.status = 'EXECUTED'"
        " AND NOT EXISTS (SELECT 1 FROM escrows e WHERE e.id = c.escrow_id)",
        UUID(event.escrow_id),
    )
    refused = event.escrow_command_rejected
    if contract_id is None or refused.command_id != ids.creation_id_for(str(contract_id)):
        return None
    return await _void(change, contract_id, "PARTY_FROZEN", refused.message, status="EXECUTED")


async def _ended(change: Change, contract_id: UUID, row: Row | None) -> Row:
    """Raises InvalidState when the contract was not waiting for signatures."""
    if row is None:
        status = await change.tx.fetchval("SELECT status FROM contracts WHERE id = $1", contract_id)
        raise InvalidState("The contract does not wait for signatures.", current_status=status)
    return row


async def _void(
    change: Change,
    contract_id: UUID,
    reason: Reason,
    note: str = "",
    *,
    status: Literal["PENDING_SIGNATURE", "EXECUTED"] = "PENDING_SIGNATURE",
) -> Row | None:
    """End the contract and its reservation; None, having changed nothing, out of `status`.

    Locks seller, listing, contract.
    """
    row = await _take(change, contract_id, reason, note, status)
    if row is None:
        return None
    await change.tx.execute(
        "UPDATE one_time_tokens SET consumed_at = $2 WHERE subject_id = $1"
        " AND purpose = 'SIGN_CONTRACT' AND consumed_at IS NULL",
        contract_id,
        change.now,
    )
    hold: Literal["OWNERSHIP"] | None = "OWNERSHIP" if reason == "OWNERSHIP_LOST" else None
    await reservations.end(change, Ended(contract_id, "VOID", hold))
    await change.audit(
        "contract.voided", on_contract(contract_id), reason=note, data={"reason": reason}
    )
    await staff_tasks.close(change.tx, [(RENDER_TASK, str(contract_id))], "VOID", change.now)
    event_id = await messages.say(change, row, messages.voided(row))
    notice = notices.Notice(
        "contract_voided", "CONTRACTS", f"contract:{contract_id}", {"reason": reason}
    )
    await notices.tell(change.tx, event_id, notice, [row["buyer_id"], row["seller_id"]], change.now)
    return row


async def _take(
    change: Change, contract_id: UUID, reason: Reason, note: str, status: str
) -> Row | None:
    await change.tx.execute(
        "SELECT 1 FROM users WHERE id = (SELECT seller_id FROM contracts WHERE id = $1) FOR SHARE",
        contract_id,
    )
    await change.tx.execute(
        "SELECT 1 FROM listings WHERE reserved_contract_id = $1 FOR UPDATE", contract_id
    )
    return await change.tx.fetchrow(
        "UPDATE contracts SET status = 'VOID', void_reason = $2, void_note = $3, void_by = $4,"  # noqa: S608
        " voided_at = $5, render_due_at = NULL, version = version + 1, updated_at = $5"
        " WHERE id = $1 AND status = $6"
        " AND ($2 <> 'EXPIRED' OR sign_deadline_at <= $5)"
        f" RETURNING {COLUMNS}",
        contract_id,
        reason,
        note or None,
        change.actor.user_id,
        change.now,
        status,
    )
