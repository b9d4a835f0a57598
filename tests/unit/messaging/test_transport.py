"""The consumer's books: never commit past a message that is not acknowledged."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bloxtr8.messaging.transport import Consumer, ConsumerThread, _Ledger, _Order


def test_nothing_fetched_nothing_committed() -> None:
    assert _Ledger().settle() is None


def test_a_missing_head_is_not_passed() -> None:
    # faust-streaming#606: with 5 at work and 6, 7, 8 done, stock Faust commits 9.
    ledger = _Ledger()
    for offset in (5, 6, 7, 8):
        ledger.fetch(offset)
    ledger.acked |= {6, 7, 8}
    assert ledger.settle() is None
    ledger.acked.add(5)
    assert ledger.settle() == 9


def test_offsets_that_the_broker_left_out_are_no_hole() -> None:
    # Transaction markers and compaction leave gaps that nobody ever fetches.
    ledger = _Ledger()
    for offset in (5, 9, 12):
        ledger.fetch(offset)
    ledger.acked |= {5, 9}
    assert ledger.settle() == 10
    ledger.acked.add(12)
    assert ledger.settle() == 13


def test_a_withheld_message_holds_for_ever() -> None:
    ledger = _Ledger()
    for offset in (0, 1, 2):
        ledger.fetch(offset)
    ledger.withheld.add(1)
    ledger.acked |= {0, 1, 2}
    assert ledger.settle() == 1
    assert ledger.settle() is None


def test_fetching_again_what_is_done_changes_nothing() -> None:
    ledger = _Ledger()
    ledger.fetch(0)
    ledger.acked.add(0)
    assert ledger.settle() == 1
    ledger.fetch(0)
    assert ledger.settle() is None
    ledger.fetch(1)
    ledger.acked.add(1)
    assert ledger.settle() == 2


class Books(RuleBasedStateMachine):
    """A partition in which messages are fetched in order, acknowledged in any, some never."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = _Ledger()
        self.next = 0
        self.open: set[int] = set()
        self.withheld: set[int] = set()
        self.committed = 0
        self.ever: list[int] = []

    @rule(gap=st.integers(0, 3), count=st.integers(1, 5))
    def fetch(self, gap: int, count: int) -> None:
        self.next += gap
        for _ in range(count):
            self.ledger.fetch(self.next)
            self.open.add(self.next)
            self.ever.append(self.next)
            self.next += 1

    @precondition(lambda self: self.ever)
    @rule(data=st.data())
    def fetch_again(self, data: st.DataObject) -> None:
        self.ledger.fetch(data.draw(st.sampled_from(self.ever)))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(self.open)))
        self.ledger.acked.add(offset)
        if offset not in self.withheld:
            self.open.discard(offset)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def withhold(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(self.open)))
        self.ledger.withheld.add(offset)
        self.withheld.add(offset)

    @rule()
    def commit(self) -> None:
        offset = self.ledger.settle()
        if offset is not None:
            assert offset > self.committed, "committed offsets only grow"
            self.committed = offset
        done = [o for o in self.ever if all(p > o for p in self.open)]
        assert self.committed == max((o + 1 for o in done), default=0), "as far as can be, too"

    @invariant()
    def nothing_open_is_behind(self) -> None:
        assert all(offset >= self.committed for offset in self.open)

    @invariant()
    def the_books_stay_small(self) -> None:
        assert len(self.ledger.heap) == len(self.ledger.fetched)


TestBooks = Books.TestCase


@given(st.permutations(range(12)))
def test_any_order_of_acknowledgement_ends_at_the_same_offset(order: list[int]) -> None:
    ledger = _Ledger()
    for offset in range(12):
        ledger.fetch(offset)
    last = 0
    for offset in order:
        ledger.acked.add(offset)
        last = ledger.settle() or last
    assert last == 12


def test_a_message_fetched_before_a_rewind_is_settled_after_it() -> None:
    ledger = _Ledger()
    ledger.fetch(0)
    ledger.rewind()
    ledger.acked.add(0)
    assert ledger.settle() == 1


