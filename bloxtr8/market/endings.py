"""The ends of a listing and what they mean for the offers that are open on it."""

from collections.abc import Sequence
from uuid import UUID

from bloxtr8.errors import InvalidState
from bloxtr8.market import facts, listing_rows, notices, offer_rows
from bloxtr8.market.listing_rows import Row
from bloxtr8.market.place import Change, on_listing, on_offer
from proto.bloxtr8.market.v1 import market_pb2 as market

_SET_EXPIRED = (
    "UPDATE offers SET status = 'EXPIRED', responded_at = $1, version = version + 1,"
    " updated_at = $1"
)


async def cancel(change: Change, row: Row, *, why: str = "") -> Row:
    """End a listing that the transaction holds; raises InvalidState when that is not possible."""
    if row["status"] not in ("ACTIVE", "INACTIVE"):
        raise InvalidState(current_status=row["status"])
    readers = await listing_rows.interested(change.tx, row["id"])
    after = await listing_rows.put(
        change,
        row["id"],
        {"status": "CANCELLED", "hold_reason": None, "cancelled_at": change.now},
    )
    await decline_open(change, row["id"], "LISTING_CLOSED")
    await change.audit("listing.cancelled", on_listing(row["id"]), reason=why)
    event_id = await change.say(row["id"], market.ListingCancelled(listing=facts.listing(after)))
    notice = notices.Notice("listing_gone", "NEWS", f"listing:{row['id']}")
    await notices.tell(change.tx, event_id, notice, readers, change.now)
    return after


async def decline_open(
    change: Change, listing_id: UUID, reason: str, *, but: UUID | None = None
) -> list[Row]:
    """Decline the open offers on a listing that the transaction holds, all or all `but` one.

    What is past its time expires instead.
    """
    await _expire_where(change, "listing_id = $2", listing_id)
    rows = await change.tx.fetch(
        "UPDATE offers SET status = 'DECLINED', decline_reason = $3, responded_at = $1,"  # noqa: S608
        " version = version + 1, updated_at = $1 WHERE listing_id = $2 AND status = 'PENDING'"
        f" AND id IS DISTINCT FROM $4 RETURNING {offer_rows.COLUMNS}",
        change.now,
        listing_id,
        reason,
        but,
    )
    await declined(change, rows)
    return rows


async def declined(change: Change, rows: Sequence[Row]) -> None:
    """Keep, say and tell that offers were declined by the system."""
    for row in rows:
        reason = row["decline_reason"]
        await change.audit("offer.declined", on_offer(row["id"]), data={"reason": reason})
        event_id = await change.say(row["listing_id"], facts.declined(row))
        notice = notices.Notice(
            "offer_declined", "OFFERS", f"offer:{row['id']}", {"reason": reason}
        )
        await notices.tell(change.tx, event_id, notice, [_proposer(row)], change.now)


async def expire_of_buyer(change: Change, listing_id: UUID, buyer_id: UUID) -> None:
    """Expire the buyer's offer on a listing if its time is over, so that another may follow."""
    await _expire_where(change, "listing_id = $2 AND buyer_id = $3", listing_id, buyer_id)


async def expire_due(change: Change, limit: int) -> int:
    """Expire offers whose time is over, at most `limit`, leaving those others work on."""
    due = (
        "id IN (SELECT id FROM offers WHERE status = 'PENDING' AND expires_at <= $1"
        " ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)"
    )
    return await _expire_where(change, due, limit)


async def _expire_where(change: Change, condition: str, *args: object) -> int:
    """Expire, keep, say and tell; `condition` has its arguments from $2 on."""
    rows = await change.tx.fetch(
        f"{_SET_EXPIRED} WHERE {condition} AND status = 'PENDING' AND expires_at <= $1"
        f" RETURNING {offer_rows.COLUMNS}",
        change.now,
        *args,
    )
    for row in rows:
        await change.audit("offer.expired", on_offer(row["id"]))
        event_id = await change.say(row["listing_id"], market.OfferExpired(offer=facts.offer(row)))
        notice = notices.Notice("offer_expired", "OFFERS", f"offer:{row['id']}")
        readers = [row["buyer_id"], row["seller_id"]]
        await notices.tell(change.tx, event_id, notice, readers, change.now)
    return len(rows)


def _proposer(row: Row) -> UUID:
    found: UUID = row["buyer_id"] if row["proposed_by"] == "BUYER" else row["seller_id"]
    return found
