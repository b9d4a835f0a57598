"""Many trades at once through one payments agent: real rules, real database, stand-ins over HTTP.

Time is virtual: back-off, leases and inquiries pass as fast as the work allows.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any, Protocol

from bloxtr8.clock import ManualClock
from bloxtr8.escrow import Verdict
from bloxtr8.payments.executor import Executor
from bloxtr8.payments.pg_store import PostgresStore
from bloxtr8.payments.service import PaymentService
from bloxtr8.store import database
from bloxtr8.store.mirror import Mirror
from proto.bloxtr8.payments.v1 import payments_pb2 as payments
from tests.integration.faults.chance import Chance
from tests.integration.faults.post import Post, Way
from tests.integration.faults.trade import Trade

DISTURBED_ROUNDS = 20
# Where faults keep trades from getting as far as the calls that they are to meet.
_DISTURBED_ROUNDS_MAX = 100
_CALM_ROUNDS_MAX = 500
# So many in which nobody did or heard anything: whoever has no task by then never gets one.
_STILL_ROUNDS_MAX = 30
# In so many everything that waits is tried again.
_STILL_ROUNDS = 6
_SETTLING_MAX = 50
_AT_ONCE = 8
_BATCH = 500


class Bank(Protocol):
    """The provider's side of trades, and the world around it."""

    async def act(self, trade: Trade) -> None:
        """Do what the trade's people do at the provider now."""
        ...

    async def go_on(self) -> None:
        """Let the provider's own time go on."""
        ...


@dataclass
class Parts:
    """What a crowd goes through. `plan` are the faults of all stand-ins."""

    clock: ManualClock
    store: PostgresStore
    executor: Executor
    service: PaymentService
    post: Post
    bank: Bank
    plan: Chance
    way: Way = Way.PROMPT
    # What is done about calls that never came.
    reconcile: Callable[[], Awaitable[Any]] | None = None


class Crowd:
    """`run` brings every trade to its end, through the faults and out of them."""

    def __init__(self, parts: Parts, trades: Sequence[Trade], random: Random) -> None:
        self.parts = parts
        self.trades = {trade.escrow_id: trade for trade in trades}
        self.words: Counter[str] = Counter()
        self._random = random
        self._mirror = Mirror(parts.clock)
        self._orders: list[payments.PaymentCommand] = []
        self._unmirrored: list[Any] = []
        self._read_to = 0
        self._decided = 0

    async def run(self, to_spoil: Collection[str] = ()) -> None:
        """`to_spoil`: calls, as Chance names them, each of which has to have met a fault."""
        for trade in self.trades.values():
            self._decide(trade, trade.creation(self.parts.clock))
        spoiled = self.parts.plan.hits.keys()
        for number in range(_DISTURBED_ROUNDS_MAX):
            if number >= DISTURBED_ROUNDS and spoiled >= set(to_spoil):
                break
            await self._round(timedelta(seconds=self._random.choice((1, 5, 31, 120, 301))))
        else:
            raise AssertionError(f"never spoiled: {set(to_spoil) - spoiled}")
        self.parts.plan.calm()
        await self._calm()

    async def _calm(self) -> None:
        """No more faults. What was late arrives when all else is over, what was lost does not.

        It goes on for as long as something happens.
        """
        still = 0
        for number in range(_CALM_ROUNDS_MAX):
            before = self._decided
            await self._round(timedelta(minutes=6 if number % 3 else 61))
            still = still + 1 if self._decided == before else 0
            if number == 12:
                self.parts.post.over()
            if number > 12 and self.parts.reconcile is not None and number % 6 == 0:
                await self.parts.reconcile()
            if number > 16 and self.parts.post.is_empty and await self._is_over(still):
                return
        raise AssertionError("it never comes to an end")

    async def _is_over(self, still: int) -> bool:
        waiting = self._open()
        if not waiting or still >= _STILL_ROUNDS_MAX:
            return True
        if still < _STILL_ROUNDS:
            return False
        tasks = await waiting_for_staff()
        return all(trade.escrow.HasField("hold") or trade.escrow_id in tasks for trade in waiting)

    def _open(self) -> list[Trade]:
        return [trade for trade in self.trades.values() if not trade.rests]

    async def _round(self, pause: timedelta) -> None:
        clock, post = self.parts.clock, self.parts.post
        for trade in self.trades.values():
            if self._random.random() < 0.7:
                await self.parts.bank.act(trade)
        for trade in self._open():
            command = trade.next_command(clock) if self._random.random() < 0.7 else None
            if command is not None:
                self._decide(trade, command)
        await self.parts.bank.go_on()
        post.next_round()
        for _ in range(_SETTLING_MAX):
            await self._give_orders()
            delivered = await post.deliver()
            await self.parts.executor.run_until_idle()
            if not await self._hear() and not delivered and not self._orders:
                break
        else:
            raise AssertionError("it never comes to rest")
        await self._mirror_all()
        clock.advance(pause)

    def _decide(self, trade: Trade, cause: Any) -> None:
        decision = trade.decide(cause, self.parts.clock)
        assert decision.verdict is not Verdict.REFUSED, f"{decision.message} {cause}"
        self._decided += 1
        self._unmirrored += decision.events
        self._orders += decision.orders
        if self.parts.way is Way.DUPLICATES:
            self._orders += [order for order in decision.orders if self._random.random() < 0.5]

    async def _give_orders(self) -> None:
        """Hand on what the rules order: of one trade in order, of several at once."""
        waiting: dict[str, list[payments.PaymentCommand]] = {}
        for order in self._orders:
            waiting.setdefault(order.escrow_id, []).append(order)
        self._orders = []
        chains = list(waiting.values())
        for start in range(0, len(chains), _AT_ONCE):
            await asyncio.gather(*(self._in_order(e) for e in chains[start : start + _AT_ONCE]))

    async def _in_order(self, orders: list[payments.PaymentCommand]) -> None:
        for order in orders:
            await self.parts.service.handle(order)

    async def _hear(self) -> int:
        """Let the rules take in what the payments agent has said; return how much it was."""
        rows = await database.fetch(
            "SELECT id, payload FROM outbox WHERE topic = 'payments.events.v1' AND id > $1 "
            "ORDER BY id",
            self._read_to,
        )
        for row in rows:
            self._read_to = row["id"]
            event = payments.PaymentEvent.FromString(row["payload"])
            self.words[str(event.WhichOneof("body"))] += 1
            self._decide(self.trades[event.escrow_id], event)
            self._unmirrored.append(event)
        return len(rows)

    async def _mirror_all(self) -> None:
        while self._unmirrored:
            batch, self._unmirrored = self._unmirrored[:_BATCH], self._unmirrored[_BATCH:]
            fates = await self._mirror.apply(batch)
            assert not [fate for fate in fates if fate is not None], fates


async def waiting_for_staff() -> frozenset[str]:
    """Return the escrows that somebody has to look at, by themselves or by an operation."""
    rows = await database.fetch(
        "SELECT t.subject_id AS subject, o.escrow_id::text AS escrow_id FROM staff_tasks t "
        "LEFT JOIN payment_operations o ON o.operation_id::text = t.subject_id::text"
    )
    return frozenset(str(row["escrow_id"] or row["subject"]) for row in rows)
