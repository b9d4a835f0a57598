"""Money splits are exact: seeded at random in bulk, and searched for counter-examples."""

import os
import random

from hypothesis import given
from hypothesis import strategies as st

from bloxtr8.escrow import fees
from bloxtr8.money import Money
from proto.bloxtr8.common.v1 import common_pb2 as common

SPLITS = int(os.environ.get("BLOXTR8_MONEY_SPLITS", "100000"))
RAILS = (common.RAIL_STRIPE, common.RAIL_USDC_BASE)


def terms(rail: int, price: int, excess: int = 0) -> fees.Terms:
    buyer = fees.buyer_fee("v1", rail, price)
    seller = fees.seller_fee("v1", rail, price)
    return fees.Terms("v1", rail, price, buyer, seller, price + buyer + excess)


def check_split(of: fees.Terms, refund: int) -> None:
    plan = fees.split(of, refund)
    share = of.price_minor - refund
    assert plan.payout_minor + plan.refund_minor + plan.fees_minor == of.received_minor
    assert 0 <= plan.payout_minor <= share
    assert refund <= plan.refund_minor - of.excess_minor <= refund + of.buyer_fee_minor
    assert plan.fees_minor <= of.buyer_fee_minor + max(of.seller_fee_minor, 0)


def test_splits_in_bulk_are_exact() -> None:
    source = random.Random(20_260_301)
    for _ in range(SPLITS):
        rail = source.choice(RAILS)
        low, high = fees.units(rail, fees.PRICE_MIN), fees.units(rail, fees.PRICE_MAX)
        price = source.randint(low, source.choice((low * 20, high)))
        check_split(terms(rail, price, source.choice((0, 0, 1, 999))), source.randint(1, price - 1))


@given(st.sampled_from(RAILS), st.data())
def test_splits_are_exact(rail: int, data: st.DataObject) -> None:
    low, high = fees.units(rail, fees.PRICE_MIN), fees.units(rail, fees.PRICE_MAX)
    price = data.draw(st.integers(low, high))
    refund = data.draw(st.integers(1, price - 1))
    check_split(terms(rail, price, data.draw(st.integers(0, price))), refund)


@given(st.sampled_from(RAILS), st.data())
def test_giving_back_more_never_pays_the_seller_more(rail: int, data: st.DataObject) -> None:
    price = data.draw(st.integers(fees.units(rail, 1), fees.units(rail, 1_000_000)))
    of = terms(rail, price)
    less = data.draw(st.integers(0, price - 1))
    more = data.draw(st.integers(less + 1, price))
    first, second = fees.divide(of, less), fees.divide(of, more)
    assert first.payout_minor >= second.payout_minor
    assert first.refund_minor <= second.refund_minor


@given(st.sampled_from(RAILS), st.integers(0, 10**6))
def test_the_ends_are_a_release_and_a_refund(rail: int, excess: int) -> None:
    of = terms(rail, fees.units(rail, 1_250), excess)
    assert fees.divide(of, 0) == fees.release(of)
    assert fees.divide(of, of.price_minor) == fees.refund(of)
    assert fees.refund(of).refund_minor == of.received_minor
    assert fees.release(of).refund_minor == excess


def test_the_schedule_of_version_one() -> None:
    stripe, usdc = RAILS
    assert fees.buyer_fee("v1", stripe, 125_000) == 3_655
    assert fees.buyer_fee("v1", stripe, 100) == 33, "2.9 cents round up to 3"
    assert fees.seller_fee("v1", stripe, 125_000) == 50
    assert fees.seller_fee("v1", stripe, 49) == 49, "never above the share"
    assert fees.buyer_fee("v1", usdc, 10**10) == 0
    assert fees.seller_fee("v1", usdc, 10**10) == 5 * 10**7
    assert fees.seller_fee("v1", usdc, 399) == 1, "0.5 % rounds down"


@given(st.sampled_from(["USD", "USDC"]), st.integers(-(10**15), 10**15), st.integers(-9, 9))
def test_money_survives_the_wire_and_adds_up(code: str, minor: int, more: int) -> None:
    money = Money(code, minor)
    assert Money.from_proto(money.to_proto()) == money
    assert (money + Money(code, more)) - Money(code, more) == money
    exponent = {"USD": 2, "USDC": 6}[code]
    whole, _, fraction = money.decimal.partition(".")
    assert int(whole + fraction) == minor
    assert len(fraction) == exponent
