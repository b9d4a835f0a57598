"""The deadline service: watches the escrows of this worker's partitions and says when time is up.

It changes nothing itself. `ExpireDeadline` carries the deadline's version, and the escrow agent
ignores it when the deadline has moved on; ids are derived, so saying it twice is harmless.
"""

import asyncio
import heapq
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from bloxtr8 import ids, telemetry
from bloxtr8.escrow import is_terminal, next_wakeup
from bloxtr8.messaging import metadata
from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.messaging.topics import ESCROW_COMMANDS
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1.record_pb2 import Escrow

ARCHIVE_AFTER = timedelta(days=30)
REPEAT_AFTER = timedelta(seconds=60)
_TICK_S = 0.2
_AT_ONCE_MAX = 200

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Watch:
    """What to say about one escrow, and when."""

    when: datetime
    body: Any


class DeadlineService:
    """An in-memory heap; a change costs O(log n), a tick only what is due."""

    def __init__(self, app: BloxtrApp) -> None:
        self._app = app
        self._watched: dict[bytes, _Watch] = {}
        self._heap: list[tuple[datetime, bytes]] = []

    def watch(self, key: bytes, escrow: Escrow) -> None:
        """Take over the escrow's next point in time; replaces what was watched before."""
        wakeup = _wakeup(escrow)
        if wakeup is None:
            self.forget(key)
            return
        current = self._watched.get(key)
        if current is not None and (current.when, current.body) == wakeup:
            return
        self._arm(key, _Watch(*wakeup))

    def forget(self, key: bytes) -> None:
        self._watched.pop(key, None)

    def clear(self) -> None:
        """Forget everything: the partitions are being taken over anew."""
        self._watched.clear()
        self._heap.clear()

    def upcoming(self) -> list[tuple[datetime, str, str]]:
        """Return (when, escrow_id, what), soonest first."""
        return sorted(
            (watch.when, key.decode(), type(watch.body).__name__)
            for key, watch in self._watched.items()
        )

    def _arm(self, key: bytes, watch: _Watch) -> None:
        self._watched[key] = watch
        heapq.heappush(self._heap, (watch.when, key))
        if len(self._heap) > 2 * len(self._watched) + 1_000:
            # Entries that were replaced stay in the heap until now.
            self._heap = [(w.when, k) for k, w in self._watched.items()]
            heapq.heapify(self._heap)

    async def run(self) -> None:
        """Say what is due, for ever."""
        while not self._app.should_stop:
            if self._app.recovered and not self._app.rebalancing:
                await self.tick()
            await asyncio.sleep(_TICK_S)

    async def tick(self) -> int:
        """Say what is due now, at most 200 of it; return how many that were."""
        now = self._app.clock.now()
        due: list[tuple[bytes, _Watch]] = []
        while self._heap and self._heap[0][0] <= now and len(due) < _AT_ONCE_MAX:
            when, key = heapq.heappop(self._heap)
            watch = self._watched.get(key)
            if watch is not None and watch.when == when:
                due.append((key, watch))
        for key, _ in due:
            # Should the command be lost to a dead letter, it is said again.
            heapq.heappush(self._heap, (self._repeat(key, now), key))
        try:
            await asyncio.gather(*(self._say(key, watch, now) for key, watch in due))
        except Exception as error:
            _log.warning("deadline_not_published", error=repr(error)[:200])
        telemetry.DEADLINES_LATE.set(len(due))
        return len(due)

    def _repeat(self, key: bytes, now: datetime) -> datetime:
        again = now + REPEAT_AFTER
        self._watched[key] = _Watch(again, self._watched[key].body)
        return again

    async def _say(self, key: bytes, watch: _Watch, now: datetime) -> None:
        command = commands.EscrowCommand(
            metadata=metadata.new(
                common.PRODUCER_DEADLINES, now, message_id=_message_id(key, watch.body)
            ),
            escrow_id=key.decode(),
            actor=common.Actor(kind=common.ACTOR_KIND_SYSTEM),
        )
        if isinstance(watch.body, commands.ExpireDeadline):
            command.expire_deadline.CopyFrom(watch.body)
        elif isinstance(watch.body, commands.RemindDeadline):
            command.remind_deadline.CopyFrom(watch.body)
        else:
            command.archive_escrow.SetInParent()
        await self._app.publisher.publish(ESCROW_COMMANDS, command)


def _wakeup(escrow: Escrow) -> tuple[datetime, Any] | None:
    if is_terminal(escrow.state):
        return metadata.moment(escrow.ended_at) + ARCHIVE_AFTER, commands.ArchiveEscrow()
    return next_wakeup(escrow)


def _message_id(key: bytes, body: Any) -> str:
    parts = [type(body).__name__, getattr(body, "version", 0), getattr(body, "percent", 0)]
    return str(ids.derived("deadline", key.decode(), *parts))


def register(app: BloxtrApp) -> DeadlineService:
    service = DeadlineService(app)
    app.background("deadlines", service.run)
    return service
