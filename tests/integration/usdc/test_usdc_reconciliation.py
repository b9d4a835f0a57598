"""Reconciliation of the USDC rail: chain and custodian against books, operations, ledger."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bloxtr8.config import KmsSettings
from bloxtr8.ledger.check import check
from bloxtr8.payments import webhook_inbox as inbox
from bloxtr8.payments.reconciliation import wiring
from bloxtr8.payments.reconciliation.model import ProviderSilent, Report
from bloxtr8.payments.reconciliation.replay import replay
from bloxtr8.payments.reconciliation.wiring import Reconciliation
from bloxtr8.payments.webhook_signatures import WebhookName
from bloxtr8.sandbox.chain import wallets as people
from bloxtr8.sandbox.faults import Fault, FaultRule
from bloxtr8.store import database
from tests.integration.payments_bench import KEYRING
from tests.integration.usdc.bench import USDC, UsdcBench, open_usdc_bench
from tests.integration.usdc.trade import UsdcTrade


class Desk:
    """Reconciliation over a bench of the USDC rail."""

    def __init__(self, bench: UsdcBench, made: Reconciliation) -> None:
        self.bench = bench
        self.made = made

    async def trade(self) -> UsdcTrade:
        return await UsdcTrade(self.bench).create()

    async def hourly(self) -> Report:
        report = Report()
        since = self.bench.clock.now() - timedelta(days=20)
        await self.made.reconciler.hourly(since, report)
        return report

    async def daily(self) -> Report:
        """Let everything count that is under way, and reconcile."""
        await self.bench.look()
        self.bench.clock.advance(timedelta(hours=2))
        report = Report()
        await self.made.reconciler.daily(None, report)
        return report

    async def quiet(self) -> Report:
        report = await self.daily()
        assert report.findings == []
        assert report.silent == []
        assert await check() == []
        return report

    async def balances(self) -> dict[str, int]:
        rows = await database.fetch(
            "SELECT account, -balance_minor AS minor FROM ledger_accounts"
            " WHERE starts_with(account, 'provider_clearing:')"
        )
        return {row["account"].partition(":")[2]: row["minor"] for row in rows if row["minor"]}


@asynccontextmanager
async def open_desk(
    dsn: str, folder: Path, kms: KmsSettings | None = None, **base: Any
) -> AsyncIterator[Desk]:
    async with open_usdc_bench(dsn, folder, kms, **base) as bench:
        settings = bench.settings.model_copy(deep=True)
        settings.reconciliation.look_again_s = 0
        made = wiring.make(settings, bench.clock, KEYRING)
        try:
            yield Desk(bench, made)
        finally:
            await made.close()


@pytest.fixture
async def desk(postgres_dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(postgres_dsn, tmp_path) as made:
        yield made


async def test_whole_trades_differ_in_nothing(desk: Desk) -> None:
    released = await (await (await desk.trade()).fund()).release()
    refunded = await (await (await desk.trade()).fund()).refund()
    held = await (await desk.trade()).fund()
    assert [trade.state for trade in (released, refunded, held)] == [
        "RELEASED",
        "REFUNDED",
        "FUNDS_HELD",
    ]
    report = await desk.quiet()
    assert (report.escrows, report.repaired, report.lines) == (3, 0, 5)
    assert (await desk.quiet()).lines == 0


async def test_a_deposit_that_nobody_saw_is_found_hourly(desk: Desk) -> None:
    """The custodian's call is lost and the watcher's cursor is past the block."""
    trade = await desk.trade()
    await trade.deposit_unseen()
    assert trade.state == "AWAIT_FUNDS"
    desk.bench.clock.advance(timedelta(hours=1, minutes=1))
    report = await desk.hourly()
    assert [repair.what for repair in report.repairs] == ["answer"]
    await trade.settle()
    assert trade.state == "FUNDS_HELD"
    assert (await desk.hourly()).repaired == 0
    await desk.quiet()


async def test_money_after_the_end_that_nobody_saw_is_found_daily(desk: Desk) -> None:
    trade = await (await (await desk.trade()).fund()).release()
    await trade.deposit_unseen(5 * USDC)
    report = await desk.daily()
    assert [repair.what for repair in report.repairs] == ["seen"]
    await trade.settle()
    await trade.settled()
    assert (await trade.words())[-1] == "refund_succeeded"
    await desk.quiet()


async def test_a_payout_that_nobody_heard_of_is_told_hourly(desk: Desk) -> None:
    trade = await (await desk.trade()).fund()
    await trade.order_release()
    for _ in range(4):
        await desk.bench.custodian.vault.tick()
    desk.bench.chain.chain.mine(70)
    assert trade.state == "RELEASING"
    desk.bench.clock.advance(timedelta(minutes=6))
    report = await desk.hourly()
    assert [repair.what for repair in report.repairs] == ["answer"]
    await trade.settle()
    assert trade.state == "RELEASED"
    await desk.quiet()


async def test_what_the_custodian_sent_without_an_order_is_told(desk: Desk) -> None:
    trade = await (await (await desk.trade()).fund()).release()
    thief = str(people.named("thief").address)
    desk.bench.custodian.vault.transfer(
        {
            "from_reference": trade.escrow_id,
            "to": thief,
            "amount": "1.000000",
            "asset": "USDC",
            "chain": "base-local",
            "reference": trade.bench.operation_id("PAYOUT"),
        }
    )
    await desk.bench.custodian.vault.tick()
    await desk.bench.custodian.vault.tick()
    report = await desk.daily()
    found = {(str(one.kind), one.what, one.expected, one.actual) for one in report.findings}
    assert ("TRANSFER", "payout", "nothing", f"1.000000 USDC to {thief.lower()}") in found
    kinds = {one.what for one in report.findings}
    assert "statement and balance" in kinds
    assert "discrepancy_found" in await trade.words()


async def test_a_deposit_only_the_custodian_knows_is_told(desk: Desk) -> None:
    trade = await (await desk.trade()).fund()
    account = await trade.account()
    # Further back than the custodian looks at the chain itself.
    desk.bench.chain.chain.mine(100)
    await desk.bench.look()
    forged = dict(next(iter(desk.bench.custodian.vault.deposits.values())))
    forged |= {"tx_hash": "0x" + "ab" * 32, "amount": "7.000000", "status": "confirmed"}
    forged["block_number"] = 0
    desk.bench.custodian.vault.deposits["forged"] = forged | {"address": account.address}
    report = await desk.daily()
    found = {(str(one.kind), one.what, one.expected, one.actual) for one in report.findings}
    assert ("PAYMENT", "payment received", "nothing", "7.000000 USDC") in found
    assert trade.state == "FUNDS_HELD"


async def test_a_silent_node_fails_the_run_and_resolves_nothing(desk: Desk) -> None:
    await (await desk.trade()).fund()
    desk.bench.clock.advance(timedelta(hours=2))
    desk.bench.chain.faults.add(FaultRule("RPC *", Fault.ERROR_BEFORE, times=1000))
    with pytest.raises(ProviderSilent):
        await desk.made.reconciler.daily(None, Report())


async def test_a_silent_custodian_does_not_hide_another_provider(desk: Desk) -> None:
    """Stripe is not there at all; what the chain says is taken in all the same."""
    settings = desk.bench.settings.model_copy(deep=True)
    settings.stripe.api_base, settings.stripe.api_key = "http://127.0.0.1:9", SecretStr("sk_test")
    made = wiring.make(settings, desk.bench.clock, KEYRING)
    trade = await desk.trade()
    await trade.deposit_unseen()
    desk.bench.clock.advance(timedelta(hours=1, minutes=1))
    report = Report()
    with pytest.raises(ProviderSilent, match="Stripe"):
        await made.reconciler.hourly(desk.bench.clock.now() - timedelta(hours=2), report)
    assert [repair.what for repair in report.repairs] == ["answer"]
    await made.close()


async def test_dust_is_nobodys_money(desk: Desk) -> None:
    trade = await (await desk.trade()).fund()
    desk.bench.chain.bank.pay("stranger", people.USDC, (await trade.account()).address, 9_999)
    await desk.quiet()
    assert trade.state == "FUNDS_HELD"


async def test_a_custodians_call_that_was_kept_is_taken_in_again(desk: Desk) -> None:
    """Its escrow was not known when it came; replayed later it hastens the look-up."""
    trade = await desk.trade()
    address = (await trade.account()).address
    body = json.dumps({"id": "e1", "type": "deposit.confirmed", "data": {"address": address}})
    name = WebhookName("e1", address, "deposit.confirmed")
    since = desk.bench.clock.now()
    await inbox.record(name, body.encode(), since, provider=inbox.CUSTODIAN)
    done = await replay(desk.made.missed, since)
    assert (done.taken, done.passed) == (1, 0)
    (row,) = await database.fetch("SELECT status, escrow_id FROM webhook_events")
    assert (row["status"], str(row["escrow_id"])) == ("HANDLED", trade.escrow_id)
    again = await replay(desk.made.missed, since)
    assert (again.taken, again.passed) == (0, 1)
