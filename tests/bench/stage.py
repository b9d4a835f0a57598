"""Broker, database and worker processes of a measurement."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import SecretStr

from bloxtr8.config import (
    KafkaSettings,
    KeysSettings,
    PostgresSettings,
    Settings,
    StripeSettings,
    WebSettings,
)
from bloxtr8.dev import process
from bloxtr8.dev.apache_kafka import ApacheKafka
from bloxtr8.dev.kafka import InProcessKafka
from bloxtr8.dev.postgres import EmbeddedPostgres
from bloxtr8.dev.schema import migrate_database
from bloxtr8.environment import to_environment
from bloxtr8.messaging.provision import provision, wanted
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.messaging.topics import TOPICS
from tests.bench.apps import COUNTED, READY

ROOT = Path(__file__).resolve().parents[2]
_STOP_S = 20.0
_POLL_S = 0.02


class Worker:
    """A process under measurement; it leaves word in its status directory."""

    def __init__(self, command: list[str], environment: dict[str, str], directory: Path) -> None:
        directory.mkdir(parents=True)
        self._status = directory
        self.log = directory / "log"
        self.started_at = time.time()
        self._process = process.spawn(
            [sys.executable, *command],
            self.log,
            env=environment | {"BENCH_STATUS": str(directory), "PYTHONPATH": str(ROOT)},
        )

    async def told(self, what: str, timeout_s: float) -> dict[str, Any]:
        """Return what the worker says of `what`; raises StartFailed when it does not."""
        path = self._status / what
        until = time.monotonic() + timeout_s
        while not path.exists():
            if self._process.poll() is not None or time.monotonic() > until:
                raise process.StartFailed(f"no word of {what}:\n{process.tail(self.log)}")
            await asyncio.sleep(_POLL_S)
        facts: dict[str, Any] = json.loads(path.read_text())
        return facts

    async def ready(self, timeout_s: float = 120.0) -> float:
        """Wait until it serves; return the seconds from its start."""
        return float((await self.told(READY, timeout_s))["at"]) - self.started_at

    async def counted(self, timeout_s: float = 120.0) -> float:
        return float((await self.told(COUNTED, timeout_s))["seconds"])

    @property
    def cpu_seconds(self) -> float:
        return cpu_seconds(self._process.pid)

    @property
    def memory_mib(self) -> float:
        text = Path(f"/proc/{self._process.pid}/status").read_text()
        line = next(line for line in text.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def stop(self) -> None:
        process.stop(self._process, signal.SIGTERM, timeout_seconds=_STOP_S)


class Stage:
    """One broker and one database for all parts of a run. Made by `open`."""

    def __init__(self, kafka: InProcessKafka | ApacheKafka, dsn: str, directory: Path) -> None:
        self.kafka = kafka
        self.directory = directory
        self._dsn = dsn
        self.keyring = Keyring.load(directory / "keys", create=True)

    @classmethod
    async def open(
        cls, undo: AsyncExitStack, directory: Path, *, apache: bool, fsync: bool
    ) -> "Stage":
        postgres = EmbeddedPostgres(directory / "postgres", durable=fsync)
        undo.callback(postgres.stop)
        postgres.start()
        kafka = ApacheKafka() if apache else InProcessKafka()
        undo.callback(kafka.stop)
        if isinstance(kafka, ApacheKafka):
            kafka.start()
        dsn = postgres.create_database("bench")
        await migrate_database(dsn)
        return cls(kafka, dsn, directory)

    @property
    def is_apache(self) -> bool:
        return isinstance(self.kafka, ApacheKafka)

    async def settings(self) -> Settings:
        """Return settings of a new consumer group that starts at the present end of all topics."""
        name = f"bench-{uuid4().hex[:8]}"
        settings = Settings(
            data_dir=self.directory / name,
            log_level="WARNING",
            kafka=KafkaSettings(
                bootstrap=self.kafka.bootstrap,
                partitions=12 if self.is_apache else InProcessKafka.PARTITIONS,
                app_id=name,
                session_timeout_s=6,
                fetch_wait_s=self.kafka.FETCH_WAIT_SECONDS,
            ),
            postgres=PostgresSettings(dsn=SecretStr(self._dsn)),
            web=WebSettings(port=process.free_port()),
            stripe=StripeSettings(
                api_key=SecretStr("sk_test_bench"), webhook_secrets=[SecretStr("whsec_bench")]
            ),
            keys=KeysSettings(directory=self.directory / "keys"),
        )
        if isinstance(self.kafka, InProcessKafka):
            self.kafka.create_topics(topic.name for topic in wanted(settings.kafka))
        else:
            await provision(settings.kafka)
        await _start_at_the_end(settings.kafka)
        return settings

    @contextmanager
    def worker(self, settings: Settings, app: str, **environment: str) -> Iterator[Worker]:
        """Run one worker of tests/bench/apps.py, or the rival."""
        command = ["-m", "faust", "-A", "tests.bench.apps", "worker", "--loglevel", "error"]
        if app == "rival":
            command = ["-m", "tests.bench.rival"]
        else:
            environment |= {"BENCH_APP": app, "F_WEB_PORT": str(settings.web.port)}
        variables = {**os.environ, **to_environment(settings), **environment}
        worker = Worker(command, variables, self.directory / f"{settings.kafka.app_id}-{app}")
        try:
            yield worker
        finally:
            worker.stop()


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process so far (proc(5), fields 14 and 15)."""
    text = Path(f"/proc/{pid}/stat").read_text()
    fields = text.rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _start_at_the_end(kafka: KafkaSettings) -> None:
    """What earlier parts have left in the topics is none of the new group's business."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap, group_id=kafka.app_id, enable_auto_commit=False
    )
    await consumer.start()
    tps = [
        TopicPartition(spec.name, number) for spec in TOPICS for number in range(kafka.partitions)
    ]
    consumer.assign(tps)
    await consumer.commit(await consumer.end_offsets(tps))
    await consumer.stop()
