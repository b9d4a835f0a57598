"""The whole of Bloxtr8 on one machine: started in order, stopped in reverse."""

import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from bloxtr8.access.tokens import TokenKeys
from bloxtr8.clock import SharedOffsetClock
from bloxtr8.config import (
    ClockSettings,
    KafkaSettings,
    KeysSettings,
    PolicySettings,
    PostgresSettings,
    Settings,
    StripeSettings,
    WebSettings,
)
from bloxtr8.dev import process
from bloxtr8.dev.apache_kafka import ApacheKafka
from bloxtr8.dev.kafka import InProcessKafka
from bloxtr8.dev.postgres import EmbeddedPostgres
from bloxtr8.dev.stand_ins import StandIns, start_stand_ins
from bloxtr8.dev.worker import Worker
from bloxtr8.messaging import provision
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.sandbox.stripe import StripeStandIn
from bloxtr8.store.migrate import migrate

_APACHE_PARTITIONS = 12
_DATABASE = "bloxtr8"
# Short, so that a killed worker's partitions are soon given to whoever comes.
_SESSION_TIMEOUT_SECONDS = 6.0

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class StackOptions:
    """What to start. Without `directory` nothing is left afterwards, save logs in `logs`."""

    kafka: str = "embedded"
    workers: int = 1
    port: int = 0  # of the first worker's web server; 0: any free one
    directory: Path | None = None
    logs: Path | None = None
    log_json: bool = True


@dataclass(frozen=True, slots=True)
class Stack:
    """What runs. `settings` are the first worker's."""

    settings: Settings
    clock: SharedOffsetClock
    postgres: EmbeddedPostgres
    kafka: InProcessKafka | ApacheKafka
    stand_ins: StandIns
    workers: tuple[Worker, ...]
    logs: Path

    @property
    def stripe(self) -> StripeStandIn:
        return self.stand_ins.stripe

    @property
    def url(self) -> str:
        """The origin of the first worker's HTTP API."""
        return self.workers[0].url


@asynccontextmanager
async def running_stack(options: StackOptions, tell: Tell) -> AsyncIterator[Stack]:
    """Start everything, yield when all of it is ready, stop it in reverse order.

    `tell` gets a line for each step. Raises StartFailed with the log of what did not start;
    parts that had started are stopped.
    """
    if options.workers > 1 and options.kafka == "embedded":
        # Its group coordinator refuses a follower that is slower than its leader (error 42).
        raise process.StartFailed("Several workers need --kafka apache, with Java 17 and Maven.")
    async with AsyncExitStack() as undo:
        directory = options.directory or Path(tempfile.mkdtemp(prefix="bloxtr8-"))
        if options.directory is None:
            undo.callback(shutil.rmtree, directory, ignore_errors=True)
        logs = options.logs or directory / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        step = _Steps(tell)
        postgres = await _postgres(options, undo, step)
        kafka = await _kafka(options, undo, step)
        settings = _settings(options, directory, postgres, kafka)
        clock = SharedOffsetClock(Path(settings.clock.offset_file))
        Keyring.load(settings.keys.directory, create=True)
        TokenKeys.load(settings.keys.directory, create=True)
        await migrate(settings)
        step.done("schema")
        if isinstance(kafka, InProcessKafka):
            kafka.create_topics(topic.name for topic in provision.wanted(settings.kafka))
        else:
            await provision.provision(settings.kafka)
        step.done("topics")
        stand_ins = await start_stand_ins(settings, clock, undo)
        step.done(f"Stripe, a chain, Discord, Roblox, files … at {stand_ins.stripe.base_url} …")
        workers = _workers(settings, options, logs)
        for worker in workers:
            undo.callback(worker.stop)
            worker.start()
        for worker in workers:
            await worker.ready()
            step.done(f"{worker.name} at {worker.url}")
        yield Stack(settings, clock, postgres, kafka, stand_ins, workers, logs)


class _Steps:
    """Tells each step with the seconds it took."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._since = time.monotonic()

    def done(self, what: str) -> None:
        now = time.monotonic()
        self._tell(f"{what} ({now - self._since:.1f} s)")
        self._since = now


async def _postgres(options: StackOptions, undo: AsyncExitStack, step: _Steps) -> EmbeddedPostgres:
    kept = options.directory / "postgres" if options.directory else None
    postgres = EmbeddedPostgres(kept, durable=kept is not None)
    undo.callback(postgres.stop)
    postgres.start()
    postgres.create_database(_DATABASE)
    step.done("PostgreSQL")
    return postgres


async def _kafka(
    options: StackOptions, undo: AsyncExitStack, step: _Steps
) -> InProcessKafka | ApacheKafka:
    if options.kafka == "embedded":
        embedded = InProcessKafka()
        undo.callback(embedded.stop)
        step.done("Kafka (in process)")
        return embedded
    apache = ApacheKafka(options.directory / "kafka" if options.directory else None)
    undo.callback(apache.stop)
    apache.start()
    step.done("Apache Kafka")
    return apache


def _settings(
    options: StackOptions,
    directory: Path,
    postgres: EmbeddedPostgres,
    kafka: InProcessKafka | ApacheKafka,
) -> Settings:
    port = options.port or process.free_port()
    partitions = _APACHE_PARTITIONS if options.kafka == "apache" else InProcessKafka.PARTITIONS
    return Settings(
        mode="sandbox",
        data_dir=directory / "worker-1",
        log_json=options.log_json,
        kafka=KafkaSettings(
            bootstrap=kafka.bootstrap,
            partitions=partitions,
            session_timeout_s=_SESSION_TIMEOUT_SECONDS,
            fetch_wait_s=kafka.FETCH_WAIT_SECONDS,
        ),
        postgres=PostgresSettings(dsn=SecretStr(postgres.dsn(_DATABASE))),
        # Everybody plays from one address here, and a demo is quicker than people are.
        web=WebSettings(port=port, public_url=f"http://127.0.0.1:{port}", rate_percent=10_000),
        stripe=StripeSettings(
            api_key=SecretStr(f"sk_test_{secrets.token_hex(12)}"),
            publishable_key=f"pk_test_{secrets.token_hex(12)}",
            webhook_secrets=[SecretStr(f"whsec_{secrets.token_hex(16)}")],
        ),
        policy=PolicySettings(roblox_policy="2026-01"),
        keys=KeysSettings(directory=directory / "keys"),
        clock=ClockSettings(offset_file=str(directory / "clock")),
    )


def _workers(settings: Settings, options: StackOptions, logs: Path) -> tuple[Worker, ...]:
    workers = []
    for number in range(1, options.workers + 1):
        name = f"worker-{number}"
        own = settings.model_copy(deep=True)
        own.data_dir = settings.data_dir.with_name(name)
        own.kafka.instance_id = name
        if number > 1:
            own.web.port = process.free_port()
        workers.append(Worker(name, own, logs / f"{name}.log"))
    return tuple(workers)
