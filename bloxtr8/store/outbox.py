"""The transactional outbox: what a transaction has to say is said exactly when it commits.

Rows go out in the order of their ids within a key, at least once; a consumer knows a repeated
message by its id. One relay at a time sends, whoever holds the advisory lock.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import structlog

from bloxtr8 import telemetry
from bloxtr8.clock import Clock
from bloxtr8.messaging import envelope
from bloxtr8.messaging.publisher import PublishTimeout
from bloxtr8.messaging.signatures import Signer
from bloxtr8.messaging.topics import TopicSpec
from bloxtr8.store import database, housekeeping
from bloxtr8.store.database import Transaction

CHANNEL = "bloxtr8_outbox"
BATCH_MAX = 500
POLL_S = 0.5
_LOCK = 0x626C_6F78_0002
_LOCK_RETRY_S = 1.0
_PURGE_EVERY_S = 600.0
_KEYS_IN_FLIGHT = 64
_ERROR_CHARS_MAX = 500

_log = structlog.get_logger(__name__)


class RawPublisher(Protocol):
    """Puts bytes on a topic and returns when the broker has them."""

    async def publish_raw(
        self, topic: str, key: bytes, value: bytes, headers: Mapping[str, bytes]
    ) -> None: ...


async def enqueue(
    tx: Transaction, spec: TopicSpec, message: Any, signer: Signer | None = None
) -> None:
    """Add `message` to the outbox; it is published after `tx` has committed.

    `signer` is needed where the topic is signed. A message whose id is there already is the
    same message and is not added again.
    """
    wire = envelope.encode(spec, message, signer)
    await tx.execute(
        "INSERT INTO outbox (event_id, topic, key, event_type, payload, headers)"  # noqa: S608
        " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (event_id, topic) DO NOTHING"
        # With the row, for one journey to the server instead of two.
        f" RETURNING pg_notify('{CHANNEL}', '')",
        UUID(message.metadata.message_id),
        spec.name,
        wire.key.decode("ascii"),
        str(message.WhichOneof("body")),
        wire.value,
        database.to_json({name: value.hex() for name, value in wire.headers.items()}),
    )


async def enqueue_again(tx: Transaction, message_id: UUID, topic: str, wire: envelope.Wire) -> None:
    """Add a message that was published before, byte for byte; `message_id` names this repetition.

    The same repetition is added once.
    """
    await tx.execute(
        "INSERT INTO outbox (event_id, topic, key, event_type, payload, headers)"  # noqa: S608
        " VALUES ($1, $2, $3, 'again', $4, $5) ON CONFLICT (event_id, topic) DO NOTHING"
        f" RETURNING pg_notify('{CHANNEL}', '')",
        message_id,
        topic,
        wire.key.decode("ascii"),
        wire.value,
        database.to_json({name: value.hex() for name, value in wire.headers.items()}),
    )


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits: `rows` counted up to 10,000, `age_s` of the oldest."""

    rows: int
    age_s: float


async def backlog() -> Backlog:
    """Return what has not been published yet. Raises DatabaseUnavailable."""
    # The database's own clock on both sides: this is about the machine, not about business time.
    row = await database.fetchrow(
        "SELECT count(*) AS rows,"
        " coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 AS age_s"
        " FROM (SELECT created_at FROM outbox WHERE published_at IS NULL ORDER BY id LIMIT 10000)"
        " AS waiting"
    )
    assert row is not None, "an aggregate has a row"
    return Backlog(row["rows"], max(0.0, row["age_s"]))


class Relay:
    """Publishes what the outbox holds. Every worker has one; the lock lets one of them work."""

    def __init__(self, publisher: RawPublisher, clock: Clock) -> None:
        self._publisher = publisher
        self._clock = clock
        self._purged_at = 0.0

    async def run(self) -> None:
        """Relay until cancelled; without the database wait for it."""
        while True:
            try:
                await self._session()
            except Exception as error:
                if not database.is_transient(error):
                    raise
                _log.warning("outbox_waits", error=repr(error)[:200])
            await asyncio.sleep(_LOCK_RETRY_S)

    async def drain(self) -> int:
        """Publish what is waiting; return how many rows went out."""
        sent = 0
        while True:
            rows = await database.fetch(
                "SELECT id, topic, key, payload, headers FROM outbox"
                " WHERE published_at IS NULL ORDER BY id LIMIT $1",
                BATCH_MAX,
            )
            done = await self._publish(rows)
            sent += done
            if len(rows) < BATCH_MAX or done < len(rows):
                return sent

    async def _session(self) -> None:
        connection = await database.connect()
        try:
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
                return
            async with database.listen(CHANNEL, connection) as listener:
                while not connection.is_closed():
                    await self.drain()
                    await self._observe()
                    await listener.wait(POLL_S)
        finally:
            await asyncio.shield(connection.close(timeout=database.CONNECT_TIMEOUT_S))

    async def _observe(self) -> None:
        telemetry.OUTBOX_AGE.set((await backlog()).age_s)
        now = asyncio.get_running_loop().time()
        if now - self._purged_at >= _PURGE_EVERY_S:
            self._purged_at = now
            await housekeeping.purge(self._clock.now())

    async def _publish(self, rows: list[dict[str, Any]]) -> int:
        """Send `rows`, keys side by side, the rows of a key one after the other."""
        batch = _Batch(self._publisher, asyncio.Semaphore(_KEYS_IN_FLIGHT))
        by_key: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for row in rows:
            by_key[row["topic"], row["key"]].append(row)
        await asyncio.gather(*(batch.send_key(of_key) for of_key in by_key.values()))
        await self._record(batch)
        return len(batch.sent)

    async def _record(self, batch: "_Batch") -> None:
        if not batch.sent and not batch.failed:
            return
        async with database.transaction() as tx:
            await tx.execute(
                "UPDATE outbox SET published_at = $2, attempts = attempts + 1"
                " WHERE id = ANY($1::bigint[])",
                batch.sent,
                self._clock.now(),
            )
            await tx.executemany(
                "UPDATE outbox SET attempts = attempts + 1, last_error = $2 WHERE id = $1",
                batch.failed,
            )


class _Batch:
    """One round of sending. After a time-out nothing more is started in this round."""

    def __init__(self, publisher: RawPublisher, slots: asyncio.Semaphore) -> None:
        self._publisher = publisher
        self._slots = slots
        self._broker_silent = False
        self.sent: list[int] = []
        self.failed: list[tuple[int, str]] = []

    async def send_key(self, rows: list[dict[str, Any]]) -> None:
        async with self._slots:
            for row in rows:
                if self._broker_silent or not await self._send(row):
                    return

    async def _send(self, row: dict[str, Any]) -> bool:
        headers = {name: bytes.fromhex(value) for name, value in json.loads(row["headers"]).items()}
        try:
            await self._publisher.publish_raw(
                row["topic"], row["key"].encode(), row["payload"], headers
            )
        except Exception as error:
            self._broker_silent |= isinstance(error, PublishTimeout)
            self.failed.append((row["id"], repr(error)[:_ERROR_CHARS_MAX]))
            _log.warning("outbox_not_published", topic=row["topic"], error=repr(error)[:200])
            return False
        self.sent.append(row["id"])
        return True
