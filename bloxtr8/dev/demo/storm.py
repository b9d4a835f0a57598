"""A storm of duplicates: every message that passes is put on its topic once more."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer, ConsumerRecord

from bloxtr8.config import KafkaSettings
from bloxtr8.dev.demo.observer import Observer
from bloxtr8.messaging.connection import client_options
from bloxtr8.messaging.topics import MESSAGE_BYTES_MAX

_AGAIN = ("delivered_again", b"1")


@asynccontextmanager
async def storm(settings: KafkaSettings, observer: Observer) -> AsyncIterator[None]:
    """While inside, each record of every topic is published a second time, as it was."""
    producer = AIOKafkaProducer(
        **client_options(settings), acks="all", max_request_size=2 * MESSAGE_BYTES_MAX
    )
    await producer.start()

    async def again(record: ConsumerRecord, _message: Any) -> None:
        if _AGAIN in record.headers:
            return
        await producer.send_and_wait(
            record.topic,
            record.value,
            key=record.key,
            partition=record.partition,
            headers=[*record.headers, _AGAIN],
        )

    calm = observer.on_record(again)
    try:
        yield
    finally:
        calm()
        await producer.stop()
