"""Bookings by themselves: what the integration tests' trades do not reach."""

import random
from collections import defaultdict

import pytest

from bloxtr8.ledger import accounts
from bloxtr8.ledger.bookings import Line, books, of_escrow_event, of_payment_event
from bloxtr8.store.mirror_fold import fold
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import events_pb2 as events
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.escrow.v1.record_pb2 import Chargeback, Escrow, StrayFunds
from proto.bloxtr8.payments.v1 import payments_pb2 as payments
from tests.integration.story import Story, usd

CLEARING = "provider_clearing:stripe"


def escrow(**fields: object) -> Escrow:
    return Escrow(
        escrow_id="e",
        buyer_id="b",
        seller_id="s",
        price=usd(1_000),
        rail=common.RAIL_STRIPE,
        **fields,  # type: ignore[arg-type]
    )


def usdc(minor: int) -> common.Money:
    return common.Money(minor=minor, currency=common.CURRENCY_USDC)


def totals(lines: list[Line]) -> dict[tuple[str, str], int]:
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for line in lines:
        sums[line.account, line.currency] += line.amount_minor
    return {key: total for key, total in sums.items() if total}


def test_foreign_money_under_review_is_the_buyers_in_its_own_currency() -> None:
    reviewed = escrow(
        state=types.ESCROW_STATE_FUNDS_REVIEW, funding_ref="pi_1", foreign=usdc(5_000_000)
    )
    lines = of_escrow_event(escrow(), reviewed)
    assert totals(lines) == {(CLEARING, "USDC"): -5_000_000, ("buyer:b", "USDC"): 5_000_000}


def test_foreign_money_that_becomes_stray_is_not_booked_again() -> None:
    reviewed = escrow(
        state=types.ESCROW_STATE_FUNDS_REVIEW, funding_ref="pi_1", foreign=usdc(5_000_000)
    )
    stray = StrayFunds(payment_ref="pi_1", amount_minor=5_000_000, currency=common.CURRENCY_USDC)
    rejected = escrow(
        state=types.ESCROW_STATE_CANCELLED,
        funding_ref="pi_1",
        foreign=usdc(5_000_000),
        stray=[stray],
    )
    assert totals(of_escrow_event(reviewed, rejected)) == {}
    stray.refunded = True
    back = escrow(state=types.ESCROW_STATE_CANCELLED, funding_ref="pi_1", stray=[stray])
    assert totals(of_escrow_event(rejected, back)) == {
        (CLEARING, "USDC"): 5_000_000,
        ("buyer:b", "USDC"): -5_000_000,
    }


def test_stray_money_is_booked_in_its_own_currency_only() -> None:
    euros = StrayFunds(payment_ref="pi_1", amount_minor=5_000, currency=common.CURRENCY_EUR)
    lines = of_escrow_event(escrow(), escrow(stray=[euros]))
    assert totals(lines) == {(CLEARING, "EUR"): -5_000, ("buyer:b", "EUR"): 5_000}
    unnamed = StrayFunds(payment_ref="pi_2", amount_minor=7)
    assert of_escrow_event(escrow(), escrow(stray=[unnamed])) == []


def test_a_returned_stray_receipt_may_be_forgotten() -> None:
    usd = common.CURRENCY_USD
    returned = StrayFunds(payment_ref="pi_1", amount_minor=5, currency=usd, refunded=True)
    newer = StrayFunds(payment_ref="pi_2", amount_minor=7, currency=usd)
    lines = of_escrow_event(escrow(stray=[returned]), escrow(stray=[newer]))
    assert totals(lines) == {(CLEARING, "USD"): -7, ("buyer:b", "USD"): 7}


def test_a_chargeback_that_is_won_after_the_payout_frees_whom_it_burdened() -> None:
    opened = Chargeback(
        dispute_ref="d", amount_minor=900, status=events.CHARGEBACK_STATUS_OPEN, after_release=False
    )
    won = Chargeback(
        dispute_ref="d", amount_minor=900, status=events.CHARGEBACK_STATUS_WON, after_release=True
    )
    first = of_escrow_event(escrow(), escrow(chargebacks=[opened]))
    second = of_escrow_event(escrow(chargebacks=[opened]), escrow(chargebacks=[won]))
    assert totals(first) == {("receivable:b", "USD"): -900, (CLEARING, "USD"): 900}
    assert totals([*first, *second]) == {}


