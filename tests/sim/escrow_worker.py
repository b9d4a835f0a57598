"""One worker: the real EscrowAgent and DeadlineService on a table and a broker in memory."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, NoReturn

from agents.deadlines import DeadlineService
from agents.escrow import EscrowAgent
from bloxtr8.clock import ManualClock
from bloxtr8.messaging import handling
from bloxtr8.messaging.handling import Delivery
from bloxtr8.messaging.partitioning import partition_of
from bloxtr8.messaging.topics import BY_NAME, ESCROW_COMMANDS, PAYMENTS_EVENTS, TopicSpec
from proto.bloxtr8.common.v1 import common_pb2 as common
from tables.escrows import version
from tests.sim.broker import CHANGELOG, PARTITIONS, Broker, Entry, Place, Reader
from tests.sim.faults import Crash, Faults

Recovered = Callable[[set[int]], Awaitable[None]]


class SkewedClock:
    """A machine's clock: the true time and an error."""

    def __init__(self, true: ManualClock, error: timedelta) -> None:
        self._true = true
        self._error = error

    def now(self) -> datetime:
        return self._true.now() + self._error


class _Unsigned:
    """Stands where a private key would: signatures have tests of their own."""

    def __init__(self, producer: int) -> None:
        self.producer = producer

    def sign(self, _topic: str, _key: bytes, _value: bytes) -> dict[str, bytes]:
        return {}


class Table:
    """What EscrowAgent needs of the durable table, on the broker's changelog."""

    name = "escrows"

    def __init__(self, broker: Broker, worker: "Worker") -> None:
        self.data: dict[bytes, bytes] = {}
        self._broker = broker
        self._worker = worker
        self.callbacks: list[Recovered] = []

    def value_of(self, key: bytes) -> bytes | None:
        return self.data.get(key)

    async def put(self, key: bytes, value: bytes, partition: int, _timeout_s: float) -> None:
        await self._worker.send(CHANGELOG, key, value, partition)
        self.data[key] = value

    async def remove(self, key: bytes, partition: int, _timeout_s: float) -> None:
        await self._worker.send(CHANGELOG, key, None, partition)
        self.data.pop(key, None)

    def keys_of(self, partitions: Iterable[int]) -> Iterator[bytes]:
        wanted = set(partitions)
        return (key for key in list(self.data) if partition_of(key, PARTITIONS) in wanted)

    def on_recovered(self, callback: Recovered) -> None:
        self.callbacks.append(callback)

    def recover(self, partition: int) -> None:
        """Read the changelog as tables/durable.py does: a record never goes back in time."""
        data = self.data
        for key in list(self.keys_of({partition})):
            del data[key]
        for entry in self._broker.logs[CHANGELOG, partition]:
            held = data.get(entry.key)
            if entry.value is None:
                data.pop(entry.key, None)
            elif held is None or version(entry.value) >= version(held):
                data[entry.key] = entry.value


class Broken(BaseException):
    """A handler raised what no handler should."""


