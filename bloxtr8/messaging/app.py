"""The Faust application of Bloxtr8: settings that do not lose messages, and how parts plug in."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import faust
import structlog
from yarl import URL

from bloxtr8 import telemetry
from bloxtr8.clock import Clock, SharedOffsetClock, SystemClock
from bloxtr8.config import Settings
from bloxtr8.messaging import connection, handling, stopping
from bloxtr8.messaging.faust_worker import Worker
from bloxtr8.messaging.publisher import Publisher
from bloxtr8.messaging.recovery import TableManager
from bloxtr8.messaging.schema import Poison, ProtobufSchema
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.messaging.topics import MESSAGE_BYTES_MAX, TopicSpec
from bloxtr8.messaging.transport import Transport, transport_for
from proto.bloxtr8.escrow.v1.record_pb2 import EscrowRecord

if TYPE_CHECKING:
    from tables.durable import DurableTable, Version

HANDLER_LIMIT_S = 45.0  # below broker_rebalance_timeout: one event never runs on two workers
_RESTART_PAUSE_MAX_S = 30.0
_TICK_S = 0.5
# Longer than a handler's longest pause between two tries, plus the try.
_WAIT_FRESH_S = 90.0

_log = structlog.get_logger(__name__)


class _SendErrors(faust.Sensor):  # type: ignore[misc]
    """A record that the broker refuses must not stay a log line."""

    def __init__(self, app: "BloxtrApp") -> None:
        super().__init__()
        self._app = app

    def on_send_error(self, producer: Any, exc: BaseException, state: Any) -> None:
        self._app.stop_process("send_error", repr(exc))


class BloxtrApp(faust.App):  # type: ignore[misc]
    """A worker's application. `settings, clock, keyring, publisher` are for its parts."""

    def __init__(self, settings: Settings, *, keyring: Keyring | None = None) -> None:
        self.settings = settings
        self.clock: Clock = clock_of(settings)
        self.keyring = keyring or Keyring.load(settings.keys.directory, create=settings.keys.create)
        self.publisher = Publisher(settings.kafka, self.keyring)
        self.stop_process: Callable[[str, str], Any] = stopping.stop_process
        self.recovered = False
        self.last_tick = time.monotonic()
        self._last_wait: float | None = None
        self.is_transient: Callable[[BaseException], bool] = lambda _error: False
        self.table_of: dict[str, DurableTable] = {}
        self._locks: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._openers: list[Callable[[], Awaitable[None]]] = []
        self._closers: list[Callable[[], Awaitable[None]]] = []
        super().__init__(settings.kafka.app_id, **_faust_options(settings))
        self.sensors.add(_SendErrors(self))

    # --- Faust's hooks -----------------------------------------------------------------

    def _new_transport(self) -> Transport:
        return transport_for(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Transport:
        return transport_for(self.conf.broker_producer, self)

    async def on_first_start(self) -> None:
        self.conf.datadir.mkdir(parents=True, exist_ok=True)
        await super().on_first_start()

    async def on_start(self) -> None:
        for opener in self._openers:
            await opener()
        # Not a Faust task: those start only after recovery.
        self.add_future(self._tick())
        await super().on_start()

    async def on_shutdown(self) -> None:
        await super().on_shutdown()
        await self.publisher.stop()
        for closer in reversed(self._closers):
            await closer()

    def on_rebalance_start(self) -> None:
        self.recovered = False
        super().on_rebalance_start()

    def on_rebalance_end(self) -> None:
        super().on_rebalance_end()
        self.recovered = True

    # --- how parts plug in --------------------------------------------------------------

    def on_open(self, opener: Callable[[], Awaitable[None]]) -> None:
        """Await `opener()` when the app starts, before anything is consumed."""
        self._openers.append(opener)

    def on_close(self, closer: Callable[[], Awaitable[None]]) -> None:
        """Await `closer()` when the app has stopped."""
        self._closers.append(closer)

    def bloxtr_topic(self, spec: TopicSpec) -> Any:
        """Return the Faust topic of `spec`."""
        return self.topic(
            spec.name,
            schema=ProtobufSchema(spec, self.keyring),
            partitions=self.settings.kafka.partitions,
        )

    def handle(
        self,
        spec: TopicSpec,
        handler: handling.Handler,
        *,
        name: str,
        limit_s: float | None = HANDLER_LIMIT_S,
    ) -> None:
        """Consume `spec` with `handler`: one message at a time per partition, in order.

        The message is acknowledged when the handler returns or the broker has its dead letter.
        """
        policy = handling.Policy(
            clock=self.clock,
            publisher=self.publisher,
            stop=self._stop,
            is_transient=self._may_pass,
            rebalancing=lambda: self.rebalancing,
            on_wait=self._note_wait,
            limit_s=limit_s,
        )

        async def agent(stream: Any) -> None:
            async for event in _events(stream):
                message = event.message
                try:
                    await handling.deliver(
                        spec, event.value, _delivery(event, self), handler, policy
                    )
                except BaseException:
                    # Cancelled half-way: Faust acknowledges it all the same.
                    self.consumer.withhold(message)
                    raise

        agent.__name__ = agent.__qualname__ = name
        self.agent(
            self.bloxtr_topic(spec), name=f"bloxtr8.{name}", concurrency=1, isolated_partitions=True
        )(agent)

    def durable_table(self, name: str, beside: TopicSpec, version: "Version") -> "DurableTable":
        """Return a new table that is partitioned like the topic `beside`."""
        from tables.durable import DurableTable

        table = DurableTable(
            self,
            name=name,
            version=version,
            partitions=self.settings.kafka.partitions,
            key_type=bytes,
            value_type=bytes,
            extra_topic_configs={"max.message.bytes": str(4 * MESSAGE_BYTES_MAX)},
        )
        self.tables.add(table)
        self.table_of[name] = table
        return table

    def background(self, name: str, function: Callable[[], Awaitable[None]]) -> None:
        """Run `function` from start to stop; when it raises it is started again after a pause."""

        async def supervised() -> None:
            pause_s = 0.1
            while not self.should_stop:
                try:
                    await function()
                    return
                except asyncio.CancelledError:
                    raise
                except Exception:
                    _log.exception("background_failed", name=name)
                    telemetry.BACKGROUND_RESTARTS.labels(name=name).inc()
                    await self.sleep(pause_s)
                    pause_s = min(2 * pause_s, _RESTART_PAUSE_MAX_S)

        supervised.__name__ = supervised.__qualname__ = f"background_{name}"
        self.task(supervised)

    # --- what parts ask ----------------------------------------------------------------

    def partition_lock(self, partition: int) -> asyncio.Lock:
        """Return the lock that serialises all topics which change one partition's records."""
        return self._locks[partition]

    def assigned_partitions(self, topic: str) -> set[int]:
        """Return the partitions of `topic` that this worker has now."""
        return {tp.partition for tp in self.consumer.assignment() if tp.topic == topic}

    def assert_in_session(self) -> None:
        """End the process when it was paused for so long that another may have taken over."""
        silent_s = time.monotonic() - self.last_tick
        if silent_s > self.settings.kafka.session_timeout_s * 0.6:
            self.stop_process("paused_past_session", f"{silent_s:.1f} s without a tick")

    def escrow_record(self, escrow_id: str) -> EscrowRecord | None:
        """Return this worker's record of an escrow, None when it has none."""
        table = self.table_of.get("escrows")
        value = None if table is None else table.value_of(escrow_id.encode())
        return None if value is None else EscrowRecord.FromString(value)

    def health(self) -> dict[str, bool | float]:
        """Return facts for /ready: assignment, recovery and seconds since the loop's last tick."""
        consuming = bool(self.agents)
        return {
            "kafka_assignment": not consuming or bool(self.consumer.assignment()),
            "recovery": not consuming or (self.recovered and not self.rebalancing),
            "tick_age_s": time.monotonic() - self.last_tick,
        }

    @property
    def waiting(self) -> bool:
        """True while a handler waits for something that is away, which is not being stuck."""
        return self._last_wait is not None and time.monotonic() - self._last_wait < _WAIT_FRESH_S

    def _stop(self, reason: str, detail: str) -> Any:
        return self.stop_process(reason, detail)

    def _may_pass(self, error: BaseException) -> bool:
        return self.is_transient(error)

    def _note_wait(self) -> None:
        self._last_wait = time.monotonic()

    async def _tick(self) -> None:
        while not self.should_stop:
            self.last_tick = time.monotonic()
            await asyncio.sleep(_TICK_S)


async def _events(stream: Any) -> AsyncIterator[Any]:
    async for event in stream.events():
        yield event


def _delivery(event: Any, app: BloxtrApp) -> handling.Delivery:
    message = event.message
    value = event.value
    return handling.Delivery(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key or b"",
        value=message.value or b"",
        headers=dict(message.headers or ()),
        fencing_token=app.consumer_generation_id,
        producer=0 if isinstance(value, Poison) else value.metadata.producer,
    )


def clock_of(settings: Settings) -> Clock:
    """Return the clock that the settings name; time travel is refused in live mode."""
    if not settings.clock.offset_file:
        return SystemClock()
    if settings.mode == "live":
        raise ValueError("clock.offset_file is for the sandbox; mode is live")
    from pathlib import Path

    return SharedOffsetClock(Path(settings.clock.offset_file))


def _faust_options(settings: Settings) -> dict[str, Any]:
    kafka = settings.kafka
    return {
        "broker": [URL(f"kafka://{address}") for address in kafka.bootstrap.split(",")],
        "broker_credentials": connection.faust_credentials(kafka),
        "broker_commit_interval": 1.0,
        "broker_session_timeout": kafka.session_timeout_s,
        "broker_heartbeat_interval": kafka.session_timeout_s / 5,
        "broker_rebalance_timeout": kafka.rebalance_timeout_s,
        "broker_request_timeout": max(30.0, kafka.session_timeout_s * 2),
        "consumer_group_instance_id": kafka.instance_id or None,
        "consumer_auto_offset_reset": "earliest",
        "datadir": settings.data_dir / "faust" / (kafka.instance_id or "worker"),
        "key_serializer": "raw",
        # A worker sets up logging anew; without this its lines would be neither JSON nor redacted.
        "logging_config": telemetry.logging_config(settings),
        "value_serializer": "raw",
        "processing_guarantee": "at_least_once",
        "producer_acks": -1,
        "producer_compression_type": "lz4",
        # A request waits for the one before it, so what comes meanwhile shares a batch anyway.
        "producer_linger": 0.0,
        "producer_max_request_size": 4 * MESSAGE_BYTES_MAX,
        "producer_request_timeout": 30.0,
        "store": "memory://",
        "stream_buffer_maxsize": 512,
        "stream_wait_empty": True,
        "stream_recovery_delay": 0.0,
        "table_standby_replicas": kafka.standby_replicas,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "topic_partitions": kafka.partitions,
        "topic_replication_factor": kafka.replication,
        "TableManager": TableManager,
        "Worker": Worker,
        "web_bind": settings.web.host,
        "web_host": settings.web.host,
        "web_port": settings.web.port,
        "web_enabled": True,
        "web_cors_options": None,
        # Faust's own pages would show table data to anyone.
        "web_tables_enabled": False,
        "web_router_enabled": False,
        "web_stats_enabled": False,
        "debug": False,
    }
