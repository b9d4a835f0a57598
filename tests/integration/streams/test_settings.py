"""What the clients of a worker are really told, and what is never switched on."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaError
from faust.types.enums import ProcessingGuarantee

from bloxtr8.config import KafkaSettings, KeysSettings, Settings, WebSettings
from bloxtr8.dev import process
from bloxtr8.dev.worker import Worker as WorkerProcess
from bloxtr8.messaging import watchdog as watchdog_module
from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.messaging.topics import ESCROW_COMMANDS
from bloxtr8.messaging.watchdog import Watchdog
from tests.integration.streams.worker import Halted, Worker, running, until
from tests.unit.messaging.samples import release


async def _nothing(_message: Any, _delivery: Any) -> None:
    return


def _app(settings: Settings) -> BloxtrApp:
    app = BloxtrApp(settings)
    app.handle(ESCROW_COMMANDS, _nothing, name="nothing")
    return app


async def test_producers_are_idempotent_and_wait_for_all_replicas(settings: Settings) -> None:
    async with running(_app(settings)) as worker:
        app = worker.app
        await app.publisher.publish(ESCROW_COMMANDS, release())
        assert app.publisher._producer is not None
        for client in (app.producer._producer, app.publisher._producer):
            assert client._txn_manager is not None, "idempotence is off"
            assert client._txn_manager.has_pid()
            assert client._sender._acks == -1
        assert app.conf.producer_request_timeout == 30


async def test_nothing_depends_on_transactions(settings: Settings) -> None:
    # exactly_once leaves sends to topics that the app does not consume outside of it.
    async with running(_app(settings)) as worker:
        app = worker.app
        assert app.conf.processing_guarantee == ProcessingGuarantee.AT_LEAST_ONCE
        assert not app.consumer.in_transaction
        assert app.producer._producer._txn_manager.transactional_id is None


def test_one_message_at_a_time_with_partitions_side_by_side(tmp_path: Path) -> None:
    app = _app(_offline(tmp_path))
    for agent in app.agents.values():
        assert agent.concurrency == 1
        assert agent.isolated_partitions


def test_the_group_keeps_its_name(tmp_path: Path) -> None:
    # App(version=2) would be another group, and everything would be replayed.
    app = _app(_offline(tmp_path))
    assert app.conf.version == 1
    assert app.conf.id == app.settings.kafka.app_id


def test_replays_are_short_and_stops_wait_for_work(tmp_path: Path) -> None:
    settings = _offline(tmp_path)
    settings.kafka.instance_id = "worker-7"
    conf = _app(settings).conf
    assert conf.broker_commit_interval == 1.0
    assert conf.consumer_group_instance_id == "worker-7"
    assert conf.stream_wait_empty
    assert conf.stream_buffer_maxsize <= 512


def test_topics_are_provisioned_and_never_made_by_the_way(tmp_path: Path) -> None:
    conf = _app(_offline(tmp_path)).conf
    assert not conf.topic_allow_declare
    assert conf.topic_disable_leader


def test_nobody_sees_fausts_own_pages(tmp_path: Path) -> None:
    conf = _app(_offline(tmp_path)).conf
    assert not conf.web_tables_enabled
    assert not conf.web_router_enabled
    assert not conf.debug
    assert conf.web_bind == "127.0.0.1"


async def test_a_background_body_that_raises_is_started_again(settings: Settings) -> None:
    app = _app(settings)
    runs: list[float] = []
    done = asyncio.Event()

    async def body() -> None:
        runs.append(time.monotonic())
        if len(runs) < 3:
            raise RuntimeError("stock Faust would end the worker")
        done.set()
        await asyncio.Event().wait()

    app.background("fragile", body)
    async with running(app) as worker:
        async with asyncio.timeout(20):
            await done.wait()
        assert not worker.app.crashed
        assert worker.stops == []
    assert runs[1] - runs[0] >= 0.05, "a pause between two starts"


async def test_a_worker_whose_loop_is_silent_ends(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog_module, "_CHECK_EVERY_S", 0.05)
    monkeypatch.setattr(watchdog_module, "_ASK_TIMEOUT_S", 0.2)
    monkeypatch.setattr(watchdog_module, "TICK_MAX_S", 1.0)
    async with running(_app(settings)) as worker:
        _dog(worker)
        # The loop stands still: nothing but the watchdog's own thread can end the wait.
        assert worker.halted.wait(20)
        assert worker.stops[0][0] == "loop_silent"


async def test_a_worker_that_does_not_get_on_ends(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog_module, "_CHECK_EVERY_S", 0.05)
    monkeypatch.setattr(watchdog_module, "_OFFSETS_EVERY_S", 0.1)
    monkeypatch.setattr(watchdog_module, "COMMIT_STALL_MAX_S", 1.0)
    app = BloxtrApp(settings)

    async def hangs(_message: Any, _delivery: Any) -> None:
        await asyncio.Event().wait()

    app.handle(ESCROW_COMMANDS, hangs, name="hangs", limit_s=None)
    async with running(app) as worker:
        _dog(worker)
        await app.publisher.publish(ESCROW_COMMANDS, release())
        assert await worker.until_halted() == "commit_stalled"


async def test_a_worker_whose_client_gave_up_the_group_ends(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog_module, "_CHECK_EVERY_S", 0.05)
    app = _app(settings)

    async def unexpected(*_args: Any) -> None:
        raise KafkaError("an answer that the client does not expect")

    # Before its first assignment a worker does not fetch, and is not told.
    monkeypatch.setattr(GroupCoordinator, "ensure_active_group", unexpected)
    async with running(app, ready=False) as worker:
        _dog(worker)
        assert await worker.until_halted() == "group_lost"
        assert "does not expect" in (app.consumer.group_lost() or "")


async def test_without_a_broker_the_process_ends_soon_and_may_be_started_again(
    tmp_path: Path,
) -> None:
    worker = WorkerProcess("lonely", _offline(tmp_path), tmp_path / "log")
    worker.start()
    try:
        await until(lambda: not worker.running, 150)
        assert worker._process is not None
        assert worker._process.returncode not in (0, None), process.tail(tmp_path / "log")
    finally:
        worker.kill()


def _dog(worker: Worker) -> None:
    """Start a watchdog that notes what it would do; it has no task to end."""
    app = worker.app

    def note(reason: str, detail: str) -> None:
        dog.close()
        with suppress(Halted):
            worker.stop(reason, detail)

    app.stop_process = note
    dog = Watchdog(app)
    dog.start()


def _offline(directory: Path) -> Settings:
    return Settings(
        role="agents",
        data_dir=directory / "data",
        kafka=KafkaSettings(bootstrap=f"127.0.0.1:{process.free_port()}", partitions=4),
        keys=KeysSettings(directory=directory / "keys"),
        web=WebSettings(port=process.free_port()),
    )
