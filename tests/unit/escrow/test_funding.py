"""Money coming in: exact, wrong, twice, late, suspicious, while cancelling."""

import pytest

from bloxtr8 import ids
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.payments.v1 import payments_pb2 as payments
from tests.unit.escrow.paths import (
    PATHS,
    cancelling,
    confirm_refund,
    created,
    dispute_body,
    held,
    pay,
    reviewed,
)
from tests.unit.escrow.trade import ADMIN_TWO, ESCROW, Trade, fields_of, two, usdc

LARGE = usdc(20_000_000_000)


def test_the_instrument_gets_ready_and_processes() -> None:
    trade = created()
    intent = trade.escrow.intent.operation_id
    trade.hear("payment_intent_created", operation_id=intent, provider_ref="pi_1")
    trade.ignored("payment_intent_created", operation_id=intent, provider_ref="pi_1")
    trade.hear("payment_processing", operation_id=intent, provider_ref="pi_1")
    trade.ignored("payment_processing", operation_id=intent, provider_ref="pi_1")
    trade.hear("payment_failed", operation_id=intent, code="declined")
    assert not trade.escrow.intent.processing
    assert trade.escrow.intent.provider_ref == "pi_1"


def test_a_dead_instrument_is_replaced_but_not_for_ever() -> None:
    trade = created()
    for attempt in range(1, 7):
        first = trade.escrow.intent.operation_id
        trade.hear("payment_failed", operation_id=first, code="dead", intent_dead=True)
        assert trade.escrow.intent.failed_attempts == attempt
    assert trade.escrow.intent.generation == 5
    assert [fields_of(order).generation for order in trade.orders] == [1, 2, 3, 4, 5]
    old = ids.operation_id_for(ESCROW, "INTENT", 1)
    trade.ignored("payment_failed", operation_id=old, code="dead")


def test_failures_are_counted_up_to_a_limit() -> None:
    trade = created()
    intent = trade.escrow.intent.operation_id
    for _ in range(100):
        trade.hear("payment_failed", operation_id=intent, code="declined")
    trade.ignored("payment_failed", operation_id=intent, code="declined")


def test_paying_the_older_instrument_cancels_the_newer() -> None:
    trade = created()
    old = trade.escrow.intent.operation_id
    trade.hear("payment_failed", operation_id=old, intent_dead=True)
    trade.hear(
        "payment_succeeded", operation_id=old, payment_ref="pi_1", amount=trade.money(trade.due)
    )
    assert trade.state == "FUNDS_HELD"
    assert fields_of(trade.orders[-1]).intent_operation_id == trade.escrow.intent.operation_id


@pytest.mark.parametrize(("extra", "reason"), [(-1, "AMOUNT_TOO_SMALL"), (1, "AMOUNT_TOO_LARGE")])
def test_another_amount_is_reviewed(extra: int, reason: str) -> None:
    trade = created()
    pay(trade, minor=trade.due + extra)
    assert trade.state == "FUNDS_REVIEW"
    assert trade.escrow.review_reason == reason
    assert not trade.escrow.HasField("deadline")
    if extra < 0:
        assert trade.refused("admin", "approve_funds") == "AMOUNT_OUT_OF_RANGE"
    else:
        trade.give("admin", "approve_funds")
        assert trade.state == "FUNDS_HELD"
        assert trade.events[-1].escrow_funds_held.excess_minor == 1


def test_one_percent_too_much_usdc_is_held() -> None:
    trade = created(**LARGE)
    pay(trade, minor=20_200_000_000)
    assert trade.state == "FUNDS_HELD"
    assert trade.events[-1].escrow_funds_held.excess_minor == 200_000_000
    trade = created(**LARGE)
    pay(trade, minor=20_200_000_001)
    assert trade.state == "FUNDS_REVIEW"


def test_another_currency_cannot_be_held_and_goes_back() -> None:
    trade = created()
    foreign = common.Money(minor=128_655, currency=common.CURRENCY_USDC)
    trade.hear("payment_succeeded", payment_ref="tx", amount=foreign)
    assert (trade.state, trade.escrow.received_minor) == ("FUNDS_REVIEW", 0)
    assert trade.refused("admin", "approve_funds") == "AMOUNT_OUT_OF_RANGE"
    trade.give("admin", "reject_funds")
    assert trade.state == "CANCELLED"
    assert trade.escrow.cancel_reason == types.CANCEL_REASON_STAFF
    order = fields_of(trade.orders[-1])
    assert (order.amount, order.kind) == (foreign, payments.OPERATION_KIND_STRAY_REFUND)
    trade.hear("refund_succeeded", operation_id=order.operation_id)
    assert trade.escrow.stray[0].refunded


