"""Rows of listings and offers as the messages that tell about them."""

from typing import Any

from bloxtr8.messaging.metadata import timestamp
from bloxtr8.money import Money
from proto.bloxtr8.market.v1 import market_pb2 as market


def listing(row: dict[str, Any]) -> market.ListingFacts:
    """Return the listing as it is after the change."""
    hold = row["hold_reason"] or "UNSPECIFIED"
    return market.ListingFacts(
        version=row["version"],
        seller_id=str(row["seller_id"]),
        status=market.ListingStatus.Value(f"LISTING_STATUS_{row['status']}"),
        hold=market.ListingHold.Value(f"LISTING_HOLD_{hold}"),
        price=Money("USD", row["price_minor"]).to_proto(),
        price_band=row["price_band"],
        guild_id=str(row["guild_id"] or ""),
    )


def offer(row: dict[str, Any]) -> market.OfferFacts:
    """Return the offer as it is after the change."""
    return market.OfferFacts(
        offer_id=str(row["id"]),
        version=row["version"],
        root_id=str(row["root_id"]),
        parent_id=str(row["parent_id"] or ""),
        round=row["round"],
        buyer_id=str(row["buyer_id"]),
        seller_id=str(row["seller_id"]),
        proposed_by=market.OfferSide.Value(f"OFFER_SIDE_{row['proposed_by']}"),
        amount=Money("USD", row["amount_minor"]).to_proto(),
        expires_at=timestamp(row["expires_at"]),
    )


def updated(
    row: dict[str, Any], *, previous_price: int | None = None, contract_id: object = ""
) -> market.ListingUpdated:
    """Return that a listing has changed; `previous_price` in cents when that did."""
    return market.ListingUpdated(
        listing=listing(row),
        previous_price=Money("USD", previous_price).to_proto() if previous_price else None,
        contract_id=str(contract_id),
    )


def declined(row: dict[str, Any]) -> market.OfferDeclined:
    """Return that an offer was declined, and why."""
    reason = f"OFFER_DECLINE_REASON_{row['decline_reason']}"
    return market.OfferDeclined(offer=offer(row), reason=market.OfferDeclineReason.Value(reason))
