"""A payments agent without Kafka: real PostgreSQL, the real adapter, the stand-in over HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr

from bloxtr8 import ids
from bloxtr8.clock import ManualClock
from bloxtr8.config import PostgresSettings, Settings, StripeSettings
from bloxtr8.messaging import metadata
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.payments.executor import Executor
from bloxtr8.payments.operations import Operation
from bloxtr8.payments.pg_store import PostgresStore
from bloxtr8.payments.service import PaymentService
from bloxtr8.payments.stripe_calls import CallLimits
from bloxtr8.payments.stripe_rail import StripeRail
from bloxtr8.sandbox.faults import Fault
from bloxtr8.sandbox.stripe.control import add_account
from bloxtr8.sandbox.stripe.server import StripeStandIn
from bloxtr8.store import database
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.payments.v1 import payments_pb2 as payments

NOW = datetime(2026, 3, 1, tzinfo=UTC)
QUICK = CallLimits(connect_s=10, total_s=10, tries=2, pause_first_s=0.01, pause_max_s=0.02)
SELLER = "acct_seller1"
TOTAL, PAYOUT, FEES = 10_329, 9_950, 379
KEYRING = Keyring.generate()
# What a provider can do to a request; each comes right after a few.
FAULTS = (
    Fault.TIMEOUT_BEFORE,
    Fault.TIMEOUT_AFTER,
    Fault.DISCONNECT_BEFORE,
    Fault.DISCONNECT_AFTER,
    Fault.ERROR_BEFORE,
    Fault.ERROR_AFTER,
    Fault.GARBAGE,
    Fault.RATE_LIMIT,
)


@dataclass
class Bench:
    """One payments agent's parts and one escrow to play with."""

    clock: ManualClock
    stripe: StripeStandIn
    rail: StripeRail
    store: PostgresStore
    executor: Executor
    service: PaymentService
    escrow_id: str = field(default_factory=lambda: ids.escrow_id_for(str(ids.uuid7())))
    contract_id: str = field(default_factory=lambda: str(ids.uuid7()))
    calls: list[dict[str, Any]] = field(default_factory=list)

    def next_escrow(self) -> None:
        """Play on with another escrow."""
        self.escrow_id = ids.escrow_id_for(str(ids.uuid7()))
        self.calls.clear()

    def operation_id(self, kind: str, generation: int = 1) -> str:
        return ids.operation_id_for(self.escrow_id, kind, generation)

    def command(self, fencing_token: int = 1, **body: Any) -> payments.PaymentCommand:
        return payments.PaymentCommand(
            metadata=metadata.new(common.PRODUCER_ESCROW, self.clock.now()),
            escrow_id=self.escrow_id,
            fencing_token=fencing_token,
            rail=common.RAIL_STRIPE,
            **body,
        )

    def intent_order(self) -> payments.PaymentCommand:
        return self.command(
            create_payment_intent=payments.CreatePaymentIntent(
                operation_id=self.operation_id("INTENT"),
                generation=1,
                amount=common.Money(minor=TOTAL, currency=common.CURRENCY_USD),
                contract_id=self.contract_id,
                buyer_id=str(ids.uuid7()),
            )
        )

    def cancel_order(self) -> payments.PaymentCommand:
        return self.command(
            cancel_payment=payments.CancelPayment(
                operation_id=self.operation_id("CANCEL"),
                generation=1,
                intent_operation_id=self.operation_id("INTENT"),
            )
        )

    def payout_order(
        self,
        amount_minor: int = PAYOUT,
        *,
        generation: int = 1,
        attempt: int = 1,
        fencing_token: int = 1,
        destination: str = SELLER,
    ) -> payments.PaymentCommand:
        return self.command(
            fencing_token,
            transfer_to_seller=payments.TransferToSeller(
                operation_id=self.operation_id("PAYOUT", generation),
                generation=generation,
                attempt=attempt,
                amount=common.Money(minor=amount_minor, currency=common.CURRENCY_USD),
                destination=destination,
                seller_id=str(ids.uuid7()),
                fees_minor=FEES,
            ),
        )

    def refund_order(
        self,
        amount_minor: int = TOTAL,
        *,
        generation: int = 1,
        attempt: int = 1,
        kind: "payments.OperationKind.ValueType" = payments.OPERATION_KIND_REFUND,
        payment_ref: str = "",
    ) -> payments.PaymentCommand:
        name = payments.OperationKind.Name(kind).removeprefix("OPERATION_KIND_")
        return self.command(
            initiate_refund=payments.InitiateRefund(
                operation_id=self.operation_id(name, generation),
                generation=generation,
                attempt=attempt,
                amount=common.Money(minor=amount_minor, currency=common.CURRENCY_USD),
                payment_ref=payment_ref or self.intent_ref,
                buyer_id=str(ids.uuid7()),
                kind=kind,
            )
        )

    @property
    def intent_ref(self) -> str:
        (intent,) = self.stripe.world.all("payment_intent", transfer_group=self.escrow_id)
        return str(intent["id"])

    async def order(self, command: payments.PaymentCommand) -> None:
        """Take an order in and carry out what is due."""
        await self.service.handle(command)
        await self.executor.run_until_idle()

    async def hear(self, *calls: dict[str, Any]) -> None:
        """Take in the stand-in's events that were not delivered yet (or those given)."""
        for call in calls or list(self.take_calls()):
            await self.service.handle(self.fact(call))
        await self.executor.run_until_idle()

    def take_calls(self) -> list[dict[str, Any]]:
        taken, self.calls[:] = list(self.calls), []
        return taken

    def fact(self, call: dict[str, Any]) -> payments.PaymentCommand:
        return payments.PaymentCommand(
            metadata=metadata.new(common.PRODUCER_WEBHOOKS, self.clock.now()),
            escrow_id=self.escrow_id,
            rail=common.RAIL_STRIPE,
            record_provider_event=payments.RecordProviderEvent(
                provider=common.PROVIDER_STRIPE,
                provider_event_id=call["id"],
                type=call["type"],
                body=json.dumps(call).encode(),
                received_at=metadata.timestamp(self.clock.now()),
            ),
        )

    async def fund(self) -> None:
        """Bring the escrow to where it holds the buyer's money."""
        await self.order(self.intent_order())
        self.stripe.world.pay(self.intent_ref)
        await self.hear()

    async def later(self, **delta: float) -> None:
        """Let time pass and carry out what has become due."""
        self.clock.advance(timedelta(**delta))
        await self.executor.run_until_idle()

    async def settled(self) -> None:
        """Let time pass until nothing is in doubt any more."""
        for _ in range(12):
            await self.later(minutes=5)

    async def said(self) -> list[payments.PaymentEvent]:
        """Return what the outbox has to say about the escrow, in order."""
        rows = await database.fetch(
            "SELECT payload FROM outbox WHERE topic = 'payments.events.v1' AND key = $1 "
            "ORDER BY id",
            self.escrow_id,
        )
        return [payments.PaymentEvent.FromString(row["payload"]) for row in rows]

    async def words(self) -> list[str]:
        """Return the kinds of the events in the outbox, in order."""
        return [str(event.WhichOneof("body")) for event in await self.said()]

    async def row(self, kind: str, generation: int = 1) -> Operation:
        found = await self.store.operation(self.operation_id(kind, generation))
        assert found is not None
        return found

    def new_executor(self, owner: str) -> Executor:
        return Executor(self.store, {"STRIPE": self.rail}, self.clock, owner=owner)

    def moved(self) -> tuple[int, int]:
        """Return what the provider really paid out and refunded, in minor units."""
        world = self.stripe.world
        transfers = world.all("transfer", transfer_group=self.escrow_id)
        charges = {c["id"] for c in world.all("charge", transfer_group=self.escrow_id)}
        refunds = [r for r in world.all("refund", status="succeeded") if r["charge"] in charges]
        paid = sum(entry["amount"] - entry["amount_reversed"] for entry in transfers)
        return paid, sum(entry["amount"] for entry in refunds)


