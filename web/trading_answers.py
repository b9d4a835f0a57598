"""What routes about listings, offers, outages and figures answer."""

from typing import Any, ClassVar

from web.fields import Answer, MoneyOut, Time


class PersonOut(Answer):
    id: str
    display_name: str
    avatar_url: str | None
    tier: str


class SnapshotOut(Answer):
    id: str
    universe_id: str
    root_place_id: str | None
    name: str
    icon_url: str | None
    ownership: str | None
    visits: str | None
    playing: str | None
    taken_at: Time


class RiskOut(Answer):
    level: str
    factors: list[str]


class ListingOut(Answer):
    """`hold_reason` is for seller and staff, `min_offer` and `open_offers` for the seller."""

    location: ClassVar = "/api/v1/listings/{id}"

    id: str
    ref: str
    version: int
    status: str
    hold_reason: str | None
    title: str
    summary: str
    included_assets: str
    category: str
    tags: list[str]
    price: MoneyOut
    price_band: str
    min_offer: MoneyOut | None
    delivery_days: int
    visibility: str
    guild_id: str | None
    seller: PersonOut
    snapshot: SnapshotOut
    risk: RiskOut
    open_offers: int | None
    created_at: Time
    updated_at: Time
    allowed_actions: list[str]


class ListingPage(Answer):
    items: list[ListingOut]
    next_cursor: str | None


class OfferOut(Answer):
    location: ClassVar = "/api/v1/offers/{id}"

    id: str
    ref: str
    version: int
    listing_id: str
    buyer: PersonOut
    seller: PersonOut
    proposed_by: str
    parent_id: str | None
    root_id: str
    round: int
    amount: MoneyOut
    conditions: str
    terms: dict[str, Any]
    status: str
    decline_reason: str | None
    note: str | None
    expires_at: Time
    contract_id: str | None
    created_at: Time
    allowed_actions: list[str]


class OfferPage(Answer):
    items: list[OfferOut]
    next_cursor: str | None


class OfferThread(Answer):
    items: list[OfferOut]


class CostsOut(Answer):
    buyer_pays: MoneyOut
    buyer_fee: MoneyOut
    seller_fee: MoneyOut
    seller_receives: MoneyOut


class NewContractOut(Answer):
    id: str
    ref: str
    version: int
    status: str
    escrow_id: str
    rail: str
    price: MoneyOut
    costs: CostsOut
    delivery_days: int
    document_sha256: str | None
    sign_deadline_at: Time | None


class AcceptedOut(Answer):
    offer: OfferOut
    contract: NewContractOut


class DraftOut(Answer):
    id: str
    version: int
    listing_id: str
    parent_id: str | None
    amount: MoneyOut
    conditions: str
    expires_at: Time


class EvidenceOut(Answer):
    """A snapshot as evidence; `sha256`, `risk` and `owner` for parties and staff."""

    id: str
    purpose: str
    universe_id: str
    root_place_id: str | None
    name: str
    description: str | None
    visits: str | None
    playing: str | None
    taken_at: Time
    owner: str | None = None
    ownership: str | None = None
    risk: RiskOut | None = None
    sha256: str | None = None


class EvidenceList(Answer):
    items: list[EvidenceOut]


class ReportOut(Answer):
    status: str


class OutageOut(Answer):
    id: str
    scope: str
    started_at: Time
    ended_at: Time | None
    reason: str
    moved: int | None = None


class OutageList(Answer):
    items: list[OutageOut]


class TradesOut(Answer):
    """Figures about fewer than five trades are null."""

    completed: int | None
    volume: dict[str, MoneyOut | None]
    median_hours: int | None
    dispute_rate_bps: int | None


class PublicStats(Answer):
    day: TradesOut
    month: TradesOut
    all: TradesOut
    active_listings: dict[str, int]


class SideStats(Answer):
    completed: int
    volume: MoneyOut
    average: MoneyOut | None
    disputes: int


class MyStats(Answer):
    buyer: SideStats
    seller: SideStats


class BandStats(Answer):
    price_band: str
    listings: int
    offers: int
    completed: int
    volume: MoneyOut


class GuildStats(Answer):
    items: list[BandStats]