def test_nothing_is_received_in_another_currency_while_cancelling() -> None:
    trade = cancelling()
    foreign = common.Money(minor=5, currency=common.CURRENCY_USDC)
    trade.hear("payment_succeeded", payment_ref="tx", amount=foreign)
    assert trade.state == "FUNDS_REVIEW"
    assert trade.refused("admin", "approve_funds") == "AMOUNT_OUT_OF_RANGE"
    trade.give("admin", "reject_funds")
    assert trade.escrow.cancel_reason == types.CANCEL_REASON_CHANGED_MIND


def test_receipts_of_nothing_and_without_a_name() -> None:
    trade = created()
    trade.ignored("payment_succeeded", payment_ref="pi_1", amount=trade.money(0))
    fact = trade.fact("payment_succeeded", amount=trade.money(trade.due))
    trade.put(fact)
    assert trade.escrow.funding_ref == fact.metadata.message_id


def test_only_the_last_receipts_are_remembered() -> None:
    trade = held()
    for number in range(300):
        pay(trade, minor=1, ref=f"dust_{number}")
        trade.hear("refund_succeeded", operation_id=trade.escrow.stray[-1].operation_id)
    assert len(trade.escrow.payment_refs) == 256
    assert trade.escrow.funding_ref == "pi_1"


def test_a_stray_refund_that_fails_on_hold_waits() -> None:
    trade = held()
    pay(trade, minor=500, ref="pi_2")
    trade.give("moderator", "place_hold", commands.PlaceHold(kind=types.HOLD_KIND_MANUAL))
    count = len(trade.orders)
    fail_stray(trade)
    trade.ignored("refund_failed", operation_id=trade.escrow.stray[0].operation_id)
    assert len(trade.orders) == count
    trade.give("moderator", "lift_hold")
    assert fields_of(trade.orders[-1]).attempt == 2


def test_rejected_funds_go_back() -> None:
    trade = reviewed()
    trade.give("admin", "reject_funds")
    assert trade.state == "REFUNDING"
    confirm_refund(trade)
    assert trade.escrow.refund_reason == types.REFUND_REASON_FUNDS_REJECTED
    assert trade.escrow.refunded_minor == 128_655


def test_sanctioned_funds_stay_frozen() -> None:
    trade = reviewed(risk="SANCTIONED")
    assert trade.escrow.hold.kind == types.HOLD_KIND_COMPLIANCE
    assert trade.refused("admin", "reject_funds", approvals=two()) == "ON_HOLD"
    assert trade.refused("admin", "approve_funds", approvals=two()) == "ON_HOLD"
    assert trade.refused("moderator", "lift_hold") == "NOT_ALLOWED"
    assert trade.refused("system", "lift_hold") == "NOT_ALLOWED"
    assert trade.refused("admin", "lift_hold") == "APPROVAL_MISSING"
    trade.give("admin", "lift_hold", approvals=two())
    assert trade.refused("admin", "reject_funds", approvals=two()) == "ON_HOLD"
    assert trade.refused("admin", "approve_funds") == "APPROVAL_MISSING"
    trade.give("admin", "approve_funds", approvals=two())
    assert trade.state == "FUNDS_HELD"


@pytest.mark.parametrize("risk", ["HIGH", "SANCTIONED"])
def test_serious_risks_take_two(risk: str) -> None:
    trade = reviewed(risk=risk)
    if risk == "SANCTIONED":
        trade.give("admin", "lift_hold", approvals=two())
    assert trade.refused("admin", "approve_funds") == "APPROVAL_MISSING"
    assert trade.refused("admin", "approve_funds", approvals=two(ADMIN_TWO)) == "APPROVAL_MISSING"
    trade.give("admin", "approve_funds", approvals=two())


def test_large_sums_take_two() -> None:
    trade = reviewed(risk="MEDIUM", **LARGE)
    assert trade.refused("admin", "approve_funds") == "APPROVAL_MISSING"
    trade.give("admin", "approve_funds", approvals=two())
    exactly = reviewed(risk="MEDIUM", **usdc(10_000_000_000))
    exactly.give("admin", "approve_funds")


def test_paid_while_cancelling_goes_back() -> None:
    trade = cancelling()
    pay(trade, minor=77)
    assert trade.state == "REFUNDING"
    assert trade.escrow.refund_reason == types.REFUND_REASON_CANCELLED_WHILE_PAYING
    assert fields_of(trade.orders[-1]).amount == trade.money(77)
    trade.ignored("payment_cancelled", operation_id=trade.escrow.intent.operation_id)
    confirm_refund(trade)
    assert trade.state == "REFUNDED"


