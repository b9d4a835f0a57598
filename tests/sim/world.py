"""One run: everything that can happen, drawn step by step from a seed, then brought to its end."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import agents.escrow
from bloxtr8.clock import ManualClock
from bloxtr8.messaging.topics import DLQ_SUFFIX, ESCROW_COMMANDS
from bloxtr8.payments.rails import InstrumentStatus
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.common.v1.common_pb2 import DeadLetter
from proto.bloxtr8.escrow.v1.commands_pb2 import EscrowCommand
from tests.sim.broker import PARTITIONS, Broker, Entry
from tests.sim.escrow_worker import SkewedClock, Worker
from tests.sim.faults import Crash, Faults
from tests.sim.mirror import Mirror
from tests.sim.payments_worker import PaymentsWorker
from tests.sim.people import People, Trade
from tests.sim.provider import Provider

WORKERS = 2
TRADES_MAX = 3
STEPS = 220
_START = datetime(2030, 1, 1, tzinfo=UTC)
_SKEW_SECONDS = 2.0
_RECOVERIES_MAX = 50
_ROUNDS_MAX = 300
# How the time after the last fault passes: leases, inquiries, back-offs, deadlines, archiving.
_AFTERWARDS = (
    *(timedelta(seconds=45),) * 3,
    *(timedelta(minutes=61),) * 4,
    *(timedelta(days=3, minutes=1),) * 27,
)

Action = Callable[[], Awaitable[None] | None]


class World:
    """All processes and people of one run. `run` ends with nothing left to do."""

    def __init__(self, seed: int, tell: Callable[[str], None] | None = None) -> None:
        self.random = Random(seed)
        self.clock = ManualClock(_START)
        self.faults = Faults(self.random)
        self.broker = Broker(self.faults)
        self.provider = Provider(self.faults)
        self.payments = PaymentsWorker(self.broker, self.provider, self.clock, self.faults)
        self.mirror = Mirror(self.broker)
        self.people = People(self.random, self.clock)
        self.trades: list[Trade] = []
        self.unsent: list[EscrowCommand] = []
        self.happened: dict[str, int] = {}
        self._tell = tell
        self._names = 0
        self.workers = [self._worker() for _ in range(WORKERS)]

    async def run(self, steps: int = STEPS) -> None:
        # The comparison with the mirror reads PostgreSQL; here it reads the mirror in memory.
        agent: Any = agents.escrow
        compare, agent.escrows_behind = agent.escrows_behind, self._escrows_behind
        try:
            await self.rebalance()
            for _ in range(steps):
                await self._step()
            await self._end()
        finally:
            agent.escrows_behind = compare
            for worker in self.workers:
                worker.drop()

    def owner(self, partition: int) -> Worker:
        return next(worker for worker in self.workers if partition in worker.partitions)

    # --- what can happen ------------------------------------------------------------------

    async def _step(self) -> None:
        choices = [choice for choice in self._choices() if choice[0] > 0]
        weights = [weight for weight, _, _ in choices]
        _, name, action = self.random.choices(choices, weights)[0]
        self.happened[name] = self.happened.get(name, 0) + 1
        if self._tell is not None:
            self._tell(f"{self.clock.now():%d %H:%M:%S} {name}")
        result = action()
        if result is not None:
            await result

    def _choices(self) -> list[tuple[float, str, Action]]:
        live = [worker for worker in self.workers if not worker.is_paused]
        busy = [worker for worker in live if worker.ready]
        paused = [worker for worker in self.workers if worker.is_paused]
        return [
            (30 * bool(busy), "handle", lambda: self._handle(self.random.choice(busy))),
            (6 * bool(live), "commit", lambda: self._commit(self.random.choice(live))),
            (4 * bool(live), "deadlines", lambda: self._deadlines(self.random.choice(live))),
            (1.0 if paused else 0.3, "rebalance", self.rebalance),
            (0.7 * bool(paused), "wake", lambda: self._wake(self.random.choice(paused))),
            (15 * bool(self.payments.ready), "payments", self._payments),
            (12, "execute", lambda: self._paying(self.payments.execute)),
            (12 * self.payments.has_to_relay, "relay", self._relay),
            (1, "commit payments", self._commit_payments),
            (9 * bool(self.provider.calls), "webhook", self._webhook),
            (14 * bool(self.mirror.ready), "mirror", self._mirror),
            (1, "mirror restarts", self._restart_mirror),
            (8 * (len(self.trades) < TRADES_MAX), "create", self._create),
            (9 * bool(self.trades), "act", self._act),
            (5 * bool(self.unsent), "send again", self._send_again),
            (6 * bool(self._payable()), "pay", self._pay),
            (1 * bool(self._payable()), "decline", self._decline),
            (0.5 * bool(self._paid()), "dispute", self._dispute),
            (1 * bool(self._disputed()), "dispute ends", self._dispute_ends),
            (2, "movement ends", self._movement_ends),
            (5, "time", lambda: self._time(timedelta(seconds=self.random.randint(1, 3_600)))),
            (0.6, "days", lambda: self._time(timedelta(hours=self.random.randint(12, 80)))),
        ]

    async def _handle(self, worker: Worker) -> None:
        try:
            await worker.handle(self.random.choice(worker.ready))
        except Crash:
            await self._replace(worker)

    def _commit(self, worker: Worker) -> None:
        for reader in worker.readers.values():
            reader.commit(worker.generation)

    async def _deadlines(self, worker: Worker) -> None:
        try:
            await worker.deadlines.tick()
        except Crash:
            await self._replace(worker)

    async def rebalance(self) -> None:
        """Give every partition to a worker that is not paused; whoever crashes is replaced."""
        for _ in range(_RECOVERIES_MAX):
            live = [worker for worker in self.workers if not worker.is_paused]
            if not live:
                self.workers.append(self._worker())
                continue
            self.broker.generation += 1
            for worker in self.workers:
                if worker.is_paused:
                    worker.partitions = set()
            shares = {worker.name: set[int]() for worker in live}
            for partition in range(PARTITIONS):
                shares[self.random.choice(live).name].add(partition)
            if await self._assign(live, shares):
                return
        raise AssertionError("the group does not settle")

    async def _assign(self, live: list[Worker], shares: dict[str, set[int]]) -> bool:
        for worker in live:
            try:
                await worker.assign(shares[worker.name])
            except Crash:
                self.workers[self.workers.index(worker)] = self._worker()
                return False
        return True

    async def _replace(self, worker: Worker) -> None:
        worker.drop()
        self.workers[self.workers.index(worker)] = self._worker()
        await self.rebalance()

    async def _wake(self, worker: Worker) -> None:
        await worker.wake_up()
        await self._replace(worker)

    async def _paying(self, work: Callable[[], Awaitable[Any]]) -> None:
        try:
            await work()
        except Crash:
            self.payments.restart()

    async def _payments(self) -> None:
        reader = self.random.choice(self.payments.ready)
        await self._paying(lambda: self.payments.handle(reader))

    def _relay(self) -> None:
        try:
            self.payments.relay()
        except Crash:
            self.payments.restart()

    def _commit_payments(self) -> None:
        for reader in self.payments.readers:
            reader.commit(self.broker.generation)

    def _webhook(self) -> None:
        """Any of them, so that they overtake each other; one that failed comes again."""
        call = self.random.choice(self.provider.calls)
        try:
            self.payments.pass_on(call, self.clock.now())
        except Crash:
            return
        self.provider.calls.remove(call)

    def _mirror(self) -> None:
        self.mirror.consume(self.random.choice(self.mirror.ready))

    def _restart_mirror(self) -> None:
        if self.random.random() < 0.5:
            self.mirror.commit()
        else:
            self.mirror.restart()

    def _create(self) -> None:
        trade = self.people.trade()
        self.trades.append(trade)
        self._send(self.people.create(trade))

    def _act(self) -> None:
        trade = self.random.choice(self.trades)
        folding = self.mirror.foldings.get(trade.escrow_id)
        self._send(self.people.act(trade, None if folding is None else folding.escrow))

    def _send(self, command: EscrowCommand) -> None:
        try:
            self.broker.publish(ESCROW_COMMANDS.name, command.escrow_id.encode(), command)
        except Crash:
            # Whoever sent it does not know; it stands in the database and is sent again.
            self.unsent.append(command)

    def _send_again(self) -> None:
        self._send(self.unsent.pop(0))

    def _payable(self) -> list[Any]:
        return [i for i in self.provider.intents.values() if i.status is InstrumentStatus.OPEN]

    def _paid(self) -> list[Any]:
        disputed = {dispute.intent.ref for dispute in self.provider.disputes}
        return [
            intent
            for intent in self.provider.intents.values()
            if intent.status is InstrumentStatus.PAID and intent.ref not in disputed
        ]

    def _disputed(self) -> list[Any]:
        return [d for d in self.provider.disputes if d.status == "needs_response"]

    def _pay(self) -> None:
        intent = self.random.choice(self._payable())
        wrong = self.random.random() < 0.05
        self.provider.pay(intent, intent.operation.amount_minor + (-1 if wrong else 0))

    def _decline(self) -> None:
        self.provider.decline(self.random.choice(self._payable()))

    def _dispute(self) -> None:
        self.provider.open_dispute(self.random.choice(self._paid()))

    def _dispute_ends(self) -> None:
        dispute = self.random.choice(self._disputed())
        self.provider.close_dispute(dispute, self.random.choice(("won", "lost")))

    def _movement_ends(self) -> None:
        for movement in list(self.provider.movements.values()):
            self.provider.finish(movement)

    def _time(self, by: timedelta) -> None:
        self.clock.advance(by)

    # --- the end --------------------------------------------------------------------------

    async def _end(self) -> None:
        """No more faults: everything that is under way arrives, and time goes on."""
        self.faults.calm()
        for worker in [worker for worker in self.workers if worker.is_paused]:
            await self._wake(worker)
        for dispute in self._disputed():
            self.provider.close_dispute(dispute, self.random.choice(("won", "lost")))
        await self.rebalance()
        await self._drain()
        self._replay_dead_letters()
        await self._drain()
        for by in _AFTERWARDS:
            self._time(by)
            self._movement_ends()
            await self._drain()

    def _replay_dead_letters(self) -> None:
        """An operator looks at what was dead-lettered; the order of two topics may be to blame."""
        for (topic, _), log in list(self.broker.logs.items()):
            if not topic.endswith(DLQ_SUFFIX):
                continue
            for letter in [DeadLetter.FromString(entry.value or b"") for entry in log]:
                self.broker.append(
                    letter.topic, Entry(letter.key, letter.value, common.PRODUCER_PAYMENTS)
                )
            log.clear()

    async def _drain(self) -> None:
        for _ in range(_ROUNDS_MAX):
            if not await self._round():
                return
        raise AssertionError("it never comes to rest")

    async def _round(self) -> bool:
        """Let everything that is under way arrive; return whether that led to more."""
        moving = False
        while self.unsent:
            self._send_again()
        for worker in self.workers:
            await worker.deadlines.tick()
            while worker.ready:
                await worker.handle(worker.ready[0])
                moving = True
            self._commit(worker)
        while self.provider.calls:
            self._webhook()
        while self.payments.ready:
            await self.payments.handle(self.payments.ready[0])
        while await self.payments.execute():
            moving = True
        while self.payments.has_to_relay:
            self._relay()
            moving = True
        while self._mirror_all():
            moving = True
        return moving

    def _mirror_all(self) -> bool:
        return sum(self.mirror.consume(reader) for reader in self.mirror.ready) > 0

    # --- parts ----------------------------------------------------------------------------

    def _worker(self) -> Worker:
        self._names += 1
        error = timedelta(seconds=self.random.uniform(-_SKEW_SECONDS, _SKEW_SECONDS))
        clock = SkewedClock(self.clock, error)
        return Worker(f"worker-{self._names}", self.broker, clock, self.faults)

    async def _escrows_behind(self, sequences: Any, mine: Callable[[str], bool]) -> list[str]:
        return [
            escrow_id
            for escrow_id, folding in self.mirror.foldings.items()
            if folding.version > sequences.get(escrow_id, 0)
            and mine(escrow_id)
            and not (folding.escrow is not None and folding.escrow.HasField("ended_at"))
        ]
