"""Operations end to end: an order, a row, a call, an event; and every way that can go wrong."""

import asyncio
from collections.abc import AsyncIterator
from itertools import permutations

import pytest

from bloxtr8.messaging import metadata
from bloxtr8.payments.executor import Executor
from bloxtr8.payments.operations import LEASE, Status
from bloxtr8.payments.service import BadCommand
from bloxtr8.sandbox.faults import Fault, FaultRule
from bloxtr8.sandbox.stripe.control import add_account
from bloxtr8.store import database
from proto.bloxtr8.payments.v1 import payments_pb2 as payments
from tests.integration.payments_bench import FEES, PAYOUT, TOTAL, Bench, open_bench, until

FAULTS = [
    Fault.TIMEOUT_BEFORE,
    Fault.TIMEOUT_AFTER,
    Fault.DISCONNECT_BEFORE,
    Fault.DISCONNECT_AFTER,
    Fault.ERROR_BEFORE,
    Fault.ERROR_AFTER,
    Fault.GARBAGE,
    Fault.RATE_LIMIT,
]
STRAY = payments.OPERATION_KIND_STRAY_REFUND


@pytest.fixture
async def bench(postgres_dsn: str) -> AsyncIterator[Bench]:
    async with open_bench(postgres_dsn) as made:
        yield made


async def funds(bench: Bench) -> dict[str, int]:
    row = await database.fetchrow(
        "SELECT * FROM escrow_funds WHERE escrow_id = $1", bench.escrow_id
    )
    assert row is not None
    return row


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


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("times", [1, 5])
async def test_a_payout_through_every_fault_is_paid_once(
    bench: Bench, fault: Fault, times: int
) -> None:
    await bench.fund()
    rule = FaultRule("POST /v1/transfers", fault, times=times, seconds=0.5)
    bench.stripe.faults.add(rule)
    await bench.order(bench.payout_order())
    for _ in range(12):
        await bench.later(minutes=5)
    assert (await bench.words())[-1] == "transfer_succeeded"
    assert bench.moved() == (PAYOUT, 0)


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_refund_through_every_fault_is_refunded_once(bench: Bench, fault: Fault) -> None:
    await bench.fund()
    bench.stripe.faults.add(FaultRule("POST /v1/refunds", fault, times=5, seconds=0.5))
    await bench.order(bench.refund_order())
    for _ in range(12):
        await bench.later(minutes=5)
    assert (await bench.words())[-1] == "refund_succeeded"
    assert bench.moved() == (0, TOTAL)


async def test_doubt_ends_as_a_failure_only_when_the_key_is_forgotten(bench: Bench) -> None:
    await bench.fund()
    bench.stripe.faults.add(FaultRule("POST /v1/transfers", Fault.ERROR_STICKY))
    await bench.order(bench.payout_order())
    for _ in range(20):
        await bench.later(hours=1)
    assert (await bench.row("PAYOUT")).status is Status.UNKNOWN
    await bench.later(hours=4)
    failed = (await bench.said())[-1].transfer_failed
    assert (failed.code, failed.nothing_happened) == ("NEVER_ARRIVED", True)
    await bench.order(bench.payout_order(generation=2, attempt=2))
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
    assert bench.moved() == (PAYOUT, 0)


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


@pytest.mark.parametrize("fault", FAULTS)
async def test_cancelling_through_every_fault(bench: Bench, fault: Fault) -> None:
    await bench.order(bench.intent_order())
    rule = FaultRule("POST /v1/payment_intents/*/cancel", fault, times=3, seconds=0.5)
    bench.stripe.faults.add(rule)
    await bench.order(bench.cancel_order())
    for _ in range(6):
        await bench.later(minutes=5)
    assert await bench.words() == ["payment_intent_created", "payment_cancelled"]


async def test_cancelling_waits_for_an_intent_in_doubt(bench: Bench) -> None:
    rule = FaultRule("POST /v1/payment_intents", Fault.TIMEOUT_AFTER, times=2)
    bench.stripe.faults.add(rule)
    bench.stripe.faults.add(FaultRule("GET /v1/payment_intents/search", Fault.ERROR_BEFORE, 4))
    await bench.order(bench.intent_order())
    await bench.order(bench.cancel_order())
    for _ in range(6):
        await bench.later(minutes=1)
    assert await bench.words() == ["payment_intent_created", "payment_cancelled"]
    assert bench.stripe.world.get("payment_intent", bench.intent_ref)["status"] == "canceled"


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


