"""Self-custody on PostgreSQL: whole trades, crashes and restarts, sweeps, gas, reconciliation."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bloxtr8.payments.operations import Status
from bloxtr8.payments.usdc import wiring
from bloxtr8.payments.usdc.wallets import Wallets, create_keystore
from bloxtr8.payments.usdc.wiring import UsdcParts
from bloxtr8.sandbox.chain import wallets as people
from bloxtr8.sandbox.chain.ledger import Fate
from bloxtr8.store import database
from tests.integration.usdc.bench import SELLER, USDC
from tests.integration.usdc.test_usdc_reconciliation import Desk, open_desk
from tests.integration.usdc.trade import PRICE, UsdcTrade

PASSWORD = "sesame"
FEE = PRICE // 200


class Vault:
    """A desk whose bench holds the keys itself."""

    def __init__(self, desk: Desk, hot: str) -> None:
        self.desk = desk
        self.bench = desk.bench
        self.hot = hot
        self._restarted: list[UsdcParts] = []

    async def trade(self) -> UsdcTrade:
        return await UsdcTrade(self.bench).create()

    def fund(self, usdc: int = 0, wei: int = 10**18) -> None:
        self.bench.chain.bank.give_gas(self.hot, wei)
        if usdc:
            self.bench.chain.bank.give(self.hot, people.USDC, usdc)

    async def sweep(self, rounds: int = 5) -> None:
        """Let the sweeper work and the chain go on."""
        sweeper = self.bench.usdc.sweeper
        assert sweeper is not None
        for _ in range(rounds):
            await sweeper.step(await self.bench.usdc.accounts.unswept())
            self.bench.chain.chain.mine(self.bench.chain.chain.finality_depth + 1)

    async def swept(self, trade: UsdcTrade) -> None:
        """Sweep the deposit and let the trade come to its end."""
        await self.sweep()
        await trade.settled()

    def restart(self) -> UsdcParts:
        """Return the rail as another process puts it together: nothing is left but the stores."""
        made = wiring.put_together(
            self.bench.settings, self.bench.store, self.bench.clock, self.bench.executor.wake
        )
        self.bench.usdc = made
        self._restarted.append(made)
        return made

    async def close(self) -> None:
        for made in self._restarted:
            await made.close()

    async def rows(self, kind: str) -> list[dict[str, Any]]:
        return await database.fetch(
            "SELECT * FROM chain_transactions WHERE starts_with(key, $1) ORDER BY nonce", kind
        )


@asynccontextmanager
async def open_vault(dsn: str, folder: Path) -> AsyncIterator[Vault]:
    keystore = folder / "wallets.json"
    create_keystore(keystore, PASSWORD, iterations=2)
    base: dict[str, Any] = {
        "custody": "onchain",
        "keystore_file": str(keystore),
        "keystore_password": SecretStr(PASSWORD),
        "gas_alert_wei": 10**15,
    }
    async with open_desk(dsn, folder, **base) as desk:
        hot = str(Wallets.load(keystore, PASSWORD).hot.address).lower()
        made = Vault(desk, hot)
        yield made
        await made.close()


@pytest.fixture
async def vault(postgres_dsn: str, tmp_path: Path) -> AsyncIterator[Vault]:
    async with open_vault(postgres_dsn, tmp_path) as made:
        yield made


async def test_a_trade_from_deposit_to_payout(vault: Vault) -> None:
    vault.fund()
    trade = await (await vault.trade()).fund()
    assert trade.state == "FUNDS_HELD"
    await trade.order_release()
    # The money lies at the deposit address until it is swept.
    assert trade.state == "RELEASING"
    assert (await vault.bench.row("PAYOUT")).last_error == "HOT_WALLET_SHORT"
    await vault.swept(trade)
    assert trade.state == "RELEASED"
    assert vault.bench.balance(SELLER) == PRICE - FEE
    assert vault.bench.balance(vault.hot) == FEE
    assert [row["stage"] for row in await vault.rows("")] == ["MINED"] * 3
    await vault.desk.quiet()
    assert await vault.desk.balances() == {"base_hot": FEE}
    report = await vault.desk.quiet()
    assert (report.repaired, report.lines) == (0, 0)


async def test_sweeps_are_booked_within_hours(vault: Vault) -> None:
    vault.fund()
    trade = await (await vault.trade()).fund()
    await vault.sweep()
    vault.bench.clock.advance(timedelta(hours=2))
    await vault.desk.hourly()
    assert await vault.desk.balances() == {"base_hot": PRICE}
    await vault.desk.hourly()
    assert await vault.desk.balances() == {"base_hot": PRICE}
    assert trade.state == "FUNDS_HELD"


async def test_money_that_may_be_frozen_is_not_swept(vault: Vault) -> None:
    vault.fund()
    vault.bench.screening.know(str(people.named("buyer").address), "listed")
    trade = await (await vault.trade()).fund()
    assert trade.state == "FUNDS_REVIEW"
    await vault.sweep(2)
    assert await vault.rows("sweep:") == []
    assert vault.bench.balance((await trade.account()).address) == PRICE


async def test_frozen_money_that_came_after_the_end_is_not_swept(vault: Vault) -> None:
    vault.fund()
    trade = await (await vault.trade()).fund()
    await trade.order_release()
    await vault.swept(trade)
    assert trade.state == "RELEASED"
    before, address = await vault.rows("sweep:"), (await trade.account()).address
    vault.bench.screening.know(str(people.named("listed").address), "listed")
    await vault.bench.pay(5 * USDC, wallet="listed")
    await trade.settled()
    await vault.sweep()
    assert await vault.rows("sweep:") == before
    assert vault.bench.balance(address) == 5 * USDC


async def test_two_trades_have_addresses_of_their_own(vault: Vault) -> None:
    vault.fund()
    first, second = await vault.trade(), await vault.trade()
    assert (await first.account()).address != (await second.account()).address
    await second.fund()
    assert (first.state, second.state) == ("AWAIT_FUNDS", "FUNDS_HELD")
    again = UsdcTrade(vault.bench, contract_id=first.contract_id)
    made = await vault.restart().custody.deposit_address(again.escrow_id)
    assert getattr(made, "address", "") == (await first.account()).address


@pytest.mark.parametrize("has_looked", [True, False])
async def test_a_watcher_that_was_away_goes_on_where_it_was(vault: Vault, has_looked: bool) -> None:
    vault.fund()
    trade = await vault.trade()
    if has_looked:
        await vault.bench.usdc.watcher.step()
    address = (await trade.account()).address
    vault.bench.chain.bank.pay("buyer", people.USDC, address, PRICE)
    vault.bench.chain.chain.mine(300)
    await vault.bench.usdc.close()
    made = vault.restart()
    rails = vault.bench.executor._rails
    rails["USDC_BASE"] = made.rail
    await made.watcher.step()
    await trade.settle()
    assert trade.state == "FUNDS_HELD"
    assert await made.accounts.cursor() == vault.bench.chain.chain.head.number


async def test_a_payout_that_is_stuck_is_offered_more_and_sent_once(vault: Vault) -> None:
    vault.fund(2 * PRICE)
    trade = await (await vault.trade()).fund()
    vault.bench.chain.chain.auto_mine = False
    await trade.order_release()
    (before,) = await vault.rows("payout:")
    # Blocks come and the node has forgotten the transaction.
    vault.bench.chain.chain.reorganise(1, Fate.DROP)
    await vault.restart().sweeper.step([])  # type: ignore[union-attr]
    vault.bench.chain.chain.auto_mine = True
    await vault.swept(trade)
    (after,) = await vault.rows("payout:")
    assert (after["nonce"], after["data"]) == (before["nonce"], before["data"])
    assert trade.state == "RELEASED"
    assert vault.bench.balance(SELLER) == PRICE - FEE


async def test_without_gas_the_payout_waits_and_nothing_is_reserved(vault: Vault) -> None:
    vault.bench.chain.bank.give(vault.hot, people.USDC, 2 * PRICE)
    trade = await (await vault.trade()).fund()
    await trade.order_release()
    row = await vault.bench.row("PAYOUT")
    assert (row.status, row.last_error) == (Status.UNKNOWN, "NO_GAS")
    assert await vault.rows("") == []
    vault.fund()
    await trade.settled()
    assert trade.state == "RELEASED"


async def test_what_left_the_hot_wallet_without_an_order_is_told(vault: Vault) -> None:
    vault.fund()
    trade = await (await vault.trade()).fund()
    await trade.order_release()
    await vault.swept(trade)
    await vault.desk.quiet()
    keys = Wallets.load(Path(vault.bench.settings.base.keystore_file), PASSWORD)
    bank = vault.bench.chain.bank
    thief = str(people.named("thief").address)
    bank.send(keys.hot, people.raw(people.USDC.hex), _transfer(thief, 5 * USDC))
    report = await vault.desk.daily()
    (found,) = [one for one in report.findings if one.what == "of no trade"]
    assert (found.provider, found.actual.split(" by ")[0]) == (
        "BASE_HOT",
        "withdrawal of -5.000000 USDC",
    )


async def test_what_people_put_in_is_booked_from_the_bank(vault: Vault) -> None:
    vault.fund(500 * USDC)
    trade = await (await vault.trade()).fund()
    await trade.order_release()
    await vault.swept(trade)
    vault.bench.chain.bank.give(vault.hot, people.USDC, 70 * USDC)
    await vault.desk.quiet()
    balances = await vault.desk.balances()
    assert balances == {"base_hot": FEE + 570 * USDC, "bank": -570 * USDC}


async def test_gas_that_runs_low_is_an_alarm(vault: Vault) -> None:
    sweeper = vault.bench.usdc.sweeper
    assert sweeper is not None
    vault.fund(wei=10**14)
    await sweeper.balances()
    assert _gauge("bloxtr8_hot_wallet_gas_low") == 1
    vault.fund()
    await sweeper.balances()
    assert _gauge("bloxtr8_hot_wallet_gas_low") == 0
    vault.bench.clock.advance(timedelta(seconds=1))


def _gauge(name: str) -> float | None:
    from bloxtr8.telemetry import REGISTRY

    return REGISTRY.get_sample_value(name)


def _transfer(to: str, amount: int) -> bytes:
    from bloxtr8.payments.usdc.onchain import transfer_call

    return bytes.fromhex(transfer_call(to.lower(), amount).removeprefix("0x"))
