"""A crowd on the USDC rail: chain, custodian, TRM and Chainalysis, all failing in one mode."""

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

from bloxtr8.escrow import states
from bloxtr8.payments.http_json import Limits
from bloxtr8.payments.usdc.chain import ChainUnavailable
from bloxtr8.sandbox.chain import wallets as people
from bloxtr8.sandbox.custodian.node import NodeError
from bloxtr8.sandbox.custodian.vault import minor
from proto.bloxtr8.common.v1 import common_pb2 as common
from tests.integration.faults.chance import Chance
from tests.integration.faults.checks import Movement
from tests.integration.faults.crowd import Crowd, Parts
from tests.integration.faults.modes import Mode
from tests.integration.faults.post import Post, name_of_custodian
from tests.integration.faults.trade import Trade, Wish
from tests.integration.usdc.bench import USDC, UsdcBench, open_usdc_bench

_WISHES = (
    *(Wish.RELEASE, Wish.REFUND, Wish.SPLIT, Wish.CANCEL, Wish.RACE, Wish.PARTS),
    *(Wish.TOO_LITTLE, Wish.TOO_MUCH, Wish.RISKY, Wish.LATE),
)
_PAYING = (states.AWAIT_FUNDS, states.CANCELLING, states.CANCELLED)
_FUNDS = 10**9 * USDC
_SELLERS = 40


class UsdcBank:
    """Buyers' wallets, the chain's time, and what the custodian really sent."""

    def __init__(self, bench: UsdcBench, random: Random) -> None:
        self._bench = bench
        self._random = random
        self._sent: dict[str, int] = defaultdict(int)
        for name in ("buyer", "risky"):
            bench.chain.bank.pay(name, people.USDC, people.named(name).address, 1)
            bench.chain.bank.give(people.named(name).address, people.USDC, _FUNDS)
        bench.screening.know(people.named("risky").address, "medium")

    async def act(self, trade: Trade) -> None:
        state = trade.escrow.state
        if state not in _PAYING:
            return
        if "address" not in trade.notes:
            account = await self._bench.usdc.accounts.find_by_escrow(trade.escrow_id)
            if account is None:
                return
            trade.notes["address"] = account.address
        address = trade.notes["address"]
        if state != states.CANCELLED:
            self._before_funds(trade, address, trade.price.minor)
        elif trade.wish is Wish.LATE:
            self._send(trade, address, "late", 7 * USDC)

    async def go_on(self) -> None:
        chain = self._bench.chain.chain
        chain.mine(self._random.choice((1, chain.finality_depth + 1, chain.finality_depth + 1)))
        with suppress(NodeError):
            await self._bench.custodian.vault.tick()
        with suppress(ChainUnavailable):
            await self._bench.usdc.watcher.step()

    def moved(self) -> list[Movement]:
        sellers = {people.named(f"seller{n}").address.lower() for n in range(_SELLERS)}
        return [
            Movement(
                job.body["from_reference"],
                job.body["reference"],
                job.body["to"].lower() in sellers,
                minor(job.body["amount"]),
            )
            for job in self._bench.custodian.vault.jobs.values()
            if job.body["status"] == "completed"
        ]

    def received(self) -> dict[str, int]:
        return self._sent

    def paid_on_chain(self) -> int:
        """Return what sellers have on the chain, in minor units."""
        return sum(
            self._bench.balance(str(people.named(f"seller{n}").address)) for n in range(_SELLERS)
        )

    def _before_funds(self, trade: Trade, address: str, due: int) -> None:
        part = due // 3
        trade.notes["calls_off"] = trade.wish in (Wish.CANCEL, Wish.RACE, Wish.LATE) or (
            trade.wish is Wish.TOO_LITTLE and "first" in trade.notes
        )
        if trade.wish in (Wish.PARTS, Wish.TOO_LITTLE):
            self._send(trade, address, "first", part)
            if trade.wish is Wish.PARTS and self._random.random() < 0.3:
                self._send(trade, address, "second", due - part)
        elif trade.wish is Wish.TOO_MUCH:
            extra = due // self._random.choice((20, 200))
            self._send(trade, address, "first", due + extra)
        elif trade.wish not in (Wish.CANCEL, Wish.LATE):
            self._send(trade, address, "first", due)

    def _send(self, trade: Trade, address: str, what: str, amount: int) -> None:
        """Let the buyer send it, once."""
        if what in trade.notes:
            return
        trade.notes[what] = amount
        wallet = "risky" if trade.wish is Wish.RISKY else "buyer"
        self._bench.chain.bank.spend(wallet, people.USDC, address, amount)
        self._sent[trade.escrow_id] += amount


def _hurry(bench: UsdcBench, wait_s: float) -> None:
    """Let clients pause for a moment only: how long they do is tried elsewhere."""
    limits = Limits(total_s=wait_s, tries=2, pause_first_s=0.005, pause_max_s=0.01)
    rail: Any = bench.usdc.rail
    rail._screens._limit_s = 2 * wait_s + 1
    for adapter in (rail._custody, *rail._screens._screeners):
        adapter._client._limits = limits


def trades_for(runs: int, random: Random) -> list[Trade]:
    """Return so many trades, each wish as often as any other."""
    return [
        Trade(
            _WISHES[number % len(_WISHES)],
            common.RAIL_USDC_BASE,
            common.Money(
                minor=random.choice((10_001, 25_000, 900_000)) * USDC,
                currency=common.CURRENCY_USDC,
            ),
            str(people.named(f"seller{number % _SELLERS}").address),
            random,
        )
        for number in range(runs)
    ]


@asynccontextmanager
async def usdc_crowd(
    dsn: str, folder: Path, mode: Mode, runs: int, seed: int
) -> AsyncIterator[tuple[Crowd, UsdcBank]]:
    """Yield a crowd that has not started, on a database of its own."""
    random = Random(seed)
    async with open_usdc_bench(
        dsn, folder, looks_by_itself=False, timeout_s=mode.client_wait_s
    ) as bench:
        _hurry(bench, mode.client_wait_s)
        bank = UsdcBank(bench, random)
        post = Post(bench.service, bench.clock, random, mode.way, name_of_custodian)
        bench.custodian.webhooks.send = post.take  # type: ignore[method-assign]
        plan = Chance(random, mode)
        bench.chain.faults = bench.custodian.faults = bench.screening.faults = plan
        parts = Parts(
            bench.clock,
            bench.store,
            bench.executor,
            bench.service,
            post,
            bank,
            plan,
            mode.way,
        )
        yield Crowd(parts, trades_for(runs, random), random), bank