@pytest.mark.parametrize("order", list(permutations(range(4))))
async def test_calls_in_any_order_end_the_same(bench: Bench, order: tuple[int, ...]) -> None:
    await bench.order(bench.intent_order())
    bench.take_calls()
    world = bench.stripe.world
    world.process(bench.intent_ref)
    world.pay(bench.intent_ref)
    dispute = world.open_dispute(world.all("charge")[0]["id"], "fraudulent")
    world.close_dispute(dispute["id"], won=False)
    wanted = (
        "payment_intent.processing",
        "payment_intent.succeeded",
        "charge.dispute.created",
        "charge.dispute.closed",
    )
    calls = {call["type"]: call for call in bench.take_calls()}
    for place in order:
        await bench.hear(calls[wanted[place]])
        await bench.hear(calls[wanted[place]])
    said = [word for word in await bench.words() if word != "payment_processing"]
    assert said == [
        "payment_intent_created",
        "payment_succeeded",
        "chargeback_opened",
        "chargeback_closed",
    ]
    assert not (await bench.said())[-1].chargeback_closed.won


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


@pytest.mark.parametrize("before", [True, False])
async def test_a_crash_in_the_middle_of_a_call_pays_once(bench: Bench, before: bool) -> None:
    await bench.fund()
    fault = Fault.TIMEOUT_BEFORE if before else Fault.TIMEOUT_AFTER
    bench.stripe.faults.add(FaultRule("POST /v1/transfers", fault, seconds=5))
    await bench.service.handle(bench.payout_order())
    dying = asyncio.create_task(bench.executor.run())
    await until(lambda: bool(bench.stripe.faults.taken))
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    assert (await bench.row("PAYOUT")).status is Status.SENT
    successor = bench.new_executor("worker-2")
    await successor.run_until_idle()
    assert (await bench.row("PAYOUT")).status is Status.SENT, "the lease is still the first one's"
    bench.clock.advance(LEASE)
    await successor.run_until_idle()
    assert (await bench.words())[-1] == "transfer_succeeded"
    assert bench.moved() == (PAYOUT, 0)


async def test_the_same_worker_takes_its_claims_back_at_once(bench: Bench) -> None:
    await bench.fund()
    await bench.service.handle(bench.payout_order())
    claimed = await bench.store.claim("worker-1", bench.clock.now(), 10, ())
    assert len(claimed) == 1
    await bench.executor.run_until_idle()
    assert (await bench.words())[-1] == "transfer_succeeded"


async def test_two_executors_on_one_database_do_each_thing_once(bench: Bench) -> None:
    await bench.fund()
    first = bench.escrow_id
    for number in range(10):
        bench.escrow_id = f"00000000-0000-5000-8000-{number:012d}"
        await bench.service.handle(bench.intent_order())
    others = [bench.executor, *(bench.new_executor(f"worker-{n}") for n in (2, 3))]
    await asyncio.gather(*(_drain(executor) for executor in others))
    bench.escrow_id = first
    await bench.service.handle(bench.payout_order(4_950))
    await bench.service.handle(bench.refund_order(5_000))
    await asyncio.gather(*(_drain(executor) for executor in others))
    assert len(bench.stripe.world.objects["payment_intent"]) == 11
    assert bench.moved() == (4_950, 5_000)
    created = [word for word in await bench.words() if word == "payment_intent_created"]
    assert len(created) == 11


async def test_one_escrow_never_has_two_calls_at_once(bench: Bench) -> None:
    await bench.fund()
    await bench.service.handle(bench.payout_order(4_950))
    await bench.service.handle(bench.refund_order(5_000))
    one = await bench.store.claim("worker-1", bench.clock.now(), 10, ())
    other = await bench.store.claim("worker-2", bench.clock.now(), 10, ())
    held = [operation.operation_id for operation in one]
    again = await bench.store.claim("worker-1", bench.clock.now(), 10, held)
    assert (len(one), len(other), len(again)) == (1, 0, 0)


async def test_an_order_for_later_waits(bench: Bench) -> None:
    await bench.fund()
    order = bench.payout_order()
    order.transfer_to_seller.not_before.CopyFrom(metadata.timestamp(bench.clock.now() + LEASE))
    await bench.order(order)
    assert bench.moved() == (0, 0)
    bench.clock.advance(LEASE)
    await bench.executor.run_until_idle()
    assert bench.moved() == (PAYOUT, 0)


async def test_the_running_executor_wakes_for_a_local_order(bench: Bench) -> None:
    running = asyncio.create_task(bench.executor.run())
    await bench.service.handle(bench.intent_order())
    await until(lambda: bool(bench.stripe.world.objects["payment_intent"]))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


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


async def _drain(executor: Executor) -> None:
    for _ in range(20):
        await executor.run_until_idle()
        await asyncio.sleep(0)