def test_review_while_cancelling_remembers_the_cancel() -> None:
    trade = cancelling()
    fields = {"payment_ref": "pi_1", "amount": trade.money(trade.due), "risk": "MEDIUM"}
    trade.hear("funds_under_review", **fields)
    assert trade.state == "FUNDS_REVIEW"
    trade.give("admin", "approve_funds")
    assert trade.state == "REFUNDING"
    assert trade.escrow.refund_reason == types.REFUND_REASON_CANCELLED_WHILE_PAYING


def test_paid_while_cancelling_and_on_hold_waits() -> None:
    trade = cancelling()
    trade.give("moderator", "place_hold", commands.PlaceHold(kind=types.HOLD_KIND_MANUAL))
    orders = len(trade.orders)
    pay(trade)
    assert trade.state == "REFUNDING"
    assert trade.escrow.refund.status == types.LEG_STATUS_DEFERRED
    assert len(trade.orders) == orders
    trade.give("moderator", "lift_hold")
    assert trade.escrow.refund.status == types.LEG_STATUS_ORDERED
    assert len(trade.orders) == orders + 1
    confirm_refund(trade)


def test_another_cancellation_does_not_end_this_trade() -> None:
    trade = cancelling()
    trade.ignored("payment_cancelled", operation_id="another")
    own = ids.operation_id_for(ESCROW, "CANCEL", 1)
    trade.hear("payment_cancelled", operation_id=own)
    assert trade.state == "CANCELLED"


STRAY = [state for state in PATHS if state not in ("AWAIT_FUNDS", "CANCELLING")]


@pytest.mark.parametrize("state", STRAY)
def test_stray_funds_go_back_from_every_state(state: str) -> None:
    trade = PATHS[state]()
    before = trade.state
    pay(trade, minor=500, ref="pi_2")
    pay(trade, minor=600, ref="pi_3")
    trade.ignored("payment_succeeded", payment_ref="pi_2", amount=trade.money(500))
    first, second = (fields_of(order) for order in trade.orders[-2:])
    assert (first.generation, second.generation) == (1, 2)
    assert first.operation_id != second.operation_id
    assert (first.payment_ref, first.amount) == ("pi_2", trade.money(500))
    trade.hear("refund_succeeded", operation_id=second.operation_id)
    trade.hear("refund_succeeded", operation_id=first.operation_id)
    trade.ignored("refund_succeeded", operation_id=first.operation_id)
    assert trade.state == before
    assert all(stray.refunded for stray in trade.escrow.stray)


def fail_stray(trade: Trade, number: int = 0, **fields: bool) -> None:
    operation_id = trade.escrow.stray[number].operation_id
    trade.hear("refund_failed", operation_id=operation_id, code="no", **fields)


def test_stray_refunds_are_tried_again_then_left_to_staff() -> None:
    trade = PATHS["RELEASED"]()
    pay(trade, minor=500, ref="pi_2")
    for attempt in range(1, 5):
        fail_stray(trade)
        order = fields_of(trade.orders[-1])
        assert (order.attempt, order.generation) == (attempt + 1, 1)
        assert order.not_before.seconds == int(trade.now.timestamp()) + 60 * 2 ** (attempt - 1)
    fail_stray(trade, nothing_happened=True)
    assert trade.escrow.stray[0].status == types.LEG_STATUS_FAILED
    trade.give("admin", "retry_refund")
    assert fields_of(trade.orders[-1]).generation == 2
    trade.hear("refund_succeeded", operation_id=trade.escrow.stray[0].operation_id)


def test_stray_funds_wait_for_the_end_of_a_hold() -> None:
    trade = held()
    trade.give("moderator", "place_hold", commands.PlaceHold(kind=types.HOLD_KIND_MANUAL))
    count = len(trade.orders)
    pay(trade, minor=500, ref="pi_2")
    assert len(trade.orders) == count
    trade.give("moderator", "lift_hold")
    assert fields_of(trade.orders[-1]).payment_ref == "pi_2"


@pytest.mark.parametrize("state", ["FUNDS_HELD", "RELEASED"])
def test_sanctioned_stray_funds_are_not_returned_by_themselves(state: str) -> None:
    trade = PATHS[state]()
    count = len(trade.orders)
    amount = trade.money(500)
    trade.hear("funds_under_review", payment_ref="x", amount=amount, risk="SANCTIONED")
    assert len(trade.orders) == count
    if state == "FUNDS_HELD":
        assert trade.escrow.hold.kind == types.HOLD_KIND_COMPLIANCE
        assert trade.refused("admin", "retry_refund", approvals=two()) == "ON_HOLD"
    else:
        assert trade.refused("admin", "retry_refund") == "APPROVAL_MISSING"
        trade.give("admin", "retry_refund", approvals=two())
        assert len(trade.orders) == count + 1


