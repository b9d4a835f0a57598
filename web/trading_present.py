"""What listings, offers and what belongs to them look like to a reader."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from bloxtr8.access.identity import StaffRole
from bloxtr8.market import offer_rows, rules, stats
from web.fields import money
from web.trading_answers import (
    CostsOut,
    DraftOut,
    EvidenceOut,
    ListingOut,
    NewContractOut,
    OfferOut,
    OutageOut,
    PersonOut,
    RiskOut,
    SideStats,
    SnapshotOut,
    TradesOut,
)

Row = dict[str, Any]


class Viewer:
    """Who reads: a user, staff in their role, or (both None) nobody signed in."""

    def __init__(self, user_id: UUID | None, role: StaffRole | None) -> None:
        self.user_id = user_id
        self.role = role

    @property
    def staff(self) -> bool:
        return self.role is not None


def listing(row: Row, viewer: Viewer) -> ListingOut:
    """Return a row of `search.listing` or `search.listings` as `viewer` sees it."""
    own = viewer.user_id == row["seller_id"]
    inside = own or viewer.staff
    lowest = row["min_offer_minor"]
    return ListingOut(
        id=str(row["id"]),
        ref=row["ref"],
        version=row["version"],
        status=row["status"],
        hold_reason=row["hold_reason"] if inside else None,
        title=row["title"],
        summary=row["summary"],
        included_assets=row["included_assets"],
        category=row["category"],
        tags=row["tags"],
        price=money(row["price_minor"], "USD"),
        price_band=row["price_band"],
        min_offer=money(lowest, "USD") if own and lowest else None,
        delivery_days=row["delivery_days"],
        visibility=row["visibility"],
        guild_id=_text(row["guild_id"]),
        seller=person(row, "seller"),
        snapshot=_snapshot(row),
        risk=RiskOut(level=row["risk_level"], factors=_factors(row["risk_factors"])),
        open_offers=row.get("open_offers") if own else None,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        allowed_actions=_listing_actions(row, viewer, own=own),
    )


def _listing_actions(row: Row, viewer: Viewer, *, own: bool) -> list[str]:
    if own:
        return rules.seller_actions(row["status"], row["hold_reason"])
    if viewer.user_id is None:
        return []
    actions = rules.viewer_actions(row["status"])
    if viewer.role is not None and viewer.role >= StaffRole.MODERATOR:
        actions += rules.moderator_actions(row["status"], row["hold_reason"])
    return actions


def offer(row: Row, viewer: Viewer, now: datetime) -> OfferOut:
    """Return a row of `search.offer` as a party or staff see it."""
    status = offer_rows.shown_status(row, now)
    side = {row["buyer_id"]: "BUYER", row["seller_id"]: "SELLER"}.get(viewer.user_id)
    actions = rules.offer_actions(
        status,
        own=side == row["proposed_by"],
        listing_active=row["listing_status"] == "ACTIVE",
        rounds=row["round"],
    )
    return OfferOut(
        id=str(row["id"]),
        ref=row["ref"],
        version=row["version"],
        listing_id=str(row["listing_id"]),
        buyer=person(row, "buyer"),
        seller=person(row, "seller"),
        proposed_by=row["proposed_by"],
        parent_id=_text(row["parent_id"]),
        root_id=str(row["root_id"]),
        round=row["round"],
        amount=money(row["amount_minor"], "USD"),
        conditions=row["conditions"],
        terms=json.loads(row["terms"]),
        status=status,
        decline_reason=row["decline_reason"],
        note=row["note"],
        expires_at=row["expires_at"],
        contract_id=_text(row["contract_id"]),
        created_at=row["created_at"],
        allowed_actions=actions if side else [],
    )


def contract(row: Row) -> NewContractOut:
    """Return the contract that an offer has just become."""
    currency, settle = row["settle_currency"], row["settle_minor"]
    buyer_fee, seller_fee = row["buyer_fee_minor"], row["seller_fee_minor"]
    return NewContractOut(
        id=str(row["id"]),
        ref=row["ref"],
        version=row["version"],
        status=row["status"],
        escrow_id=str(row["escrow_id"]),
        rail=row["rail"],
        price=money(row["price_minor"], "USD"),
        costs=CostsOut(
            buyer_pays=money(settle + buyer_fee, currency),
            buyer_fee=money(buyer_fee, currency),
            seller_fee=money(seller_fee, currency),
            seller_receives=money(settle - seller_fee, currency),
        ),
        delivery_days=row["delivery_days"],
        document_sha256=row["pdf_sha256"].hex() if row["pdf_sha256"] else None,
        sign_deadline_at=row["sign_deadline_at"],
    )


def draft(row: Row) -> DraftOut:
    return DraftOut(
        id=str(row["id"]),
        version=row["version"],
        listing_id=str(row["listing_id"]),
        parent_id=_text(row["parent_id"]),
        amount=money(row["amount_minor"], "USD"),
        conditions=row["conditions"],
        expires_at=row["expires_at"],
    )


def evidence(row: Row, *, inside: bool) -> EvidenceOut:
    """Return a row of `roblox_snapshots`; `inside`: for the seller, parties of trades, staff."""
    shown = EvidenceOut(
        id=str(row["id"]),
        purpose=row["purpose"],
        universe_id=str(row["universe_id"]),
        root_place_id=_text(row["root_place_id"]),
        name=row["name"],
        description=row["description"],
        visits=_text(row["visits"]),
        playing=_text(row["playing"]),
        taken_at=row["taken_at"],
    )
    if not inside:
        return shown
    return shown.model_copy(
        update={
            "owner": f"{row['creator_type']}:{row['creator_id']}",
            "ownership": row["ownership"],
            "risk": RiskOut(level=row["risk_level"], factors=_factors(row["risk_factors"])),
            "sha256": row["payload_sha256"].hex(),
        }
    )


def outage(row: Row, moved: int | None = None) -> OutageOut:
    return OutageOut(
        id=str(row["id"]),
        scope=row["scope"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        reason=row["reason"],
        moved=moved,
    )


def trades(row: Row) -> TradesOut:
    """Return a row of `stats.trades` without the cells that would tell about single people."""

    def cell(value: int | None, count: int) -> int | None:
        return value if count >= stats.CELL_MIN else None

    rate = row["disputed"] * 10_000 // row["ended"] if row["ended"] else 0
    volumes = {"STRIPE": ("stripe", "stripe_minor"), "USDC_BASE": ("usdc", "usdc_minor")}
    return TradesOut(
        completed=cell(row["completed"], row["completed"]),
        volume={
            rail: money(row[minor], "USD") if row[count] >= stats.CELL_MIN else None
            for rail, (count, minor) in volumes.items()
        },
        median_hours=cell(row["median_hours"], row["completed"]),
        dispute_rate_bps=cell(rate, row["ended"]),
    )


def side_stats(row: Row | None) -> SideStats:
    """Return a row of `stats.of_person`; None: nothing on that side."""
    completed = row["completed"] if row else 0
    volume = row["volume_minor"] if row else 0
    return SideStats(
        completed=completed,
        volume=money(volume, "USD"),
        average=money(volume // completed, "USD") if completed else None,
        disputes=row["disputes"] if row else 0,
    )


def _snapshot(row: Row) -> SnapshotOut:
    return SnapshotOut(
        id=str(row["snapshot_id"]),
        universe_id=str(row["universe_id"]),
        root_place_id=_text(row["root_place_id"]),
        name=row["experience_name"],
        icon_url=row["icon_url"],
        ownership=row["ownership"],
        visits=_text(row["visits"]),
        playing=_text(row["playing"]),
        taken_at=row["taken_at"],
    )


def person(row: Row, side: str) -> PersonOut:
    """Return a side of a row that has both sides' names, pictures and tiers."""
    return PersonOut(
        id=str(row[f"{side}_id"]),
        display_name=row[f"{side}_name"],
        avatar_url=row[f"{side}_avatar"],
        tier=row[f"{side}_tier"],
    )


def _factors(stored: str) -> list[str]:
    return [factor["code"] for factor in json.loads(stored)]


def _text(value: object | None) -> str | None:
    return None if value is None else str(value)
