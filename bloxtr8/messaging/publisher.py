"""Publishing to Kafka: one message, signed, and the broker's acknowledgement awaited."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import aiohttp
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
        self._retiring: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect; raises aiokafka's KafkaConnectionError when no broker answers."""
        await self._started()

    async def _started(self) -> aiokafka.AIOKafkaProducer:
        async with self._starting:
            if self._producer is not None:
                return self._producer
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
            return producer

    async def stop(self) -> None:
        """Send what is on its way, within the time that publishing has, and disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            self._retire(producer)
        await asyncio.gather(*self._retiring)

    async def publish(self, spec: TopicSpec, message: Any) -> None:
        """Sign `message` as the producer it names and publish it.

        Raises PublishTimeout when the outcome is not known.
        """
        try:
            schema_id = await self.registry.schema_id(spec)
        except (TimeoutError, aiohttp.ClientError) as error:
            raise PublishTimeout(f"schema registry: {type(error).__name__}") from error
        signer = self._keyring.signer(message.metadata.producer) if spec.signed else None
        wire = envelope.encode(spec, message, signer, schema_id=schema_id)
        await self.publish_raw(spec.name, wire.key, wire.value, wire.headers)

    async def publish_raw(
        self, topic: str, key: bytes, value: bytes, headers: Mapping[str, bytes]
    ) -> None:
        """Publish bytes as they are; raises PublishTimeout when the outcome is not known."""
        producer = None
        try:
            producer = await self._started()
            async with asyncio.timeout(self._settings.publish_timeout_s):
                await producer.send_and_wait(topic, value, key=key, headers=list(headers.items()))
        except TimeoutError as error:
            raise PublishTimeout(f"{topic}: {type(error).__name__}") from error
        except KafkaError as error:
            if producer is not None and producer is self._producer:
                # A batch that the broker refused leaves a hole in the producer's numbers; it
                # would take nothing more from this one.
                self._producer = None
                self._retire(producer)
            raise PublishTimeout(f"{topic}: {type(error).__name__}") from error

    def _retire(self, producer: aiokafka.AIOKafkaProducer) -> None:
        task = asyncio.create_task(self._end(producer))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _end(self, producer: aiokafka.AIOKafkaProducer) -> None:
        # Idempotent batches never expire: without a broker this would take for ever.
        with suppress(TimeoutError, KafkaError):
            await asyncio.wait_for(producer.stop(), self._settings.publish_timeout_s)
