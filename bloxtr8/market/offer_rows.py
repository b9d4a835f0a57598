"""Offers in the database: what is read of them, and why an answer came too late."""

from datetime import datetime
from typing import Any
from uuid import UUID

from bloxtr8.errors import (
    Bloxtr8Error,
    ListingNotActive,
    NotFound,
    NotYourTurn,
    OfferExpired,
    OfferNotOpen,
    VersionMismatch,
)
from bloxtr8.market.place import Change
from bloxtr8.market.rules import Side
from bloxtr8.store.database import Transaction

Row = dict[str, Any]

_NAMES = (
    "id",
    "ref",
    "version",
    "listing_id",
    "buyer_id",
    "seller_id",
    "proposed_by",
    "parent_id",
    "root_id",
    "round",
    "amount_minor",
    "conditions",
    "terms",
    "listing_version",
    "status",
    "decline_reason",
    "note",
    "expires_at",
    "responded_at",
    "responded_by",
    "active",
    "created_at",
)
COLUMNS = ", ".join(_NAMES)
COLUMNS_OF_O = ", ".join(f"o.{name}" for name in _NAMES)


async def of_party(tx: Transaction, offer_id: UUID, user_id: UUID) -> tuple[Row, Side]:
    """Return the offer and the user's side in it, not held; raises NotFound."""
    row = await tx.fetchrow(
        f"SELECT {COLUMNS} FROM offers WHERE id = $1 AND $2 IN (buyer_id, seller_id)",  # noqa: S608
        offer_id,
        user_id,
    )
    if row is None:
        raise NotFound
    return row, "BUYER" if row["buyer_id"] == user_id else "SELLER"


def shown_status(row: Row, now: datetime) -> str:
    """Return the status for a reader: what is over is over before the sweep has come by."""
    if row["status"] == "PENDING" and row["expires_at"] <= now:
        return "EXPIRED"
    status: str = row["status"]
    return status


async def refusal(
    change: Change, offer_id: UUID, side: Side, version: int, *, proposer: bool
) -> Bloxtr8Error:
    """Return why a guarded UPDATE of an offer found nothing, by the state that is there now.

    `proposer`: the change was the proposer's to make, else the addressee's.
    """
    row = await change.tx.fetchrow(
        f"SELECT {COLUMNS} FROM offers WHERE id = $1",  # noqa: S608
        offer_id,
    )
    assert row is not None, "offers are never deleted"
    status = shown_status(row, change.now)
    if (row["proposed_by"] == side) is not proposer:
        return NotYourTurn()
    if status == "EXPIRED":
        return OfferExpired(current_status=status)
    if status != "PENDING":
        return OfferNotOpen(current_status=status)
    if row["version"] != version:
        return VersionMismatch(version=row["version"])
    # It was free again by the time it was looked at: whoever had it took their change back.
    return OfferNotOpen(current_status=status)


async def refusal_off_market(
    change: Change, offer_id: UUID, side: Side, version: int, listing: Row
) -> Bloxtr8Error:
    """Return why an offer on a listing that is not ACTIVE cannot be answered now.

    The listing's state is the reason unless the offer had an end of its own before.
    """
    row = await change.tx.fetchrow(
        "SELECT status, decline_reason FROM offers WHERE id = $1", offer_id
    )
    assert row is not None, "offers are never deleted"
    if row["status"] == "PENDING" or row["decline_reason"] == "SUPERSEDED":
        return ListingNotActive(current_status=listing["status"])
    return await refusal(change, offer_id, side, version, proposer=False)
