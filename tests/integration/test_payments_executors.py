"""Carrying operations out: crashes, several workers, orders at once."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from bloxtr8.config import StripeSettings
from bloxtr8.messaging import metadata
from bloxtr8.payments import pg_store
from bloxtr8.payments.executor import AHEAD_MAX, IN_FLIGHT_MAX, Executor
from bloxtr8.payments.operations import LEASE, Operation, Status
from bloxtr8.payments.rails import Confirmed, Failed, InstrumentOutcome, Outcome, Pending
from bloxtr8.payments.settling import settle
from bloxtr8.payments.stripe_rail import StripeRail
from bloxtr8.sandbox.faults import Fault, FaultRule
from bloxtr8.store import database
from tests.integration.payments_bench import (
    FEES,
    PAYOUT,
    QUICK,
    SELLER,
    TOTAL,
    Bench,
    open_bench,
    until,
)


@pytest.fixture
async def bench(postgres_dsn: str) -> AsyncIterator[Bench]:
    async with open_bench(postgres_dsn) as made:
        yield made


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


async def test_losing_the_database_in_the_middle_of_a_call_pays_once(bench: Bench) -> None:
    await bench.fund()
    bench.stripe.faults.add(FaultRule("POST /v1/transfers", Fault.DELAY, seconds=0.5))
    await bench.service.handle(bench.payout_order())
    await bench.executor.claim_some()
    await until(lambda: bool(bench.stripe.faults.taken))
    await database.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with contextlib.suppress(database.DatabaseUnavailable):
        await database.fetch("SELECT pg_terminate_backend(pg_backend_pid())")
    await bench.executor.run_until_idle()
    bench.clock.advance(LEASE)
    async with asyncio.timeout(100):
        while (await bench.row("PAYOUT")).status is not Status.CONFIRMED:
            await bench.executor.run_until_idle()
            bench.clock.advance(LEASE)
    assert (await bench.words()).count("transfer_succeeded") == 1
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
    await asyncio.gather(*(_drain(executor, bench) for executor in others))
    bench.escrow_id = first
    await bench.service.handle(bench.payout_order(4_950))
    await bench.service.handle(bench.refund_order(5_000))
    await asyncio.gather(*(_drain(executor, bench) for executor in others))
    assert len(bench.stripe.world.objects["payment_intent"]) == 11
    assert bench.moved() == (4_950, 5_000)
    rows = await database.fetch("SELECT event_type, count(*) AS n FROM outbox GROUP BY 1")
    said = {row["event_type"]: row["n"] for row in rows}
    assert said["payment_intent_created"] == 11
    assert (said["transfer_succeeded"], said["refund_succeeded"]) == (1, 1)


async def test_one_escrow_never_has_two_calls_at_once(bench: Bench) -> None:
    await bench.fund()
    await bench.service.handle(bench.payout_order(4_950))
    await bench.service.handle(bench.refund_order(5_000))
    one = await bench.store.claim("worker-1", bench.clock.now(), 10, ())
    other = await bench.store.claim("worker-2", bench.clock.now(), 10, ())
    held = [operation.operation_id for operation in one]
    again = await bench.store.claim("worker-1", bench.clock.now(), 10, held)
    assert (len(one), len(other), len(again)) == (1, 0, 0)


async def test_a_refusal_that_comes_too_late_does_not_undo_the_next_try(bench: Bench) -> None:
    await bench.fund()
    await bench.service.handle(bench.payout_order())
    (late,) = await bench.store.claim("worker-1", bench.clock.now(), 10, ())
    bench.clock.advance(LEASE)
    (current,) = await bench.store.claim("worker-2", bench.clock.now(), 10, ())
    await _answered(bench, late, Failed("refused"))
    assert (await bench.row("PAYOUT")).status is Status.SENT, "the other one is being asked"
    await _answered(bench, current, Confirmed("tr_1", PAYOUT, "USD", SELLER))
    assert (await bench.words())[-1] == "transfer_succeeded"


async def test_an_effect_counts_whoever_tells_it(bench: Bench) -> None:
    await bench.fund()
    await bench.service.handle(bench.payout_order())
    (late,) = await bench.store.claim("worker-1", bench.clock.now(), 10, ())
    bench.clock.advance(LEASE)
    await bench.store.claim("worker-2", bench.clock.now(), 10, ())
    await _answered(bench, late, Confirmed("tr_1", PAYOUT, "USD", SELLER))
    assert (await bench.words())[-1] == "transfer_succeeded"


async def test_money_that_moved_after_a_failure_is_reported(bench: Bench) -> None:
    await bench.fund()
    await bench.service.handle(bench.payout_order())
    (claimed,) = await bench.store.claim("worker-1", bench.clock.now(), 10, ())
    await _answered(bench, claimed, Failed("refused"))
    await _answered(bench, claimed, Confirmed("tr_1", PAYOUT, "USD", SELLER))
    (task,) = await database.fetch("SELECT kind, subject_id FROM staff_tasks")
    assert task == {"kind": "RECONCILIATION", "subject_id": bench.operation_id("PAYOUT")}


async def test_a_call_about_a_payout_that_had_failed_is_reported(bench: Bench) -> None:
    await bench.fund()
    await bench.service.handle(bench.payout_order())
    (claimed,) = await bench.store.claim("worker-1", bench.clock.now(), 10, ())
    await _answered(bench, claimed, Failed("NEVER_ARRIVED"))
    about = {"operation_id": claimed.operation_id}
    subject = {"id": "tr_1", "object": "transfer", "metadata": about}
    await bench.hear({"id": "evt_1", "type": "transfer.created", "data": {"object": subject}})
    (task,) = await database.fetch("SELECT kind, subject_id FROM staff_tasks")
    assert task == {"kind": "RECONCILIATION", "subject_id": "tr_1"}


async def test_what_is_pending_for_too_long_is_reported(bench: Bench) -> None:
    await bench.fund()
    await bench.service.handle(bench.refund_order())
    for days in (13, 1):
        (claimed,) = await bench.store.claim("worker-1", bench.clock.now(), 10, ())
        await _answered(bench, claimed, Pending("re_1"))
        assert await database.fetch("SELECT FROM staff_tasks") == []
        bench.clock.advance(timedelta(days=days))
    (claimed,) = await bench.store.claim("worker-1", bench.clock.now(), 10, ())
    await _answered(bench, claimed, Pending("re_1"))
    (task,) = await database.fetch("SELECT kind, subject_id FROM staff_tasks")
    assert task == {"kind": "STALLED_OPERATION", "subject_id": bench.operation_id("REFUND")}


async def _answered(bench: Bench, asked: Operation, outcome: Outcome) -> None:
    async with bench.store.open(bench.escrow_id) as book:
        settle(book, asked, outcome, bench.clock.now(), livemode=False)


class CountingRail(StripeRail):
    """Notes how many payment intents are asked for at once."""

    now = most = 0

    async def create_intent(self, operation: Operation) -> InstrumentOutcome:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await super().create_intent(operation)
        finally:
            self.now -= 1


async def test_a_provider_has_a_limit_of_calls_at_once(bench: Bench) -> None:
    stripe = StripeSettings(api_base=bench.stripe.base_url, api_key=SecretStr(bench.stripe.api_key))
    rail = CountingRail(stripe, bench.clock, replace(QUICK, total_s=10))
    executor = Executor(bench.store, {"STRIPE": rail}, bench.clock, owner="worker-1")
    rule = FaultRule("POST /v1/payment_intents", Fault.DELAY, times=200, seconds=0.2)
    bench.stripe.faults.add(rule)
    for _ in range(2 * IN_FLIGHT_MAX):
        bench.next_escrow()
        await bench.service.handle(bench.intent_order())
    assert await executor.claim_some() == IN_FLIGHT_MAX + AHEAD_MAX
    await executor.run_until_idle()
    await rail.close()
    assert rail.most == IN_FLIGHT_MAX
    assert len(bench.stripe.world.objects["payment_intent"]) == 2 * IN_FLIGHT_MAX


async def test_a_long_queue_is_not_looked_through_for_each_claim(bench: Bench) -> None:
    for _ in range(200):
        bench.next_escrow()
        await bench.service.handle(bench.intent_order())
    rows = await database.fetch(
        f"EXPLAIN (ANALYZE, FORMAT JSON) {pg_store._DUE}", bench.clock.now(), "worker-1", [], 8
    )
    (plan,) = json.loads(rows[0]["QUERY PLAN"])
    assert max(_loops(plan["Plan"])) <= 16, "something is done again for every row of the queue"


def _loops(node: dict[str, Any]) -> Iterator[int]:
    yield node["Actual Loops"]
    for child in node.get("Plans", []):
        yield from _loops(child)


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


async def test_orders_at_once_never_exceed_what_was_received(bench: Bench) -> None:
    await bench.fund()
    quarter = (TOTAL - 4 * FEES) // 4

    async def insist(generation: int) -> None:
        order = bench.payout_order(quarter, generation=generation)
        if generation % 2:
            order = bench.refund_order(quarter, generation=generation)
        while True:
            try:
                return await bench.service.handle(order)
            except Exception as error:
                if not database.is_transient(error):
                    raise

    await asyncio.gather(*(insist(generation) for generation in range(1, 33)))
    await bench.executor.run_until_idle()
    paid, refunded = bench.moved()
    assert paid + refunded + FEES * (paid // quarter) <= TOTAL
    assert (paid + refunded) // quarter == 4
    statuses = await database.fetch(
        "SELECT status, count(*) AS n FROM payment_operations WHERE kind <> 'INTENT' GROUP BY 1"
    )
    assert {row["status"]: row["n"] for row in statuses} == {"CONFIRMED": 4, "FAILED": 28}


async def _drain(executor: Executor, bench: Bench) -> None:
    """Work until nothing of anybody's is due."""
    async with asyncio.timeout(100):
        while await _left(bench):
            await executor.run_until_idle()
            await asyncio.sleep(0.01)


async def _left(bench: Bench) -> int:
    rows = await database.fetch(
        "SELECT FROM payment_operations WHERE finished_at IS NULL AND not_before <= $1",
        bench.clock.now(),
    )
    return len(rows)
