"""Faust's Kafka transport with five holes closed.

* The consumer commits an offset only when every message fetched before it was acknowledged.
  Faust's own guard tolerates one missing offset at the head (faust-streaming#606): a crash
  could then lose the message that was being worked on.
* Messages are taken in the order of the log. Faust fetches in a thread of its own: what was
  fetched before a rebalance could arrive after the seek back to what is committed, hide the
  messages between, and be committed past them.
* A fetch that outlasts a rebalance puts back what it read. Faust throws it away, although the
  reader has moved on: a recovery then waited for ever for the changelog records in it.
* The producer is idempotent and waits for all in-sync replicas, so a retry inside the client
  neither doubles nor reorders.
* A record whose header names are not UTF-8 is read like any other (`records.py`).
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from typing import Any

import structlog
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage, Message
from yarl import URL

from bloxtr8.messaging import records

records.install()

_DOUBTS_MAX = 3

_log = structlog.get_logger(__name__)


class _Ledger:
    """Which offsets of one partition were fetched, and how far all of them are acknowledged."""

    __slots__ = ("acked", "fetched", "heap", "position", "withheld")

    def __init__(self) -> None:
        self.heap: list[int] = []
        self.fetched: set[int] = set()
        self.acked: set[int] = set()
        self.withheld: set[int] = set()
        self.position = 0

    def fetch(self, offset: int) -> None:
        if offset >= self.position and offset not in self.fetched:
            self.fetched.add(offset)
            heapq.heappush(self.heap, offset)

    def rewind(self) -> None:
        """What is not settled will be fetched again, perhaps with what was settled before."""
        self.acked -= self.withheld
        self.withheld.clear()
        self.position = 0

    def settle(self) -> int | None:
        """Return the offset that may be committed, None when nothing has moved."""
        moved = False
        while self.heap and self.heap[0] in self.acked and self.heap[0] not in self.withheld:
            offset = heapq.heappop(self.heap)
            self.fetched.discard(offset)
            self.acked.discard(offset)
            self.position = offset + 1
            moved = True
        return self.position if moved else None


class _Order:
    """Which offset of each partition must come next. `seek` says where reading goes on.

    A log may have holes (what retention deleted, compaction), so a hole is believed when it is
    still there after it was read again, more often than late batches can follow each other.
    """

    def __init__(self) -> None:
        self._next: dict[TP, int] = {}
        self._doubts: Counter[TP] = Counter()

    def seek(self, tp: TP, offset: int) -> None:
        self._next[tp] = offset
        self._doubts.pop(tp, None)

    def forget(self, tp: TP) -> None:
        self._next.pop(tp, None)
        self._doubts.pop(tp, None)

    def expected(self, tp: TP) -> int | None:
        return self._next.get(tp)

    def takes(self, tp: TP, offset: int) -> bool:
        """Tell whether a message is to be taken now; then the one behind it is next."""
        expected = self._next.get(tp)
        if expected is None:
            return False  # fetched before anybody said where to read
        if offset > expected:
            if self._doubts[tp] < _DOUBTS_MAX:
                self._doubts[tp] += 1
                return False
            del self._doubts[tp]
        self._next[tp] = max(expected, offset + 1)
        return True


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """Waits at the broker as long as the settings say; Faust has 1.5 s written in.

    Kafka answers a waiting fetch as soon as there is something. librdkafka's cluster in memory
    answers only when the wait is over, so the wait is what every message there costs.
    """

    consumer: "Consumer"

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = int(self.app.settings.kafka.fetch_wait_s * 1000)
        return consumer

    async def _fetch_records(
        self, consumer: Any, active_partitions: set[TP] | None, **limits: Any
    ) -> dict[TP, list[Any]]:
        """Fetch from the partitions that are active now; put back what nobody waits for."""
        if active_partitions is not None:
            # Faust empties the set in a rebalance, and aiokafka reads an empty one as all.
            active_partitions = set(active_partitions)
            if not active_partitions:
                return {}
        revocations = self.consumer.revocations
        records: dict[TP, list[Any]]
        records = await super()._fetch_records(consumer, active_partitions, **limits)
        if self.consumer.flow_active and self.consumer.revocations == revocations:
            return records
        for tp in records.keys() & consumer.assignment():
            consumer.seek(tp, records[tp][0].offset)
        return {}


class Consumer(driver.Consumer):  # type: ignore[misc]
    """Takes messages in order; commits only up to the first that is not acknowledged."""

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._ledgers: dict[TP, _Ledger] = defaultdict(_Ledger)
        self._order = _Order()
        self.revocations = 0
        super().__init__(*args, **kwargs)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        revocations = self.revocations
        records = await super()._getmany(active_partitions, timeout)
        # On its way from the other thread it may have met a rebalance, which seeks anew.
        return records if self.revocations == revocations else {}

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """Yield what was fetched, of each partition only what follows on what was yielded."""
        left_out: set[TP] = set()
        async for tp, message in super().getmany(timeout):
            if not self.app.topics.acks_enabled_for(message.topic):
                yield tp, message
            elif tp not in left_out:
                if self._order.takes(tp, message.offset):
                    self._ledgers[tp].fetch(message.offset)
                    yield tp, message
                else:
                    left_out.add(tp)
                    await self._read_again(tp, message.offset)

    async def _read_again(self, tp: TP, came: int) -> None:
        sought: int | None = None
        while (expected := self._order.expected(tp)) not in (None, sought):
            _log.warning("read_again", tp=repr(tp), expected=expected, came=came)
            await self._seek_in_thread({tp: expected})
            sought = expected

    def withhold(self, message: Message) -> None:
        """Never commit past `message` in this assignment, whatever acknowledges it."""
        self._ledgers[message.tp].withheld.add(message.offset)

    async def perform_seek(self) -> None:
        """Go back to what is committed; where nothing is, to the beginning.

        Faust leaves a partition without a committed offset where its fetcher stands. What was
        fetched while the group was rebalancing is dropped, and would not be read again.
        """
        for tp, ledger in self._ledgers.items():
            self._take_over(tp, ledger)
            self._acked_index[tp] -= ledger.withheld
            ledger.rewind()
        await super().perform_seek()
        positions = {
            tp: self._read_offset[tp]
            for tp in self.assignment()
            if self.app.topics.acks_enabled_for(tp.topic)
        }
        if fresh := [tp for tp, offset in positions.items() if offset is None]:
            earliest = await self.earliest_offsets(*fresh)
            positions |= {tp: earliest.get(tp) or 0 for tp in fresh}
        for tp, offset in positions.items():
            self._order.seek(tp, offset)
        # Again for all: what came before this was known was not taken.
        await self._seek_in_thread(positions)

    async def _seek_in_thread(self, offsets: Mapping[TP, int | None]) -> None:
        # Faust's own `seek` moves the consumer of the other thread from this one.
        await self._thread.seek_wait(offsets)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self.revocations += 1
        for tp in revoked:
            self._forget(tp)
        await super().on_partitions_revoked(revoked)

    def _forget(self, tp: TP) -> None:
        self._ledgers.pop(tp, None)
        self._order.forget(tp)
        self._acked[tp].clear()
        self._acked_index[tp].clear()

    def _take_over(self, tp: TP, ledger: _Ledger) -> None:
        ledger.acked.update(self._acked[tp])
        self._acked[tp].clear()

    def _new_offset(self, tp: TP) -> int | None:
        ledger = self._ledgers[tp]
        self._take_over(tp, ledger)
        before = ledger.position
        offset = ledger.settle()
        if offset is not None:
            index = self._acked_index[tp]
            index.difference_update([known for known in index if before <= known < offset])
        return offset

    def group_lost(self) -> str | None:
        """Return why the client can not go on in the group, None while it can.

        After an answer that it does not expect, aiokafka waits until somebody fetches and can
        be told. A worker that has no partition yet never fetches, and would wait for ever.
        """
        coordinator = getattr(self._thread._consumer, "_coordinator", None)
        error = getattr(coordinator, "_pending_exception", None)
        return None if error is None else repr(error)

    async def committed(self, tps: set[TP]) -> dict[TP, int | None]:
        """Return what the broker has as committed offset of each partition, None for none."""
        consumer = self._thread._ensure_consumer()
        return {tp: await self._thread.call_thread(consumer.committed, tp) for tp in tps}

    async def end_offsets(self, tps: set[TP]) -> dict[TP, int]:
        """Return the broker's end offset of each partition."""
        consumer = self._thread._ensure_consumer()
        result: dict[TP, int] = await self._thread.call_thread(consumer.end_offsets, list(tps))
        return result


class Producer(driver.Producer):  # type: ignore[misc]
    """Idempotent, acknowledged by all in-sync replicas."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {**super()._settings_extra(), "acks": "all", "enable_idempotence": True}


class Transport(driver.Transport):  # type: ignore[misc]
    Consumer = Consumer
    Producer = Producer


def transport_for(urls: list[URL], app: Any) -> Transport:
    """Return the transport that BloxtrApp uses for consuming and producing."""
    return Transport(urls, app)
