"""A payments agent for USDC without Kafka: PostgreSQL, chain, custodian, screening, all real."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bloxtr8 import ids
from bloxtr8.clock import ManualClock
from bloxtr8.config import (
    BaseChainSettings,
    CustodianSettings,
    KeysSettings,
    KmsSettings,
    PostgresSettings,
    ScreeningSettings,
    Settings,
)
from bloxtr8.messaging import metadata
from bloxtr8.payments.executor import Executor
from bloxtr8.payments.operations import Operation
from bloxtr8.payments.pg_store import PostgresStore
from bloxtr8.payments.service import PaymentService
from bloxtr8.payments.usdc import wiring
from bloxtr8.payments.usdc.deposits import Account
from bloxtr8.payments.usdc.wiring import UsdcParts
from bloxtr8.sandbox.chain import LocalChain
from bloxtr8.sandbox.chain import wallets as people
from bloxtr8.sandbox.custodian import CustodianStandIn
from bloxtr8.sandbox.screening import ScreeningStandIn
from bloxtr8.store import database
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.payments.v1 import payments_pb2 as payments
from tests.integration.payments_bench import KEYRING, NOW

USDC = 1_000_000
DUE = 20_000 * USDC
FEES = 100 * USDC
SELLER = str(people.named("seller").address)


@dataclass
class UsdcBench:
    """One payments agent's parts and one escrow to play with. Amounts in micro-USDC."""

    clock: ManualClock
    chain: LocalChain
    custodian: CustodianStandIn
    screening: ScreeningStandIn
    store: PostgresStore
    usdc: UsdcParts
    executor: Executor
    service: PaymentService
    settings: Settings
    escrow_id: str = field(default_factory=lambda: ids.escrow_id_for(str(ids.uuid7())))
    buyer_id: str = field(default_factory=lambda: str(ids.uuid7()))

    def next_escrow(self) -> None:
        self.escrow_id = ids.escrow_id_for(str(ids.uuid7()))

    def operation_id(self, kind: str, generation: int = 1) -> str:
        return ids.operation_id_for(self.escrow_id, kind, generation)

    def command(self, **body: Any) -> payments.PaymentCommand:
        return payments.PaymentCommand(
            metadata=metadata.new(common.PRODUCER_ESCROW, self.clock.now()),
            escrow_id=self.escrow_id,
            fencing_token=1,
            rail=common.RAIL_USDC_BASE,
            network=common.NETWORK_BASE,
            **body,
        )

    async def order(self, **body: Any) -> None:
        """Take an order in and carry out what is due."""
        await self.service.handle(self.command(**body))
        await self.executor.run_until_idle()

    async def open(self, due: int = DUE) -> Account:
        """Order a payment instrument and return the account behind it."""
        await self.order(
            create_payment_intent=payments.CreatePaymentIntent(
                operation_id=self.operation_id("INTENT"),
                generation=1,
                amount=usdc(due),
                contract_id=str(ids.uuid7()),
                buyer_id=self.buyer_id,
            )
        )
        return await self.account()

    async def account(self) -> Account:
        found = await self.usdc.accounts.find_by_escrow(self.escrow_id)
        assert found is not None
        return found

    async def cancel(self) -> None:
        await self.order(
            cancel_payment=payments.CancelPayment(
                operation_id=self.operation_id("CANCEL"),
                generation=1,
                intent_operation_id=self.operation_id("INTENT"),
            )
        )

    async def pay_out(self, amount: int = DUE - FEES, *, generation: int = 1) -> None:
        await self.order(
            transfer_to_seller=payments.TransferToSeller(
                operation_id=self.operation_id("PAYOUT", generation),
                generation=generation,
                attempt=generation,
                amount=usdc(amount),
                destination=SELLER,
                seller_id=str(ids.uuid7()),
                fees_minor=FEES,
            )
        )

    async def give_back(
        self,
        amount: int,
        payment_ref: str,
        kind: "payments.OperationKind.ValueType" = payments.OPERATION_KIND_REFUND,
    ) -> None:
        name = payments.OperationKind.Name(kind).removeprefix("OPERATION_KIND_")
        await self.order(
            initiate_refund=payments.InitiateRefund(
                operation_id=self.operation_id(name),
                generation=1,
                attempt=1,
                amount=usdc(amount),
                payment_ref=payment_ref,
                buyer_id=self.buyer_id,
                kind=kind,
            )
        )

    async def pay(self, amount: int = DUE, *, wallet: str = "buyer", **more: Any) -> str:
        """Let somebody send USDC and let it become final; return the transaction's hash."""
        address = (await self.account()).address
        sent = self.chain.bank.pay(wallet, more.get("token", people.USDC), address, amount)
        await self.look()
        return "0x" + sent.hex()

    async def look(self) -> None:
        """Let the chain go on until all is final, and everybody look at it."""
        await self.notice()
        await self.executor.run_until_idle()

    async def notice(self) -> None:
        """`look` of those who watch the chain, while the executor has not come to it."""
        self.chain.chain.mine(self.chain.chain.finality_depth + 1)
        await self.custodian.vault.tick()
        await self.usdc.watcher.step()

    async def later(self, **delta: float) -> None:
        self.clock.advance(timedelta(**delta))
        await self.executor.run_until_idle()

    async def settled(self, rounds: int = 8) -> None:
        """Let time and the chain go on until nothing is in doubt any more."""
        for _ in range(rounds):
            await self.custodian.vault.tick()
            self.chain.chain.mine(self.chain.chain.finality_depth + 1)
            # It has to see that what it sent is final before it is asked.
            await self.custodian.vault.tick()
            await self.later(hours=1, minutes=1)

    async def said(self) -> list[payments.PaymentEvent]:
        rows = await database.fetch(
            "SELECT payload FROM outbox WHERE topic = 'payments.events.v1' AND key = $1 "
            "ORDER BY id",
            self.escrow_id,
        )
        return [payments.PaymentEvent.FromString(row["payload"]) for row in rows]

    async def words(self) -> list[str]:
        return [str(event.WhichOneof("body")) for event in await self.said()]

    async def row(self, kind: str, generation: int = 1) -> Operation:
        found = await self.store.operation(self.operation_id(kind, generation))
        assert found is not None
        return found

    async def tasks(self) -> list[str]:
        rows = await database.fetch("SELECT kind FROM staff_tasks ORDER BY created_at, kind")
        return [row["kind"] for row in rows]

    def balance(self, address: str) -> int:
        return self.chain.bank.balance(people.USDC, address)