def test_what_failed_is_retried_before_what_is_frozen() -> None:
    trade = PATHS["RELEASED"]()
    amount = trade.money(700)
    trade.hear("funds_under_review", payment_ref="x", amount=amount, risk="SANCTIONED")
    pay(trade, minor=500, ref="pi_2")
    for _ in range(5):
        fail_stray(trade, 1)
    trade.give("admin", "retry_refund", approvals=two())
    assert fields_of(trade.orders[-1]).payment_ref == "pi_2"
    assert trade.refused("admin", "retry_refund") == "APPROVAL_MISSING"


def test_no_more_stray_funds_than_can_be_remembered() -> None:
    trade = PATHS["RELEASED"]()
    for number in range(100):
        pay(trade, minor=1, ref=f"dust_{number}")
    trade.ignored("payment_succeeded", payment_ref="dust_100", amount=trade.money(1))
    trade.hear("refund_succeeded", operation_id=trade.escrow.stray[3].operation_id)
    pay(trade, minor=1, ref="dust_101")
    assert len(trade.escrow.stray) == 100
    assert len({stray.operation_id for stray in trade.escrow.stray}) == 100


def screened(trade: Trade, risk: str, ref: str = "pi_1") -> None:
    trade.hear("funds_screened", payment_ref=ref, risk=risk)


def test_a_late_answer_of_screening_clears_the_funds() -> None:
    trade = reviewed("UNKNOWN")
    screened(trade, "LOW")
    assert trade.state == "FUNDS_HELD"
    assert trade.escrow.held_minor == trade.due
    trade.ignored("funds_screened", payment_ref="pi_1", risk="HIGH")


@pytest.mark.parametrize("risk", ["MEDIUM", "HIGH", "SANCTIONED"])
def test_a_late_answer_that_is_not_low_waits_for_people(risk: str) -> None:
    trade = reviewed("UNKNOWN")
    screened(trade, risk)
    assert (trade.state, trade.escrow.review_risk) == ("FUNDS_REVIEW", risk)
    frozen = trade.escrow.hold.kind == types.HOLD_KIND_COMPLIANCE
    assert frozen == (risk == "SANCTIONED")
    trade.ignored("funds_screened", payment_ref="pi_1", risk="LOW")


def test_no_answer_of_screening_changes_nothing() -> None:
    trade = reviewed("UNKNOWN")
    for ref, risk in (("pi_1", "UNKNOWN"), ("pi_1", ""), ("pi_other", "LOW")):
        trade.ignored("funds_screened", payment_ref=ref, risk=risk)


def test_a_good_answer_does_not_clear_what_is_wrong_otherwise() -> None:
    trade = created()
    trade.hear(
        "funds_under_review",
        operation_id=trade.escrow.intent.operation_id,
        payment_ref="pi_1",
        amount=trade.money(trade.due - 1),
        reason="AMOUNT_TOO_SMALL",
        risk="UNKNOWN",
    )
    screened(trade, "LOW")
    assert (trade.state, trade.escrow.review_risk) == ("FUNDS_REVIEW", "LOW")


def test_funds_that_are_cleared_on_hold_stay_under_review() -> None:
    trade = reviewed("UNKNOWN")
    trade.give("moderator", "place_hold", commands.PlaceHold(kind=types.HOLD_KIND_MANUAL))
    screened(trade, "LOW")
    assert (trade.state, trade.escrow.review_risk) == ("FUNDS_REVIEW", "LOW")
    assert trade.escrow.hold.kind == types.HOLD_KIND_MANUAL


@pytest.mark.parametrize("then", ["FUNDS_HELD", "DELIVERED", "DISPUTED"])
def test_funds_that_turn_out_sanctioned_after_their_approval_are_frozen(then: str) -> None:
    trade = reviewed("UNKNOWN")
    trade.give("admin", "approve_funds")
    trade.ignored("funds_screened", payment_ref="pi_other", risk="SANCTIONED")
    if then == "DELIVERED":
        body = commands.MarkDelivered(method=types.DELIVERY_METHOD_GROUP_TRANSFER)
        trade.give("seller", "mark_delivered", body)
    if then == "DISPUTED":
        trade.give("buyer", "raise_dispute", dispute_body())
    assert trade.state == then
    screened(trade, "SANCTIONED")
    assert (trade.state, trade.escrow.hold.kind) == (then, types.HOLD_KIND_COMPLIANCE)
    if then == "DELIVERED":
        assert trade.refused("buyer", "release_funds") == "ON_HOLD"
    trade.ignored("funds_screened", payment_ref="pi_1", risk="SANCTIONED")


@pytest.mark.parametrize("risk", ["LOW", "MEDIUM", "HIGH"])
def test_a_late_answer_that_people_were_free_to_accept_changes_nothing(risk: str) -> None:
    trade = reviewed("UNKNOWN")
    trade.give("admin", "approve_funds")
    trade.ignored("funds_screened", payment_ref="pi_1", risk=risk)
