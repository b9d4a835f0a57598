"""Settlements in turns, disputes withdrawn, and what ends an open proposal."""

import pytest

from bloxtr8.escrow import allowed_actions
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from tests.unit.escrow.paths import PATHS, delivered, dispute_body, disputed, held, splitting
from tests.unit.escrow.trade import BUYER, EVIDENCE, SELLER, Trade, usdc


def propose(trade: Trade, who: str, refund_minor: int = 1_000) -> str:
    trade.give(who, "propose_settlement", commands.ProposeSettlement(refund_minor=refund_minor))
    return trade.escrow.settlement.proposal_id


def accept(proposal_id: str) -> commands.AcceptSettlement:
    return commands.AcceptSettlement(proposal_id=proposal_id)


@pytest.mark.parametrize(
    ("refund_minor", "state"), [(0, "RELEASING"), (1, "SPLITTING"), (125_000, "REFUNDING")]
)
@pytest.mark.parametrize("start", ["FUNDS_HELD", "DELIVERED", "DISPUTED"])
def test_an_accepted_proposal_moves_the_money(start: str, refund_minor: int, state: str) -> None:
    trade = PATHS[start]()
    proposal = propose(trade, "seller", refund_minor)
    trade.give("buyer", "accept_settlement", accept(proposal))
    assert trade.state == state
    assert not trade.escrow.HasField("settlement")


@pytest.mark.parametrize("refund_minor", [-1, 125_001])
def test_a_proposal_stays_within_the_price(refund_minor: int) -> None:
    body = commands.ProposeSettlement(refund_minor=refund_minor)
    assert held().refused("buyer", "propose_settlement", body) == "AMOUNT_OUT_OF_RANGE"


def test_the_sides_take_turns() -> None:
    trade = held()
    first = propose(trade, "buyer")
    again = commands.ProposeSettlement(refund_minor=2)
    assert trade.refused("buyer", "propose_settlement", again) == "NOT_YOUR_TURN"
    assert trade.refused("buyer", "accept_settlement", accept(first)) == "NOT_YOUR_TURN"
    reject = commands.RejectSettlement(proposal_id=first)
    assert trade.refused("buyer", "reject_settlement", reject) == "NOT_YOUR_TURN"
    withdraw = commands.WithdrawSettlement(proposal_id=first)
    assert trade.refused("seller", "withdraw_settlement", withdraw) == "NOT_YOUR_TURN"
    second = propose(trade, "seller")
    assert trade.events[-2].settlement_closed.end == types.SETTLEMENT_END_SUPERSEDED
    assert trade.refused("seller", "accept_settlement", accept(first)) == "STALE_PROPOSAL"
    trade.give("buyer", "accept_settlement", accept(second))


def test_after_a_rejection_it_is_the_other_sides_turn_for_a_while() -> None:
    trade = held()
    proposal = propose(trade, "buyer")
    reject = commands.RejectSettlement(proposal_id=proposal)
    trade.give("seller", "reject_settlement", reject)
    assert trade.refused("seller", "reject_settlement", reject) == "STALE_PROPOSAL"
    again = commands.ProposeSettlement(refund_minor=2)
    assert trade.refused("buyer", "propose_settlement", again) == "NOT_YOUR_TURN"
    assert "propose_settlement" not in allowed_actions(trade.escrow, trade.now, user_id=BUYER)
    assert "propose_settlement" in allowed_actions(trade.escrow, trade.now, user_id=SELLER)
    trade.later(hours=72)
    propose(trade, "buyer")


def test_after_withdrawing_the_same_side_may_propose_again() -> None:
    trade = held()
    proposal = propose(trade, "buyer")
    body = commands.WithdrawSettlement(proposal_id=proposal)
    trade.give("buyer", "withdraw_settlement", body)
    propose(trade, "buyer")


def test_a_proposal_lapses_after_72_hours() -> None:
    trade = held()
    proposal = propose(trade, "buyer")
    trade.later(hours=71, minutes=59)
    assert "accept_settlement" in allowed_actions(trade.escrow, trade.now, user_id=SELLER)
    trade.later(minutes=1)
    assert "accept_settlement" not in allowed_actions(trade.escrow, trade.now, user_id=SELLER)
    assert trade.refused("seller", "accept_settlement", accept(proposal)) == "STALE_PROPOSAL"
    propose(trade, "buyer")
    assert trade.events[-2].settlement_closed.end == types.SETTLEMENT_END_LAPSED


