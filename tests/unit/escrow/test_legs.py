"""Money going out: released, refunded, split; failed, tried again, confirmed in any order."""

import pytest

from bloxtr8 import ids
from bloxtr8.escrow.orders import backoff_seconds
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from tests.unit.escrow.paths import (
    confirm_payout,
    confirm_refund,
    created,
    delivered,
    disputed,
    held,
    pay,
    refunding,
    releasing,
    splitting,
)
from tests.unit.escrow.trade import ADMIN_TWO, ESCROW, SELLER, Trade, fields_of, two, usdc

OTHER_PAYEE = types.Payee(payout_method_id="method-2", destination="acct_2")
LARGE = usdc(20_000_000_000)


def fail(trade: Trade, name: str = "payout", **fields: bool) -> None:
    leg = getattr(trade.escrow, name)
    fact = "transfer_failed" if name == "payout" else "refund_failed"
    trade.hear(fact, operation_id=leg.operation_id, code="no", **fields)


def test_a_release_pays_the_seller_and_earns_the_fees() -> None:
    trade = releasing()
    order = fields_of(trade.orders[-1])
    assert order.amount == trade.money(124_950)
    assert (order.destination, order.seller_id, order.fees_minor) == ("acct_1", SELLER, 3_705)
    assert order.operation_id == ids.operation_id_for(ESCROW, "PAYOUT", 1)
    confirm_payout(trade)
    escrow = trade.escrow
    assert (escrow.released_minor, escrow.refunded_minor, escrow.fees_minor) == (124_950, 0, 3_705)


def test_excess_goes_back_beside_the_release() -> None:
    trade = created(**LARGE)
    pay(trade, minor=20_000_000_005)
    trade.give("seller", "mark_delivered", commands.MarkDelivered(method=3))  # type: ignore[arg-type]
    trade.give("buyer", "release_funds")
    payout, refund = (fields_of(order) for order in trade.orders[-2:])
    assert (payout.amount.minor, refund.amount.minor) == (19_900_000_000, 5)
    confirm_refund(trade)
    assert trade.state == "RELEASING"
    confirm_payout(trade)
    assert (trade.state, trade.escrow.refunded_minor) == ("RELEASED", 5)


def test_a_refund_returns_everything() -> None:
    trade = refunding()
    order = fields_of(trade.orders[-1])
    assert (order.amount, order.payment_ref) == (trade.money(128_655), "pi_1")
    confirm_refund(trade)
    assert (trade.escrow.refunded_minor, trade.escrow.fees_minor) == (128_655, 0)


@pytest.mark.parametrize("first", ["payout", "refund"])
def test_a_split_ends_when_both_legs_are_confirmed(first: str) -> None:
    trade = splitting(refund_minor=25_000)
    steps = [confirm_payout, confirm_refund]
    if first == "refund":
        steps.reverse()
    steps[0](trade)
    assert (trade.state, trade.escrow.fees_minor) == ("SPLITTING", 0)
    steps[1](trade)
    escrow = trade.escrow
    assert trade.state == "SPLIT"
    assert (escrow.released_minor, escrow.refunded_minor) == (99_950, 25_731)
    assert escrow.fees_minor == 128_655 - 99_950 - 25_731


def test_a_share_that_the_fee_eats_up_is_not_ordered() -> None:
    trade = splitting(refund_minor=124_960)
    assert not trade.escrow.HasField("payout")
    confirm_refund(trade)
    assert (trade.state, trade.escrow.released_minor) == ("SPLIT", 0)


def test_failures_are_ordered_again_with_a_longer_wait() -> None:
    trade = releasing()
    for attempt in range(1, 5):
        fail(trade)
        order = fields_of(trade.orders[-1])
        assert (order.attempt, order.generation) == (attempt + 1, 1)
        assert order.not_before.seconds == int(trade.now.timestamp()) + 60 * 2 ** (attempt - 1)
        assert not trade.escrow.HasField("hold")
    count = len(trade.orders)
    fail(trade)
    assert len(trade.orders) == count
    assert trade.escrow.hold.kind == types.HOLD_KIND_PAYOUT_FAILED
    assert trade.escrow.payout.status == types.LEG_STATUS_FAILED


def test_the_wait_doubles_up_to_an_hour() -> None:
    waits = [backoff_seconds(failures) for failures in range(1, 9)]
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert backoff_seconds(10_000) == 3600


