"""What the marketplace's tables say: actions, references, texts, costs, clocks."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from bloxtr8.market import clocks, costs, fields, refs, rules
from bloxtr8.market.standing import Tier


@pytest.mark.parametrize(
    ("status", "hold", "actions"),
    [
        ("ACTIVE", None, ["edit", "pause", "cancel"]),
        ("INACTIVE", None, ["edit", "relist", "cancel"]),
        ("INACTIVE", "STALE", ["edit", "relist", "cancel"]),
        ("INACTIVE", "OWNERSHIP", ["edit", "relist", "cancel"]),
        ("INACTIVE", "POST_DISPUTE", ["edit", "relist", "cancel"]),
        ("INACTIVE", "REVIEW", ["edit", "cancel"]),
        ("INACTIVE", "STAFF", ["edit", "cancel"]),
        ("RESERVED", None, []),
        ("SOLD", None, []),
        ("CANCELLED", None, []),
    ],
)
def test_what_a_seller_may_do(status: str, hold: str | None, actions: list[str]) -> None:
    assert rules.seller_actions(status, hold) == actions


@pytest.mark.parametrize(
    ("status", "hold", "actions"),
    [
        ("ACTIVE", None, ["takedown"]),
        ("INACTIVE", None, ["takedown"]),
        ("INACTIVE", "REVIEW", ["takedown", "approve"]),
        ("INACTIVE", "STAFF", ["approve"]),
        ("RESERVED", None, []),
        ("SOLD", None, []),
    ],
)
def test_what_a_moderator_may_do(status: str, hold: str | None, actions: list[str]) -> None:
    assert rules.moderator_actions(status, hold) == actions


@pytest.mark.parametrize("status", ["COUNTERED", "ACCEPTED", "DECLINED", "EXPIRED", "WITHDRAWN"])
@pytest.mark.parametrize("own", [True, False])
def test_answered_offers_are_final(status: str, own: bool) -> None:
    assert rules.offer_actions(status, own=own, listing_active=True, rounds=1) == []


def test_open_offers_are_the_addressees_to_answer() -> None:
    def actions(*, own: bool = False, active: bool = True, rounds: int = 1) -> list[str]:
        return rules.offer_actions("PENDING", own=own, listing_active=active, rounds=rounds)

    assert actions(own=True) == ["withdraw"]
    assert actions() == ["accept", "counter", "decline"]
    assert actions(rounds=10) == ["accept", "decline"]
    assert actions(active=False) == ["decline"]
    assert actions(active=False, rounds=10) == ["decline"]


def test_limits_grow_with_the_tier() -> None:
    assert [rules.open_listings_max(tier) for tier in Tier] == [0, 10, 50]
    assert [rules.open_offers_max(tier) for tier in Tier] == [0, 20, 100]


def test_references_are_read_as_people_write_them() -> None:
    made = refs.new("L")
    assert refs.normalised(f" {made.lower()} ") == made
    for wrong in ("L-123", "X-1234567", "L-ILOU123", "", "L-12345678"):
        assert refs.normalised(wrong) is None


async def test_a_taken_reference_is_tried_again_five_times() -> None:
    tried: list[str] = []

    async def taken(ref: str) -> str | None:
        tried.append(ref)
        return ref if len(tried) == 5 else None

    assert await refs.first_free("O", taken) == tried[-1]
    tried.clear()

    async def always_taken(ref: str) -> str | None:
        tried.append(ref)
        return None

    with pytest.raises(RuntimeError):
        await refs.first_free("O", always_taken)
    assert len(tried) == 5


@pytest.mark.parametrize(
    "title", ["http://x", "go to Example.COM now", "www.x", "a\u200bbc", "a\nb c", "  ab  "]
)
def test_titles_that_are_refused(title: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(fields.Title).validate_python(title)


def test_titles_are_trimmed_and_normalised() -> None:
    assert TypeAdapter(fields.Title).validate_python("  Cafe\u0301 3.0 ") == "Café 3.0"


@given(st.integers(rules.PRICE_MIN, rules.PRICE_MAX))
def test_every_price_has_a_rail_that_carries_it(price: int) -> None:
    quote = costs.quote(price)
    if quote.rail == "STRIPE":
        assert quote.settle_minor == price
        assert quote.buyer_pays_minor <= 1_000_000
    else:
        assert (quote.rail, quote.settle_minor) == ("USDC_BASE", price * 10_000)
        assert costs._quote(1, price).buyer_pays_minor > 1_000_000
    assert 0 <= quote.seller_receives_minor <= quote.settle_minor


def test_the_clock_table() -> None:
    assert clocks.OFFER.length == clocks.SIGNING.length == timedelta(hours=72)
    assert clocks.OFFER_DRAFT.length == timedelta(minutes=30)
    assert clocks.VERIFIED.length == timedelta(hours=24)
    assert all(span.length > timedelta(0) for span in clocks.TABLE.values())
    assert {"STRIPE", "BASE"}.isdisjoint(clocks.OFFER.scopes)
