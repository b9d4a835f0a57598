"""A Faust table whose writes can be waited for.

Stock Faust queues a changelog record, gives up waiting for it after 0.1 s when it commits the
input's offset, and only logs it when the broker rejects the record: the input is then done and
its effect gone. Here a write is `await table.put(...)`: the broker's acknowledgement of the
changelog record comes first, then memory, then whatever the agent has to say. Nobody ever reads
a state that the broker does not have.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

import faust
import structlog

from bloxtr8 import telemetry

# Orders two values of one key: the higher wins, whatever the order they were read in.
Version = Callable[[bytes], tuple[int, int]]
Recovered = Callable[[set[int]], Awaitable[None]]

_log = structlog.get_logger(__name__)


class DurableTable(faust.Table):  # type: ignore[misc]
    """Table of bytes by bytes. Made through `BloxtrApp.durable_table`."""

    def __init__(self, *args: Any, version: Version, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.version = version
        self._recovered_callbacks: list[Recovered] = []

    def info(self) -> dict[str, Any]:
        return {**super().info(), "version": self.version}

    def on_key_set(self, key: Any, value: Any) -> None:
        raise TypeError("write with put(), which waits for the broker")

    def on_key_del(self, key: Any) -> None:
        raise TypeError("delete with remove(), which waits for the broker")

    async def put(self, key: bytes, value: bytes, partition: int, timeout_s: float) -> None:
        """Write `key`, which lives in `partition`; return when the broker and memory have it.

        Raises TimeoutError or the producer's error; the caller then no longer knows what the
        changelog holds and must stop the process.
        """
        await self._record(key, value, partition, timeout_s)
        self.data.data[key] = value
        # The memory store learns partitions only in recovery; without this it would keep the
        # keys of a partition that another worker has taken over.
        self.data._key_partition[key] = partition

    async def remove(self, key: bytes, partition: int, timeout_s: float) -> None:
        """Delete `key` (a tombstone in the changelog); raises as `put`."""
        await self._record(key, None, partition, timeout_s)
        self.data.data.pop(key, None)
        self.data._key_partition.pop(key, None)

    async def _record(
        self, key: bytes, value: bytes | None, partition: int, timeout_s: float
    ) -> None:
        async with asyncio.timeout(timeout_s):
            acknowledged = await self.app.producer.send(
                self.changelog_topic_name, key, value, partition, None, None
            )
            await acknowledged

    def value_of(self, key: bytes) -> bytes | None:
        """Return what memory has of `key`, None when nothing."""
        value: bytes | None = self.data.data.get(key)
        return value

    def keys_of(self, partitions: Iterable[int]) -> Iterator[bytes]:
        """Return the keys that live in `partitions`."""
        wanted = set(partitions)
        where = self.data._key_partition
        return (key for key in list(self.data.data) if where.get(key) in wanted)

    def on_recovered(self, callback: Recovered) -> None:
        """Call `callback(partitions)` after each recovery, before new messages are read."""
        self._recovered_callbacks.append(callback)

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Take over records read from the changelog; a record never goes back in time."""
        newest: dict[bytes, Any] = {}
        for event in batch:
            key, value = event.key, event.message.value
            held = newest[key].message.value if key in newest else self.data.data.get(key)
            if value is not None and held is not None and self.version(value) < self.version(held):
                telemetry.FENCED.labels(consumer=self.name).inc()
                continue
            newest[key] = event
        super().apply_changelog_batch(list(newest.values()))

    async def on_recovery_completed(self, active_tps: set[Any], standby_tps: set[Any]) -> None:
        await super().on_recovery_completed(active_tps, standby_tps)
        topic = self.changelog_topic_name
        partitions = {tp.partition for tp in active_tps if tp.topic == topic}
        try:
            for callback in self._recovered_callbacks:
                await callback(partitions)
        except asyncio.CancelledError:
            raise  # another rebalance has begun; it ends with a recovery of its own
        except Exception as error:
            # Faust swallows what is raised here and would go on with half a recovery.
            _log.exception("recovery_failed", table=self.name)
            self.app.stop_process("recovery_failed", repr(error))