class Worker:
    """A process with an escrow agent; `app` is what the agents see of it."""

    def __init__(self, name: str, broker: Broker, clock: SkewedClock, faults: Faults) -> None:
        self.name = name
        self.broker = broker
        self.clock = clock
        self.faults = faults
        self.generation = 0
        self.partitions: set[int] = set()
        self.readers: dict[Place, Reader] = {}
        self.recovered = True
        self.rebalancing = self.should_stop = False
        # What BloxtrApp offers its parts.
        self.settings = SimpleNamespace(
            kafka=SimpleNamespace(partitions=PARTITIONS, publish_timeout_s=1.0)
        )
        self.keyring = SimpleNamespace(signer=_Unsigned)
        self.publisher = self
        self.registry = self
        self.consumer = self
        self.producer = self
        self._locks: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._gate: asyncio.Future[None] | None = None
        self._paused: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self.table = Table(broker, self)
        self.deadlines = DeadlineService(self)  # type: ignore[arg-type]
        self.agent = EscrowAgent(self, self.table, self.deadlines)  # type: ignore[arg-type]
        self.table.on_recovered(self.agent.recovered)
        self._policy = handling.Policy(clock=clock, publisher=self, stop=self.stop_process)

    # --- BloxtrApp, as far as the agents use it -------------------------------------------

    def partition_lock(self, partition: int) -> asyncio.Lock:
        return self._locks[partition]

    def assert_in_session(self) -> None:
        if self.generation != self.broker.generation:
            raise Crash

    def stop_process(self, _reason: str, _detail: str = "") -> NoReturn:
        raise Crash

    def is_transient(self, _error: BaseException) -> bool:
        return False

    async def schema_id(self, _spec: TopicSpec) -> None:
        return None

    async def send(
        self,
        topic: str,
        key: bytes,
        value: bytes | None,
        partition: int,
        _timestamp: None = None,
        _headers: Any = None,
    ) -> "asyncio.Future[None]":
        """Faust's producer: returns what is awaited for the acknowledgement."""
        assert partition == partition_of(key, PARTITIONS), "sent where its key does not live"
        await self.maybe_pause()
        self.faults.step()
        self.broker.append(topic, Entry(key, value, common.PRODUCER_ESCROW))
        self.faults.step()
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    async def committed(self, tps: Iterable[Any]) -> dict[Any, int | None]:
        return {tp: self.broker.committed.get((tp.topic, tp.partition)) for tp in tps}

    async def publish(self, spec: TopicSpec, message: Any) -> None:
        self.broker.publish(spec.name, message.escrow_id.encode(), message)

    async def publish_raw(self, topic: str, key: bytes, value: bytes, _headers: Any) -> None:
        self.broker.append(topic, Entry(key, value, 0))

    # --- life -----------------------------------------------------------------------------

    async def assign(self, partitions: set[int]) -> None:
        """Take over `partitions` in the broker's present generation."""
        self.generation = self.broker.generation
        for partition in partitions - self.partitions:
            self.table.recover(partition)
        self.partitions = partitions
        self.readers = {
            (spec.name, partition): Reader(self.broker, (spec.name, partition))
            for spec in (ESCROW_COMMANDS, PAYMENTS_EVENTS)
            for partition in partitions
        }
        for callback in self.table.callbacks:
            await callback(partitions)

    @property
    def ready(self) -> list[Reader]:
        return [reader for reader in self.readers.values() if reader.has_next]

    @property
    def is_paused(self) -> bool:
        return self._task is not None

    async def handle(self, reader: Reader) -> None:
        """Bring one message to its end, or as far as the worker comes before it is paused."""
        loop = asyncio.get_running_loop()
        self._paused = loop.create_future()
        task = loop.create_task(self._deliver(reader))
        await asyncio.wait({task, self._paused}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            self._paused = None
            task.result()
            reader.done()
        else:
            self._task = task

    async def wake_up(self) -> None:
        """A paused worker goes on where it was, whatever has happened meanwhile; then it ends."""
        assert self._task is not None
        assert self._gate is not None
        task, self._task = self._task, None
        # Once in the past is enough.
        self._paused = None
        self._gate.set_result(None)
        await asyncio.wait({task})
        task.exception()

    async def maybe_pause(self) -> None:
        """Stop here, in the middle of something, until `wake_up`."""
        if self._paused is None or not self.faults.strikes(self.faults.pause):
            return
        self._gate = asyncio.get_running_loop().create_future()
        self._paused.set_result(None)
        await self._gate

    def drop(self) -> None:
        """End for good; a paused handler never goes on."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _deliver(self, reader: Reader) -> None:
        entry = reader.next()
        topic, partition = reader.place
        spec = BY_NAME[topic]
        message = spec.message.FromString(entry.value)
        delivery = Delivery(
            topic=topic,
            partition=partition,
            offset=reader.position,
            key=entry.key,
            value=entry.value or b"",
            fencing_token=self.generation,
            producer=entry.producer,
        )
        await handling.deliver(spec, message, delivery, self._handle, self._policy)

    async def _handle(self, message: Any, delivery: Delivery) -> None:
        try:
            await self.agent.handle(message, delivery)
        except handling.Refused:
            raise
        except Exception as error:
            # It would be tried five times and dead-lettered; here it is a defect at once.
            raise Broken(f"{type(error).__name__}: {error}") from error
