"""How risky a listing is: points for what is known, and for what is not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

RULES = "r1"
SCORE_MAX = 100
_MEDIUM_FROM = 30
_HIGH_FROM = 70
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class RiskFacts:
    """What the score is made of; None where it is not known.

    `prices_minor`: asking prices of the last 30 days. `disputes_lost`: by the seller, in 180
    days. `flagged`: by staff, or the universe was in a refunded dispute within 90 days.
    """

    experience_created_at: datetime | None
    roblox_created_at: datetime | None
    discord_created_at: datetime | None
    owner_changed: bool
    prices_minor: Sequence[int]
    disputes_lost: int
    flagged: bool
    lists_as_admin: bool
    group_locked: bool
    public: bool
    visits: int | None


@dataclass(frozen=True, slots=True)
class Risk:
    """`factors` are (code, points), in the order of the rules."""

    score: int
    factors: tuple[tuple[str, int], ...]

    @property
    def level(self) -> str:
        if self.score >= _HIGH_FROM:
            return "HIGH"
        return "MEDIUM" if self.score >= _MEDIUM_FROM else "LOW"

    def factors_json(self) -> list[dict[str, Any]]:
        return [{"code": code, "points": points} for code, points in self.factors]


def assess(facts: RiskFacts, now: datetime) -> Risk:
    """Return the risk by rules r1. Missing data never lowers the score."""
    candidates = (
        _experience_age(facts.experience_created_at, now),
        _roblox_age(facts.roblox_created_at, now),
        _discord_age(facts.discord_created_at, now),
        ("LISTED_BY_ADMIN", 20 if facts.lists_as_admin else 0),
        ("GROUP_LOCKED", 30 if facts.group_locked else 0),
        ("OWNER_CHANGED", 25 if facts.owner_changed else 0),
        ("PRICE_VOLATILE", _volatility_points(facts.prices_minor)),
        ("DISPUTES_LOST", min(20 * facts.disputes_lost, 40)),
        ("FLAGGED", 50 if facts.flagged else 0),
        ("NOT_PUBLIC", 0 if facts.public else 10),
        ("NO_VISITS", 0 if facts.visits else 10),
    )
    factors = tuple((code, points) for code, points in candidates if points > 0)
    return Risk(min(sum(points for _, points in factors), SCORE_MAX), factors)


def _experience_age(created: datetime | None, now: datetime) -> tuple[str, int]:
    if created is None:
        return ("AGE_UNKNOWN", 15)
    age = now - created
    if age < 30 * _DAY:
        return ("AGE_LT_30", 30)
    return ("AGE_LT_365", 15 if age < 365 * _DAY else 0)


def _roblox_age(created: datetime | None, now: datetime) -> tuple[str, int]:
    if created is None or now - created < 30 * _DAY:
        return ("ROBLOX_ACCOUNT_LT_30", 20)
    return ("ROBLOX_ACCOUNT_LT_180", 10 if now - created < 180 * _DAY else 0)


def _discord_age(created: datetime | None, now: datetime) -> tuple[str, int]:
    young = created is None or now - created < 30 * _DAY
    return ("DISCORD_ACCOUNT_LT_30", 15 if young else 0)


def _volatility_points(prices_minor: Sequence[int]) -> int:
    """Return min(20 v, 40) for v = (max - min) / min, rounded half up."""
    if len(prices_minor) < 2:
        return 0
    lowest, highest = min(prices_minor), max(prices_minor)
    assert lowest > 0, "an asking price is positive"
    return min(int(20 * Fraction(highest - lowest, lowest) + Fraction(1, 2)), 40)
