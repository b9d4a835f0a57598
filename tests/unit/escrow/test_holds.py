"""The hold overlay, chargebacks and what they freeze."""

import pytest

from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from tests.unit.escrow.paths import (
    PATHS,
    cancelling,
    confirm_payout,
    confirm_refund,
    created,
    delivered,
    disputed,
    held,
    pay,
    refunding,
    releasing,
    reviewed,
)
from tests.unit.escrow.trade import Trade, fields_of, two

MANUAL = commands.PlaceHold(kind=types.HOLD_KIND_MANUAL)
COMPLIANCE = commands.PlaceHold(kind=types.HOLD_KIND_COMPLIANCE)
MISMATCH = commands.PlaceHold(kind=types.HOLD_KIND_RECOVERY_MISMATCH)


def bank(trade: Trade, minor: int | None = None, ref: str = "dp_1") -> None:
    amount = trade.money(trade.due if minor is None else minor)
    trade.hear("chargeback_opened", dispute_ref=ref, amount=amount)


def decided(trade: Trade, *, won: bool, minor: int | None = None, ref: str = "dp_1") -> None:
    amount = trade.money(trade.due if minor is None else minor)
    trade.hear("chargeback_closed", dispute_ref=ref, amount=amount, won=won)


def test_money_waits_and_the_rest_goes_on() -> None:
    trade = delivered()
    trade.give("moderator", "place_hold", MANUAL)
    assert trade.refused("buyer", "release_funds") == "ON_HOLD"
    assert trade.refused("seller", "refund_buyer") == "ON_HOLD"
    trade.give("buyer", "propose_settlement", commands.ProposeSettlement(refund_minor=1))
    accept = commands.AcceptSettlement(proposal_id=trade.escrow.settlement.proposal_id)
    assert trade.refused("seller", "accept_settlement", accept) == "ON_HOLD"
    trade.give("moderator", "lift_hold")
    trade.give("seller", "accept_settlement", accept)


def test_delivery_on_hold_starts_a_deadline_that_stands_still() -> None:
    trade = held()
    trade.give("moderator", "place_hold", MANUAL)
    body = commands.MarkDelivered(method=types.DELIVERY_METHOD_OTHER)
    trade.give("seller", "mark_delivered", body)
    assert trade.escrow.deadline.remaining_seconds == 7 * 86_400
    trade.later(days=9)
    trade.give("moderator", "lift_hold")
    assert trade.escrow.deadline.at.seconds == int(trade.now.timestamp()) + 7 * 86_400


def test_who_may_place_which_hold() -> None:
    trade = held()
    assert trade.refused("moderator", "place_hold", MISMATCH) == "MALFORMED"
    assert trade.refused("system", "place_hold", commands.PlaceHold()) == "MALFORMED"
    trade.give("moderator", "place_hold", MANUAL)
    assert trade.refused("admin", "place_hold", MANUAL) == "WRONG_STATE"
    trade.give("system", "place_hold", MISMATCH)
    trade.give("admin", "place_hold", COMPLIANCE)
    assert trade.refused("system", "place_hold", MISMATCH) == "WRONG_STATE"
    assert trade.refused("admin", "lift_hold") == "APPROVAL_MISSING"
    trade.give("admin", "lift_hold", approvals=two())
    assert not trade.escrow.HasField("hold")
    assert trade.escrow.deadline.HasField("at")


def test_a_moderators_approval_does_not_lift_compliance() -> None:
    trade = held()
    trade.give("admin", "place_hold", COMPLIANCE)
    approvals = two()
    approvals[1].staff_role = common.STAFF_ROLE_MODERATOR
    assert trade.refused("admin", "lift_hold", approvals=approvals) == "APPROVAL_MISSING"


def test_a_payout_that_fails_on_hold_is_deferred() -> None:
    trade = releasing()
    trade.give("moderator", "place_hold", MANUAL)
    count = len(trade.orders)
    trade.hear("transfer_failed", operation_id=trade.escrow.payout.operation_id)
    assert trade.escrow.payout.status == types.LEG_STATUS_DEFERRED
    assert trade.refused("admin", "retry_payout") == "WRONG_STATE"
    trade.ignored("transfer_failed", operation_id=trade.escrow.payout.operation_id)
    assert len(trade.orders) == count
    trade.give("moderator", "lift_hold")
    order = fields_of(trade.orders[-1])
    assert (order.attempt, len(trade.orders)) == (2, count + 1)
    assert order.not_before.seconds
    confirm_payout(trade)


def test_a_leg_that_failed_on_hold_gets_its_own_hold_afterwards() -> None:
    trade = releasing()
    for _ in range(4):
        trade.hear("transfer_failed", operation_id=trade.escrow.payout.operation_id)
    trade.give("moderator", "place_hold", MANUAL)
    trade.hear("transfer_failed", operation_id=trade.escrow.payout.operation_id)
    assert trade.escrow.hold.kind == types.HOLD_KIND_MANUAL
    assert trade.refused("admin", "retry_payout") == "ON_HOLD"
    trade.give("moderator", "lift_hold")
    assert trade.escrow.hold.kind == types.HOLD_KIND_PAYOUT_FAILED
    trade.give("admin", "retry_payout")