def test_a_proven_failure_gets_a_new_generation() -> None:
    trade = releasing()
    first = trade.escrow.payout.operation_id
    fail(trade, nothing_happened=True)
    order = fields_of(trade.orders[-1])
    assert (order.generation, order.attempt) == (2, 2)
    assert order.operation_id == ids.operation_id_for(ESCROW, "PAYOUT", 2) != first
    trade.ignored("transfer_failed", operation_id=first, code="late")


def test_an_older_generation_that_was_paid_after_all_counts() -> None:
    trade = releasing()
    first = trade.escrow.payout.operation_id
    fail(trade, nothing_happened=True)
    trade.hear("transfer_succeeded", operation_id=first, provider_ref="tr_old")
    assert trade.state == "RELEASED"
    trade.ignored("transfer_succeeded", operation_id=ids.operation_id_for(ESCROW, "PAYOUT", 2))


def test_success_of_something_else_or_of_another_amount_is_ignored() -> None:
    trade = releasing()
    trade.ignored("transfer_succeeded", operation_id="another")
    own = trade.escrow.payout.operation_id
    trade.ignored("transfer_succeeded", operation_id=own, amount=trade.money(1))
    trade.ignored("refund_succeeded", operation_id=own)


@pytest.mark.parametrize("name", ["payout", "refund"])
def test_five_failures_wait_for_an_admin(name: str) -> None:
    trade = releasing() if name == "payout" else refunding()
    retry = f"retry_{name}"
    for _ in range(5):
        fail(trade, name)
    assert trade.refused("moderator", retry) == "NOT_ALLOWED"
    trade.give("admin", retry)
    order = fields_of(trade.orders[-1])
    assert (order.attempt, order.generation) == (6, 1)
    assert not order.HasField("not_before")
    assert not trade.escrow.HasField("hold")
    assert trade.refused("admin", retry) == "WRONG_STATE"
    for _ in range(5):
        fail(trade, name, nothing_happened=True)
    assert trade.escrow.HasField("hold")
    generation = getattr(trade.escrow, name).generation
    trade.give("admin", retry)
    assert getattr(trade.escrow, name).generation == generation + 1


def test_another_destination_takes_two_and_a_proof() -> None:
    trade = releasing()
    for _ in range(5):
        fail(trade)
    body = commands.RetryPayout(payee=OTHER_PAYEE)
    assert trade.refused("admin", "retry_payout", body) == "APPROVAL_MISSING"
    assert trade.refused("admin", "retry_payout", body, approvals=two()) == "WRONG_STATE"
    broken = commands.RetryPayout(payee=types.Payee(destination="x"))
    assert trade.refused("admin", "retry_payout", broken, approvals=two()) == "MALFORMED"
    trade.give("admin", "retry_payout")
    for _ in range(5):
        fail(trade, nothing_happened=True)
    trade.give("admin", "retry_payout", body, approvals=two())
    assert fields_of(trade.orders[-1]).destination == "acct_2"
    assert trade.escrow.payee == OTHER_PAYEE


def test_both_legs_may_fail_for_good() -> None:
    trade = splitting()
    for _ in range(5):
        fail(trade, "payout")
        fail(trade, "refund")
    assert trade.escrow.hold.kind == types.HOLD_KIND_PAYOUT_FAILED
    trade.give("admin", "retry_payout")
    assert trade.escrow.hold.kind == types.HOLD_KIND_REFUND_FAILED
    trade.give("admin", "retry_refund")
    assert not trade.escrow.HasField("hold")
    confirm_payout(trade)
    confirm_refund(trade)
    assert trade.state == "SPLIT"


def test_a_late_success_ends_a_leg_that_failed_for_good() -> None:
    trade = releasing()
    for _ in range(5):
        fail(trade)
    confirm_payout(trade)
    assert trade.state == "RELEASED"


def test_delivery_needs_a_payee() -> None:
    trade = held(payee=None)
    body = commands.MarkDelivered(method=types.DELIVERY_METHOD_OTHER)
    assert trade.refused("seller", "mark_delivered", body) == "PAYEE_MISSING"
    trade.give("seller", "set_payee", commands.SetPayee(payee=OTHER_PAYEE))
    trade.give("seller", "mark_delivered", body)
    trade.give("buyer", "release_funds")
    assert fields_of(trade.orders[-1]).destination == "acct_2"