async def funds(bench: Bench) -> dict[str, int]:
    """Return the escrow's row of `escrow_funds`."""
    row = await database.fetchrow(
        "SELECT * FROM escrow_funds WHERE escrow_id = $1", bench.escrow_id
    )
    assert row is not None
    return row


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until `condition()` holds; raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the thing waited for is in another part
            await asyncio.sleep(0.01)


@asynccontextmanager
async def open_bench(dsn: str) -> AsyncIterator[Bench]:
    clock = ManualClock(NOW)
    stripe = StripeStandIn(clock=clock)
    await stripe.start()
    add_account(stripe, SELLER)
    settings = Settings(postgres=PostgresSettings(dsn=SecretStr(dsn)))
    await database.open_database(settings)
    connection = StripeSettings(api_base=stripe.base_url, api_key=SecretStr(stripe.api_key))
    rail = StripeRail(connection, clock, QUICK)
    store = PostgresStore(KEYRING.signer(common.PRODUCER_PAYMENTS), clock)
    executor = Executor(store, {"STRIPE": rail}, clock, owner="worker-1")
    bench = Bench(clock, stripe, rail, store, executor, PaymentService(store, clock, executor.wake))
    stripe.world.on_event = bench.calls.append
    try:
        yield bench
    finally:
        await rail.close()
        await database.close_database()
        await stripe.stop()
