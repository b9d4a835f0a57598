"""When a worker that lives and does nothing must end."""

import asyncio
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from faust.types import TP

from bloxtr8.messaging import watchdog as module
from bloxtr8.messaging.watchdog import Stall, Watchdog

P0, P1 = TP("escrow.commands.v1", 0), TP("escrow.commands.v1", 1)


@dataclass
class Books:
    """What the broker would say."""

    committed_at: dict[TP, int | None] = field(default_factory=dict)
    ends: dict[TP, int] = field(default_factory=dict)
    away: bool = False
    lost: str | None = None

    def group_lost(self) -> str | None:
        return self.lost

    def assignment(self) -> set[TP]:
        return set(self.ends)

    async def committed(self, tps: set[TP]) -> dict[TP, int | None]:
        if self.away:
            raise ConnectionError("no broker")
        return {tp: self.committed_at.get(tp) for tp in tps}

    async def end_offsets(self, tps: set[TP]) -> dict[TP, int]:
        return {tp: self.ends[tp] for tp in tps}


class Topics:
    def acks_enabled_for(self, topic: str) -> bool:
        return not topic.endswith("-changelog")


@dataclass
class App:
    """As much of the application as the watchdog looks at."""

    consumer: Books = field(default_factory=Books)
    topics: Topics = field(default_factory=Topics)
    agents: tuple[str, ...] = ("escrow",)
    crashed: bool = False
    _crash_reason: Any = None
    rebalancing: bool = False
    recovered: bool = True
    waiting: bool = False
    last_tick: float = 0.0
    stops: list[tuple[str, str]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def stop_process(self, reason: str, detail: str) -> None:
        self.stops.append((reason, detail))
        self.stopped.set()


async def verdict(dog: Watchdog, app: App, now: float, *, ticked: bool = True) -> str | None:
    if ticked:
        app.last_tick = now
    found = await asyncio.to_thread(dog.verdict, now)
    return found and found[0]


@pytest.fixture
async def app() -> App:
    return App()


@pytest.fixture
async def dog(app: App) -> Watchdog:
    return Watchdog(app)  # type: ignore[arg-type]


async def test_all_is_well(app: App, dog: Watchdog) -> None:
    for now in range(1, 1000, 10):
        assert await verdict(dog, app, float(now)) is None


async def test_a_crashed_app_ends(app: App, dog: Watchdog) -> None:
    app.crashed = True
    assert await verdict(dog, app, 1.0) == "app_crashed"


async def test_a_silent_loop_ends(app: App, dog: Watchdog) -> None:
    assert await verdict(dog, app, module.TICK_MAX_S, ticked=False) is None
    assert await verdict(dog, app, module.TICK_MAX_S + 1, ticked=False) == "loop_silent"


async def test_a_worker_that_is_out_of_its_group_for_ever_ends(app: App, dog: Watchdog) -> None:
    app.consumer.lost = "KafkaError: unexpected"
    assert await verdict(dog, app, 1.0) == "group_lost"
    app.agents = ()
    assert await verdict(dog, app, 1.0) is None


@pytest.mark.parametrize("state", ["rebalancing", "recovering"])
async def test_a_rebalance_or_recovery_without_end_ends(
    app: App, dog: Watchdog, state: str
) -> None:
    app.rebalancing, app.recovered = state == "rebalancing", state != "recovering"
    assert await verdict(dog, app, 10.0) is None
    assert await verdict(dog, app, 10.0 + module.REBALANCE_MAX_S) is None
    assert await verdict(dog, app, 11.0 + module.REBALANCE_MAX_S) == "rebalance_too_long"


async def test_each_rebalance_has_its_own_time(app: App, dog: Watchdog) -> None:
    for start in (0.0, 100.0, 200.0, 300.0):
        app.rebalancing = True
        assert await verdict(dog, app, start + 1) is None
        assert await verdict(dog, app, start + 90) is None
        app.rebalancing = False
        assert await verdict(dog, app, start + 95) is None


async def test_a_worker_that_only_serves_the_web_waits_for_no_assignment(
    app: App, dog: Watchdog
) -> None:
    app.agents, app.recovered = (), False
    assert await verdict(dog, app, 1.0) is None
    assert await verdict(dog, app, 1000.0) is None


async def test_a_partition_that_does_not_move_ends(app: App, dog: Watchdog) -> None:
    app.consumer.ends = {P0: 10, P1: 10}
    app.consumer.committed_at = {P0: 10, P1: 4}
    assert await verdict(dog, app, 100.0) is None
    assert await verdict(dog, app, 100.0 + module.COMMIT_STALL_MAX_S) is None
    assert await verdict(dog, app, 111.0 + module.COMMIT_STALL_MAX_S) == "commit_stalled"


async def test_a_partition_that_was_never_committed_counts_from_zero(
    app: App, dog: Watchdog
) -> None:
    app.consumer.ends = {P0: 1}
    assert await verdict(dog, app, 100.0) is None
    assert await verdict(dog, app, 111.0 + module.COMMIT_STALL_MAX_S) == "commit_stalled"


async def test_slow_is_not_stuck(app: App, dog: Watchdog) -> None:
    app.consumer.ends = {P0: 100}
    for step in range(20):
        app.consumer.committed_at = {P0: step}
        assert await verdict(dog, app, 100.0 + 50 * step) is None


async def test_waiting_for_the_database_is_not_being_stuck(app: App, dog: Watchdog) -> None:
    app.consumer.ends, app.waiting = {P0: 10}, True
    assert await verdict(dog, app, 100.0) is None
    assert await verdict(dog, app, 500.0) is None
    app.waiting = False
    assert await verdict(dog, app, 511.0) == "commit_stalled"


async def test_a_partition_that_another_worker_took_is_forgotten(app: App, dog: Watchdog) -> None:
    app.consumer.ends = {P0: 10}
    assert await verdict(dog, app, 100.0) is None
    app.consumer.ends = {}
    assert await verdict(dog, app, 150.0) is None
    app.consumer.ends = {P0: 10}
    assert await verdict(dog, app, 200.0) is None


async def test_changelogs_are_never_committed_and_never_stalled(app: App, dog: Watchdog) -> None:
    app.consumer.ends = {TP("x-escrows-changelog", 0): 10}
    assert await verdict(dog, app, 100.0) is None
    assert await verdict(dog, app, 500.0) is None


async def test_a_broker_that_is_away_proves_nothing(app: App, dog: Watchdog) -> None:
    app.consumer.ends, app.consumer.away = {P0: 10}, True
    assert await verdict(dog, app, 100.0) is None
    assert await verdict(dog, app, 500.0) is None


def test_a_stall_is_measured_from_the_last_move() -> None:
    stall = Stall()
    assert stall.longest_s({P0: 1}, {P0: 5}, 0.0) == 0
    assert stall.longest_s({P0: 1}, {P0: 5}, 30.0) == 30
    assert stall.longest_s({P0: 2}, {P0: 5}, 40.0) == 0
    assert stall.longest_s({P0: 2}, {P0: 9}, 45.0) == 5
    assert stall.longest_s({P0: 9}, {P0: 9}, 50.0) == 0


async def test_the_thread_stops_the_process(
    app: App, dog: Watchdog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHECK_EVERY_S", 0.01)
    app.last_tick, app.crashed = time.monotonic(), True
    dog.start()
    try:
        assert await asyncio.to_thread(app.stopped.wait, 10)
    finally:
        dog.close()
    await asyncio.to_thread(dog.join, 10)
    assert app.stops[0][0] == "app_crashed"
    assert not dog.is_alive()
