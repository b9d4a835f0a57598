"""Making the topics: every one named here, with its partitions, retention and policy.

Idempotent. Nothing creates topics by itself: Faust's defaults would be one replica, eight
partitions and no retention of ours.
"""

from dataclasses import dataclass
from datetime import timedelta

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from bloxtr8.config import KafkaSettings
from bloxtr8.messaging import topics
from bloxtr8.messaging.connection import client_options

_REQUEST_TIMEOUT_MS = 30_000


class PartitionsDiffer(Exception):
    """A topic is there with another number of partitions; keys would move."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One topic as it should be. `exists`: it is there already."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str]
    exists: bool = False


def wanted(settings: KafkaSettings) -> list[Planned]:
    """Return every topic that Bloxtr8 needs."""
    result: list[Planned] = []
    for spec in topics.TOPICS:
        result.append(_planned(settings, spec.name, _delete(spec.retention)))
        result.append(_planned(settings, spec.dlq, _delete(topics.DLQ_RETENTION, dlq=True)))
    for table in topics.TABLES:
        name = topics.changelog_name(settings.app_id, table)
        result.append(_planned(settings, name, _compact()))
    return result


async def plan(settings: KafkaSettings) -> list[Planned]:
    """Return what `provision` would do; raises PartitionsDiffer."""
    admin = AIOKafkaAdminClient(request_timeout_ms=_REQUEST_TIMEOUT_MS, **client_options(settings))
    await admin.start()
    try:
        return await _plan(admin, settings)
    finally:
        await admin.close()


async def provision(settings: KafkaSettings) -> list[Planned]:
    """Create what is missing and return the plan that was carried out; raises PartitionsDiffer."""
    admin = AIOKafkaAdminClient(request_timeout_ms=_REQUEST_TIMEOUT_MS, **client_options(settings))
    await admin.start()
    try:
        planned = await _plan(admin, settings)
        missing = [topic for topic in planned if not topic.exists]
        if missing:
            answer = await admin.create_topics(
                [
                    NewTopic(t.name, t.partitions, t.replication, topic_configs=t.config)
                    for t in missing
                ]
            )
            _raise_for(answer)
        return planned
    finally:
        await admin.close()


def _raise_for(answer: object) -> None:
    for _name, code, *_rest in getattr(answer, "topic_errors", []):
        error = for_code(code)
        # Two workers may provision at once; the second finds it done.
        if code and error is not TopicAlreadyExistsError:
            raise error(_name)


async def _plan(admin: AIOKafkaAdminClient, settings: KafkaSettings) -> list[Planned]:
    there = set(await admin.list_topics())
    names = [topic.name for topic in wanted(settings) if topic.name in there]
    described = await admin.describe_topics(names) if names else []
    partitions = {entry["topic"]: len(entry["partitions"]) for entry in described}
    for name, count in partitions.items():
        if count != settings.partitions:
            raise PartitionsDiffer(f"{name} has {count} partitions, not {settings.partitions}")
    return [
        Planned(t.name, t.partitions, t.replication, t.config, exists=t.name in there)
        for t in wanted(settings)
    ]


def _planned(settings: KafkaSettings, name: str, config: dict[str, str]) -> Planned:
    in_sync = max(1, settings.replication - 1)
    return Planned(
        name,
        settings.partitions,
        settings.replication,
        {**config, "min.insync.replicas": str(in_sync)},
    )


def _delete(retention: timedelta, *, dlq: bool = False) -> dict[str, str]:
    # A dead letter holds the message and its headers.
    factor = 4 if dlq else 2
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(retention // timedelta(milliseconds=1)),
        "max.message.bytes": str(factor * topics.MESSAGE_BYTES_MAX),
    }


def _compact() -> dict[str, str]:
    return {
        "cleanup.policy": "compact",
        "max.message.bytes": str(4 * topics.MESSAGE_BYTES_MAX),
    }