def test_what_was_settled_and_is_fetched_again_is_settled_again() -> None:
    ledger = _Ledger()
    for offset in (3, 4):
        ledger.fetch(offset)
        ledger.acked.add(offset)
    assert ledger.settle() == 5
    ledger.rewind()
    ledger.fetch(4)
    assert ledger.settle() is None
    ledger.acked.add(4)
    assert ledger.settle() == 5


def test_what_was_withheld_counts_only_when_it_is_acknowledged_again() -> None:
    ledger = _Ledger()
    ledger.fetch(0)
    ledger.withheld.add(0)
    ledger.acked.add(0)
    assert ledger.settle() is None
    ledger.rewind()
    ledger.fetch(0)
    assert ledger.settle() is None
    ledger.acked.add(0)
    assert ledger.settle() == 1


TP0 = TP("escrow.commands.v1", 0)


def test_nothing_is_taken_before_somebody_says_where_to_read() -> None:
    order = _Order()
    assert not order.takes(TP0, 7)
    order.seek(TP0, 7)
    assert order.takes(TP0, 7)
    order.forget(TP0)
    assert not order.takes(TP0, 8)


def test_a_hole_is_believed_when_it_stays() -> None:
    order = _Order()
    order.seek(TP0, 3)
    assert [order.takes(TP0, 10) for _ in range(4)] == [False, False, False, True]
    assert not order.takes(TP0, 12)
    assert order.expected(TP0) == 11
    assert order.takes(TP0, 11)
    assert order.takes(TP0, 12)


def test_what_is_read_once_more_hides_nothing() -> None:
    order = _Order()
    order.seek(TP0, 3)
    for offset in (3, 4, 5, 3, 4, 5, 6):
        assert order.takes(TP0, offset)
    assert order.expected(TP0) == 7


class Log:
    """A partition, a consumer that reads it, and batches that arrive later than they should."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, offsets: list[int]) -> None:
        self.offsets, self.position, self.seeks = offsets, 0, 0
        self.stale: list[list[int]] = []
        monkeypatch.setattr(driver.Consumer, "getmany", lambda _self, _timeout: self._fetch())
        consumer: Any = Consumer.__new__(Consumer)
        consumer.app = SimpleNamespace(topics=SimpleNamespace(acks_enabled_for=lambda _topic: True))
        consumer._ledgers = {TP0: _Ledger()}
        consumer._order = _Order()
        consumer._thread = SimpleNamespace(seek_wait=self._seek)
        self.consumer = consumer

    async def _seek(self, offsets: dict[TP, int]) -> None:
        self.position, self.seeks = offsets[TP0], self.seeks + 1

    async def _fetch(self) -> AsyncIterator[tuple[TP, Any]]:
        batch = [offset for offset in self.offsets if offset >= self.position][:4]
        if self.stale:
            batch = self.stale.pop(0)
        else:
            self.position = batch[-1] + 1 if batch else self.position
        for offset in batch:
            yield TP0, SimpleNamespace(topic=TP0.topic, offset=offset)

    async def read(self) -> list[int]:
        """Return what is taken, in order, until nothing more comes."""
        taken: list[int] = []
        silent = 0
        async with asyncio.timeout(60):
            while silent < 5:
                came = [m.offset async for _, m in self.consumer.getmany(1.0)]
                silent = 0 if came or self.stale else silent + 1
                taken += came
        return taken


async def test_a_batch_from_before_the_seek_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch, list(range(20)))
    log.consumer._order.seek(TP0, 3)
    log.position = 3
    log.stale = [[10, 11]]
    assert await log.read() == list(range(3, 20))
    assert log.seeks == 1


async def test_holes_of_the_log_cost_three_seeks_each(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch, [0, 1, 5, 6, 9])
    log.consumer._order.seek(TP0, 0)
    assert await log.read() == [0, 1, 5, 6, 9]
    assert log.seeks == 6


@given(
    st.lists(st.integers(0, 40), min_size=1, unique=True).map(sorted),
    st.lists(
        st.lists(st.integers(0, 40), min_size=1, max_size=4, unique=True).map(sorted), max_size=3
    ),
)
async def test_nothing_is_missed_whatever_comes_late(
    offsets: list[int], stale: list[list[int]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        log = Log(patch, offsets)
        log.consumer._order.seek(TP0, 0)
        # Late batches hold what the log holds.
        log.stale = [kept for batch in stale if (kept := [o for o in batch if o in offsets])]
        first: dict[int, int] = {}
        for at, offset in enumerate(await log.read()):
            first.setdefault(offset, at)
        assert sorted(first) == offsets


class Fetch:
    """A consumer's thread with one fetch under way, and what it seeks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[Any] = []
        self.sought: dict[TP, int] = {}
        self.meanwhile: Any = lambda: None
        self.found = {CHANGELOG0: [SimpleNamespace(offset=4), SimpleNamespace(offset=5)]}
        monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_fetch_records", self._fetch)
        self.consumer = SimpleNamespace(revocations=0, flow_active=True)
        self.thread: Any = ConsumerThread.__new__(ConsumerThread)
        setattr(self.thread, "consumer", self.consumer)  # noqa: B010 - no Consumer, for mypy
        self.client = SimpleNamespace(
            assignment=lambda: {CHANGELOG0}, seek=lambda tp, at: self.sought.update({tp: at})
        )

    async def _fetch(self, _client: Any, active: Any, **_limits: Any) -> dict[TP, list[Any]]:
        self.asked.append(active)
        self.meanwhile()
        return self.found

    async def __call__(self, active: set[TP] | None) -> dict[TP, list[Any]]:
        found: dict[TP, list[Any]] = await self.thread._fetch_records(self.client, active)
        return found