def test_staff_may_lift_the_hold_of_a_failed_leg_and_retry_later() -> None:
    trade = releasing()
    for _ in range(5):
        trade.hear("transfer_failed", operation_id=trade.escrow.payout.operation_id)
    trade.give("moderator", "lift_hold")
    assert not trade.escrow.HasField("hold")
    trade.give("admin", "retry_payout")


@pytest.mark.parametrize("state", ["FUNDS_REVIEW", "FUNDS_HELD", "DELIVERED"])
def test_a_chargeback_opens_a_dispute_on_hold(state: str) -> None:
    trade = PATHS[state]()
    bank(trade)
    trade.ignored("chargeback_opened", dispute_ref="dp_1", amount=trade.money(1))
    assert (trade.state, trade.escrow.hold.kind) == ("DISPUTED", types.HOLD_KIND_CHARGEBACK)
    assert trade.escrow.deadline.remaining_seconds == 30 * 86_400
    refund = commands.ResolveDispute(outcome=types.OUTCOME_REFUND)
    assert trade.refused("moderator", "resolve_dispute", refund) == "ON_HOLD"
    assert trade.refused("buyer", "withdraw_dispute") == "NOT_ALLOWED"
    decided(trade, won=True)
    trade.ignored("chargeback_closed", dispute_ref="dp_1", won=False)
    assert (trade.state, trade.escrow.HasField("hold")) == ("DISPUTED", False)
    assert trade.escrow.deadline.HasField("at")
    release = commands.ResolveDispute(outcome=types.OUTCOME_RELEASE)
    if state == "FUNDS_REVIEW":
        assert trade.refused("moderator", "resolve_dispute", release) == "AMOUNT_OUT_OF_RANGE"
        trade.give("moderator", "resolve_dispute", refund)
    elif state == "DELIVERED":
        trade.give("moderator", "resolve_dispute", release)


def test_a_lost_chargeback_ends_the_trade_without_an_order() -> None:
    trade = disputed()
    bank(trade)
    assert trade.escrow.dispute.opened_by.user_id, "the party's dispute stays the dispute"
    assert trade.refused("buyer", "withdraw_dispute") == "NOT_ALLOWED"
    count = len(trade.orders)
    decided(trade, won=False)
    assert trade.state == "REFUNDED"
    assert trade.escrow.refund_reason == types.REFUND_REASON_CHARGEBACK
    assert len(trade.orders) == count


def test_a_chargeback_lost_in_part_is_for_staff() -> None:
    trade = held()
    bank(trade, minor=100)
    decided(trade, won=False, minor=100)
    assert (trade.state, trade.escrow.hold.kind) == ("DISPUTED", types.HOLD_KIND_CHARGEBACK)
    trade.give("moderator", "lift_hold")
    trade.give(
        "moderator", "resolve_dispute", commands.ResolveDispute(outcome=types.OUTCOME_REFUND)
    )


def test_only_the_last_of_two_chargebacks_lifts_the_hold() -> None:
    trade = held()
    bank(trade, minor=100, ref="dp_1")
    bank(trade, minor=200, ref="dp_2")
    decided(trade, won=True, ref="dp_1", minor=100)
    assert trade.escrow.hold.kind == types.HOLD_KIND_CHARGEBACK
    decided(trade, won=True, ref="dp_2", minor=200)
    assert not trade.escrow.HasField("hold")


def test_an_open_chargeback_is_lifted_by_two_admins_only() -> None:
    trade = held()
    bank(trade)
    assert trade.refused("moderator", "lift_hold") == "NOT_ALLOWED"
    assert trade.refused("admin", "lift_hold") == "APPROVAL_MISSING"
    trade.give("admin", "lift_hold", approvals=two())
    trade.give(
        "moderator", "resolve_dispute", commands.ResolveDispute(outcome=types.OUTCOME_REFUND)
    )


def test_an_open_chargeback_stands_again_below_a_lifted_hold() -> None:
    trade = held()
    trade.give("moderator", "place_hold", MANUAL)
    bank(trade)
    assert trade.escrow.hold.kind == types.HOLD_KIND_MANUAL
    trade.give("moderator", "lift_hold")
    assert trade.escrow.hold.kind == types.HOLD_KIND_CHARGEBACK
    assert not trade.escrow.deadline.HasField("at")


@pytest.mark.parametrize("state", ["RELEASING", "RELEASED", "SPLITTING", "SPLIT"])
def test_after_the_payout_a_chargeback_is_recorded(state: str) -> None:
    trade = PATHS[state]()
    bank(trade)
    decided(trade, won=False)
    assert trade.state == state
    (chargeback,) = trade.escrow.chargebacks
    assert chargeback.after_release


@pytest.mark.parametrize("won", [True, False])
def test_a_chargeback_reported_before_its_money(won: bool) -> None:
    trade = created()
    bank(trade)
    pay(trade)
    assert (trade.state, trade.escrow.hold.kind) == ("DISPUTED", types.HOLD_KIND_CHARGEBACK)
    decided(trade, won=won)
    assert trade.state == ("DISPUTED" if won else "REFUNDED")


