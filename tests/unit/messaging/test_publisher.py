"""What the publisher says when the broker does not answer."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bloxtr8.config import KafkaSettings
from bloxtr8.dev import process
from bloxtr8.messaging.publisher import Publisher, PublishTimeout
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.messaging.topics import ESCROW_COMMANDS
from proto.bloxtr8.common.v1 import common_pb2 as common
from tests.unit.messaging.samples import release


@pytest.fixture
async def black_hole() -> AsyncIterator[str]:
    """The address of a server that takes connections and never says a word."""
    open_until = asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await open_until.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield f"{host}:{port}"
    open_until.set()
    server.close()


def publisher(bootstrap: str) -> Publisher:
    settings = KafkaSettings(bootstrap=bootstrap, publish_timeout_s=0.3)
    return Publisher(settings, Keyring.generate())


async def test_a_broker_that_says_nothing_is_a_time_out(black_hole: str) -> None:
    async with asyncio.timeout(10):
        with pytest.raises(PublishTimeout, match=r"escrow\.commands\.v1"):
            await publisher(black_hole).publish(ESCROW_COMMANDS, release())


async def test_no_broker_is_a_time_out_too() -> None:
    nobody = f"127.0.0.1:{process.free_port()}"
    async with asyncio.timeout(10):
        with pytest.raises(PublishTimeout):
            await publisher(nobody).publish_raw("topic", b"key", b"value", {})


async def test_many_callers_wait_for_one_connection(black_hole: str) -> None:
    sender = publisher(black_hole)
    async with asyncio.timeout(20):
        answers = await asyncio.gather(
            *(sender.publish_raw("topic", b"key", b"value", {}) for _ in range(5)),
            return_exceptions=True,
        )
    assert [type(answer) for answer in answers] == [PublishTimeout] * 5


async def test_without_a_producers_key_nothing_is_sent(black_hole: str) -> None:
    sender = Publisher(KafkaSettings(bootstrap=black_hole), Keyring({}, {}))
    with pytest.raises(KeyError):
        await sender.publish(ESCROW_COMMANDS, release(producer=common.PRODUCER_WEB))


async def test_stopping_what_never_started_is_fine(black_hole: str) -> None:
    await publisher(black_hole).stop()
