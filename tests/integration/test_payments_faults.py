"""Operations through every way a provider can fail: one effect, and an end."""

from collections.abc import AsyncIterator

import pytest

from bloxtr8.payments.operations import Status
from bloxtr8.sandbox.faults import Fault, FaultRule
from proto.bloxtr8.payments.v1 import payments_pb2 as payments
from tests.integration.payments_bench import (
    FAULTS,
    PAYOUT,
    TOTAL,
    Bench,
    open_bench,
)


@pytest.fixture
async def bench(postgres_dsn: str) -> AsyncIterator[Bench]:
    async with open_bench(postgres_dsn) as made:
        yield made


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("times", [1, 3])
async def test_a_payout_through_every_fault_is_paid_once(
    bench: Bench, fault: Fault, times: int
) -> None:
    await bench.fund()
    rule = FaultRule("POST /v1/transfers", fault, times=times, seconds=0.3)
    bench.stripe.faults.add(rule)
    await bench.order(bench.payout_order())
    await bench.settled()
    assert (await bench.words())[-1] == "transfer_succeeded"
    assert bench.moved() == (PAYOUT, 0)


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_refund_through_every_fault_is_refunded_once(bench: Bench, fault: Fault) -> None:
    await bench.fund()
    bench.stripe.faults.add(FaultRule("POST /v1/refunds", fault, times=3, seconds=0.3))
    await bench.order(bench.refund_order())
    await bench.settled()
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


@pytest.mark.parametrize("fault", FAULTS)
async def test_cancelling_through_every_fault(bench: Bench, fault: Fault) -> None:
    await bench.order(bench.intent_order())
    rule = FaultRule("POST /v1/payment_intents/*/cancel", fault, times=3, seconds=0.3)
    bench.stripe.faults.add(rule)
    await bench.order(bench.cancel_order())
    for _ in range(6):
        await bench.later(minutes=5)
    assert await bench.words() == ["payment_intent_created", "payment_cancelled"]


async def test_cancelling_waits_for_an_intent_in_doubt(bench: Bench) -> None:
    rule = FaultRule("POST /v1/payment_intents", Fault.TIMEOUT_AFTER, times=2, seconds=0.3)
    bench.stripe.faults.add(rule)
    bench.stripe.faults.add(FaultRule("GET /v1/payment_intents/search", Fault.ERROR_BEFORE, 4))
    await bench.order(bench.intent_order())
    await bench.order(bench.cancel_order())
    for _ in range(6):
        await bench.later(minutes=1)
    assert await bench.words() == ["payment_intent_created", "payment_cancelled"]
    assert bench.stripe.world.get("payment_intent", bench.intent_ref)["status"] == "canceled"


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_whole_trade_while_every_third_request_fails(bench: Bench, fault: Fault) -> None:
    async def disturbed(command: payments.PaymentCommand) -> None:
        bench.stripe.faults.add(FaultRule("* /v1/*", fault, times=3, seconds=0.1))
        await bench.order(command)
        await bench.settled()

    await disturbed(bench.intent_order())
    bench.stripe.world.pay(bench.intent_ref)
    bench.stripe.faults.add(FaultRule("* /v1/*", fault, times=3, seconds=0.1))
    await bench.hear()
    await bench.settled()
    await disturbed(bench.payout_order(4_950))
    await disturbed(bench.refund_order(5_000))
    assert await bench.words() == [
        "payment_intent_created",
        "payment_succeeded",
        "transfer_succeeded",
        "refund_succeeded",
    ]
    assert bench.moved() == (4_950, 5_000)
