"""Real workers inside the test's process, and bare clients to look at what they did."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import aiokafka
from faust.types import TP

from bloxtr8.config import Settings
from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.messaging.topics import TopicSpec

# Against hanging only: a group settles in its own time, and a busy machine takes longer.
READY_S = 120.0
DONE_S = 90.0


class Halted(asyncio.CancelledError):
    """In place of the end of the process: ends the task that met it, and nothing else."""


@dataclass
class Worker:
    """A running app. What would end the process is noted in `stops` and freezes the app:
    it commits and sends nothing from then on.
    """

    app: BloxtrApp
    stops: list[tuple[str, str]] = field(default_factory=list)
    halted: threading.Event = field(default_factory=threading.Event)

    def stop(self, reason: str, detail: str) -> NoReturn:
        self.stops.append((reason, detail))
        self.freeze()
        self.halted.set()
        raise Halted(reason)

    def freeze(self) -> None:
        """Let nothing leave the app any more, as if its process had ended."""
        app = self.app

        async def no_commit(_offsets: Any) -> bool:
            return False

        async def no_send(*_args: Any, **_kwargs: Any) -> NoReturn:
            raise Halted("frozen")

        app.conf.stream_wait_empty = False
        app.consumer._thread.commit = no_commit
        app.producer.send = no_send
        app.publisher.publish_raw = no_send  # type: ignore[method-assign]

    async def until_halted(self) -> str:
        """Return the reason for which the process would have ended."""
        assert await asyncio.to_thread(self.halted.wait, DONE_S), "the process goes on"
        return self.stops[0][0]

    async def committed(self, topic: str) -> dict[int, int]:
        """Return the committed offset of each partition that has one."""
        partitions = range(self.app.settings.kafka.partitions)
        found = await self.app.consumer.committed({TP(topic, p) for p in partitions})
        return {tp.partition: offset for tp, offset in found.items() if offset}


@asynccontextmanager
async def running(app: BloxtrApp, *, ready: bool = True) -> AsyncIterator[Worker]:
    """Start `app` as a worker would be, yield when it has its partitions, stop it.

    Not `ready`: yield while it starts; it may never have any.
    """
    worker = Worker(app)
    app.stop_process = worker.stop
    app.finalize()
    # Whatever goes wrong below, the run of the tests can end.
    app.consumer._thread.daemon = True
    starting = asyncio.create_task(app.maybe_start())
    try:
        if ready:
            await starting
            await until(lambda: app.recovered and bool(app.consumer.assignment()), READY_S)
        yield worker
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        async with asyncio.timeout(DONE_S):
            await app.stop()


async def until(condition: Callable[[], Any], timeout_s: float = DONE_S) -> None:
    """Return as soon as `condition()` is true; raises TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - any condition, nobody sets an event
            await asyncio.sleep(0.02)


async def until_true(condition: Callable[[], Awaitable[Any]], timeout_s: float = DONE_S) -> None:
    """Return as soon as `await condition()` is true; raises TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def records(settings: Settings, topic: str) -> list[Any]:
    """Return every record of `topic`, partition by partition, in order."""
    kafka = settings.kafka
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        tps = [aiokafka.TopicPartition(topic, p) for p in range(kafka.partitions)]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        found: list[Any] = []
        async with asyncio.timeout(DONE_S):
            while tps:
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    found += batch
                tps = [tp for tp in tps if await consumer.position(tp) < ends[tp]]
        return sorted(found, key=lambda record: (record.partition, record.offset))
    finally:
        await consumer.stop()


async def messages(settings: Settings, spec: TopicSpec) -> list[Any]:
    """Return every message of `spec`'s topic, decoded without looking at signatures."""
    return [spec.message.FromString(record.value) for record in await records(settings, spec.name)]


@asynccontextmanager
async def raw_producer(settings: Settings) -> AsyncIterator[Any]:
    """A producer that writes what it is given, wherever it is told to."""
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


class Gate:
    """Stands between an app and its producer: sends to the topics named fail or are never done."""

    def __init__(self, app: BloxtrApp) -> None:
        self.refused: set[str] = set()
        self.silent: set[str] = set()
        self._send = app.producer.send
        app.producer.send = self.send

    async def send(self, topic: str, *args: Any, **kwargs: Any) -> Any:
        if topic in self.refused:
            raise ConnectionError(f"{topic} refused")
        if topic in self.silent:
            return asyncio.get_running_loop().create_future()
        return await self._send(topic, *args, **kwargs)
