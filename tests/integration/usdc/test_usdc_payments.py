"""USDC from deposit to payout through the payments agent: books, custody, screening, PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bloxtr8.payments.operations import Status
from bloxtr8.payments.usdc.deposits import State
from bloxtr8.sandbox.chain import wallets as people
from bloxtr8.sandbox.chain.ledger import Fate
from bloxtr8.sandbox.faults import Fault, FaultRule
from bloxtr8.store import database
from proto.bloxtr8.payments.v1 import payments_pb2 as payments
from tests.integration.usdc.bench import DUE, FEES, SELLER, USDC, UsdcBench, open_usdc_bench

BUYER = str(people.named("buyer").address)
STRAY = payments.OPERATION_KIND_STRAY_REFUND


@pytest.fixture
async def bench(postgres_dsn: str, tmp_path: Path) -> AsyncIterator[UsdcBench]:
    async with open_usdc_bench(postgres_dsn, tmp_path) as made:
        yield made


async def test_a_deposit_is_screened_held_and_paid_out(bench: UsdcBench) -> None:
    account = await bench.open()
    assert await bench.words() == ["payment_intent_created"]
    await bench.pay()
    succeeded = (await bench.said())[-1].payment_succeeded
    assert (succeeded.amount.minor, succeeded.operation_id) == (DUE, account.operation_id)
    assert bench.screening.asked == {"trm": 1, "chainalysis": 1}
    await bench.pay_out()
    await bench.settled()
    paid = (await bench.said())[-1].transfer_succeeded
    assert (paid.amount.minor, paid.destination) == (DUE - FEES, SELLER)
    assert bench.balance(SELLER) == DUE - FEES
    assert await bench.tasks() == []
    stored = await database.fetch("SELECT provider, encrypted FROM screening_answers")
    assert {row["provider"] for row in stored} == {"TRM", "CHAINALYSIS"}
    assert not any(BUYER[2:].lower().encode() in row["encrypted"].lower() for row in stored)


async def test_two_parts_add_up(bench: UsdcBench) -> None:
    await bench.open()
    await bench.pay(DUE - USDC)
    assert "payment_succeeded" not in await bench.words()
    await bench.pay(USDC)
    assert (await bench.said())[-1].payment_succeeded.amount.minor == DUE


async def test_a_part_goes_back_when_the_address_is_closed(bench: UsdcBench) -> None:
    await bench.open()
    await bench.pay(DUE // 2)
    await bench.cancel()
    received = (await bench.said())[-1].payment_succeeded
    assert received.amount.minor == DUE // 2
    assert (await bench.row("CANCEL")).last_error == "ALREADY_PAID"
    await bench.give_back(DUE // 2, received.payment_ref)
    await bench.settled()
    assert (await bench.words())[-1] == "refund_succeeded"
    assert bench.balance(BUYER) == DUE // 2


async def test_money_after_the_end_is_stray_and_goes_back(bench: UsdcBench) -> None:
    await bench.open()
    await bench.cancel()
    assert (await bench.words())[-1] == "payment_cancelled"
    assert (await bench.account()).state is State.CLOSED
    await bench.pay(5 * USDC)
    late = (await bench.said())[-1].payment_succeeded
    assert late.amount.minor == 5 * USDC
    await bench.look()
    assert (await bench.words()).count("payment_succeeded") == 1
    await bench.give_back(5 * USDC, late.payment_ref, STRAY)
    await bench.settled()
    assert (await bench.words())[-1] == "refund_succeeded"
    assert bench.balance(BUYER) == 5 * USDC


async def test_a_second_deposit_beside_a_held_one_is_stray(bench: UsdcBench) -> None:
    await bench.open()
    await bench.pay()
    await bench.pay(7 * USDC)
    assert [event.payment_succeeded.amount.minor for event in (await bench.said())[-2:]] == [
        DUE,
        7 * USDC,
    ]
    funds = await database.fetchrow("SELECT * FROM escrow_funds")
    assert funds is not None
    assert (funds["received_minor"], funds["stray_received_minor"]) == (DUE, 7 * USDC)


async def _while_asked(bench: UsdcBench, address: str, amount: int) -> None:
    """Pay `amount`, final and looked at, while the executor has taken up what is due."""
    bench.screening.faults.add(FaultRule("* /*", Fault.DELAY, times=2, seconds=0.3))
    assert await bench.executor.claim_some() == 1
    async with asyncio.timeout(60):
        while bench.screening.faults.rules:  # noqa: ASYNC110 - the stand-in tells nobody
            await asyncio.sleep(0.01)
    bench.chain.bank.pay("third", people.USDC, address, amount)
    await bench.look()


async def test_a_deposit_that_comes_while_another_is_screened_is_told_too(
    bench: UsdcBench,
) -> None:
    address = (await bench.open()).address
    bench.chain.bank.pay("buyer", people.USDC, address, DUE)
    await bench.notice()
    await _while_asked(bench, address, 7 * USDC)
    assert [event.payment_succeeded.amount.minor for event in (await bench.said())[-2:]] == [
        DUE,
        7 * USDC,
    ]
    bench.chain.bank.pay("second", people.USDC, address, 8 * USDC)
    await bench.notice()
    await _while_asked(bench, address, 9 * USDC)
    assert [event.payment_succeeded.amount.minor for event in (await bench.said())[-2:]] == [
        8 * USDC,
        9 * USDC,
    ]
    assert (await bench.row("INTENT")).finished_at is not None


@pytest.mark.parametrize(
    ("kind", "risk"), [("medium", "MEDIUM"), ("high", "HIGH"), ("sanctioned", "SANCTIONED")]
)
async def test_risky_senders_are_reviewed(bench: UsdcBench, kind: str, risk: str) -> None:
    bench.screening.know(BUYER, kind)
    await bench.open()
    await bench.pay()
    review = (await bench.said())[-1].funds_under_review
    assert (review.reason, review.risk, review.amount.minor) == ("RISK", risk, DUE)
    await bench.later(hours=2)
    assert (await bench.words()).count("funds_under_review") == 1


async def test_silence_is_reviewed_and_asked_again_every_ten_minutes(bench: UsdcBench) -> None:
    bench.screening.faults.add(FaultRule("* /public/*", Fault.ERROR_BEFORE, times=6))
    await bench.open()
    await bench.pay()
    review = (await bench.said())[-1].funds_under_review
    assert (review.reason, review.risk) == ("RISK", "UNKNOWN")
    await bench.later(minutes=9)
    assert (await bench.words())[-1] == "funds_under_review"
    await bench.later(minutes=2)
    bench.screening.faults.clear()
    await bench.later(minutes=11)
    screened = (await bench.said())[-1].funds_screened
    assert (screened.payment_ref, screened.risk) == (review.payment_ref, "LOW")
    assert (await bench.row("INTENT")).finished_at is not None
    await bench.later(hours=1)
    assert (await bench.words()).count("funds_screened") == 1


async def test_a_payout_to_a_sanctioned_wallet_never_leaves(bench: UsdcBench) -> None:
    await bench.open()
    await bench.pay()
    bench.screening.know(SELLER, "listed")
    await bench.pay_out()
    await bench.settled(2)
    failed = (await bench.said())[-1].transfer_failed
    assert (failed.code, failed.nothing_happened) == ("WALLET_SANCTIONED", True)
    assert bench.balance(SELLER) == 0
    assert bench.custodian.vault.jobs == {}


async def test_an_unanswered_screening_holds_a_payout_until_it_is_answered(
    bench: UsdcBench,
) -> None:
    await bench.open()
    await bench.pay()
    bench.screening.faults.add(FaultRule("* /*", Fault.ERROR_BEFORE, times=100))
    await bench.pay_out()
    assert (await bench.row("PAYOUT")).status is Status.UNKNOWN
    assert bench.custodian.vault.jobs == {}
    bench.screening.faults.clear()
    await bench.settled()
    assert (await bench.words())[-1] == "transfer_succeeded"
    assert bench.balance(SELLER) == DUE - FEES


async def test_the_payout_looks_afresh(bench: UsdcBench) -> None:
    await bench.open()
    await bench.pay()
    asked = bench.screening.asked["trm"]
    await bench.pay_out()
    assert bench.screening.asked["trm"] == asked + 1


async def test_another_token_is_quarantined(bench: UsdcBench) -> None:
    await bench.open()
    await bench.pay(token=people.OTHER)
    assert await bench.words() == ["payment_intent_created"]
    assert await bench.tasks() == ["QUARANTINED_FUNDS"]


async def test_a_deposit_that_vanishes_is_told_to_staff(bench: UsdcBench) -> None:
    bench.chain.chain.finality_depth = 3
    await bench.open()
    address = (await bench.account()).address
    bench.chain.bank.pay("buyer", people.USDC, address, DUE)
    await bench.look()
    assert (await bench.words())[-1] == "payment_succeeded"
    bench.chain.chain.reorganise(6, Fate.DROP)
    for _ in range(3):
        await bench.usdc.watcher.step()
    assert await bench.tasks() == ["VANISHED_DEPOSIT"]


async def test_money_on_its_way_is_shown(bench: UsdcBench) -> None:
    await bench.open()
    account = await bench.account()
    bench.chain.bank.pay("buyer", people.USDC, account.address, DUE)
    await bench.usdc.watcher.step()
    await bench.executor.run_until_idle()
    assert (await bench.account()).pending_minor == DUE
    assert (await bench.words())[-1] == "payment_processing"
    assert "payment_succeeded" not in await bench.words()
