"""The books of whole trades: every account to the cent, nothing booked twice."""

from collections.abc import AsyncIterator, Sequence

import pytest

from bloxtr8.clock import SystemClock
from bloxtr8.config import PostgresSettings, Settings
from bloxtr8.ledger.check import check
from bloxtr8.store import database
from bloxtr8.store.mirror import Mirror
from tests.integration.story import PRICE_MINOR, Story

BUYER_FEE = 2_930  # 2.9 % of 1,000.00 + 0.30
SELLER_FEE = 50
RECEIVED = PRICE_MINOR + BUYER_FEE


@pytest.fixture
async def mirror(postgres_dsn: str) -> AsyncIterator[Mirror]:
    await database.open_database(Settings(postgres=PostgresSettings(dsn=postgres_dsn)))
    yield Mirror(SystemClock())
    await database.close_database()


async def write(mirror: Mirror, *stories: Story) -> None:
    """Write the stories' messages, the whole of it twice."""
    for _ in range(2):
        for story in stories:
            assert set(await mirror.apply([*story.events, *story.facts])) == {None}
    assert await check() == []
    for story in stories:
        assert await check(story.escrow_id) == []


async def balances(story: Story) -> dict[str, int]:
    """Return what is not zero, with the people's and the escrow's ids left out."""
    rows = await database.fetch(
        "SELECT account, balance_minor FROM ledger_accounts WHERE balance_minor <> 0"
    )
    people = {story.buyer_id: "buyer", story.seller_id: "seller", story.escrow_id: "escrow"}
    named = {}
    for row in rows:
        account, _, subject = row["account"].partition(":")
        named[f"{account}:{people.get(subject, subject)}".rstrip(":")] = row["balance_minor"]
    return named


async def amounts(story: Story, account: str) -> Sequence[int]:
    rows = await database.fetch(
        "SELECT amount_minor FROM ledger_entries WHERE account = $1 ORDER BY id", account
    )
    return [row["amount_minor"] for row in rows]


async def test_a_released_trade(mirror: Mirror) -> None:
    story = Story().create().pay(fee_minor=3_015).deliver().release().paid_out()
    await write(mirror, story)
    fees = BUYER_FEE + SELLER_FEE
    assert await balances(story) == {
        "platform_fees": fees,
        "provider_fees": -3_015,
        "provider_clearing:stripe": -(fees - 3_015),
    }
    paid_out = PRICE_MINOR - SELLER_FEE
    assert await amounts(story, f"seller:{story.seller_id}") == [paid_out, -paid_out]
    assert await amounts(story, f"buyer:{story.buyer_id}") == [RECEIVED, -RECEIVED]


async def test_money_that_is_held_is_the_escrows(mirror: Mirror) -> None:
    story = Story().create().pay()
    await write(mirror, story)
    assert await balances(story) == {
        "escrow_held:escrow": RECEIVED,
        "provider_clearing:stripe": -RECEIVED,
    }


async def test_a_refunded_trade_leaves_nothing(mirror: Mirror) -> None:
    story = Story().create().pay().refund().repaid()
    await write(mirror, story)
    assert await balances(story) == {}


async def test_a_split_keeps_the_sellers_share_of_the_fees(mirror: Mirror) -> None:
    story = Story().create().pay().deliver().settle(PRICE_MINOR // 2).repaid().paid_out()
    await write(mirror, story)
    kept = BUYER_FEE // 2 + SELLER_FEE
    assert await balances(story) == {"platform_fees": kept, "provider_clearing:stripe": -kept}


async def test_one_leg_of_a_split_is_booked_when_it_is_done(mirror: Mirror) -> None:
    story = Story().create().pay().deliver().settle(PRICE_MINOR // 2).repaid()
    await write(mirror, story)
    left = RECEIVED - story.escrow.refunded_minor
    assert (await balances(story))["escrow_held:escrow"] == left


async def test_a_stray_receipt_is_the_buyers_until_it_is_back(mirror: Mirror) -> None:
    story = Story().create().pay().stray(777)
    await write(mirror, story)
    assert (await balances(story))["buyer:buyer"] == 777
    story.stray_returned()
    await write(mirror, story)
    assert await balances(story) == {
        "escrow_held:escrow": RECEIVED,
        "provider_clearing:stripe": -RECEIVED,
    }


async def test_a_chargeback_before_the_payout_that_is_won(mirror: Mirror) -> None:
    story = Story().create().pay().charge_back(RECEIVED)
    await write(mirror, story)
    assert await balances(story) == {
        "escrow_held:escrow": RECEIVED,
        "receivable:buyer": -RECEIVED,
    }
    story.chargeback_closed(RECEIVED, won=True)
    await write(mirror, story)
    assert await balances(story) == {
        "escrow_held:escrow": RECEIVED,
        "provider_clearing:stripe": -RECEIVED,
    }


async def test_a_chargeback_before_the_payout_that_is_lost_is_the_refund(mirror: Mirror) -> None:
    story = Story().create().pay().charge_back(RECEIVED).chargeback_closed(RECEIVED, won=False)
    await write(mirror, story)
    assert await balances(story) == {}


async def test_a_chargeback_after_the_payout_is_the_sellers_debt(mirror: Mirror) -> None:
    story = Story().create().pay().deliver().release().paid_out().charge_back(RECEIVED)
    await write(mirror, story)
    fees = BUYER_FEE + SELLER_FEE
    lost = {
        "platform_fees": fees,
        "provider_clearing:stripe": RECEIVED - fees,
        "receivable:seller": -RECEIVED,
    }
    assert await balances(story) == lost
    story.chargeback_closed(RECEIVED, won=False)
    await write(mirror, story)
    assert await balances(story) == lost


async def test_a_chargeback_after_the_payout_that_is_won(mirror: Mirror) -> None:
    story = Story().create().pay().deliver().release().paid_out()
    story.charge_back(RECEIVED).chargeback_closed(RECEIVED, won=True)
    await write(mirror, story)
    fees = BUYER_FEE + SELLER_FEE
    assert await balances(story) == {"platform_fees": fees, "provider_clearing:stripe": -fees}


async def test_trades_share_accounts_without_mixing(mirror: Mirror) -> None:
    released = Story().create().pay().deliver().release().paid_out()
    held = Story().create().pay()
    await write(mirror, released, held)
    fees = BUYER_FEE + SELLER_FEE
    assert (await balances(held))["platform_fees"] == fees
    assert (await balances(held))["provider_clearing:stripe"] == -(RECEIVED + fees)
