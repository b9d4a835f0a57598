"""The measurements. Each returns its figures; what they mean stands in the table."""

import asyncio
import gc
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from bloxtr8.config import KafkaSettings, Settings
from bloxtr8.messaging.topics import ESCROW_COMMANDS, ESCROW_EVENTS, changelog_name
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowEvent
from tests.bench import load
from tests.bench.load import Client, Records, Trade
from tests.bench.stage import Stage, Worker

_TIMEOUT_S = 60.0
_WARM_UP = 200
_BATCH = 5_000


@dataclass(frozen=True, slots=True)
class Latency:
    """From a command's being due to be sent to its event's arrival, in milliseconds."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Latency":
        cuts = statistics.quantiles(seconds, n=100)
        return cls(*(1000 * cuts[number - 1] for number in (50, 95, 99)))

    def __str__(self) -> str:
        return f"{self.p50:.1f} / {self.p95:.1f} / {self.p99:.1f} ms"


async def throughput(stage: Stage, app: str, trades: int, **environment: str) -> float:
    """Return transitions per second over whole trades, five transitions each."""
    settings = await stage.settings()
    with stage.worker(settings, app, **environment) as worker:
        await worker.ready()
        async with Client(settings.kafka) as client:
            await _play(client, stage, _WARM_UP)
            seconds = await _play(client, stage, trades)
    return 5 * trades / seconds


async def _play(client: Client, stage: Stage, trades: int) -> float:
    """Play whole trades side by side, step by step; return the seconds that the steps took."""
    people = [Trade.new() for _ in range(trades)]
    spent = 0.0
    for phase in load.phases(people, stage.keyring):
        wanted = await client.end() + phase.events * trades
        gc.collect()
        began = time.perf_counter()
        await client.send_all(phase.spec.name, phase.wires)
        await client.until_end(wanted, _TIMEOUT_S)
        spent += time.perf_counter() - began
    return spent


async def noop(stage: Stage, messages: int) -> float:
    """Return messages per second of a stock agent that does nothing."""
    settings = await stage.settings()
    with stage.worker(settings, "noop", BENCH_COUNT=str(messages)) as worker:
        await worker.ready()
        async with Client(settings.kafka) as client:
            trade = Trade.new()
            made = load.sign(ESCROW_COMMANDS, load.set_payee(trade), stage.keyring)
            for number in range(messages):
                key = f"{number:036d}".encode()
                await client.send(ESCROW_COMMANDS.name, type(made)(key, made.value, made.headers))
        return messages / await worker.counted()


async def latency(stage: Stage, app: str, rate: int, seconds: int, **environment: str) -> Latency:
    """Return what a command waits for its event while `rate` commands a second come evenly."""
    settings = await stage.settings()
    with stage.worker(settings, app, **environment) as worker:
        await worker.ready()
        async with Client(settings.kafka) as client:
            await _play(client, stage, _WARM_UP)
            people = [Trade.new() for _ in range(rate * seconds)]
            made = [(trade.escrow_id, load.create(trade)) for trade in people]
            wires = [load.sign(ESCROW_COMMANDS, command, stage.keyring) for _, command in made]
            arrivals = _Arrivals(settings.kafka)
            await arrivals.start()
            due: dict[str, float] = {}
            began = time.perf_counter() + 0.1
            for number, (wire, (_, command)) in enumerate(zip(wires, made, strict=True)):
                at = began + number / rate
                await asyncio.sleep(max(0.0, at - time.perf_counter()))
                due[command.metadata.message_id] = at
                await client.send(ESCROW_COMMANDS.name, wire)
            arrived = await arrivals.of(set(due))
    return Latency.of([arrived[message_id] - at for message_id, at in due.items()])


class _Arrivals:
    """Notes when the first event of each command arrives."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.bootstrap,
            fetch_max_wait_ms=int(1000 * settings.fetch_wait_s),
        )
        self._partitions = settings.partitions
        self._at: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._consumer.start()
        tps = [TopicPartition(ESCROW_EVENTS.name, n) for n in range(self._partitions)]
        self._consumer.assign(tps)
        await self._consumer.seek_to_end()
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._consumer:
            event = EscrowEvent.FromString(message.value)
            self._at.setdefault(event.metadata.causation_id, time.perf_counter())

    async def of(self, wanted: set[str]) -> dict[str, float]:
        """Return the arrivals when all of `wanted` are there; raises TimeoutError."""
        async with asyncio.timeout(_TIMEOUT_S):
            while not wanted <= self._at.keys():  # noqa: ASYNC110 - once in a run
                await asyncio.sleep(0.05)
        assert self._task is not None
        self._task.cancel()
        await self._consumer.stop()
        return self._at


async def recovery(stage: Stage, records: int) -> float:
    """Return seconds from a worker's start until it serves, with so many records to recover.

    What the same start takes without records is left out.
    """
    empty = await stage.settings()
    with stage.worker(empty, "escrow") as worker:
        base = await worker.ready()
    settings = await stage.settings()
    await _fill(settings, [Trade.new() for _ in range(records)])
    with stage.worker(settings, "escrow") as worker:
        return await worker.ready() - base


async def memory(stage: Stage, records: int) -> float:
    """Return MiB of a whole production worker that has so many live escrows."""
    settings = await stage.settings()
    trades = [Trade.new() for _ in range(records)]
    await _fill(settings, trades)
    with stage.worker(settings, "whole") as worker:
        await worker.ready()
        async with Client(settings.kafka) as client:
            await _change(client, stage, worker, trades, 1_000)
        return worker.memory_mib


async def cost(stage: Stage, records: int, messages: int) -> float:
    """Return the worker's CPU microseconds per command with so many live escrows."""
    settings = await stage.settings()
    trades = [Trade.new() for _ in range(records)]
    await _fill(settings, trades)
    with stage.worker(settings, "escrow") as worker:
        await worker.ready()
        async with Client(settings.kafka) as client:
            await _change(client, stage, worker, trades, messages)
            spent = await _change(client, stage, worker, trades, messages)
    return 1e6 * spent / messages


async def _change(
    client: Client, stage: Stage, worker: Worker, trades: Sequence[Trade], messages: int
) -> float:
    """Change so many escrows, each at most once; return the worker's CPU seconds for it."""
    chosen = random.Random(messages).sample(trades, min(messages, len(trades)))
    chosen = (chosen * (1 + messages // len(chosen)))[:messages]
    wires = [load.sign(ESCROW_COMMANDS, load.set_payee(t), stage.keyring) for t in chosen]
    wanted = await client.end() + messages
    before = worker.cpu_seconds
    await client.send_all(ESCROW_COMMANDS.name, wires)
    await client.until_end(wanted, _TIMEOUT_S)
    return worker.cpu_seconds - before


async def _fill(settings: Settings, trades: Sequence[Trade]) -> None:
    """Write the records of `trades` to the changelog that a worker will recover from."""
    topic = changelog_name(settings.kafka.app_id, "escrows")
    records = Records()
    async with Client(settings.kafka) as client:
        for start in range(0, len(trades), _BATCH):
            sent: list[Any] = [
                await client.send_record(topic, trade.escrow_id.encode(), records.of(trade))
                for trade in trades[start : start + _BATCH]
            ]
            await asyncio.gather(*sent)
