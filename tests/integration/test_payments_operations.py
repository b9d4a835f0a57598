"""Operations end to end: an order, a row, a call, an event."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from bloxtr8.errors import NotFound, PaymentNotReady, UpstreamUnavailable
from bloxtr8.payments.held import report_held
from bloxtr8.payments.pg_store import IntentReader
from bloxtr8.payments.service import BadCommand, PaymentPages
from bloxtr8.sandbox.faults import Fault, FaultRule
from bloxtr8.sandbox.stripe.control import add_account
from bloxtr8.store import database
from bloxtr8.telemetry import REGISTRY
from proto.bloxtr8.payments.v1 import payments_pb2 as payments
from tests.integration.payments_bench import (
    FEES,
    PAYOUT,
    TOTAL,
    Bench,
    funds,
    open_bench,
)

STRAY = payments.OPERATION_KIND_STRAY_REFUND


@pytest.fixture
async def bench(postgres_dsn: str) -> AsyncIterator[Bench]:
    async with open_bench(postgres_dsn) as made:
        yield made


async def test_paid_and_released(bench: Bench) -> None:
    await bench.fund()
    await bench.order(bench.payout_order())
    assert await bench.words() == [
        "payment_intent_created",
        "payment_succeeded",
        "transfer_succeeded",
    ]
    _, succeeded, transferred = await bench.said()
    assert succeeded.payment_succeeded.amount.minor == TOTAL
    assert succeeded.payment_succeeded.provider_fee.minor == 330
    assert transferred.transfer_succeeded.amount.minor == PAYOUT
    assert bench.moved() == (PAYOUT, 0)
    row = await funds(bench)
    assert (row["received_minor"], row["paid_out_minor"], row["fees_minor"]) == (
        TOTAL,
        PAYOUT,
        FEES,
    )


async def test_orders_that_come_twice_have_one_effect(bench: Bench) -> None:
    order = bench.intent_order()
    await bench.order(order)
    await bench.order(order)
    bench.stripe.world.pay(bench.intent_ref)
    calls = bench.take_calls()
    await bench.hear(*calls, *calls)
    payout = bench.payout_order()
    await bench.order(payout)
    await bench.order(payout)
    assert (await bench.words()).count("transfer_succeeded") == 1
    assert bench.moved() == (PAYOUT, 0)


async def test_the_providers_no_is_told_with_the_attempt(bench: Bench) -> None:
    await bench.fund()
    await bench.order(bench.payout_order(destination="acct_nobody"))
    failed = (await bench.said())[-1]
    assert failed.transfer_failed.nothing_happened
    # The same attempt again says nothing new; the next one is asked and told again.
    await bench.order(bench.payout_order(destination="acct_nobody"))
    await bench.order(bench.payout_order(attempt=2, destination="acct_nobody"))
    words = await bench.words()
    assert words.count("transfer_failed") == 2
    add_account(bench.stripe, "acct_other")
    await bench.order(bench.payout_order(generation=2, attempt=3, destination="acct_other"))
    assert (await bench.words())[-1] == "transfer_succeeded"
    assert bench.moved() == (PAYOUT, 0)


async def test_nothing_is_paid_before_money_was_received(bench: Bench) -> None:
    await bench.order(bench.payout_order())
    failed = (await bench.said())[-1].transfer_failed
    assert (failed.code, failed.nothing_happened) == ("REFUSED_BY_LEDGER", True)
    assert bench.moved() == (0, 0)


async def test_more_than_was_received_is_refused_before_the_provider(bench: Bench) -> None:
    await bench.fund()
    await bench.order(bench.payout_order())
    await bench.order(bench.refund_order(1))
    await bench.order(bench.payout_order(generation=2, attempt=2))
    assert (await bench.words())[-2:] == ["refund_failed", "transfer_failed"]
    assert bench.moved() == (PAYOUT, 0)
    tasks = await database.fetch("SELECT kind FROM staff_tasks")
    assert [task["kind"] for task in tasks] == ["RECONCILIATION"]


async def test_the_database_refuses_what_the_code_would_let_through(bench: Bench) -> None:
    await bench.fund()
    await bench.order(bench.payout_order())
    with pytest.raises(Exception, match="exceed what it received"):
        async with database.transaction() as tx:
            await tx.execute(
                "INSERT INTO payment_operations (operation_id, escrow_id, kind, generation, rail, "
                "provider, amount_minor, currency, fencing_token, escrow_sequence, command_id, "
                "requested_at) SELECT gen_random_uuid(), escrow_id, kind, 2, rail, provider, "
                "amount_minor, currency, 1, 1, command_id, requested_at FROM payment_operations "
                "WHERE kind = 'PAYOUT'"
            )


async def test_a_split_pays_both_sides(bench: Bench) -> None:
    await bench.fund()
    await bench.service.handle(bench.payout_order(4_950))
    await bench.order(bench.refund_order(5_000))
    assert bench.moved() == (4_950, 5_000)
    assert sorted((await bench.words())[-2:]) == ["refund_succeeded", "transfer_succeeded"]


async def test_a_worker_that_was_replaced_is_not_obeyed(bench: Bench) -> None:
    await bench.order(bench.intent_order())
    bench.stripe.world.pay(bench.intent_ref)
    await bench.hear()
    await bench.order(bench.payout_order(fencing_token=7))
    await bench.order(bench.payout_order(100, generation=2, fencing_token=6))
    assert await bench.store.operation(bench.operation_id("PAYOUT", 2)) is None
    tasks = await database.fetch("SELECT kind FROM staff_tasks")
    assert [task["kind"] for task in tasks] == ["RECONCILIATION"]
    assert bench.moved() == (PAYOUT, 0)


async def test_a_replaced_worker_orders_no_other_attempt_either(bench: Bench) -> None:
    await bench.fund()
    stranger = "acct_nobody"
    await bench.order(bench.payout_order(fencing_token=7, destination=stranger))
    await bench.order(bench.payout_order(attempt=2, fencing_token=6, destination=stranger))
    assert (await bench.row("PAYOUT")).attempt == 1
    await bench.order(bench.payout_order(attempt=2, fencing_token=7, destination=stranger))
    assert (await bench.row("PAYOUT")).attempt == 2


async def test_cancelled_before_payment(bench: Bench) -> None:
    await bench.order(bench.intent_order())
    await bench.order(bench.cancel_order())
    assert await bench.words() == ["payment_intent_created", "payment_cancelled"]
    await bench.hear()
    assert await bench.words() == ["payment_intent_created", "payment_cancelled"]


async def test_cancelled_while_paying_is_a_payment(bench: Bench) -> None:
    await bench.order(bench.intent_order())
    bench.stripe.world.pay(bench.intent_ref)
    await bench.order(bench.cancel_order())
    await bench.hear()
    assert await bench.words() == ["payment_intent_created", "payment_succeeded"]
    await bench.order(bench.refund_order())
    assert bench.moved() == (0, TOTAL)


async def test_cancelling_what_is_processing_waits_for_its_end(bench: Bench) -> None:
    await bench.order(bench.intent_order())
    bench.stripe.world.process(bench.intent_ref)
    await bench.order(bench.cancel_order())
    bench.stripe.world.decline(bench.intent_ref)
    await bench.later(minutes=5)
    await bench.later(minutes=5)
    assert (await bench.words())[-1] == "payment_cancelled"


async def test_cancelling_what_never_came_to_be(bench: Bench) -> None:
    rule = FaultRule("POST /v1/payment_intents", Fault.REFUSE, code="amount_too_small")
    bench.stripe.faults.add(rule)
    await bench.order(bench.intent_order())
    await bench.order(bench.cancel_order())
    assert await bench.words() == ["payment_failed", "payment_cancelled"]
    assert (await bench.said())[0].payment_failed.intent_dead


async def test_money_after_the_end_goes_back_and_only_it(bench: Bench) -> None:
    await bench.order(bench.intent_order())
    bench.stripe.world.pay(bench.intent_ref)
    await bench.hear()
    await bench.order(bench.refund_order(kind=STRAY))
    assert bench.moved() == (0, TOTAL)
    await bench.order(bench.refund_order(1, kind=STRAY, generation=2))
    await bench.order(bench.refund_order(1))
    assert bench.moved() == (0, TOTAL)
    assert (await bench.words())[-2:] == ["refund_failed", "refund_failed"]


async def test_the_pay_page_gets_the_secret_and_nobody_else(bench: Bench) -> None:
    pages = PaymentPages(IntentReader(), bench.rail, "pk_test_x", bench.clock)
    with pytest.raises(NotFound):
        await pages.payment_data(bench.escrow_id)
    await bench.service.handle(bench.intent_order())
    with pytest.raises(PaymentNotReady):
        await pages.payment_data(bench.escrow_id)
    await bench.executor.run_until_idle()
    bench.stripe.faults.add(FaultRule("GET *", Fault.ERROR_BEFORE, times=2))
    with pytest.raises(UpstreamUnavailable):
        await pages.payment_data(bench.escrow_id)
    data = await pages.payment_data(bench.escrow_id)
    secret = bench.stripe.world.get("payment_intent", bench.intent_ref)["client_secret"]
    assert (data.client_secret, data.amount_minor, data.publishable_key) == (
        secret,
        TOTAL,
        "pk_test_x",
    )
    assert secret not in repr(data)
    bench.stripe.world.pay(bench.intent_ref)
    assert await pages.payment_data(bench.escrow_id) is data
    bench.clock.advance(timedelta(seconds=60))
    assert (await pages.payment_data(bench.escrow_id)).status == "succeeded"


async def test_money_held_for_sixty_days_is_reported_once(bench: Bench) -> None:
    await bench.fund()
    bench.clock.advance(timedelta(days=59))
    assert await report_held(bench.clock) == 0
    bench.clock.advance(timedelta(days=1))
    assert [await report_held(bench.clock) for _ in range(2)] == [1, 0]
    assert REGISTRY.get_sample_value("bloxtr8_held_too_long") == 1
    (task,) = await database.fetch("SELECT subject_id, amount_usd_minor FROM staff_tasks")
    assert (task["subject_id"], task["amount_usd_minor"]) == (bench.escrow_id, TOTAL)
    bench.next_escrow()
    await bench.fund()
    await bench.order(bench.payout_order())
    bench.clock.advance(timedelta(days=90))
    assert await report_held(bench.clock) == 0


async def test_nonsense_is_poison_and_changes_nothing(bench: Bench) -> None:
    await bench.fund()
    bad_amount = bench.payout_order(0)
    no_operation = bench.intent_order()
    no_operation.create_payment_intent.operation_id = ""
    other_terms = bench.intent_order()
    other_terms.create_payment_intent.amount.minor = 1
    taken = bench.payout_order()
    taken.transfer_to_seller.operation_id = bench.operation_id("PAYOUT", 5)
    await bench.order(bench.payout_order())
    words = await bench.words()
    for command in (bad_amount, no_operation, other_terms, taken):
        with pytest.raises(BadCommand):
            await bench.service.handle(command)
    assert await bench.words() == words