def test_a_delivery_names_at_most_ten_files_each_once() -> None:
    trade = held()
    method = types.DELIVERY_METHOD_OTHER
    files = [types.EvidenceRef(id=f"file-{n}", sha256="ab" * 32) for n in range(11)]
    for wrong in (files, [files[0], files[0]], [types.EvidenceRef(id="file")]):
        body = commands.MarkDelivered(method=method, evidence=wrong)
        assert trade.refused("seller", "mark_delivered", body) == "MALFORMED"
    trade.give(
        "seller", "mark_delivered", commands.MarkDelivered(method=method, evidence=files[:10])
    )
    assert list(trade.events[-1].escrow_delivered.evidence) == files[:10]


def test_a_dispute_without_a_payee_can_only_be_refunded() -> None:
    trade = held(payee=None)
    body = commands.RaiseDispute(
        reason=types.DISPUTE_REASON_UNRESPONSIVE, wanted=types.OUTCOME_REFUND
    )
    trade.give("buyer", "raise_dispute", body)
    release = commands.ResolveDispute(outcome=types.OUTCOME_RELEASE)
    split = commands.ResolveDispute(outcome=types.OUTCOME_SPLIT, refund_minor=1)
    for verdict in (release, split):
        assert trade.refused("moderator", "resolve_dispute", verdict) == "PAYEE_MISSING"
    trade.give("seller", "set_payee", commands.SetPayee(payee=OTHER_PAYEE))
    assert (
        trade.refused("seller", "set_payee", commands.SetPayee(payee=OTHER_PAYEE)) == "WRONG_STATE"
    )
    trade.give("moderator", "resolve_dispute", release)


def test_staff_need_a_second_one_for_large_sums() -> None:
    trade = delivered(**LARGE)
    assert trade.refused("admin", "release_funds") == "APPROVAL_MISSING"
    assert trade.refused("admin", "refund_buyer") == "APPROVAL_MISSING"
    twice = two("01890000-0000-7000-8000-0000000000a1", "01890000-0000-7000-8000-0000000000a1")
    assert trade.refused("admin", "release_funds", approvals=twice) == "APPROVAL_MISSING"
    others = two(ADMIN_TWO, "01890000-0000-7000-8000-0000000000a3")
    assert trade.refused("admin", "release_funds", approvals=others) == "APPROVAL_MISSING"
    party = two(second=SELLER)
    assert trade.refused("admin", "release_funds", approvals=party) == "APPROVAL_MISSING"
    trade.give("admin", "release_funds", approvals=two())


def test_staff_do_not_decide_their_own_trades() -> None:
    trade = delivered()
    command = trade.command("admin", "release_funds")
    command.actor.user_id = SELLER
    assert trade.put(command).code == types.REFUSAL_CODE_NOT_ALLOWED


@pytest.mark.parametrize(
    ("outcome", "refund_minor", "code"),
    [
        (types.OUTCOME_UNSPECIFIED, 0, "MALFORMED"),
        (types.OUTCOME_SPLIT, 0, "AMOUNT_OUT_OF_RANGE"),
        (types.OUTCOME_SPLIT, 125_000, "AMOUNT_OUT_OF_RANGE"),
        (types.OUTCOME_RELEASE, 1, "MALFORMED"),
        (types.OUTCOME_REFUND, 1, "MALFORMED"),
    ],
)
def test_verdicts_that_make_no_sense(
    outcome: "types.Outcome.ValueType", refund_minor: int, code: str
) -> None:
    body = commands.ResolveDispute(outcome=outcome, refund_minor=refund_minor)
    assert disputed().refused("moderator", "resolve_dispute", body) == code


@pytest.mark.parametrize(
    ("outcome", "refund_minor", "state"),
    [
        (types.OUTCOME_RELEASE, 0, "RELEASING"),
        (types.OUTCOME_REFUND, 0, "REFUNDING"),
        (types.OUTCOME_REFUND, 125_000, "REFUNDING"),
        (types.OUTCOME_SPLIT, 1, "SPLITTING"),
    ],
)
def test_verdicts(outcome: "types.Outcome.ValueType", refund_minor: int, state: str) -> None:
    trade = disputed()
    body = commands.ResolveDispute(outcome=outcome, refund_minor=refund_minor)
    trade.give("moderator", "resolve_dispute", body)
    assert trade.state == state
