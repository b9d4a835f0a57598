"""Rules r1, row by row."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bloxtr8.roblox.risk import RiskFacts, assess

NOW = datetime(2026, 3, 1, tzinfo=UTC)
OLD = NOW - timedelta(days=3_000)
CALM = RiskFacts(
    experience_created_at=OLD,
    roblox_created_at=OLD,
    discord_created_at=OLD,
    owner_changed=False,
    prices_minor=(),
    disputes_lost=0,
    flagged=False,
    lists_as_admin=False,
    group_locked=False,
    public=True,
    visits=1,
)


def _ago(days: int) -> datetime:
    return NOW - timedelta(days=days)


@pytest.mark.parametrize(
    ("changes", "score"),
    [
        ({}, 0),
        ({"experience_created_at": _ago(29)}, 30),
        ({"experience_created_at": _ago(30)}, 15),
        ({"experience_created_at": _ago(364)}, 15),
        ({"experience_created_at": _ago(365)}, 0),
        ({"experience_created_at": None}, 15),
        ({"roblox_created_at": _ago(29)}, 20),
        ({"roblox_created_at": _ago(30)}, 10),
        ({"roblox_created_at": _ago(179)}, 10),
        ({"roblox_created_at": _ago(180)}, 0),
        ({"roblox_created_at": None}, 20),
        ({"discord_created_at": _ago(29)}, 15),
        ({"discord_created_at": _ago(30)}, 0),
        ({"discord_created_at": None}, 15),
        ({"lists_as_admin": True}, 20),
        ({"group_locked": True}, 30),
        ({"owner_changed": True}, 25),
        ({"prices_minor": [100]}, 0),
        ({"prices_minor": [100, 150]}, 10),
        ({"prices_minor": [100, 300]}, 40),
        ({"prices_minor": [100, 100_000_000]}, 40),
        ({"disputes_lost": 1}, 20),
        ({"disputes_lost": 9}, 40),
        ({"flagged": True}, 50),
        ({"public": False}, 10),
        ({"visits": 0}, 10),
        ({"visits": None}, 10),
    ],
)
def test_each_factor(changes: dict[str, object], score: int) -> None:
    risk = assess(replace(CALM, **changes), NOW)  # type: ignore[arg-type]
    assert risk.score == score == sum(points for _, points in risk.factors)


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({"experience_created_at": _ago(100), "discord_created_at": _ago(1)}, "MEDIUM"),
        ({"owner_changed": True}, "LOW"),
        ({"flagged": True, "lists_as_admin": True}, "HIGH"),
        ({"flagged": True, "visits": 0}, "MEDIUM"),
    ],
)
def test_levels(changes: dict[str, object], level: str) -> None:
    assert assess(replace(CALM, **changes), NOW).level == level  # type: ignore[arg-type]


def test_a_hundred_is_the_most() -> None:
    worst = RiskFacts(None, None, None, True, [1, 9], 5, True, True, True, False, None)
    assert (assess(worst, NOW).score, assess(worst, NOW).level) == (100, "HIGH")


@given(
    st.sampled_from(["experience_created_at", "roblox_created_at", "discord_created_at", "visits"])
)
def test_missing_data_never_lowers_a_score(name: str) -> None:
    known = assess(CALM, NOW).score
    assert assess(replace(CALM, **{name: None}), NOW).score >= known  # type: ignore[arg-type]
