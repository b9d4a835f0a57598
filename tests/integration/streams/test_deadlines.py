"""The deadline service of real workers, with a clock that travels."""

from datetime import timedelta
from typing import Any

import pytest

from bloxtr8.clock import SharedOffsetClock
from bloxtr8.config import Settings
from bloxtr8.dev import process
from bloxtr8.messaging.topics import ESCROW_COMMANDS, ESCROW_EVENTS
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from tests.integration.streams.trade import Trade, escrow_app
from tests.integration.streams.worker import Worker, messages, running, until, until_true


async def test_a_deadline_that_passes_is_said_until_it_has_had_its_effect(
    settings: Settings,
) -> None:
    trade = Trade()
    async with running(escrow_app(settings)) as worker:
        clock = _clock(worker)
        await worker.app.publisher.publish(ESCROW_COMMANDS, trade.create())
        await until(lambda: _state(worker, trade) == types.ESCROW_STATE_AWAIT_FUNDS)
        assert await _expiries(settings) == []
        clock.advance(timedelta(hours=73))
        await until(lambda: _state(worker, trade) == types.ESCROW_STATE_CANCELLING)
    commands = await _expiries(settings)
    assert commands[0].metadata.producer == common.PRODUCER_DEADLINES
    assert len({command.metadata.message_id for command in commands}) == 1
    bodies = [event.WhichOneof("body") for event in await messages(settings, ESCROW_EVENTS)]
    assert bodies.count("escrow_cancelling") == 1
    assert "escrow_command_rejected" not in bodies


async def test_what_nobody_heard_is_said_again_after_a_minute(settings: Settings) -> None:
    trade = Trade()
    async with running(escrow_app(settings)) as worker:
        clock = _clock(worker)
        publisher = worker.app.publisher
        await publisher.publish(ESCROW_COMMANDS, trade.create())
        await until(lambda: _state(worker, trade) == types.ESCROW_STATE_AWAIT_FUNDS)
        heard, said = publisher.publish, []

        async def lost(_spec: Any, message: Any) -> None:
            said.append(message)

        publisher.publish = lost  # type: ignore[method-assign, assignment]
        clock.advance(timedelta(hours=73))
        await until(lambda: len(said) == 1)
        clock.advance(timedelta(seconds=61))
        await until(lambda: len(said) == 2)
        publisher.publish = heard  # type: ignore[method-assign]
        clock.advance(timedelta(seconds=61))
        await until(lambda: _state(worker, trade) == types.ESCROW_STATE_CANCELLING)
    assert len({command.metadata.message_id for command in said}) == 1


async def test_a_deadline_that_moved_on_has_no_effect(settings: Settings) -> None:
    trade = Trade()
    async with running(escrow_app(settings)) as worker:
        publisher = worker.app.publisher
        await publisher.publish(ESCROW_COMMANDS, trade.create())
        await until(lambda: _state(worker, trade) == types.ESCROW_STATE_AWAIT_FUNDS)
        _clock(worker).advance(timedelta(hours=73))
        await until_true(lambda: _expiries(settings))
        (late, *_) = await _expiries(settings)
        await until(lambda: _state(worker, trade) == types.ESCROW_STATE_CANCELLING)
        # The same time-out with another id, as a second worker's would be after a bug.
        late.metadata.message_id = trade.cancel().metadata.message_id
        await publisher.publish(ESCROW_COMMANDS, late)
        await publisher.publish(ESCROW_COMMANDS, trade.says("stranger", release_funds={}))
        await until_true(lambda: _refused(settings))
    bodies = [event.WhichOneof("body") for event in await messages(settings, ESCROW_EVENTS)]
    assert bodies.count("escrow_cancelling") == 1
    assert bodies.count("escrow_command_rejected") == 1, "only the stranger's"


async def test_a_restarted_worker_knows_the_deadlines_of_its_partitions(
    settings: Settings,
) -> None:
    trades = [Trade() for _ in range(8)]
    async with running(escrow_app(settings)) as worker:
        for trade in trades:
            await worker.app.publisher.publish(ESCROW_COMMANDS, trade.create())
        await until(lambda: all(_state(worker, trade) for trade in trades))
    async with running(escrow_app(settings)) as worker:
        _clock(worker).advance(timedelta(hours=73))
        await until(lambda: all(_state(worker, t) == types.ESCROW_STATE_CANCELLING for t in trades))


@pytest.mark.apache
async def test_two_workers_watch_each_only_their_own(apache_settings: Settings) -> None:
    settings = apache_settings
    trades = [Trade() for _ in range(12)]
    second = settings.model_copy(deep=True)
    second.web.port = process.free_port()
    async with running(escrow_app(settings)) as one:
        for trade in trades:
            await one.app.publisher.publish(ESCROW_COMMANDS, trade.create())
        await until(lambda: all(_state(one, trade) for trade in trades))
        async with running(escrow_app(second)) as other:
            # What the first worker gave away must not ring there any more.
            await until(lambda: one.app.recovered and not one.app.rebalancing)
            shares = [len(w.app.assigned_partitions(ESCROW_COMMANDS.name)) for w in (one, other)]
            assert shares == [2, 2]
            _clock(one).advance(timedelta(hours=73))
            await until_true(lambda: _cancelled(settings, len(trades)))
    said = [command.escrow_id for command in await _expiries(settings)]
    assert sorted(said) == sorted(trade.escrow_id for trade in trades)


async def _cancelled(settings: Settings, count: int) -> bool:
    found = await messages(settings, ESCROW_EVENTS)
    return len([event for event in found if event.HasField("escrow_cancelling")]) >= count


def _clock(worker: Worker) -> SharedOffsetClock:
    clock = worker.app.clock
    assert isinstance(clock, SharedOffsetClock)
    return clock


def _state(worker: Worker, trade: Trade) -> int:
    record = worker.app.escrow_record(trade.escrow_id)
    return 0 if record is None else int(record.escrow.state)


async def _expiries(settings: Settings) -> list[Any]:
    found = await messages(settings, ESCROW_COMMANDS)
    return [command for command in found if command.HasField("expire_deadline")]


async def _refused(settings: Settings) -> bool:
    found = await messages(settings, ESCROW_EVENTS)
    return any(event.HasField("escrow_command_rejected") for event in found)
