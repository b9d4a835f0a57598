"""Bodies and query strings of listings, drafts, offers, reports and outages."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from bloxtr8.errors import AmountOutOfRange
from bloxtr8.market import fields, rules
from bloxtr8.market.listings import NewListing
from bloxtr8.market.offers import Proposal
from bloxtr8.market.rules import Category, ListingStatus, OfferStatus, PriceBand, Side
from web.fields import Body, Id, Moment, MoneyIn, Query
from web.requests import Page, StaffAction

UniverseId = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,17}$")]
DeliveryDays = Annotated[int, Field(ge=1, le=30)]
Visibility = Literal["PUBLIC", "GUILD"]
Cents = Annotated[int, Field(ge=rules.PRICE_MIN, le=rules.PRICE_MAX)]
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]


class NewListingIn(Body):
    universe_id: UniverseId
    title: fields.Title
    summary: fields.Summary
    included_assets: fields.IncludedAssets = fields.INCLUDED_ASSETS
    category: Category
    tags: fields.Tags = Field(default_factory=list)
    price: MoneyIn
    min_offer: MoneyIn | None = None
    delivery_days: DeliveryDays = 7
    visibility: Visibility = "PUBLIC"
    guild_id: Id | None = None

    @model_validator(mode="after")
    def _guild_if_named(self) -> "NewListingIn":
        if (self.visibility == "GUILD") != (self.guild_id is not None):
            raise ValueError("give guild_id with visibility GUILD, and only then")
        return self

    def listing(self) -> NewListing:
        """Return what the service takes; raises AmountOutOfRange for other currencies."""
        return NewListing(
            universe_id=int(self.universe_id),
            title=self.title,
            summary=self.summary,
            included_assets=self.included_assets,
            category=self.category,
            price_minor=self.price.in_currency("USD"),
            tags=tuple(self.tags),
            min_offer_minor=self.min_offer.in_currency("USD") if self.min_offer else None,
            delivery_days=self.delivery_days,
            visibility=self.visibility,
            guild_id=UUID(self.guild_id) if self.guild_id else None,
        )


class ListingChange(Body):
    """Fields that are given are set; `min_offer` null takes the lowest offer away."""

    title: fields.Title | None = None
    summary: fields.Summary | None = None
    included_assets: fields.IncludedAssets | None = None
    category: Category | None = None
    tags: fields.Tags | None = None
    price: MoneyIn | None = None
    min_offer: MoneyIn | None = None
    delivery_days: DeliveryDays | None = None
    visibility: Visibility | None = None
    guild_id: Id | None = None

    @model_validator(mode="after")
    def _guild_if_named(self) -> "ListingChange":
        given = self.model_fields_set
        if ("visibility" in given or "guild_id" in given) and (
            (self.visibility == "GUILD") != (self.guild_id is not None)
        ):
            raise ValueError("give guild_id with visibility GUILD, and only then")
        empty = [name for name in given - {"min_offer", "guild_id"} if getattr(self, name) is None]
        if empty:
            raise ValueError(f"{', '.join(sorted(empty))} cannot be empty")
        return self

    def values(self) -> dict[str, object]:
        """Return the new values by column; raises AmountOutOfRange for other currencies."""
        given: dict[str, object] = {
            name: getattr(self, name) for name in self.model_fields_set - {"price", "min_offer"}
        }
        if self.price is not None:
            given["price_minor"] = self.price.in_currency("USD")
        if "min_offer" in self.model_fields_set:
            lowest = self.min_offer.in_currency("USD") if self.min_offer else None
            given["min_offer_minor"] = lowest
        if "visibility" in given:
            given["guild_id"] = UUID(self.guild_id) if self.guild_id else None
        return given


class ListingList(Page):
    """`status` shows own listings only; prices in cents."""

    q: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    category: Category | None = None
    tag: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{2,24}$")] | None = None
    price_band: PriceBand | None = None
    min_price: Cents | None = None
    max_price: Cents | None = None
    max_risk: Literal["LOW", "MEDIUM", "HIGH"] | None = None
    guild_id: Id | None = None
    seller_id: Id | None = None
    status: ListingStatus | None = None
    sort: Literal["newest", "price_asc", "price_desc"] = "newest"


class OffersOfListing(Page):
    status: OfferStatus | None = None


class OfferList(OffersOfListing):
    role: Side | None = None
    listing_id: Id | None = None


class OfferIn(Body):
    amount: MoneyIn
    conditions: fields.Conditions = ""

    def proposal(self) -> Proposal:
        """Raises AmountOutOfRange outside of every price there can be."""
        amount = self.amount.in_currency("USD")
        if not rules.PRICE_MIN <= amount <= rules.PRICE_MAX:
            raise AmountOutOfRange
        return Proposal(amount, self.conditions)


class DraftIn(OfferIn):
    """`parent_id`: the offer that this will counter."""

    parent_id: Id | None = None


class Versioned(Body):
    """`version`: of what the caller has seen."""

    version: Version


class CounterIn(OfferIn):
    version: Version


class DeclineIn(Versioned):
    note: fields.DeclineNote | None = None


class ReportIn(Body):
    subject: Literal["LISTING", "USER", "OFFER"]
    id: Id
    reason: Literal["SCAM", "STOLEN", "IMPERSONATION", "MISLEADING", "ABUSE", "SPAM", "OTHER"]
    text: fields.ReportText | None = None


class OutageIn(StaffAction):
    scope: Literal["ALL", "WEB", "BOT", "STRIPE", "BASE", "ROBLOX"]
    started_at: Moment
    ended_at: Moment | None = None


class OutageEnd(StaffAction):
    """Without `ended_at`: now."""

    ended_at: Moment | None = None


class StatsPeriod(Query):
    period: Literal["day", "week", "month", "all"] = "month"


class StatsSpan(Query):
    """At most 400 days; without `from` the last 30 days."""

    since: Moment | None = Field(None, alias="from")
    until: Moment | None = Field(None, alias="to")
