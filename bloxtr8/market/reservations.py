"""A listing and the trade it is reserved for: how the end of the trade ends the reservation."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from bloxtr8.market import facts, listing_rows, notices
from bloxtr8.market.listing_rows import COLUMNS, Row
from bloxtr8.market.place import Change, on_listing
from bloxtr8.store.database import Transaction
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowEvent
from proto.bloxtr8.market.v1 import market_pb2 as market

Outcome = Literal["RELEASED", "SPLIT", "REFUNDED", "CANCELLED", "VOID"]

_CONSUMER = "listings"
# What ends a trade, by the field of the event that says so.
_OUTCOMES: dict[str, Outcome] = {
    "escrow_released": "RELEASED",
    "escrow_split": "SPLIT",
    "escrow_refunded": "REFUNDED",
    "escrow_cancelled": "CANCELLED",
}


@dataclass(frozen=True, slots=True)
class Ended:
    """What a trade came to. `hold`: why the listing may not be ACTIVE again, if it may not."""

    contract_id: UUID
    outcome: Outcome
    hold: Literal["OWNERSHIP", "POST_DISPUTE"] | None = None


def outcome_of(event: EscrowEvent) -> Outcome | None:
    """Return what the event says the trade came to, None when it goes on."""
    return _OUTCOMES.get(event.WhichOneof("body") or "")


async def apply(change: Change, event: EscrowEvent) -> Row | None:
    """Apply an escrow's end to its listing, once; return the listing if it has changed.

    Repeated, late and unrelated events change nothing.
    """
    outcome = outcome_of(event)
    if outcome is None:
        return None
    new = await change.tx.execute(
        "INSERT INTO inbox_messages (consumer, message_id, result, processed_at)"
        " VALUES ($1, $2, $3, $4) ON CONFLICT (consumer, message_id) DO NOTHING",
        _CONSUMER,
        UUID(event.metadata.message_id),
        outcome,
        change.now,
    )
    if not new:
        return None
    contract_id = await change.tx.fetchval(
        "SELECT id FROM contracts WHERE escrow_id = $1", UUID(event.escrow_id)
    )
    if contract_id is None:
        return None
    hold: Literal["POST_DISPUTE"] | None = "POST_DISPUTE" if outcome == "SPLIT" else None
    return await end(change, Ended(contract_id, outcome, hold))


async def end(change: Change, ended: Ended) -> Row | None:
    """End the reservation for a contract; None when no listing is reserved for it.

    Its offer is active no more. RELEASED sells the listing; otherwise it is for sale again
    unless it is held or its seller is not ACTIVE. Locks seller, then listing, then offer.
    """
    row = await _reserved(change.tx, ended.contract_id)
    if row is None:
        return None
    await change.tx.execute(
        "UPDATE offers SET active = false, updated_at = $2"
        " WHERE id = (SELECT offer_id FROM contracts WHERE id = $1)",
        ended.contract_id,
        change.now,
    )
    if ended.outcome == "RELEASED":
        return await _sell(change, row, ended)
    return await _free(change, row, ended)


async def _reserved(tx: Transaction, contract_id: UUID) -> Row | None:
    seller_id = await tx.fetchval("SELECT seller_id FROM contracts WHERE id = $1", contract_id)
    status = await tx.fetchval("SELECT status FROM users WHERE id = $1 FOR SHARE", seller_id)
    row = await tx.fetchrow(
        f"SELECT {COLUMNS} FROM listings"  # noqa: S608
        " WHERE reserved_contract_id = $1 AND status = 'RESERVED' FOR UPDATE",
        contract_id,
    )
    return None if row is None else row | {"seller_status": status}


async def _sell(change: Change, row: Row, ended: Ended) -> Row:
    after = await listing_rows.put(
        change,
        row["id"],
        {"status": "SOLD", "reserved_contract_id": None, "sold_at": change.now},
    )
    await change.audit(
        "listing.sold", on_listing(row["id"]), data={"contract_id": str(ended.contract_id)}
    )
    sold = market.ListingSold(listing=facts.listing(after), contract_id=str(ended.contract_id))
    event_id = await change.say(row["id"], sold)
    readers = await listing_rows.interested(change.tx, row["id"]) - {row["seller_id"]}
    notice = notices.Notice("listing_sold", "NEWS", f"listing:{row['id']}")
    await notices.tell(change.tx, event_id, notice, readers, change.now)
    return after


async def _free(change: Change, row: Row, ended: Ended) -> Row:
    active = ended.hold is None and row["seller_status"] == "ACTIVE"
    values = {
        "status": "ACTIVE" if active else "INACTIVE",
        "hold_reason": ended.hold,
        "reserved_contract_id": None,
        # Roblox is asked again soon: the experience may have changed hands.
        "check_due_at": change.now,
    }
    after = await listing_rows.put(change, row["id"], values)
    await change.audit(
        "listing.relisted" if active else "listing.held",
        on_listing(row["id"]),
        data={"outcome": ended.outcome, "hold": ended.hold},
    )
    await change.say(row["id"], facts.updated(after, contract_id=ended.contract_id))
    return after
