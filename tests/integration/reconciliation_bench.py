"""A trade and its books without Kafka: the real rules, payments, mirror, and the stand-in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

from bloxtr8 import ids
from bloxtr8.escrow import Context, decide
from bloxtr8.messaging import metadata
from bloxtr8.payments.reconciliation.model import Report
from bloxtr8.payments.reconciliation.run import Parts, Reconciler
from bloxtr8.payments.reconciliation.schedule import Scheduler
from bloxtr8.payments.reconciliation.stripe_books import StripeBooks
from bloxtr8.payments.stripe_calls import StripeCalls
from bloxtr8.store import database
from bloxtr8.store.mirror import Mirror
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import record_pb2 as records
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.payments.v1 import payments_pb2 as payments
from tests.integration.payments_bench import KEYRING, QUICK, SELLER, Bench, open_bench

SYSTEM = common.Actor(kind=common.ACTOR_KIND_SYSTEM)
PRICE_MINOR = 100_000


@dataclass
class Trade:
    """One escrow, carried from the payments agent's outbox to the rules, mirror and ledger."""

    bench: Bench
    mirror: Mirror
    contract_id: str = field(default_factory=lambda: str(uuid4()))
    buyer_id: str = field(default_factory=lambda: str(uuid4()))
    seller_id: str = field(default_factory=lambda: str(uuid4()))
    record: records.EscrowRecord | None = None
    heard: set[str] = field(default_factory=set)

    @property
    def escrow_id(self) -> str:
        return ids.escrow_id_for(self.contract_id)

    @property
    def state(self) -> str:
        assert self.record is not None
        return types.EscrowState.Name(self.record.escrow.state).removeprefix("ESCROW_STATE_")

    @property
    def intent_ref(self) -> str:
        (intent,) = self.bench.stripe.world.all("payment_intent", transfer_group=self.escrow_id)
        return str(intent["id"])

    async def create(self) -> "Trade":
        await self.tell(
            SYSTEM,
            create_escrow=commands.CreateEscrow(
                contract_id=self.contract_id,
                contract_sha256="ab" * 32,
                buyer=commands.Party(user_id=self.buyer_id, tier=1),
                seller=commands.Party(user_id=self.seller_id, tier=1),
                price=common.Money(minor=PRICE_MINOR, currency=common.CURRENCY_USD),
                rail=common.RAIL_STRIPE,
                delivery_days=7,
                fee_schedule="v1",
                payee=types.Payee(payout_method_id=str(uuid4()), destination=SELLER),
            ),
        )
        return self

    async def fund(self) -> "Trade":
        """Let the buyer pay and the webhook arrive."""
        self.bench.stripe.world.pay(self.intent_ref)
        await self.hear()
        return self

    async def release(self) -> "Trade":
        delivered = commands.MarkDelivered(method=types.DELIVERY_METHOD_GROUP_TRANSFER)
        await self.tell(self._user(self.seller_id), mark_delivered=delivered)
        await self.tell(self._user(self.buyer_id), release_funds=commands.ReleaseFunds())
        return self

    async def refund(self) -> "Trade":
        await self.tell(self._user(self.seller_id), refund_buyer=commands.RefundBuyer())
        return self

    async def hear(self) -> None:
        """Deliver the webhooks that wait, and everything that follows."""
        self.bench.escrow_id = self.escrow_id
        await self.bench.hear()
        await self.settle()

    def lose_calls(self) -> int:
        """Let the webhooks that wait never arrive."""
        return len(self.bench.take_calls())

    async def tell(self, actor: common.Actor, **body: Any) -> None:
        producer = common.PRODUCER_WEB
        if actor.kind == common.ACTOR_KIND_SYSTEM:
            producer = common.PRODUCER_CONTRACTS
        command = commands.EscrowCommand(
            metadata=metadata.new(producer, self.bench.clock.now()),
            escrow_id=self.escrow_id,
            actor=actor,
            **body,
        )
        await self._decide(command)
        await self.settle()

    async def settle(self) -> None:
        """Carry out what is due and hand every new payment event to the rules and the mirror."""
        while True:
            await self.bench.executor.run_until_idle()
            fresh = [event for event in await self.events() if self._is_new(event)]
            if not fresh:
                return
            for event in fresh:
                await self._decide(event)
                assert await self.mirror.apply([event]) == [None]

    async def events(self) -> list[payments.PaymentEvent]:
        rows = await database.fetch(
            "SELECT payload FROM outbox WHERE topic = 'payments.events.v1' AND key = $1"
            " ORDER BY id",
            self.escrow_id,
        )
        return [payments.PaymentEvent.FromString(row["payload"]) for row in rows]

    async def words(self) -> list[str]:
        return [str(event.WhichOneof("body")) for event in await self.events()]

    def _is_new(self, event: payments.PaymentEvent) -> bool:
        new = event.metadata.message_id not in self.heard
        self.heard.add(event.metadata.message_id)
        return new and not event.HasField("discrepancy_found")

    async def _decide(self, cause: Any) -> None:
        context = Context(self.bench.clock.now(), 1, records.Origin())
        decision = decide(self.record, cause, context)
        self.record = decision.record or self.record
        if decision.events:
            assert set(await self.mirror.apply(decision.events)) == {None}
        for order in decision.orders:
            await self.bench.service.handle(order)

    def _user(self, user_id: str) -> common.Actor:
        return common.Actor(kind=common.ACTOR_KIND_USER, user_id=user_id)


