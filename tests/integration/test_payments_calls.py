"""What a provider says by itself: in any order, twice, late, wrong, or not at all."""

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from bloxtr8.messaging import metadata
from bloxtr8.sandbox.faults import Fault, FaultRule
from bloxtr8.store import database
from proto.bloxtr8.payments.v1 import payments_pb2 as payments
from tests.integration.payments_bench import (
    TOTAL,
    Bench,
    funds,
    open_bench,
    until,
)


@pytest.fixture
async def bench(postgres_dsn: str) -> AsyncIterator[Bench]:
    async with open_bench(postgres_dsn) as made:
        yield made


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ({"amount": TOTAL - 1}, "AMOUNT_TOO_SMALL"),
        ({"amount": TOTAL + 1}, "AMOUNT_TOO_LARGE"),
        ({"currency": "eur"}, "WRONG_CURRENCY"),
        ({"livemode": True}, "LIVEMODE"),
        ({"metadata": {"escrow_id": "another"}}, "METADATA"),
    ],
)
async def test_a_payment_that_is_not_what_was_asked_for_is_reviewed(
    bench: Bench, override: dict[str, object], reason: str
) -> None:
    await bench.order(bench.intent_order())
    ref = bench.intent_ref
    bench.stripe.world.pay(ref, **override)
    await bench.hear()
    review = (await bench.said())[-1].funds_under_review
    assert (review.reason, review.payment_ref) == (reason, ref)
    received = (await funds(bench))["received_minor"]
    assert received == (0 if reason == "WRONG_CURRENCY" else review.amount.minor)


async def test_a_missed_call_is_found_within_the_hour(bench: Bench) -> None:
    await bench.order(bench.intent_order())
    bench.stripe.world.pay(bench.intent_ref)
    await bench.later(hours=1)
    assert (await bench.words())[-1] == "payment_succeeded"


async def test_declines_are_told_one_by_one_and_the_intent_lives(bench: Bench) -> None:
    await bench.order(bench.intent_order())
    for _ in range(2):
        bench.stripe.world.decline(bench.intent_ref)
    await bench.hear()
    failures = [event.payment_failed for event in (await bench.said())[1:]]
    assert [(failure.code, failure.intent_dead) for failure in failures] == [
        ("card_declined", False)
    ] * 2
    bench.stripe.world.pay(bench.intent_ref)
    await bench.hear()
    assert (await bench.words())[-1] == "payment_succeeded"


async def test_an_intent_that_somebody_else_cancelled_is_dead(bench: Bench) -> None:
    await bench.order(bench.intent_order())
    bench.stripe.world.cancel(bench.intent_ref, "abandoned")
    await bench.hear()
    assert (await bench.said())[-1].payment_failed.intent_dead
    await bench.order(bench.cancel_order())
    assert (await bench.words())[-1] == "payment_cancelled"


async def test_a_refund_that_the_bank_sends_back_later_fails(bench: Bench) -> None:
    bench.stripe.world.slow_refunds = True
    await bench.fund()
    await bench.order(bench.refund_order())
    (refund,) = bench.stripe.world.all("refund")
    bench.stripe.world.settle_refund(refund["id"], succeeded=False)
    await bench.hear()
    assert (await bench.said())[-1].refund_failed.nothing_happened
    bench.stripe.world.slow_refunds = False
    await bench.order(bench.refund_order(generation=2, attempt=2))
    assert (await bench.words())[-1] == "refund_succeeded"
    assert bench.moved() == (0, TOTAL)


async def test_a_refund_that_comes_back_after_its_success_is_returned_again(bench: Bench) -> None:
    await bench.fund()
    await bench.order(bench.refund_order())
    assert (await bench.words())[-1] == "refund_succeeded"
    (refund,) = bench.stripe.world.all("refund")
    bench.stripe.world.settle_refund(refund["id"], succeeded=False)
    (failed,) = [call for call in bench.take_calls() if call["type"] == "refund.failed"]
    for call in (failed, failed, {**failed, "id": "evt_other"}):
        await bench.hear(call)
    back = (await bench.said())[-1].payment_succeeded
    assert (back.payment_ref, back.amount.minor) == (refund["id"], TOTAL)
    assert (await bench.words()).count("payment_succeeded") == 2
    stray = payments.OPERATION_KIND_STRAY_REFUND
    await bench.order(bench.refund_order(kind=stray, payment_ref=refund["id"]))
    assert (await bench.words())[-1] == "refund_succeeded"
    assert bench.moved() == (0, TOTAL)
    again = bench.refund_order(kind=stray, payment_ref=refund["id"], generation=2)
    await bench.order(again)
    assert (await bench.words())[-1] == "refund_failed"
    assert bench.moved() == (0, TOTAL)


