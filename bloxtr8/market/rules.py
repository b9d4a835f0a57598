"""The marketplace's limits and tables: who may do what to a listing or an offer in which state.

Pure: statements guard the same rules in their WHERE, this is what people are shown.
"""

from datetime import timedelta
from typing import Literal

from bloxtr8.market.standing import Tier

Category = Literal[
    "SIMULATOR",
    "TYCOON",
    "OBBY",
    "ROLEPLAY",
    "RPG",
    "FIGHTING",
    "SHOOTER",
    "TOWER_DEFENSE",
    "HORROR",
    "RACING",
    "SOCIAL",
    "OTHER",
]
PriceBand = Literal["under-5k", "5k-20k", "20k-100k", "100k-plus"]
ListingStatus = Literal["ACTIVE", "INACTIVE", "RESERVED", "SOLD", "CANCELLED"]
OfferStatus = Literal["PENDING", "COUNTERED", "ACCEPTED", "DECLINED", "EXPIRED", "WITHDRAWN"]
Side = Literal["BUYER", "SELLER"]

RISK_LEVELS = ("LOW", "MEDIUM", "HIGH")

# USD cents.
PRICE_MIN, PRICE_MAX = 100, 100_000_000
ROUNDS_MAX = 10
OFFERS_PER_LISTING_MAX = 50
WATCHES_MAX = 200
# Who watches a listing is told of its changes in one transaction.
WATCHERS_MAX = 1_000
LISTINGS_PER_DAY_MAX = 10
OFFERS_PER_HOUR_MAX = 10
OFFERS_PER_LISTING_AND_DAY_MAX = 3
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

_OPEN_LISTINGS_MAX = {Tier.TIER_0: 0, Tier.TIER_1: 10, Tier.TIER_2: 50}
_OPEN_OFFERS_MAX = {Tier.TIER_0: 0, Tier.TIER_1: 20, Tier.TIER_2: 100}

# Holds that only a moderator ends; the others end when the seller relists.
HOLDS_OF_STAFF = ("REVIEW", "STAFF")

_SELLER_ACTIONS: dict[str, tuple[str, ...]] = {
    "ACTIVE": ("edit", "pause", "cancel"),
    "INACTIVE": ("edit", "relist", "cancel"),
}
_VIEWER_ACTIONS: dict[str, tuple[str, ...]] = {
    "ACTIVE": ("offer", "watch", "report"),
    "INACTIVE": ("watch", "report"),
    "RESERVED": ("watch", "report"),
    "SOLD": ("report",),
    "CANCELLED": ("report",),
}
_MODERATOR_ACTIONS: dict[str, tuple[str, ...]] = {
    "ACTIVE": ("takedown",),
    "INACTIVE": ("takedown", "approve"),
}
_ADDRESSEE_ACTIONS = ("accept", "counter", "decline")
_PROPOSER_ACTIONS = ("withdraw",)


def open_listings_max(tier: Tier) -> int:
    return _OPEN_LISTINGS_MAX[tier]


def open_offers_max(tier: Tier) -> int:
    return _OPEN_OFFERS_MAX[tier]


def seller_actions(status: str, hold: str | None) -> list[str]:
    """Return what the seller may do with their listing."""
    actions = list(_SELLER_ACTIONS.get(status, ()))
    if hold in HOLDS_OF_STAFF:
        actions.remove("relist")
    return actions


def viewer_actions(status: str) -> list[str]:
    """Return what somebody who has signed in may do with another's listing."""
    return list(_VIEWER_ACTIONS[status])


def moderator_actions(status: str, hold: str | None) -> list[str]:
    """Return what a moderator may do with a listing that is not their own."""
    actions = list(_MODERATOR_ACTIONS.get(status, ()))
    if hold == "STAFF":
        actions.remove("takedown")
    if hold not in HOLDS_OF_STAFF and "approve" in actions:
        actions.remove("approve")
    return actions


def offer_actions(status: str, *, own: bool, listing_active: bool, rounds: int) -> list[str]:
    """Return what a party may do with an offer; `own`: it was they who proposed it."""
    if status != "PENDING":
        return []
    if own:
        return list(_PROPOSER_ACTIONS)
    actions = [a for a in _ADDRESSEE_ACTIONS if listing_active or a == "decline"]
    if rounds >= ROUNDS_MAX and "counter" in actions:
        actions.remove("counter")
    return actions


def other(side: str) -> Side:
    """Return the other side of a trade."""
    return "SELLER" if side == "BUYER" else "BUYER"
