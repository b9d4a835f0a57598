"""A thread outside the event loop that ends a worker which lives and does nothing.

Consumers are known to fall silent while their process goes on (faust-streaming#175, #523,
#532, #640). Being stopped and started again is safe at any moment; being stuck is not.
"""

import asyncio
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from faust.types import TP

if TYPE_CHECKING:
    from bloxtr8.messaging.app import BloxtrApp

REBALANCE_MAX_S = 120.0
COMMIT_STALL_MAX_S = 60.0
TICK_MAX_S = 30.0
_CHECK_EVERY_S = 2.0
_OFFSETS_EVERY_S = 10.0
_ASK_TIMEOUT_S = 20.0

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Stall:
    """Since when each partition with something to do has not moved its committed offset."""

    since: dict[TP, tuple[int, float]] = field(default_factory=dict)

    def longest_s(self, committed: dict[TP, int | None], ends: dict[TP, int], now: float) -> float:
        """Take in what the broker says and return the longest stall in seconds."""
        longest = 0.0
        for tp, end in ends.items():
            offset = committed.get(tp) or 0
            known = self.since.get(tp)
            if end <= offset or known is None or known[0] != offset:
                self.since[tp] = (offset, now)
            else:
                longest = max(longest, now - known[1])
        for gone in set(self.since) - set(ends):
            del self.since[gone]
        return longest


class Watchdog(threading.Thread):
    """Started with the app's loop; ends with the process, or when `close` is called."""

    def __init__(self, app: "BloxtrApp") -> None:
        super().__init__(name="watchdog", daemon=True)
        self._app = app
        self._loop = asyncio.get_running_loop()
        self._closed = threading.Event()
        self._stall = Stall()
        self._busy_since: float | None = None
        self._offsets_at = 0.0

    def close(self) -> None:
        self._closed.set()

    def run(self) -> None:
        while not self._closed.wait(_CHECK_EVERY_S):
            reason = self.verdict(time.monotonic())
            if reason is not None and not self._closed.is_set():
                self._app.stop_process(*reason)

    def verdict(self, now: float) -> tuple[str, str] | None:
        """Return (reason, detail) when the process must end, None when all is well."""
        app = self._app
        if app.crashed:
            return "app_crashed", repr(app._crash_reason)
        if now - app.last_tick > TICK_MAX_S:
            return "loop_silent", f"{now - app.last_tick:.0f} s without a tick"
        lost = app.consumer.group_lost() if app.agents else None
        if lost is not None:
            return "group_lost", lost
        busy = app.rebalancing or not app.recovered
        self._busy_since = (self._busy_since or now) if busy and app.agents else None
        if self._busy_since is not None:
            if now - self._busy_since > REBALANCE_MAX_S:
                return "rebalance_too_long", f"{now - self._busy_since:.0f} s"
            return None
        return self._stalled(now)

    def _stalled(self, now: float) -> tuple[str, str] | None:
        if not self._app.agents or now - self._offsets_at < _OFFSETS_EVERY_S:
            return None
        self._offsets_at = now
        future = asyncio.run_coroutine_threadsafe(self._offsets(), self._loop)
        try:
            committed, ends = future.result(_ASK_TIMEOUT_S)
        except Exception as error:
            # No answer is no proof of a stall: the broker may be away.
            _log.warning("watchdog_offsets_unknown", error=repr(error)[:200])
            future.cancel()
            return None
        longest = self._stall.longest_s(committed, ends, now)
        if longest > COMMIT_STALL_MAX_S and not self._app.waiting:
            return "commit_stalled", f"{longest:.0f} s"
        return None

    async def _offsets(self) -> tuple[dict[TP, int | None], dict[TP, int]]:
        consumer = self._app.consumer
        tps = {
            TP(tp.topic, tp.partition)
            for tp in consumer.assignment()
            if self._app.topics.acks_enabled_for(tp.topic)
        }
        return await consumer.committed(tps), await consumer.end_offsets(tps)
