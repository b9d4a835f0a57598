"""Whole trades over HTTP while database, broker, provider and worker fail beneath them."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bloxtr8.dev.apache_kafka import ApacheKafka
from bloxtr8.dev.demo.report import at_stripe, record_differences
from bloxtr8.dev.play import Stage, Trade
from bloxtr8.dev.play.stage import on_stage
from bloxtr8.dev.play.trade import NotReached
from bloxtr8.dev.stack import StackOptions, running_stack
from bloxtr8.store.verify import verify
from tests.crash.test_kill import BROKERS

_SETTLE_S = 60.0
_MOVING_MONEY = ["POST /v1/transfers", "POST /v1/refunds"]

Strike = Callable[[Stage], Awaitable[None]]


async def _database_dies(stage: Stage) -> None:
    await asyncio.to_thread(stage.stack.postgres.restart, immediate=True)


async def _broker_dies(stage: Stage) -> None:
    if isinstance(kafka := stage.stack.kafka, ApacheKafka):  # the other one lives in this process
        await asyncio.to_thread(kafka.kill)
        await asyncio.to_thread(kafka.start)


async def _worker_dies(stage: Stage) -> None:
    (worker,) = stage.stack.workers
    worker.kill()
    worker.start()


async def _provider_fails(stage: Stage) -> None:
    # Longer than anybody waits for Stripe; each time the money has moved.
    for fault in ("error_after", "timeout_after"):
        for route in _MOVING_MONEY:
            rule = {"route": route, "fault": fault, "seconds": 11}
            await stage.stripe("POST", "/faults", rule)


STRIKES: list[Strike] = [_database_dies, _worker_dies, _broker_dies, _provider_fails]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kafka", BROKERS)
async def test_trades_come_to_their_ends_whatever_fails(kafka: str, tmp_path: Path) -> None:
    await _survive(kafka, tmp_path, trades=6, rounds=1)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kafka", BROKERS)
async def test_many_trades_through_many_failures(kafka: str, tmp_path: Path) -> None:
    await _survive(kafka, tmp_path, trades=60, rounds=10)


async def _survive(kafka: str, directory: Path, *, trades: int, rounds: int) -> None:
    options = StackOptions(kafka=kafka, directory=directory, logs=directory / "logs")
    async with running_stack(options, lambda _step: None) as stack, on_stage(stack) as stage:
        played = [await stage.trade(20_000 + 1_000 * number) for number in range(trades)]
        for trade in played:
            await trade.sign()
            for person in (trade.buyer, trade.seller):
                await person.token()  # signs in, which needs the database from here
        progress = Progress(sum(len(_steps(trade, n)) for n, trade in enumerate(played)))
        async with _supervised(stage), asyncio.TaskGroup() as group:
            group.create_task(_storm(stage, progress, rounds))
            for number, trade in enumerate(played):
                group.create_task(_play(trade, number, progress))
        async with _supervised(stage):
            assert await _differences(played) == []
        for number, trade in enumerate(played):
            assert at_stripe(trade, stack.stripe.world) == _wanted(trade, number)


@asynccontextmanager
async def _supervised(stage: Stage) -> AsyncIterator[None]:
    """Start the worker again when it has ended itself, as whatever runs it in life does."""

    async def supervise() -> None:
        (worker,) = stage.stack.workers
        while True:
            if not worker.running:
                worker.start()
            await asyncio.sleep(0.5)

    task = asyncio.create_task(supervise())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Progress:
    """How many steps of all trades are done; a strike waits for its share of them."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._done = 0
        self._moved = asyncio.Event()

    def step(self) -> None:
        self._done += 1
        self._moved.set()

    async def until(self, share: float) -> None:
        while self._done < share * self._steps:
            self._moved.clear()
            await self._moved.wait()


async def _storm(stage: Stage, progress: Progress, rounds: int) -> None:
    strikes = STRIKES * rounds
    for number, strike in enumerate(strikes):
        await progress.until(number / (len(strikes) + 1))
        await strike(stage)


def _steps(trade: Trade, number: int) -> list[Callable[[], Awaitable[object]]]:
    ends: list[list[Callable[[], Awaitable[object]]]] = [
        [trade.release, lambda: trade.until("RELEASED")],
        [trade.refund, lambda: trade.until("REFUNDED")],
        [lambda: trade.dispute(trade.buyer), lambda: trade.until("DISPUTED")],
    ]
    return [trade.pay, lambda: trade.until("FUNDS_HELD"), trade.deliver, *ends[number % 3]]


async def _play(trade: Trade, number: int, progress: Progress) -> None:
    for step in _steps(trade, number):
        await _patiently(step)
        progress.step()


async def _patiently(step: Callable[[], Awaitable[object]]) -> None:
    """Take a step; its state may come later than within the minute that `until` waits."""
    for _ in range(4):
        try:
            await step()
            return
        except NotReached as missed:
            late = missed
    raise late


async def _differences(trades: list[Trade]) -> list[str]:
    """Return what disagrees when everything that was under way has arrived."""
    until = time.monotonic() + _SETTLE_S
    while True:
        found = list(map(str, (await verify()).differences)) + await record_differences(trades)
        if not found or time.monotonic() > until:
            return found
        await asyncio.sleep(0.5)


def _wanted(trade: Trade, number: int) -> tuple[int, int, int, int]:
    """Return what Stripe must have moved: (in, to the seller, to the buyer, to the bank)."""
    price = trade.terms.price_minor
    paid = price - (-price * 29 // 1_000) + 30  # 2.9 % rounded up, and 0.30
    ends = [(price - 50, 0), (0, paid), (0, 0)]
    return paid, *ends[number % 3], 0
