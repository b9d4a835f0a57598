"""docs/LEDGER.md is what the code says, and the code does what docs/LEDGER.md says."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bloxtr8.ledger import accounts
from bloxtr8.ledger.bookings import (
    Line,
    of_escrow_event,
    of_payment_event,
    provider_fee,
    relocation,
)
from bloxtr8.ledger.page import FACTS, Fact, render
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import events_pb2 as events
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.escrow.v1.record_pb2 import Chargeback, Escrow, StrayFunds
from proto.bloxtr8.payments.v1 import payments_pb2 as payments
from tests.integration.story import usd
from tests.unit.ledger.test_bookings import escrow

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "LEDGER.md"


def test_the_document_is_current() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == render()


def step(before: Escrow, after: Escrow) -> list[Line]:
    return of_escrow_event(before, after)


def money(received: int = 0, **fields: int) -> Escrow:
    spent = sum(fields.values())
    return escrow(received_minor=received, held_minor=received - spent, **fields)


def chargeback(status: "events.ChargebackStatus.ValueType") -> Escrow:
    case = Chargeback(dispute_ref="d", amount_minor=5, status=status, after_release=True)
    return escrow(chargebacks=[case])


def stray(*, refunded: bool) -> Escrow:
    usd = common.CURRENCY_USD
    received = StrayFunds(payment_ref="p", amount_minor=5, currency=usd, refunded=refunded)
    return escrow(stray=[received])


def lost() -> Escrow:
    after = money(9, refunded_minor=9)
    after.refund_reason = types.REFUND_REASON_CHARGEBACK
    return after


def fee_of_receipt() -> list[Line]:
    body = payments.PaymentSucceeded(provider_fee=usd(5))
    return of_payment_event(payments.PaymentEvent(payment_succeeded=body), escrow())


def reversal() -> list[Line]:
    body = payments.TransferReversed(amount=usd(5))
    return of_payment_event(payments.PaymentEvent(transfer_reversed=body), escrow())


OPEN, WON = events.CHARGEBACK_STATUS_OPEN, events.CHARGEBACK_STATUS_WON
DONE: dict[str, Callable[[], list[Line]]] = {
    "charge or deposit received, also under review": lambda: step(money(), money(9)),
    "payout": lambda: step(money(9), money(9, released_minor=9)),
    "platform fee earned": lambda: step(money(9), money(9, fees_minor=9)),
    "refund": lambda: step(money(9), money(9, refunded_minor=9)),
    "stray or foreign receipt": lambda: step(escrow(), stray(refunded=False)),
    "its return": lambda: step(stray(refunded=False), stray(refunded=True)),
    "chargeback withdrawn": lambda: step(escrow(), chargeback(OPEN)),
    "chargeback reinstated": lambda: step(chargeback(OPEN), chargeback(WON)),
    "chargeback lost before a payout: it is the refund": lambda: step(money(9), lost()),
    "transfer reversed": reversal,
    "provider's fee on a receipt": fee_of_receipt,
    "other fee of the provider": lambda: provider_fee("stripe", "USD", 5),
    "sweep to the hot wallet": lambda: relocation("base", "base_hot", "USDC", 5),
    "payout from the hot wallet: back to base": lambda: relocation("base_hot", "base", "USDC", 5),
    "our own money put into the hot wallet": lambda: relocation("bank", "base_hot", "USDC", 5),
    "our earnings paid out to our bank": lambda: relocation("stripe", "bank", "USD", 5),
}


def test_every_fact_is_tried() -> None:
    assert {fact.name for fact in FACTS} == set(DONE)


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_what_is_documented_is_booked(fact: Fact) -> None:
    lines = DONE[fact.name]()
    moves = []
    for pair in zip(lines[::2], lines[1::2], strict=True):
        down, up = sorted(pair, key=lambda line: line.amount_minor)
        assert down.amount_minor == -up.amount_minor < 0
        moves.append((accounts.class_of(down.account).name, accounts.class_of(up.account).name))
    assert tuple(moves) == fact.moves


def test_money_that_changes_its_place_is_there_and_no_longer_here() -> None:
    lines = {line.account: line.amount_minor for line in relocation("stripe", "bank", "USD", 5)}
    # Negative is: the money is there.
    assert lines == {"provider_clearing:stripe": 5, "provider_clearing:bank": -5}


def test_a_fee_that_is_given_back() -> None:
    lines = {line.account: line.amount_minor for line in provider_fee("stripe", "USD", -5)}
    assert lines == {"provider_fees": 5, "provider_clearing:stripe": -5}


def test_accounts_that_the_chart_does_not_have() -> None:
    with pytest.raises(KeyError):
        accounts.floor_minor("somebody:else")
    with pytest.raises(AssertionError):
        accounts.clearing_at("under_the_mattress")
