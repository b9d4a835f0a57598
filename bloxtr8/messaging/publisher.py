"""Publishing to Kafka: one message, signed, and the broker's acknowledgement awaited."""

import asyncio
from collections.abc import Mapping
from typing import Any

import aiokafka
from aiokafka.errors import KafkaError

from bloxtr8.config import KafkaSettings
from bloxtr8.messaging import envelope
from bloxtr8.messaging.connection import client_options
from bloxtr8.messaging.registry import SchemaRegistry
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.messaging.topics import MESSAGE_BYTES_MAX, TopicSpec

_LINGER_MS = 0


class PublishTimeout(Exception):
    """No acknowledgement in time: the message may or may not be there.

    Ids make sending the same message again safe.
    """


class Publisher:
    """An idempotent producer of its own, for whoever is not a stream agent."""

    def __init__(self, settings: KafkaSettings, keyring: Keyring) -> None:
        self._settings = settings
        self._keyring = keyring
        self.registry = SchemaRegistry(settings)
        self._producer: aiokafka.AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Connect; raises aiokafka's KafkaConnectionError when no broker answers."""
        async with self._starting:
            if self._producer is not None:
                return
            producer = aiokafka.AIOKafkaProducer(
                acks="all",
                enable_idempotence=True,
                linger_ms=_LINGER_MS,
                max_request_size=2 * MESSAGE_BYTES_MAX,
                compression_type="lz4",
                request_timeout_ms=int(self._settings.publish_timeout_s * 1000),
                **client_options(self._settings),
            )
            try:
                await asyncio.wait_for(producer.start(), self._settings.publish_timeout_s)
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer

    async def stop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def publish(self, spec: TopicSpec, message: Any) -> None:
        """Sign `message` as the producer it names and publish it.

        Raises PublishTimeout when the outcome is not known.
        """
        schema_id = await self.registry.schema_id(spec)
        signer = self._keyring.signer(message.metadata.producer) if spec.signed else None
        wire = envelope.encode(spec, message, signer, schema_id=schema_id)
        await self.publish_raw(spec.name, wire.key, wire.value, wire.headers)

    async def publish_raw(
        self, topic: str, key: bytes, value: bytes, headers: Mapping[str, bytes]
    ) -> None:
        """Publish bytes as they are; raises PublishTimeout when the outcome is not known."""
        try:
            if self._producer is None:
                await self.start()
            assert self._producer is not None
            async with asyncio.timeout(self._settings.publish_timeout_s):
                await self._producer.send_and_wait(
                    topic, value, key=key, headers=list(headers.items())
                )
        except (TimeoutError, KafkaError) as error:
            raise PublishTimeout(f"{topic}: {type(error).__name__}") from error