async def test_a_fact_says_when_the_provider_called(bench: Bench) -> None:
    await bench.order(bench.intent_order())
    bench.stripe.world.pay(bench.intent_ref)
    called_at = bench.clock.now()
    await bench.hear()
    said = (await bench.said())[-1]
    assert said.HasField("payment_succeeded")
    assert metadata.moment(said.provider_called_at) == called_at


async def test_calls_in_any_order_end_the_same(bench: Bench) -> None:
    wanted = (
        "payment_intent.processing",
        "payment_intent.succeeded",
        "charge.dispute.created",
        "charge.dispute.closed",
    )
    for order in permutations(wanted):
        bench.next_escrow()
        calls = await _a_disputed_payment(bench)
        for kind in order:
            await bench.hear(calls[kind])
            await bench.hear(calls[kind])
        said = [word for word in await bench.words() if word != "payment_processing"]
        assert said == [
            "payment_intent_created",
            "payment_succeeded",
            "chargeback_opened",
            "chargeback_closed",
        ], order
        assert not (await bench.said())[-1].chargeback_closed.won


async def _a_disputed_payment(bench: Bench) -> dict[str, dict[str, Any]]:
    """Let a payment be processed, paid, disputed and lost; return the calls by their type."""
    await bench.order(bench.intent_order())
    world = bench.stripe.world
    world.process(bench.intent_ref)
    world.pay(bench.intent_ref)
    (charge,) = world.all("charge", transfer_group=bench.escrow_id)
    dispute = world.open_dispute(charge["id"], "fraudulent")
    world.close_dispute(dispute["id"], won=False)
    return {call["type"]: call for call in bench.take_calls()}


async def test_a_transfer_taken_back_is_told_by_its_sum(bench: Bench) -> None:
    await bench.fund()
    await bench.order(bench.payout_order())
    (transfer,) = bench.stripe.world.all("transfer")
    transfer["amount_reversed"] = 500
    bench.stripe.world.emit("transfer.reversed", transfer)
    calls = [call for call in bench.take_calls() if call["type"] == "transfer.reversed"]
    await bench.hear(*calls, *calls)
    reversed_ = [event for event in await bench.said() if event.HasField("transfer_reversed")]
    assert [event.transfer_reversed.amount.minor for event in reversed_] == [500]


async def test_a_movement_that_nobody_ordered_is_for_a_person(bench: Bench) -> None:
    await bench.fund()
    bench.stripe.world.emit(
        "transfer.created", {"id": "tr_x", "object": "transfer", "metadata": {}}
    )
    await bench.hear()
    (task,) = await database.fetch("SELECT subject_id FROM staff_tasks")
    assert task["subject_id"] == "tr_x"


async def test_what_is_heard_while_an_older_answer_is_on_its_way(bench: Bench) -> None:
    await bench.order(bench.intent_order())
    rule = FaultRule("GET /v1/payment_intents/*", Fault.DELAY, seconds=0.5)
    bench.stripe.faults.add(rule)
    bench.clock.advance(timedelta(hours=1))
    await bench.executor.claim_some()
    await until(lambda: bool(bench.stripe.faults.taken))
    # The provider has answered "open" and the answer is still on its way.
    bench.stripe.world.pay(bench.intent_ref)
    await bench.hear()
    assert (await bench.words())[-1] == "payment_succeeded"


async def test_a_fact_about_no_escrow_is_for_a_person(bench: Bench) -> None:
    await bench.hear({"id": "evt_1", "type": "charge.refunded", "data": {"object": {}}})
    assert await bench.words() == []
    (task,) = await database.fetch("SELECT subject_id FROM staff_tasks")
    assert task["subject_id"] == "evt_1"


async def test_a_call_does_not_shorten_the_pause_before_the_next_attempt(bench: Bench) -> None:
    bench.stripe.world.slow_refunds = True
    await bench.fund()
    await bench.order(bench.refund_order())
    (refund,) = bench.stripe.world.all("refund")
    bench.stripe.world.settle_refund(refund["id"], succeeded=False)
    calls = bench.take_calls()
    await bench.hear(*calls)
    again = bench.refund_order(generation=2, attempt=2)
    later = bench.clock.now() + timedelta(minutes=1)
    again.initiate_refund.not_before.CopyFrom(metadata.timestamp(later))
    await bench.order(again)
    bench.stripe.world.emit("charge.refunded", bench.stripe.world.all("charge")[0])
    await bench.hear()
    assert (await bench.row("REFUND", 2)).attempts == 0
    await bench.later(minutes=1)
    assert (await bench.row("REFUND", 2)).attempts == 1