CHANGELOG0 = TP("bloxtr8-escrows-changelog", 0)


async def test_what_is_fetched_in_peace_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    fetch = Fetch(monkeypatch)
    assert await fetch({CHANGELOG0}) == fetch.found
    assert not fetch.sought


async def test_a_fetch_that_meets_a_rebalance_puts_back(monkeypatch: pytest.MonkeyPatch) -> None:
    fetch = Fetch(monkeypatch)
    fetch.meanwhile = lambda: setattr(fetch.consumer, "revocations", 1)
    assert await fetch({CHANGELOG0}) == {}
    assert fetch.sought == {CHANGELOG0: 4}


async def test_a_fetch_while_the_flow_is_stopped_puts_back(monkeypatch: pytest.MonkeyPatch) -> None:
    fetch = Fetch(monkeypatch)
    fetch.meanwhile = lambda: setattr(fetch.consumer, "flow_active", False)
    assert await fetch({CHANGELOG0}) == {}
    assert fetch.sought == {CHANGELOG0: 4}


async def test_what_was_taken_away_is_not_sought(monkeypatch: pytest.MonkeyPatch) -> None:
    fetch = Fetch(monkeypatch)
    fetch.client.assignment = set
    fetch.meanwhile = lambda: setattr(fetch.consumer, "revocations", 1)
    assert await fetch({CHANGELOG0}) == {}
    assert not fetch.sought


async def test_no_partition_is_not_every_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    fetch = Fetch(monkeypatch)
    assert await fetch(set()) == {}
    assert not fetch.asked
    active = {CHANGELOG0}
    fetch.meanwhile = active.clear
    await fetch(active)
    assert fetch.asked == [{CHANGELOG0}]


async def test_a_batch_that_crosses_a_rebalance_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer: Any = Consumer.__new__(Consumer)
    consumer.revocations = 0

    async def fetched(_self: Any, _active: Any, _timeout: float) -> dict[TP, list[Any]]:
        consumer.revocations += crossed
        return {CHANGELOG0: []}

    monkeypatch.setattr(driver.Consumer, "_getmany", fetched)
    crossed = 0
    assert CHANGELOG0 in await consumer._getmany(set(), 1.0)
    crossed = 1
    assert await consumer._getmany(set(), 1.0) == {}
