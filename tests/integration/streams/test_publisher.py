"""The publisher on real brokers: after a refusal it goes on."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bloxtr8.config import KafkaSettings
from bloxtr8.dev.apache_kafka import ApacheKafka, missing_tools
from bloxtr8.dev.kafka import InProcessKafka
from bloxtr8.messaging.publisher import Publisher, PublishTimeout
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.messaging.topics import ESCROW_COMMANDS
from tests.unit.messaging.samples import release


@pytest.fixture
async def strict_broker() -> AsyncIterator[str]:
    """A real broker whose topic `small` takes no batch above 1,000 bytes."""
    if missing_tools():
        pytest.skip(f"not installed: {', '.join(missing_tools())}")
    broker = ApacheKafka()
    await asyncio.to_thread(broker.start)
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    await admin.create_topics(
        [NewTopic("small", 1, 1, topic_configs={"max.message.bytes": "1000"})]
    )
    await admin.close()
    yield broker.bootstrap
    await asyncio.to_thread(broker.stop)


@pytest.mark.apache
async def test_after_a_batch_that_the_broker_refused_the_next_ones_arrive(
    strict_broker: str,
) -> None:
    # An idempotent producer numbers its batches. One that was refused leaves a hole, and the
    # broker takes nothing of that producer for that partition any more.
    publisher = Publisher(KafkaSettings(bootstrap=strict_broker), Keyring({}, {}))
    try:
        await publisher.publish_raw("small", b"key", b"fits", {})
        with pytest.raises(PublishTimeout, match="MessageSizeTooLarge"):
            await publisher.publish_raw("small", b"key", Random(1).randbytes(5_000), {})
        for _ in range(3):
            await publisher.publish_raw("small", b"key", b"fits again", {})
    finally:
        await publisher.stop()


async def test_a_broker_that_comes_late_is_found(kafka_cluster: InProcessKafka) -> None:
    settings = KafkaSettings(bootstrap="127.0.0.1:9", publish_timeout_s=0.5)
    publisher = Publisher(settings, Keyring.generate())
    try:
        with pytest.raises(PublishTimeout):
            await publisher.publish(ESCROW_COMMANDS, release())
        settings.bootstrap, settings.publish_timeout_s = kafka_cluster.bootstrap, 10
        await publisher.publish(ESCROW_COMMANDS, release())
    finally:
        await publisher.stop()


async def test_without_the_schema_registry_nothing_is_sent_and_trying_again_may_help() -> None:
    settings = KafkaSettings(schema_registry_url="http://127.0.0.1:9", publish_timeout_s=0.5)
    with pytest.raises(PublishTimeout, match="registry"):
        await Publisher(settings, Keyring.generate()).publish(ESCROW_COMMANDS, release())