@dataclass
class Desk:
    """Reconciliation over a bench's books and stand-in."""

    bench: Bench
    reconciler: Reconciler
    scheduler: Scheduler

    async def trade(self) -> Trade:
        return await Trade(self.bench, Mirror(self.bench.clock)).create()

    async def hourly(self) -> Report:
        report = Report()
        await self.reconciler.hourly(self.bench.clock.now() - timedelta(days=20), report)
        return report

    async def daily(self) -> Report:
        report = Report()
        await self.reconciler.daily(None, report)
        return report

    async def escrow(self, trade: Trade) -> Report:
        report = Report()
        await self.reconciler.escrow(trade.escrow_id, report)
        return report

    async def open(self) -> list[tuple[str, str, str, str]]:
        """Return (kind, what, expected, actual) of the discrepancies that are open."""
        rows = await database.fetch(
            "SELECT kind, what, expected, actual FROM discrepancies WHERE resolved_at IS NULL"
            " ORDER BY kind, what"
        )
        return [(row["kind"], row["what"], row["expected"], row["actual"]) for row in rows]

    async def cases(self) -> int:
        """Return how many tasks about discrepancies wait for staff."""
        rows = await database.fetch(
            "SELECT FROM staff_tasks WHERE kind = 'RECONCILIATION' AND status = 'OPEN'"
            " AND subject_type = 'discrepancy'"
        )
        return len(rows)


@asynccontextmanager
async def open_desk(dsn: str) -> AsyncIterator[Desk]:
    async with open_bench(dsn) as bench:
        books, reconciler = reconciler_of(bench)
        try:
            yield Desk(bench, reconciler, Scheduler(reconciler, bench.clock))
        finally:
            await books.close()


def reconciler_of(bench: Bench) -> tuple[StripeBooks, Reconciler]:
    """Return another reconciler over the same books; the first of the pair has to be closed."""
    from pydantic import SecretStr

    from bloxtr8.config import StripeSettings

    settings = StripeSettings(
        api_base=bench.stripe.base_url, api_key=SecretStr(bench.stripe.api_key)
    )
    books = StripeBooks(StripeCalls(settings, bench.clock, QUICK))
    parts = Parts(
        store=bench.store,
        service=bench.service,
        rails={"STRIPE": bench.rail},
        providers=[books],
        clock=bench.clock,
        signer=KEYRING.signer(common.PRODUCER_PAYMENTS),
        look_again_after_s=0,
    )
    return books, Reconciler(parts)
