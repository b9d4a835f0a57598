"""When reconciliation runs: once a slot, by one worker, again after a failure; and replays."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bloxtr8.payments.reconciliation import schedule
from bloxtr8.payments.reconciliation.missed import Missed
from bloxtr8.payments.reconciliation.replay import Replayed, replay
from bloxtr8.payments.reconciliation.schedule import (
    AlreadyRunning,
    RunKind,
    Scheduler,
    retry_at,
    slot,
)
from bloxtr8.sandbox.faults import Fault, FaultRule
from bloxtr8.store import database
from tests.integration.payments_bench import NOW
from tests.integration.reconciliation_bench import Desk, open_desk, reconciler_of

HOURLY, DAILY = RunKind.HOURLY, RunKind.DAILY


@pytest.fixture
async def desk(postgres_dsn: str) -> AsyncIterator[Desk]:
    async with open_desk(postgres_dsn) as made:
        yield made


async def runs(kind: RunKind) -> list[dict[str, Any]]:
    return await database.fetch(
        "SELECT due_at, status, attempts, error FROM reconciliation_runs WHERE kind = $1"
        " ORDER BY due_at",
        kind.value,
    )


def at(hour: int, minute: int = 0, day: int = 1) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "now", "due"),
    [
        (HOURLY, at(5, 59), at(5)),
        (HOURLY, at(6), at(6)),
        (DAILY, at(1, 59, day=2), at(2, day=1)),
        (DAILY, at(2, day=2), at(2, day=2)),
        (DAILY, at(23, day=2), at(2, day=2)),
    ],
)
def test_slots(kind: RunKind, now: datetime, due: datetime) -> None:
    assert slot(kind, now) == due


def test_what_failed_is_tried_later_each_time() -> None:
    waits = [(retry_at(NOW, attempts) - NOW).total_seconds() / 60 for attempts in (1, 2, 3, 9, 99)]
    assert waits == [5, 10, 20, 60, 60]


async def test_nothing_is_due_before_there_was_a_trade(desk: Desk) -> None:
    assert await desk.scheduler.tick() == []
    await desk.trade()
    assert await desk.scheduler.tick() == []


async def test_a_day_of_the_clock(desk: Desk) -> None:
    await desk.trade()
    done: list[tuple[int, RunKind]] = []
    for _ in range(24 * 4):
        desk.bench.clock.advance(timedelta(minutes=15))
        done += [(desk.bench.clock.now().hour, kind) for kind in await desk.scheduler.tick()]
    assert [hour for hour, kind in done if kind is DAILY] == [2]
    assert [hour for hour, kind in done if kind is HOURLY] == [*range(1, 24), 0]
    assert {run["status"] for run in await runs(HOURLY)} == {"DONE"}


async def test_slots_that_were_slept_through_are_done_once(desk: Desk) -> None:
    await desk.trade()
    desk.bench.clock.advance(timedelta(days=3))
    assert await desk.scheduler.tick() == [HOURLY, DAILY]
    assert await desk.scheduler.tick() == []


async def test_a_webhook_that_never_came_is_made_up_for_by_the_clock(desk: Desk) -> None:
    trade = await desk.trade()
    desk.bench.stripe.world.pay(trade.intent_ref)
    trade.lose_calls()
    desk.bench.clock.advance(timedelta(minutes=70))
    assert await desk.scheduler.tick() == [HOURLY]
    await trade.settle()
    assert trade.state == "FUNDS_HELD"


async def test_two_workers_at_once_make_one_run(desk: Desk) -> None:
    await (await desk.trade()).fund()
    books, reconciler = reconciler_of(desk.bench)
    other = Scheduler(reconciler, desk.bench.clock)
    for day in range(1, 4):
        desk.bench.clock.advance(timedelta(days=1))
        done = await asyncio.gather(*(each.tick() for each in (desk.scheduler, other) * 4))
        assert sorted(filter(None, done)) == [[HOURLY, DAILY]]
        assert [run["attempts"] for run in await runs(DAILY)] == [1] * day
    await books.close()


async def test_by_hand_only_when_nobody_else_does_it(desk: Desk) -> None:
    await (await desk.trade()).fund()
    desk.bench.clock.advance(timedelta(minutes=10))
    async with schedule._alone() as mine:
        assert mine
        with pytest.raises(AlreadyRunning):
            await desk.scheduler.now()
    assert (await desk.scheduler.now()).escrows == 1
    assert [run["status"] for run in await runs(RunKind.MANUAL)] == ["DONE"]


async def test_a_provider_that_is_away_is_reported_and_asked_again(desk: Desk) -> None:
    await desk.trade()
    desk.bench.clock.advance(timedelta(hours=1))
    away = FaultRule("GET *", Fault.ERROR_BEFORE, times=1000)
    desk.bench.stripe.faults.add(away)
    assert await desk.scheduler.tick() == [HOURLY]
    assert await desk.scheduler.tick() == [], "not at once"
    for minutes in (5, 10):
        desk.bench.clock.advance(timedelta(minutes=minutes))
        assert await desk.scheduler.tick() == [HOURLY]
    (run,) = await runs(HOURLY)
    assert (run["status"], run["attempts"]) == ("FAILED", 3)
    assert "Stripe" in run["error"]
    assert await _reported() == 1
    desk.bench.stripe.faults.clear()
    desk.bench.clock.advance(timedelta(minutes=20))
    assert await desk.scheduler.tick() == [HOURLY]
    (run,) = await runs(HOURLY)
    assert (run["status"], run["attempts"], run["error"]) == ("DONE", 4, None)
    assert await _reported() == 0


async def test_a_defect_of_ours_is_reported_and_waits_too(desk: Desk) -> None:
    await desk.trade()
    desk.bench.clock.advance(timedelta(hours=1))
    # As a release does that no longer knows a kind of which the table still has rows.
    async with database.transaction() as tx:
        await tx.execute(
            "ALTER TABLE payment_operations DROP CONSTRAINT payment_operations_kind_known"
        )
        await tx.execute(
            "UPDATE payment_operations SET kind = 'BARTER', status = 'SENT', finished_at = NULL,"
            " lease_until = NULL, sent_at = requested_at"
        )
    for minutes in (0, 5, 10):
        desk.bench.clock.advance(timedelta(minutes=minutes))
        with pytest.raises(ValueError, match="BARTER"):
            await desk.scheduler.tick()
        assert await desk.scheduler.tick() == [], "not at once"
    (run,) = await runs(HOURLY)
    assert (run["status"], run["attempts"]) == ("FAILED", 3)
    assert await _reported() == 1


async def _reported() -> int:
    rows = await database.fetch(
        "SELECT FROM staff_tasks WHERE subject_type = 'reconciliation' AND status = 'OPEN'"
    )
    return len(rows)


async def test_a_run_whose_worker_died_is_done_by_another(desk: Desk) -> None:
    await desk.trade()
    desk.bench.clock.advance(timedelta(hours=1))
    stopped = asyncio.create_task(desk.scheduler.tick())
    rule = FaultRule("GET *", Fault.DELAY, seconds=30)
    desk.bench.stripe.faults.add(rule)

    async def began() -> bool:
        return bool(await runs(HOURLY))

    async with asyncio.timeout(60):
        while not await began():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    stopped.cancel()
    await asyncio.gather(stopped, return_exceptions=True)
    desk.bench.stripe.faults.clear()
    assert [run["status"] for run in await runs(HOURLY)] == ["RUNNING"]
    assert await desk.scheduler.tick() == [HOURLY]
    (run,) = await runs(HOURLY)
    assert (run["status"], run["attempts"]) == ("DONE", 2)


# --- replays ---------------------------------------------------------------------------------


async def test_a_replay_has_no_second_effect(desk: Desk) -> None:
    bench = desk.bench
    trade = await desk.trade()
    bench.stripe.world.pay(trade.intent_ref)
    (charge,) = bench.stripe.world.all("charge")
    bench.stripe.world.open_dispute(charge["id"], "fraudulent")
    await _keep_calls(desk)
    missed = Missed(bench.store, bench.service, {"STRIPE": bench.rail}, bench.clock, False)
    first = await replay(missed, NOW)
    assert first == Replayed(taken=3, passed=2), "creation and charge say nothing of use"
    await trade.settle()
    words = await trade.words()
    assert sorted(words)[:2] == ["chargeback_opened", "payment_intent_created"]
    assert await replay(missed, NOW) == Replayed(taken=0, passed=5)
    await trade.settle()
    assert await trade.words() == words
    assert await replay(missed, NOW + timedelta(days=1)) == Replayed()


async def _keep_calls(desk: Desk) -> None:
    """Keep what arrived as if nothing had been done with it."""
    import json

    from bloxtr8.payments import webhook_inbox as inbox
    from bloxtr8.payments.webhook_signatures import name_stripe

    for call in desk.bench.take_calls():
        body = json.dumps(call).encode()
        await inbox.record(name_stripe(body), body, desk.bench.clock.now())