def test_a_proposal_ends_when_the_money_moves_without_it() -> None:
    trade = delivered()
    propose(trade, "seller")
    trade.give("buyer", "release_funds")
    closed = [e.settlement_closed for e in trade.events if e.HasField("settlement_closed")]
    assert [one.end for one in closed] == [types.SETTLEMENT_END_SUPERSEDED]


def test_a_verdict_closes_an_open_proposal_once() -> None:
    trade = disputed()
    propose(trade, "seller")
    body = commands.ResolveDispute(outcome=types.OUTCOME_REFUND, verdict=EVIDENCE)
    trade.give("moderator", "resolve_dispute", body)
    assert sum(event.HasField("settlement_closed") for event in trade.events) == 1


def test_at_most_a_hundred_proposals() -> None:
    trade = held()
    for turn in range(100):
        propose(trade, "buyer" if turn % 2 else "seller")
    body = commands.ProposeSettlement(refund_minor=1)
    assert trade.refused("seller", "propose_settlement", body) == "NOT_YOUR_TURN"


def test_accepting_is_offered_when_it_can_be_done() -> None:
    trade = held(payee=None)
    proposal = propose(trade, "seller")
    assert "accept_settlement" not in allowed_actions(trade.escrow, trade.now, user_id=BUYER)
    assert trade.refused("buyer", "accept_settlement", accept(proposal)) == "PAYEE_MISSING"
    propose(trade, "buyer", trade.escrow.price.minor)
    assert "accept_settlement" in allowed_actions(trade.escrow, trade.now, user_id=SELLER)


def test_a_settlement_in_usdc() -> None:
    trade = splitting(refund_minor=5_000_000_000, **usdc(20_000_000_000))
    assert trade.escrow.payout.amount_minor == 14_925_000_000
    assert trade.escrow.refund.amount_minor == 5_000_000_000


def test_only_the_opener_withdraws_a_dispute() -> None:
    trade = disputed("seller")
    assert trade.refused("buyer", "withdraw_dispute") == "NOT_ALLOWED"
    trade.give("seller", "withdraw_dispute")
    assert trade.state == "DELIVERED"
    assert not trade.escrow.HasField("dispute")


def test_nobody_withdraws_what_the_system_opened() -> None:
    trade = held()
    body = commands.RaiseDispute(reason=types.DISPUTE_REASON_COMPLIANCE)
    trade.give("system", "raise_dispute", body)
    for who in ("buyer", "seller"):
        assert trade.refused(who, "withdraw_dispute") == "NOT_ALLOWED"


def test_disputes_that_say_too_little_or_too_much() -> None:
    trade = held()
    unsaid = commands.RaiseDispute(wanted=types.OUTCOME_REFUND)
    assert trade.refused("buyer", "raise_dispute", unsaid) == "MALFORMED"
    body = dispute_body()
    body.wanted = types.OUTCOME_UNSPECIFIED
    assert trade.refused("buyer", "raise_dispute", body) == "MALFORMED"
    body = dispute_body()
    body.reason = types.DISPUTE_REASON_CHARGEBACK
    assert trade.refused("buyer", "raise_dispute", body) == "MALFORMED"
    assert trade.refused("system", "raise_dispute", dispute_body()) == "MALFORMED"
    body = dispute_body()
    body.statement.id = "statement-1"
    assert trade.refused("buyer", "raise_dispute", body) == "MALFORMED"
    body.statement.sha256 = "e" * 64
    trade.give("buyer", "raise_dispute", body)
    assert trade.escrow.dispute.statement == EVIDENCE


def test_cancelling_says_why() -> None:
    for reason in (types.CANCEL_REASON_UNSPECIFIED, types.CANCEL_REASON_TIMEOUT):
        trade = PATHS["AWAIT_FUNDS"]()
        body = commands.CancelEscrow(reason=reason)
        assert trade.refused("seller", "cancel_escrow", body) == "MALFORMED"
        trade.give("admin", "cancel_escrow", body)
        assert trade.escrow.cancel_reason == types.CANCEL_REASON_STAFF


def test_delivery_says_how() -> None:
    body = commands.MarkDelivered(note=EVIDENCE)
    assert held().refused("seller", "mark_delivered", body) == "MALFORMED"
    body.method = types.DELIVERY_METHOD_OTHER
    held().give("seller", "mark_delivered", body)
