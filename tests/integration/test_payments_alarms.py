"""Alarms about money are metrics, and say what the database says at the moment."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from bloxtr8.payments import alarms
from bloxtr8.payments.breaker import PAUSE, Breaker
from bloxtr8.sandbox.faults import Fault, FaultRule
from bloxtr8.store import database
from bloxtr8.telemetry import REGISTRY
from tests.integration.reconciliation_bench import Desk, open_desk


@pytest.fixture
async def desk(postgres_dsn: str) -> AsyncIterator[Desk]:
    async with open_desk(postgres_dsn) as made:
        yield made


def metric(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"bloxtr8_{name}", labels)


async def test_an_operation_in_doubt_is_counted_until_it_is_settled(desk: Desk) -> None:
    trade = await (await desk.trade()).fund()
    desk.bench.stripe.faults.add(FaultRule("* /v1/transfers", Fault.ERROR_BEFORE, times=100))
    await trade.release()
    await alarms.report(desk.bench.clock)
    assert metric("operations_unsettled", provider="STRIPE") == 0, "it may still be on its way"
    desk.bench.clock.advance(timedelta(minutes=6))
    await alarms.report(desk.bench.clock)
    assert metric("operations_unsettled", provider="STRIPE") == 1
    age = metric("operations_unsettled_age_seconds", provider="STRIPE")
    assert age is not None
    assert age >= 360
    desk.bench.stripe.faults.clear()
    desk.bench.clock.advance(timedelta(minutes=6))
    await trade.settle()
    assert trade.state == "RELEASED"
    await alarms.report(desk.bench.clock)
    assert metric("operations_unsettled", provider="STRIPE") == 0
    assert metric("operations_unsettled_age_seconds", provider="STRIPE") == 0


async def test_open_differences_are_counted_by_every_process(desk: Desk) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO discrepancies (id, kind, provider, subject, what, expected, actual,"
            " found_at, seen_at) VALUES (gen_random_uuid(), 'TRANSFER', 'BASE', 'x', 'payout',"
            " 'nothing', '1', now(), now())"
        )
    await alarms.report(desk.bench.clock)
    assert metric("discrepancies_open", kind="TRANSFER") == 1
    assert metric("discrepancies_open", kind="BALANCE") == 0


async def test_a_breaker_is_told_by_its_worst_and_as_it_is_now(desk: Desk) -> None:
    clock = desk.bench.clock
    one, other = Breaker("TEST_ALARM", clock), Breaker("TEST_ALARM", clock)
    for _ in range(5):
        one.failed()
    other.succeeded()
    assert metric("breaker_state", provider="TEST_ALARM") == 2
    clock.advance(PAUSE)
    assert metric("breaker_state", provider="TEST_ALARM") == 1
    one.succeeded()
    assert metric("breaker_state", provider="TEST_ALARM") == 0
