"""Looking at topics without belonging to the consumer group: sizes, offsets, records.

Works on any broker: what the in-process cluster has no API for is left out as None.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError

from bloxtr8.config import KafkaSettings
from bloxtr8.messaging import records
from bloxtr8.messaging.connection import client_options
from bloxtr8.messaging.partitioning import partition_of

records.install()

_REQUEST_TIMEOUT_MS = 10_000
_POLL_MS = 200
_RECORDS_AT_ONCE = 500
# Without progress for so long the end of a bounded read is given up.
_SILENCE_MAX_S = 10.0
# A broker that cannot look up offsets by time has to be read from its start; not more than this.
_SCAN_RECORDS_MAX = 50_000


class TopicUnknown(Exception):
    """The cluster has no topic of that name."""


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """One topic. `lag` is of the group asked for; None where the broker does not tell."""

    name: str
    partitions: int
    replicas: int
    first_offset: int
    end_offset: int
    lag: int | None
    retention: timedelta | None
    policy: str | None

    @property
    def records(self) -> int:
        return self.end_offset - self.first_offset


@dataclass(frozen=True, slots=True)
class Record:
    """A record as the broker has it."""

    topic: str
    partition: int
    offset: int
    at: datetime
    key: bytes
    value: bytes | None
    headers: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Start:
    """Where reading begins: `last` records of each partition, or `since` a time, or the start."""

    last: int | None = None
    since: datetime | None = None


class Inspector:
    """A reader that joins no group and commits nothing. Made by `inspecting`."""

    def __init__(self, settings: KafkaSettings, consumer: Any, admin: Any) -> None:
        self._settings = settings
        self._consumer = consumer
        self._admin = admin

    async def topic_names(self) -> list[str]:
        """Return the names of all topics, internal ones left out, sorted."""
        return sorted(name for name in await self._admin.list_topics() if name[:2] != "__")

    async def topics(self, names: Iterable[str]) -> list[TopicFacts]:
        """Return the facts of the topics in `names` that exist."""
        there = set(await self.topic_names())
        wanted = [name for name in names if name in there]
        if not wanted:
            return []
        described = await self._admin.describe_topics(wanted)
        configs = await self._configs(wanted)
        facts = [await self._facts(entry, configs) for entry in described]
        return sorted(facts, key=lambda topic: topic.name)

    async def _facts(self, entry: Any, configs: dict[str, dict[str, str]]) -> TopicFacts:
        name = entry["topic"]
        tps = [TopicPartition(name, p["partition"]) for p in entry["partitions"]]
        first = await self._consumer.beginning_offsets(tps)
        end = await self._consumer.end_offsets(tps)
        committed = [await self._consumer.committed(tp) for tp in tps]
        lags = [
            end[tp] - offset
            for tp, offset in zip(tps, committed, strict=True)
            if offset is not None
        ]
        config = configs.get(name, {})
        retention = config.get("retention.ms")
        return TopicFacts(
            name=name,
            partitions=len(tps),
            replicas=min((len(p["replicas"]) for p in entry["partitions"]), default=0),
            first_offset=sum(first.values()),
            end_offset=sum(end.values()),
            lag=sum(lags) if lags else None,
            retention=timedelta(milliseconds=int(retention)) if retention else None,
            policy=config.get("cleanup.policy"),
        )

    async def _configs(self, names: list[str]) -> dict[str, dict[str, str]]:
        resources = [
            ConfigResource(
                ConfigResourceType.TOPIC, name, {"retention.ms": "", "cleanup.policy": ""}
            )
            for name in names
        ]
        try:
            answers = await self._admin.describe_configs(resources)
        except IncompatibleBrokerVersion:
            return {}
        return {
            resource[3]: {entry[0]: entry[1] for entry in resource[4]}
            for answer in answers
            for resource in answer.resources
        }

    async def records(
        self, topic: str, start: Start | None = None, *, key: bytes | None = None
    ) -> AsyncIterator[Record]:
        """Yield what `topic` holds now, oldest first within a partition.

        `key`: only its records, from its partition alone. Raises TopicUnknown.
        """
        tps = await self._assign(topic, start or Start(), key)
        ends = await self._consumer.end_offsets(tps)
        left = {tp for tp in tps if await self._consumer.position(tp) < ends[tp]}
        silent_until = asyncio.get_running_loop().time() + _SILENCE_MAX_S
        while left:
            batch = await self._batch(start)
            for record in batch:
                if key is None or record.key == key:
                    yield record
            left = {tp for tp in left if await self._consumer.position(tp) < ends[tp]}
            now = asyncio.get_running_loop().time()
            if batch:
                silent_until = now + _SILENCE_MAX_S
            elif now > silent_until:
                raise TimeoutError(f"{topic}: the broker stopped sending")

    async def follow(
        self, topic: str, start: Start | None = None, *, key: bytes | None = None
    ) -> AsyncIterator[Record]:
        """Yield what `topic` holds and then what arrives, for ever."""
        await self._assign(topic, start or Start(), key)
        while True:
            for record in await self._batch(start):
                if key is None or record.key == key:
                    yield record

    async def _batch(self, start: Start | None) -> list[Record]:
        found = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_RECORDS_AT_ONCE)
        records = [_record(raw) for batch in found.values() for raw in batch]
        since = start.since if start is not None else None
        if since is not None:
            records = [record for record in records if record.at >= since]
        return sorted(records, key=lambda record: record.at)

    async def _assign(self, topic: str, start: Start, key: bytes | None) -> list[TopicPartition]:
        # Asked for by name, some brokers would create what is not there.
        if topic not in await self.topic_names():
            raise TopicUnknown(topic)
        (described,) = await self._admin.describe_topics([topic])
        count = len(described["partitions"])
        numbers = range(count) if key is None else (partition_of(key, count),)
        tps = [TopicPartition(topic, number) for number in numbers]
        self._consumer.assign(tps)
        first = await self._consumer.beginning_offsets(tps)
        end = await self._consumer.end_offsets(tps)
        timed = await self._by_time(tps, start.since)
        for tp in tps:
            offset = first[tp]
            if start.last is not None:
                offset = max(offset, end[tp] - start.last)
            elif start.since is not None:
                scan = offset if end[tp] - offset <= _SCAN_RECORDS_MAX else end[tp]
                offset = timed.get(tp, scan)
            self._consumer.seek(tp, offset)
        return tps

    async def _by_time(
        self, tps: list[TopicPartition], since: datetime | None
    ) -> dict[TopicPartition, int]:
        if since is None:
            return {}
        milliseconds = int(since.timestamp() * 1000)
        found = await self._consumer.offsets_for_times(dict.fromkeys(tps, milliseconds))
        return {tp: entry.offset for tp, entry in found.items() if entry is not None}


@asynccontextmanager
async def inspecting(settings: KafkaSettings) -> AsyncIterator[Inspector]:
    """Connect a reader to the cluster; raises aiokafka's KafkaConnectionError."""
    options = {**client_options(settings), "request_timeout_ms": _REQUEST_TIMEOUT_MS}
    # The group is named to read its offsets; it is not joined: partitions are assigned by hand.
    consumer = AIOKafkaConsumer(
        group_id=settings.app_id, enable_auto_commit=False, auto_offset_reset="earliest", **options
    )
    admin = AIOKafkaAdminClient(**options)
    try:
        await consumer.start()
        await admin.start()
        yield Inspector(settings, consumer, admin)
    finally:
        await consumer.stop()
        await admin.close()


async def consumer_lag(
    settings: KafkaSettings, names: Collection[str], within_s: float
) -> int | None:
    """Return how many messages of these topics the application has not acknowledged yet.

    None when nothing was ever acknowledged, or the broker does not say within that time.
    """
    try:
        async with asyncio.timeout(within_s), inspecting(settings) as broker:
            lags = [topic.lag for topic in await broker.topics(names) if topic.lag is not None]
    except (TimeoutError, KafkaError):
        return None
    return sum(lags) if lags else None


def _record(raw: Any) -> Record:
    return Record(
        topic=raw.topic,
        partition=raw.partition,
        offset=raw.offset,
        at=datetime.fromtimestamp(raw.timestamp / 1000, UTC),
        key=raw.key or b"",
        value=raw.value,
        headers=dict(raw.headers or ()),
    )
