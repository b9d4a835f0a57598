"""Workers in processes of their own under steady traffic, killed and brought back."""

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

from pydantic import SecretStr

from bloxtr8.config import KafkaSettings, KeysSettings, PostgresSettings, Settings, WebSettings
from bloxtr8.dev import process
from bloxtr8.dev.apache_kafka import ApacheKafka
from bloxtr8.dev.kafka import InProcessKafka
from bloxtr8.dev.worker import ROOT, Worker
from bloxtr8.environment import to_environment
from bloxtr8.messaging.provision import provision
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.messaging.stopping import EXIT_CODE
from tests.crash.evidence import Evidence, gather
from tests.crash.traffic import ENDS, Traffic
from tests.integration.streams.worker import until

SESSION_S = 6.0
# A worker that was killed and the end of a run may both fall into one session time-out.
# Faust's recovery can hang; the watchdog ends such a worker after 120 s and it starts anew.
_MOVE_S = 180.0


class StreamsWorker(Worker):
    """Runs `tests.crash.worker_app` and counts how often it ended by itself."""

    own_stops = 0

    def start(self) -> None:
        assert not self.running, "started once"
        environment = to_environment(self.settings) | {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "NO_COLOR": "1",
        }
        command = [sys.executable, "-m", "faust", "--app", "tests.crash.worker_app"]
        command += ["--workdir", str(ROOT), "worker", "--loglevel", "info"]
        self._process = process.spawn(command, self.log, env=environment)

    async def serves(self) -> None:
        """Return when the worker has recovered its share of the partitions."""
        await until(lambda: b"escrows_recovered" in self.log.read_bytes(), _MOVE_S)

    def restart_if_ended(self) -> None:
        """Do what a supervisor would: start a worker again that stopped itself."""
        if self._process is not None and not self.running:
            code = self._process.returncode
            assert code == EXIT_CODE, f"ended with {code}\n{process.tail(self.log, lines=80)}"
            self.own_stops += 1
            self.start()


@dataclass
class Figures:
    """One line about a run."""

    kafka: str
    kills: int = 0
    recoveries_s: list[float] = field(default_factory=list)
    messages: int = 0
    repeated_inputs: int = 0
    escrows: int = 0
    own_stops: int = 0
    seconds: float = 0.0
    evidence: Evidence = field(default_factory=Evidence)

    def __str__(self) -> str:
        found = self.evidence
        slowest = max(self.recoveries_s, default=0.0)
        return (
            f"crash kafka={self.kafka} kills={self.kills} inputs={self.messages}"
            f" repeated_inputs={self.repeated_inputs} escrows={self.escrows}"
            f" events={found.events} repeated_events={found.repeated} fenced={found.fenced}"
            f" refusals={found.refusals} orders={found.orders} own_stops={self.own_stops}"
            f" faults={len(found.faults)} recovery_max_s={slowest:.1f} seconds={self.seconds:.0f}"
        )


@dataclass
class Run:
    """A cluster with traffic on it."""

    settings: Settings
    traffic: Traffic
    workers: list[StreamsWorker]
    figures: Figures
    random: Random
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def beside(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` at the same time; when it fails, the run does."""
        task = asyncio.create_task(work)
        self.tasks.append(task)
        return task

    async def moves(self) -> float:
        """Wait until an event comes that was not there before; return the seconds it took."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        while self.traffic.last_event_at <= start:
            self.supervise()
            assert loop.time() - start < _MOVE_S, f"nothing moves\n{self.tails()}"
            await asyncio.sleep(0.05)
        return loop.time() - start

    async def finish(self, timeout_s: float) -> None:
        """Wait until every trade is over and every worker has said what it has to say."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while not self.traffic.over:
            self.supervise()
            assert loop.time() < deadline, f"{self.unfinished()} go on\n{self.tails()}"
            await asyncio.sleep(0.1)
        # What ends last may not be what is answered last. Whatever is missing then is a fault.
        with suppress(TimeoutError):
            await until(self._answered)
        self.figures.evidence = await gather(self.settings, self.traffic.sent)
        self.figures.messages = self.traffic.sent.count
        self.figures.repeated_inputs = self.traffic.sent.repeated
        self.figures.escrows = len(self.traffic.trades)
        self.figures.own_stops = sum(worker.own_stops for worker in self.workers)

    def supervise(self) -> None:
        for task in self.tasks:
            if task.done():
                task.result()
        for worker in self.workers:
            worker.restart_if_ended()

    def unfinished(self) -> list[tuple[str, str, int]]:
        trades = self.traffic.trades.values()
        return [(t.escrow_id, t.path, t.state) for t in trades if t.state not in ENDS][:20]

    def tails(self) -> str:
        return "\n".join(process.tail(worker.log, lines=40) for worker in self.workers)

    def _answered(self) -> bool:
        sent = self.traffic.sent
        return {*sent.commands, *sent.facts} <= self.traffic.answered


@asynccontextmanager
async def cluster(kind: str) -> AsyncIterator[InProcessKafka | ApacheKafka]:
    """The broker: librdkafka's inside this process, or a real Apache Kafka."""
    broker: InProcessKafka | ApacheKafka
    if kind == "embedded":
        broker = InProcessKafka()
    else:
        broker = ApacheKafka()
        await asyncio.to_thread(broker.start)
    try:
        yield broker
    finally:
        broker.stop()


@asynccontextmanager
async def running(kind: str, directory: Path, *, workers: int, seed: int) -> AsyncIterator[Run]:
    """Start broker, the first worker and the reader of events; yield; stop them all."""
    async with cluster(kind) as broker:
        settings = _settings(broker.bootstrap, directory)
        Keyring.load(settings.keys.directory, create=True)
        if kind != "embedded":
            await provision(settings.kafka)
        traffic = Traffic(settings, run=uuid4().hex, seed=seed)
        run = Run(settings, traffic, _workers(settings, workers), Figures(kind), Random(seed))
        run.beside(traffic.follow())
        try:
            run.workers[0].start()
            yield run
        finally:
            for task in run.tasks:
                task.cancel()
            await asyncio.gather(*run.tasks, return_exceptions=True)
            await traffic.close()
            for worker in run.workers:
                worker.kill()


def _settings(bootstrap: str, directory: Path) -> Settings:
    nobody = f"postgresql://nobody@127.0.0.1:{process.free_port()}/nothing"
    return Settings(
        role="agents",
        data_dir=directory,
        kafka=KafkaSettings(
            bootstrap=bootstrap,
            partitions=InProcessKafka.PARTITIONS,
            app_id=f"crash-{uuid4().hex[:8]}",
            session_timeout_s=SESSION_S,
            rebalance_timeout_s=10,
        ),
        postgres=PostgresSettings(dsn=SecretStr(nobody)),
        web=WebSettings(port=process.free_port()),
        keys=KeysSettings(directory=directory / "keys"),
    )


def _workers(settings: Settings, count: int) -> list[StreamsWorker]:
    made = []
    for number in range(1, count + 1):
        own = settings.model_copy(deep=True)
        own.kafka.instance_id = f"worker-{number}"
        own.web.port = process.free_port()
        made.append(StreamsWorker(f"worker-{number}", own, settings.data_dir / f"w{number}.log"))
    return made
