"""Every order of a rail's six main calls: the same end each time, or a task for a person.

The real webhooks' facts, payments service, executor and rules, on books in memory and a provider
that is already as far as it can be when the first call comes. The same calls in random orders
over HTTP and PostgreSQL: tests/integration/faults, mode any_order.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import permutations
from random import Random
from typing import Any

import pytest
import structlog

from bloxtr8 import ids
from bloxtr8.clock import ManualClock
from bloxtr8.escrow import Verdict
from bloxtr8.messaging import metadata
from bloxtr8.payments.executor import Executor
from bloxtr8.payments.memory_store import MemoryStore
from bloxtr8.payments.operations import Kind
from bloxtr8.payments.service import PaymentService
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.payments.v1 import payments_pb2 as payments
from tests.integration.faults.trade import Trade, Wish
from tests.sim.faults import Faults
from tests.sim.provider import Call, Intent, Provider
from tests.sim.run import quiet

START = datetime(2030, 1, 1, tzinfo=UTC)
_PRICE = {"STRIPE": 100_000, "USDC_BASE": 20_000_000_000}
_ADDRESS = "0x" + "ab" * 20
STRIPE_CALLS = (
    "payment_intent.processing",
    "payment_intent.succeeded",
    "charge.dispute.created",
    "charge.dispute.closed",
    "transfer.created",
    "refund.updated",
)
# Two deposits make up what is due; a split moves money to both sides.
USDC_CALLS = (
    "deposit.detected 1",
    "deposit.confirmed 1",
    "deposit.detected 2",
    "deposit.confirmed 2",
    "transfer.completed PAYOUT",
    "transfer.completed REFUND",
)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = structlog.get_config()
    quiet()
    yield
    structlog.configure(**before)


class StripeProvider(Provider):
    """Refunds take their time, so that their end is a call of its own."""

    def begin(self, intent: Intent) -> None:
        """The buyer pays; the bank opens a dispute and closes it again, won."""
        self._call("payment_intent.processing", intent)
        self.pay(intent, intent.operation.amount_minor)
        self.open_dispute(intent)
        self.close_dispute(self.disputes[0], "won")


class UsdcProvider(Provider):
    """A custodian and the chain behind it."""

    provider = "BASE"

    def begin(self, intent: Intent) -> None:
        """Both deposits are there and final."""
        intent.ref = _ADDRESS
        self.pay(intent, intent.operation.amount_minor)
        self.calls.clear()
        for number in (1, 2):
            for kind in ("deposit.detected", "deposit.confirmed"):
                self._tell(f"{kind} {number}", kind, {"address": _ADDRESS})

    def _create(self, operation: Any) -> Any:
        intent = self.intents.setdefault(operation.operation_id, Intent(_ADDRESS, operation))
        return self._instrument(intent)

    def _movement_call(self, movement: Any) -> None:
        kind = movement.operation.kind.value
        about = {"reference": movement.operation.operation_id}
        self._tell(f"transfer.completed {kind}", "transfer.completed", about)

    def _tell(self, name: str, kind: str, about: dict[str, str]) -> None:
        body = {"id": f"evt {name}", "type": kind, "data": about}
        self.calls.append(Call(f"evt {name}", "", "", name, json.dumps(body).encode()))


@dataclass
class Play:
    """One trade that is split, and the calls about it in one order."""

    rail: str
    provider: StripeProvider | UsdcProvider

    def __post_init__(self) -> None:
        self.clock = ManualClock(START)
        self.store = MemoryStore()
        rails: Any = {self.rail: self.provider}
        self.executor = Executor(self.store, rails, self.clock, owner="one")
        self.service = PaymentService(self.store, self.clock, self.executor.wake)
        usdc = self.rail == "USDC_BASE"
        self.trade = Trade(
            Wish.SPLIT,
            common.RAIL_USDC_BASE if usdc else common.RAIL_STRIPE,
            common.Money(
                minor=_PRICE[self.rail],
                currency=common.CURRENCY_USDC if usdc else common.CURRENCY_USD,
            ),
            "acct_seller",
            Random(1),
        )
        self._heard = 0

    async def run(self, order: tuple[str, ...]) -> None:
        await self._decide(self.trade.creation(self.clock))
        (intent,) = self.provider.intents.values()
        self.provider.begin(intent)
        left = list(order)
        while left:
            calls = {call.type: call for call in self.provider.calls}
            name = next((name for name in left if name in calls), None)
            assert name is not None, f"{left} never come about; {self.trade.state}"
            left.remove(name)
            await self._hear(calls[name])
        before = self.digest()
        for name in reversed(order):
            await self._hear(calls[name])
        assert self.digest() == before, "a repetition has changed something"
        for _ in range(6):
            self.clock.advance(timedelta(hours=1))
            await self._carry()

    def digest(self) -> tuple[object, ...]:
        escrow = self.trade.escrow
        return (
            self.trade.state,
            escrow.received_minor,
            escrow.held_minor,
            escrow.released_minor,
            escrow.refunded_minor,
            escrow.fees_minor,
            escrow.hold.kind,
            tuple(sorted(entry.status for entry in escrow.chargebacks)),
        )

    @property
    def waits_for_a_person(self) -> bool:
        return bool(self.store.tasks) or self.trade.escrow.HasField("hold")

    async def _hear(self, call: Call) -> None:
        provider = common.PROVIDER_STRIPE if self.rail == "STRIPE" else common.PROVIDER_CUSTODIAN
        now = self.clock.now()
        command = payments.PaymentCommand(
            metadata=metadata.new(
                common.PRODUCER_WEBHOOKS, now, message_id=str(ids.derived("call", call.event_id))
            ),
            escrow_id=self.trade.escrow_id,
            record_provider_event=payments.RecordProviderEvent(
                provider=provider,
                provider_event_id=call.event_id,
                body=call.body,
                received_at=metadata.timestamp(now),
            ),
        )
        await self.service.handle(command)
        await self._carry()

    async def _carry(self) -> None:
        """Let everybody do what there is to do, until nobody has anything to do."""
        while True:
            await self.executor.run_until_idle()
            fresh = list(self.store.outbox.values())[self._heard :]
            self._heard += len(fresh)
            for event in fresh:
                await self._decide(event)
            self.trade.random.seed(1)
            command = self.trade.next_command(self.clock)
            if command is not None:
                await self._decide(command)
            elif not fresh:
                for movement in list(self.provider.movements.values()):
                    self.provider.finish(movement)
                return

    async def _decide(self, cause: Any) -> None:
        decision = self.trade.decide(cause, self.clock)
        assert decision.verdict is not Verdict.REFUSED, decision.message
        for order in decision.orders:
            await self.service.handle(order)
        await self.executor.run_until_idle()


def _play(rail: str) -> Play:
    faults = Faults(Random(0))
    faults.calm()
    if rail == "STRIPE":
        faults.pending = 1.0
        return Play(rail, StripeProvider(faults))
    return Play(rail, UsdcProvider(faults))


@pytest.mark.parametrize(("rail", "calls"), [("STRIPE", STRIPE_CALLS), ("USDC_BASE", USDC_CALLS)])
async def test_all_orders_end_alike(rail: str, calls: tuple[str, ...]) -> None:
    ends: Counter[tuple[object, ...]] = Counter()
    for_a_person = 0
    for order in permutations(calls):
        play = _play(rail)
        try:
            await play.run(order)
        except AssertionError as error:
            raise AssertionError(f"{order}: {error}") from error
        moved = Counter(
            movement.operation.kind
            for movement in play.provider.movements.values()
            if movement.done
        )
        assert moved == {Kind.PAYOUT: 1, Kind.REFUND: 1}, order
        if play.waits_for_a_person:
            for_a_person += 1
        else:
            ends[play.digest()] += 1
    print(f"{rail}: {dict(ends)}, {for_a_person} for a person")
    assert ends.total() + for_a_person == 720
    assert len(ends) == 1, ends