def test_a_chargeback_reported_before_money_that_is_reviewed() -> None:
    trade = created()
    bank(trade)
    pay(trade, minor=trade.due - 1)
    assert (trade.state, trade.escrow.hold.kind) == ("DISPUTED", types.HOLD_KIND_CHARGEBACK)


def test_a_hold_says_who_set_it_and_when() -> None:
    trade = held()
    trade.later(hours=1)
    trade.give("moderator", "place_hold", MANUAL)
    assert trade.escrow.hold.by.staff_role == common.STAFF_ROLE_MODERATOR
    assert trade.escrow.hold.since.seconds == int(trade.now.timestamp())


def test_a_chargeback_lost_before_its_money() -> None:
    trade = created()
    decided(trade, won=False)
    trade.ignored("chargeback_opened", dispute_ref="dp_1", amount=trade.money(trade.due))
    pay(trade)
    assert trade.state == "REFUNDED"
    assert len(trade.orders) == 1


def test_a_chargeback_open_before_late_money_defers_its_refund() -> None:
    trade = cancelling()
    bank(trade)
    count = len(trade.orders)
    pay(trade)
    assert (trade.state, trade.escrow.refund.status) == ("REFUNDING", types.LEG_STATUS_DEFERRED)
    decided(trade, won=True)
    assert len(trade.orders) == count + 1
    confirm_refund(trade)


def test_a_chargeback_lost_while_the_refund_is_deferred() -> None:
    trade = cancelling()
    bank(trade)
    pay(trade)
    decided(trade, won=False)
    assert trade.state == "REFUNDED"


def test_a_chargeback_lost_before_late_money_orders_nothing() -> None:
    trade = cancelling()
    decided(trade, won=False)
    count = len(trade.orders)
    pay(trade)
    assert (trade.state, len(trade.orders)) == ("REFUNDED", count)


def test_a_refund_under_way_is_not_stopped() -> None:
    trade = refunding()
    bank(trade)
    assert not trade.escrow.HasField("hold")
    decided(trade, won=False)
    assert trade.state == "REFUNDING"
    confirm_refund(trade)


def refuse_refund(trade: Trade, *, nothing_happened: bool = True) -> None:
    """Let the provider refuse until nothing more is tried."""
    while trade.escrow.refund.status == types.LEG_STATUS_ORDERED:
        trade.hear(
            "refund_failed",
            operation_id=trade.escrow.refund.operation_id,
            code="charge_disputed",
            nothing_happened=nothing_happened,
        )


def test_a_chargeback_lost_after_its_refund_was_refused_for_good_is_the_refund() -> None:
    trade = refunding()
    bank(trade)
    refuse_refund(trade)
    assert trade.escrow.hold.kind == types.HOLD_KIND_REFUND_FAILED
    count = len(trade.orders)
    decided(trade, won=False)
    assert (trade.state, len(trade.orders)) == ("REFUNDED", count)
    assert trade.escrow.refund_reason == types.REFUND_REASON_CHARGEBACK


def test_a_chargeback_won_after_its_refund_was_refused_leaves_it_to_staff() -> None:
    trade = refunding()
    bank(trade)
    refuse_refund(trade)
    decided(trade, won=True)
    assert (trade.state, trade.escrow.hold.kind) == ("REFUNDING", types.HOLD_KIND_REFUND_FAILED)
    trade.give("admin", "retry_refund")
    confirm_refund(trade)


def test_a_chargeback_lost_in_part_or_beside_a_doubtful_refund_is_for_staff() -> None:
    for minor, proven in ((1_000, True), (None, False)):
        trade = refunding()
        bank(trade, minor)
        refuse_refund(trade, nothing_happened=proven)
        decided(trade, won=False, minor=minor)
        assert trade.state == "REFUNDING"
        assert trade.escrow.hold.kind == types.HOLD_KIND_REFUND_FAILED


def test_no_more_chargebacks_than_can_be_remembered() -> None:
    trade = releasing()
    for number in range(32):
        bank(trade, minor=1, ref=f"dp_{number}")
    trade.ignored("chargeback_opened", dispute_ref="dp_x", amount=trade.money(1))
    trade.ignored("chargeback_closed", dispute_ref="dp_x", amount=trade.money(1))


def test_foreign_money_under_review_is_not_disputed() -> None:
    trade = created()
    foreign = common.Money(minor=5, currency=common.CURRENCY_USDC)
    trade.hear("payment_succeeded", payment_ref="tx", amount=foreign)
    bank(trade)
    assert trade.state == "FUNDS_REVIEW"
    trade.give("admin", "reject_funds")


def test_a_compliance_hold_is_not_weakened_by_a_chargeback() -> None:
    trade = reviewed(risk="SANCTIONED")
    bank(trade)
    assert trade.escrow.hold.kind == types.HOLD_KIND_COMPLIANCE
    decided(trade, won=True)
    assert trade.escrow.hold.kind == types.HOLD_KIND_COMPLIANCE
