"""Stock Faust loses messages in these ways (design: how a Faust app loses money); this app not.

A name says the row: what happens, and that nothing is lost by it.
"""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import faust
import pytest

from bloxtr8.config import KeysSettings, Settings
from bloxtr8.messaging.app import HANDLER_LIMIT_S, BloxtrApp
from bloxtr8.messaging.handling import Delivery, Transient
from bloxtr8.messaging.topics import ESCROW_COMMANDS
from proto.bloxtr8.common.v1 import common_pb2 as common
from tests.integration.streams.worker import (
    Halted,
    raw_producer,
    records,
    running,
    until,
    until_true,
)
from tests.unit.messaging.samples import release

TOPIC = ESCROW_COMMANDS.name
ONE = "0194b2a0-0000-7000-8000-000000000001"  # one key: all in one partition, in order


class Seen:
    """A handler that notes whom it saw; `fails` maps a message id to what to raise."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.fails: dict[str, BaseException] = {}
        self.gate: dict[str, asyncio.Event] = {}

    async def __call__(self, message: Any, delivery: Delivery) -> None:
        message_id = message.metadata.message_id
        self.ids.append(message_id)
        if message_id in self.gate:
            await self.gate[message_id].wait()
        if message_id in self.fails:
            raise self.fails[message_id]


def app_of(settings: Settings, handler: Any, **options: Any) -> BloxtrApp:
    app = BloxtrApp(settings)
    app.handle(ESCROW_COMMANDS, handler, name="seen", **options)
    return app


async def letters(settings: Settings) -> list[common.DeadLetter]:
    return [
        common.DeadLetter.FromString(record.value)
        for record in await records(settings, ESCROW_COMMANDS.dlq)
    ]


async def test_an_exception_that_leaves_the_handler_loses_nothing(settings: Settings) -> None:
    seen = Seen()
    commands = [release(ONE) for _ in range(5)]
    ids = [command.metadata.message_id for command in commands]
    seen.fails[ids[2]] = RuntimeError("always")
    async with running(app_of(settings, seen)) as worker:
        for command in commands:
            await worker.app.publisher.publish(ESCROW_COMMANDS, command)
        await until(lambda: ids[4] in seen.ids)
        await until_true(lambda: _committed(worker, 5))
        (letter,) = await letters(settings)
    assert seen.ids == [ids[0], ids[1], *[ids[2]] * 5, ids[3], ids[4]]
    assert letter.error_type == common.DEAD_LETTER_KIND_HANDLER
    assert letter.value == commands[2].SerializeToString()
    assert letter.attempts == 5
    assert worker.stops == []


async def test_an_exception_that_ends_the_process_leaves_its_message_for_the_next(
    settings: Settings,
) -> None:
    seen = Seen()
    commands = [release(ONE) for _ in range(4)]
    ids = [command.metadata.message_id for command in commands]
    seen.fails[ids[1]] = Halted("in the middle")
    async with running(app_of(settings, seen)) as worker:
        for command in commands:
            await worker.app.publisher.publish(ESCROW_COMMANDS, command)
        await until(lambda: ids[1] in seen.ids)
        # Whatever Faust makes of the exception, the rest of the partition may be worked off.
        await until_true(lambda: _committed(worker, 1))
        await worker.app.consumer.commit()
        assert list((await worker.committed(TOPIC)).values()) == [1]
        worker.freeze()
    again = Seen()
    async with running(app_of(settings, again)) as worker:
        await until(lambda: ids[3] in again.ids)
    assert again.ids == ids[1:]


async def test_a_message_that_cannot_be_decoded_is_dead_lettered_and_not_committed_early(
    settings: Settings,
) -> None:
    seen = Seen()
    first, last = release(ONE), release(ONE)
    held = seen.gate[first.metadata.message_id] = asyncio.Event()
    async with running(app_of(settings, seen)) as worker, raw_producer(settings) as raw:
        await worker.app.publisher.publish(ESCROW_COMMANDS, first)
        await until(lambda: seen.ids)
        await raw.send_and_wait(TOPIC, b"garbage", key=ONE.encode())
        await worker.app.publisher.publish(ESCROW_COMMANDS, last)
        await until_true(lambda: _fetched(worker, 3))
        await worker.app.consumer.commit()
        assert await worker.committed(TOPIC) == {}, "committed past the message at work"
        held.set()
        await until(lambda: last.metadata.message_id in seen.ids)
        await until_true(lambda: _committed(worker, 3))
        (letter,) = await letters(settings)
    assert letter.value == b"garbage"
    assert letter.offset == 1


async def test_the_commit_guard_does_not_pass_a_missing_head(settings: Settings) -> None:
    class Forgets(Seen):
        async def __call__(self, message: Any, delivery: Delivery) -> None:
            await super().__call__(message, delivery)
            if delivery.offset == 2:
                # As when an acknowledgement gets lost between two tasks (faust-streaming#606).
                faust.current_event().message.acked = True

    seen = Forgets()
    commands = [release(ONE) for _ in range(6)]
    ids = [command.metadata.message_id for command in commands]
    async with running(app_of(settings, seen)) as worker:
        for command in commands:
            await worker.app.publisher.publish(ESCROW_COMMANDS, command)
        await until(lambda: len(seen.ids) == 6)
        await until_true(lambda: _committed(worker, 2))
        await worker.app.consumer.commit()
        assert list((await worker.committed(TOPIC)).values()) == [2]
        worker.freeze()
    again = Seen()
    async with running(app_of(settings, again)) as worker:
        await until(lambda: len(again.ids) == 4)
    assert again.ids == ids[2:]


async def test_a_committed_offset_survives_a_restart_and_moves_on(settings: Settings) -> None:
    for start in (0, 3, 6):
        seen = Seen()
        async with running(app_of(settings, seen)) as worker:
            sent = [release(ONE) for _ in range(3)]
            for command in sent:
                await worker.app.publisher.publish(ESCROW_COMMANDS, command)
            await until_true(partial(_committed, worker, start + 3))
        assert seen.ids == [command.metadata.message_id for command in sent]


async def test_a_handler_that_runs_too_long_is_ended(settings: Settings) -> None:
    class Hangs(Seen):
        async def __call__(self, message: Any, delivery: Delivery) -> None:
            await super().__call__(message, delivery)
            if len(self.ids) <= 5:
                await asyncio.Event().wait()

    seen = Hangs()
    async with running(app_of(settings, seen, limit_s=0.05)) as worker:
        slow, quick = release(ONE), release(ONE)
        await worker.app.publisher.publish(ESCROW_COMMANDS, slow)
        await worker.app.publisher.publish(ESCROW_COMMANDS, quick)
        await until(lambda: quick.metadata.message_id in seen.ids)
        (letter,) = await letters(settings)
    assert letter.error == "TimeoutError: "


def test_one_message_never_runs_on_two_workers_because_it_is_slow(tmp_path: Path) -> None:
    app = BloxtrApp(Settings(data_dir=tmp_path, keys=KeysSettings(directory=tmp_path / "keys")))
    assert app.conf.broker_rebalance_timeout > HANDLER_LIMIT_S


async def test_what_is_away_is_waited_for_and_other_partitions_go_on(settings: Settings) -> None:
    seen = Seen()
    others = [f"0194b2a0-0000-7000-8000-{n:012}" for n in range(2, 12)]
    stuck = release(ONE)
    seen.fails[stuck.metadata.message_id] = Transient("the database")
    async with running(app_of(settings, seen)) as worker:
        await worker.app.publisher.publish(ESCROW_COMMANDS, stuck)
        await until(lambda: seen.ids.count(stuck.metadata.message_id) > 6)
        sent = [release(other) for other in others]
        for command in sent:
            await worker.app.publisher.publish(ESCROW_COMMANDS, command)
        elsewhere = {c.metadata.message_id for c in sent if not _same_partition(c.escrow_id)}
        assert elsewhere
        await until(lambda: elsewhere <= set(seen.ids))
        assert worker.app.waiting
        assert await letters(settings) == []
        del seen.fails[stuck.metadata.message_id]
        await until(lambda: {c.metadata.message_id for c in sent} <= set(seen.ids))
    assert worker.stops == []


async def test_without_dead_letters_the_process_ends_and_the_message_comes_again(
    settings: Settings,
) -> None:
    seen = Seen()
    bad, good = release(ONE), release(ONE)
    seen.fails[bad.metadata.message_id] = RuntimeError("always")
    async with running(app_of(settings, seen)) as worker:
        publisher = worker.app.publisher
        await publisher.publish(ESCROW_COMMANDS, bad)
        await publisher.publish(ESCROW_COMMANDS, good)

        async def refuses(*_args: Any) -> None:
            raise ConnectionError("no dead letters today")

        publisher.publish_raw = refuses  # type: ignore[method-assign, assignment]
        assert await worker.until_halted() == "dlq_unreachable"
    again = Seen()
    async with running(app_of(settings, again)) as worker:
        await until(lambda: len(again.ids) == 2)
    assert again.ids == [bad.metadata.message_id, good.metadata.message_id]


def _same_partition(escrow_id: str) -> bool:
    from bloxtr8.messaging.partitioning import partition_of

    return partition_of(escrow_id.encode(), 4) == partition_of(ONE.encode(), 4)


async def _committed(worker: Any, offset: int) -> bool:
    return offset in (await worker.committed(TOPIC)).values()


async def _fetched(worker: Any, count: int) -> bool:
    books = worker.app.consumer._ledgers.values()
    return sum(len(ledger.fetched) for ledger in books) >= count


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    from bloxtr8.messaging import handling

    monkeypatch.setattr(handling, "backoff_s", lambda _attempt: 0.01)