def usdc(minor: int) -> common.Money:
    return common.Money(minor=minor, currency=common.CURRENCY_USDC)


@asynccontextmanager
async def open_usdc_bench(
    dsn: str,
    folder: Path,
    kms: KmsSettings | None = None,
    *,
    looks_by_itself: bool = True,
    **base: Any,
) -> AsyncIterator[UsdcBench]:
    """`base`: settings of the chain that differ; `looks_by_itself`: whether the custodian does."""
    clock = ManualClock(NOW)
    async with AsyncExitStack() as undo:
        chain = LocalChain(clock=clock)
        await chain.start()
        undo.push_async_callback(chain.stop)
        custodian = CustodianStandIn(chain.rpc_url, clock=clock, looks_by_itself=looks_by_itself)
        await custodian.start()
        undo.push_async_callback(custodian.stop)
        screening = ScreeningStandIn()
        await screening.start()
        undo.push_async_callback(screening.stop)
        settings = _settings(dsn, folder, chain, custodian, screening, base)
        settings.kms = kms or settings.kms
        await database.open_database(settings)
        undo.push_async_callback(database.close_database)
        store = PostgresStore(KEYRING.signer(common.PRODUCER_PAYMENTS), clock)
        rails: dict[str, Any] = {}
        executor = Executor(store, rails, clock, owner="worker-1")
        parts = wiring.put_together(settings, store, clock, executor.wake)
        rails["USDC_BASE"] = parts.rail
        undo.push_async_callback(parts.close)
        service = PaymentService(store, clock, executor.wake)
        yield UsdcBench(
            clock, chain, custodian, screening, store, parts, executor, service, settings
        )


def _settings(
    dsn: str,
    folder: Path,
    chain: LocalChain,
    custodian: CustodianStandIn,
    screening: ScreeningStandIn,
    base: dict[str, Any],
) -> Settings:
    return Settings(
        postgres=PostgresSettings(dsn=SecretStr(dsn)),
        keys=KeysSettings(directory=folder / "keys"),
        base=BaseChainSettings(
            rpc_urls=[SecretStr(chain.rpc_url)],
            chain_id=chain.chain.chain_id,
            usdc_address=people.USDC.hex,
            **{"timeout_s": 10.0, **base},
        ),
        custodian=CustodianSettings(
            api_base=custodian.base_url, api_key=SecretStr(custodian.api_key)
        ),
        screening=ScreeningSettings(
            trm_base=screening.base_url,
            trm_api_key=SecretStr(screening.trm_key),
            chainalysis_base=screening.base_url,
            chainalysis_api_key=SecretStr(screening.chainalysis_key),
            timeout_s=10.0,
        ),
    )
