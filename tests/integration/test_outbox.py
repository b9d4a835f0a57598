"""The outbox: nothing said without its transaction, nothing lost, order kept within a key."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from bloxtr8.clock import ManualClock, SystemClock
from bloxtr8.config import PostgresSettings, Settings
from bloxtr8.dev.postgres import EmbeddedPostgres
from bloxtr8.messaging import envelope, metadata
from bloxtr8.messaging.publisher import PublishTimeout
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.messaging.topics import PAYMENTS_EVENTS
from bloxtr8.store import database, housekeeping, outbox
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.payments.v1 import payments_pb2 as payments

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEYRING = Keyring.generate()


class Broker:
    """Keeps what it is given; can be made to fail for a key or altogether."""

    def __init__(self) -> None:
        self.published: list[tuple[bytes, bytes, dict[str, bytes]]] = []
        self.refuses: set[bytes] = set()
        self.silent = False
        self._changed = asyncio.Event()

    async def said(self, reference: str) -> None:
        """Wait until the message with this reference is published."""
        async with asyncio.timeout(60):
            while reference not in {reference_of(value) for _, value, _ in self.published}:
                self._changed.clear()
                await self._changed.wait()

    async def publish_raw(
        self, topic: str, key: bytes, value: bytes, headers: Mapping[str, bytes]
    ) -> None:
        # Give others a turn, so that a wrong order would show.
        await asyncio.sleep(0)
        if self.silent:
            raise PublishTimeout(topic)
        if key in self.refuses:
            raise ValueError("not this key")
        self.published.append((key, value, dict(headers)))
        self._changed.set()


@pytest.fixture
async def db(postgres_dsn: str) -> AsyncIterator[None]:
    await database.open_database(Settings(postgres=PostgresSettings(dsn=postgres_dsn)))
    yield
    await database.close_database()


def message(escrow_id: str, reference: str = "pi_1") -> payments.PaymentEvent:
    return payments.PaymentEvent(
        metadata=metadata.new(common.PRODUCER_PAYMENTS, NOW),
        escrow_id=escrow_id,
        payment_processing=payments.PaymentProcessing(
            operation_id=str(uuid4()), provider_ref=reference
        ),
    )


async def enqueue(*messages: payments.PaymentEvent) -> None:
    async with database.transaction() as tx:
        for each in messages:
            await outbox.enqueue(
                tx, PAYMENTS_EVENTS, each, KEYRING.signer(common.PRODUCER_PAYMENTS)
            )


def reference_of(value: bytes) -> str:
    return payments.PaymentEvent.FromString(value).payment_processing.provider_ref


def references(broker: Broker, key: str) -> list[str]:
    return [
        reference_of(value)
        for published_key, value, _ in broker.published
        if published_key == key.encode()
    ]


async def test_a_published_row_is_the_signed_message(db: None) -> None:
    broker, sent = Broker(), message(str(uuid4()))
    await enqueue(sent)
    assert await outbox.Relay(broker, SystemClock()).drain() == 1
    ((key, value, headers),) = broker.published
    assert envelope.decode(PAYMENTS_EVENTS, key, value, headers, KEYRING) == sent
    assert await outbox.Relay(broker, SystemClock()).drain() == 0


async def test_what_is_rolled_back_is_never_said(db: None) -> None:
    broker = Broker()
    with suppress(RuntimeError):
        async with database.transaction() as tx:
            signer = KEYRING.signer(common.PRODUCER_PAYMENTS)
            await outbox.enqueue(tx, PAYMENTS_EVENTS, message(str(uuid4())), signer)
            raise RuntimeError
    assert await outbox.Relay(broker, SystemClock()).drain() == 0


async def test_the_same_fact_is_said_once(db: None) -> None:
    broker, fact = Broker(), message(str(uuid4()))
    await enqueue(fact, fact)
    await enqueue(fact)
    assert await outbox.Relay(broker, SystemClock()).drain() == 1


async def test_order_within_a_key_over_more_than_a_batch(db: None) -> None:
    broker, keys = Broker(), [str(uuid4()) for _ in range(3)]
    expected = [f"pi_{number}" for number in range(200)]
    await enqueue(*(message(key, reference) for reference in expected for key in keys))
    assert await outbox.Relay(broker, SystemClock()).drain() == 600
    assert all(references(broker, key) == expected for key in keys)


async def test_a_key_that_fails_holds_back_only_itself(db: None) -> None:
    broker, bad, good = Broker(), str(uuid4()), str(uuid4())
    broker.refuses = {bad.encode()}
    await enqueue(message(bad, "pi_1"), message(bad, "pi_2"), message(good, "pi_3"))
    relay = outbox.Relay(broker, SystemClock())
    assert await relay.drain() == 1
    row = await database.fetchrow("SELECT attempts, last_error FROM outbox ORDER BY id LIMIT 1")
    assert row is not None
    assert (row["attempts"], row["last_error"]) == (1, "ValueError('not this key')")
    broker.refuses = set()
    assert await relay.drain() == 2
    assert references(broker, bad) == ["pi_1", "pi_2"]


async def test_a_silent_broker_loses_nothing(db: None) -> None:
    broker, key = Broker(), str(uuid4())
    broker.silent = True
    await enqueue(*(message(key, f"pi_{number}") for number in range(5)))
    relay = outbox.Relay(broker, SystemClock())
    assert await relay.drain() == 0
    assert (await outbox.backlog()).rows == 5
    broker.silent = False
    assert await relay.drain() == 5
    assert references(broker, key) == [f"pi_{number}" for number in range(5)]
    assert await outbox.backlog() == outbox.Backlog(0, 0.0)


async def test_old_rows_go_and_unpublished_ones_stay(db: None) -> None:
    broker, clock = Broker(), ManualClock(NOW)
    await enqueue(message(str(uuid4())))
    await outbox.Relay(broker, clock).drain()
    await enqueue(message(str(uuid4())))
    await housekeeping.purge(clock.advance(housekeeping.PUBLISHED_KEPT))
    assert len(await database.fetch("SELECT FROM outbox")) == 2
    await housekeeping.purge(clock.advance(timedelta(seconds=1)))
    rows = await database.fetch("SELECT published_at FROM outbox")
    assert [row["published_at"] for row in rows] == [None]


async def test_another_relay_takes_over_and_loses_nothing(db: None) -> None:
    broker = Broker()
    relays = [asyncio.create_task(outbox.Relay(broker, SystemClock()).run()) for _ in range(2)]
    key = str(uuid4())
    try:
        await enqueue(message(key, "pi_1"))
        await broker.said("pi_1")
        relays[0].cancel()
        await enqueue(message(key, "pi_2"))
        await broker.said("pi_2")
    finally:
        for relay in relays:
            relay.cancel()
        await asyncio.gather(*relays, return_exceptions=True)
    # What was sent and not yet marked when its relay died is sent once more.
    assert list(dict.fromkeys(references(broker, key))) == ["pi_1", "pi_2"]


async def test_the_relay_survives_a_crash_of_the_database() -> None:
    server = EmbeddedPostgres()
    server.start()
    try:
        from bloxtr8.store.migrate import migrate

        settings = Settings(postgres=PostgresSettings(dsn=server.create_database("crash")))
        await migrate(settings)
        await database.open_database(settings)
        broker, key = Broker(), str(uuid4())
        relay = asyncio.create_task(outbox.Relay(broker, SystemClock()).run())
        await enqueue(message(key, "pi_1"))
        await broker.said("pi_1")
        await asyncio.to_thread(server.restart, immediate=True)
        await _enqueue_when_back(message(key, "pi_2"))
        await broker.said("pi_2")
        relay.cancel()
        await asyncio.gather(relay, return_exceptions=True)
    finally:
        await database.close_database()
        server.stop()


async def _enqueue_when_back(sent: payments.PaymentEvent) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await enqueue(sent)
                return
            except Exception as error:
                if not database.is_transient(error):
                    raise
            await asyncio.sleep(0.05)