def test_a_transfer_that_is_reversed_pays_the_sellers_debt() -> None:
    event = payments.PaymentEvent(
        transfer_reversed=payments.TransferReversed(provider_ref="tr_1", amount=usd(900))
    )
    assert totals(of_payment_event(event, escrow())) == {
        (CLEARING, "USD"): -900,
        ("receivable:s", "USD"): 900,
    }


@pytest.mark.parametrize("body", ["transfer_succeeded", "refund_succeeded", "chargeback_opened"])
def test_what_an_escrow_event_says_too_is_not_booked_from_the_payment_event(body: str) -> None:
    event = payments.PaymentEvent()
    getattr(event, body).SetInParent()
    assert not books(event)
    assert of_payment_event(event, escrow()) == []


def test_an_event_that_moves_no_money_books_nothing() -> None:
    story = Story().create().pay()
    before = story.escrow
    story.deliver()
    assert of_escrow_event(before, story.escrow) == []


@pytest.mark.parametrize("seed", range(60))
def test_random_trades_never_pass_a_floor_and_end_as_the_state_says(seed: int) -> None:
    """Whatever happens in whatever order: zero sums, floors, held and owed as the state has it."""
    story, sums = _random_story(seed), defaultdict[str, int](int)
    before: Escrow | None = None
    for count in range(1, len(story.events) + 1):
        after, _ = fold(story.events[:count])
        assert after is not None
        lines = of_escrow_event(before, after)
        assert sum(line.amount_minor for line in lines) == 0
        for line in lines:
            sums[line.account] += line.amount_minor
        for account, balance in sums.items():
            floor = accounts.floor_minor(account)
            assert floor is None or balance >= floor
        assert sums[accounts.held(story.escrow_id)] == after.held_minor
        owed = sum(stray.amount_minor for stray in after.stray if not stray.refunded)
        assert sums[accounts.buyer(story.buyer_id)] == owed
        before = after
    assert sums[accounts.PLATFORM_FEES] == story.escrow.fees_minor


def test_random_trades_end_in_many_ways() -> None:
    ends = {_random_story(seed).escrow.state for seed in range(60)}
    assert {
        types.ESCROW_STATE_RELEASED,
        types.ESCROW_STATE_REFUNDED,
        types.ESCROW_STATE_SPLIT,
        types.ESCROW_STATE_CANCELLED,
    } <= ends


def _random_story(seed: int) -> Story:
    """Try forty random things; the rules ignore or refuse what does not fit."""
    chance, story = random.Random(seed), Story(lenient=True).create()
    for _ in range(40):
        _step(story, chance)
    return story


def _step(story: Story, chance: random.Random) -> None:
    plain = [story.pay, story.deliver, story.release, story.refund, story.dispute]
    plain += [story.paid_out, story.repaid]
    choice = chance.randrange(len(plain) + 5)
    case = f"dp_{chance.randrange(3)}"
    if choice < len(plain):
        plain[choice]()
    elif choice == len(plain):
        story.settle(chance.randrange(100_001))
    elif choice == len(plain) + 1:
        story.stray(chance.randrange(1, 500), reference=f"pi_{chance.randrange(1_000)}")
    elif choice == len(plain) + 2:
        if story.escrow.stray:
            story.stray_returned()
    elif choice == len(plain) + 3:
        won = chance.random() < 0.5
        story.charge_back(chance.choice([story.due_minor, 500]), reference=case)
        story.chargeback_closed(story.due_minor, won=won, reference=case)
    elif chance.random() < 0.1:
        cancel = commands.CancelEscrow(reason=types.CANCEL_REASON_TERMS)
        story.tell(story.buyer, cancel_escrow=cancel)
        operation_id = story.escrow.intent.operation_id
        story.fact(payment_cancelled=payments.PaymentCancelled(operation_id=operation_id))
