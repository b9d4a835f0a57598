"""The same rules without Faust: a consumer loop, one database transaction a command, an outbox.

`python -m tests.bench.rival`. BENCH_PARALLEL=1: the partitions of a batch side by side.
"""

import asyncio
import os
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer

from bloxtr8.clock import SystemClock
from bloxtr8.config import Settings
from bloxtr8.escrow import Context, decide
from bloxtr8.messaging import envelope
from bloxtr8.messaging.publisher import Publisher
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.messaging.topics import (
    BY_NAME,
    ESCROW_COMMANDS,
    ESCROW_EVENTS,
    PAYMENTS_COMMANDS,
    PAYMENTS_EVENTS,
    TopicSpec,
)
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1.record_pb2 import EscrowRecord, Origin
from tests.bench.apps import READY, tell

_TABLES = """
CREATE TABLE IF NOT EXISTS rival_escrows (id text PRIMARY KEY, record bytea NOT NULL);
CREATE TABLE IF NOT EXISTS rival_outbox (id bigserial PRIMARY KEY, topic text NOT NULL,
  key bytea NOT NULL, value bytea NOT NULL, headers bytea[] NOT NULL);
"""
_READ = "SELECT record FROM rival_escrows WHERE id = $1 FOR UPDATE"
_WRITE = """
INSERT INTO rival_escrows (id, record) VALUES ($1, $2)
ON CONFLICT (id) DO UPDATE SET record = excluded.record
"""
_SAY = "INSERT INTO rival_outbox (topic, key, value, headers) VALUES ($1, $2, $3, $4)"
_TAKE = "SELECT id, topic, key, value, headers FROM rival_outbox ORDER BY id LIMIT 500"
_DROP = "DELETE FROM rival_outbox WHERE id = ANY($1::bigint[])"
_POLL_S = 0.02
_POOL = 14


class Rival:
    def __init__(self, settings: Settings, pool: Any) -> None:
        self._settings = settings
        self._pool = pool
        self._keyring = Keyring.load(settings.keys.directory, create=True)
        self._publisher = Publisher(settings.kafka, self._keyring)
        self._clock = SystemClock()
        self._parallel = os.environ.get("BENCH_PARALLEL") == "1"

    async def run(self) -> None:
        poller = asyncio.create_task(self._poll())
        consumer = AIOKafkaConsumer(
            ESCROW_COMMANDS.name,
            PAYMENTS_EVENTS.name,
            bootstrap_servers=self._settings.kafka.bootstrap,
            group_id=self._settings.kafka.app_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=int(1000 * self._settings.kafka.fetch_wait_s),
        )
        await consumer.start()
        while not consumer.assignment():  # noqa: ASYNC110 - it has no event for it
            await asyncio.sleep(0.05)
        tell(READY)
        while not poller.done():
            batches = await consumer.getmany(timeout_ms=100, max_records=500)
            work = [self._handle_all(batch) for batch in batches.values()]
            if self._parallel:
                await asyncio.gather(*work)
            else:
                for batch in work:
                    await batch
            if batches:
                await consumer.commit()

    async def _handle_all(self, batch: list[Any]) -> None:
        for message in batch:
            await self._handle(message)

    async def _handle(self, message: Any) -> None:
        spec = BY_NAME[message.topic]
        cause = envelope.decode(spec, message.key, message.value, message.headers, self._keyring)
        origin = Origin(topic=message.topic, partition=message.partition, offset=message.offset)
        context = Context(now=self._clock.now(), fencing_token=1, origin=origin)
        async with self._pool.acquire() as connection, connection.transaction():
            held = await connection.fetchval(_READ, cause.escrow_id)
            record = None if held is None else EscrowRecord.FromString(held)
            decision = decide(record, cause, context)
            if decision.record is not None:
                value = decision.record.SerializeToString()
                await connection.execute(_WRITE, cause.escrow_id, value)
            said = [self._row(ESCROW_EVENTS, event) for event in decision.events]
            said += [self._row(PAYMENTS_COMMANDS, order) for order in decision.orders]
            if said:
                await connection.executemany(_SAY, said)

    def _row(self, spec: TopicSpec, message: Any) -> tuple[Any, ...]:
        signer = self._keyring.signer(common.PRODUCER_ESCROW) if spec.signed else None
        wire = envelope.encode(spec, message, signer)
        headers = [part for name, value in wire.headers.items() for part in (name.encode(), value)]
        return spec.name, wire.key, wire.value, headers

    async def _poll(self) -> None:
        while True:
            async with self._pool.acquire() as connection:
                rows = await connection.fetch(_TAKE)
                await asyncio.gather(
                    *(
                        self._publisher.publish_raw(
                            row["topic"], row["key"], row["value"], _headers(row["headers"])
                        )
                        for row in rows
                    )
                )
                if rows:
                    await connection.execute(_DROP, [row["id"] for row in rows])
            if not rows:
                await asyncio.sleep(_POLL_S)


def _headers(flat: list[bytes]) -> dict[str, bytes]:
    return {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}


async def main() -> None:
    settings = Settings()
    dsn = settings.postgres.dsn.get_secret_value()
    pool = await asyncpg.create_pool(dsn, min_size=_POOL, max_size=_POOL)
    async with pool.acquire() as connection:
        await connection.execute(_TABLES)
    await Rival(settings, pool).run()


if __name__ == "__main__":
    asyncio.run(main())
