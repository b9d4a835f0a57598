"""A USDC trade without Kafka: the real rules, payments agent, mirror and ledger."""

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from bloxtr8 import ids
from bloxtr8.escrow import Context, decide
from bloxtr8.messaging import metadata
from bloxtr8.payments.usdc.deposits import Account
from bloxtr8.sandbox.chain import wallets as people
from bloxtr8.store.mirror import Mirror
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import record_pb2 as records
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.payments.v1 import payments_pb2 as payments
from tests.integration.usdc.bench import SELLER, USDC, UsdcBench

SYSTEM = common.Actor(kind=common.ACTOR_KIND_SYSTEM)
PRICE = 20_000 * USDC


@dataclass
class UsdcTrade:
    """One escrow of a bench, carried from the payments agent's outbox to rules and mirror."""

    bench: UsdcBench
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

    async def account(self) -> Account:
        self._choose()
        return await self.bench.account()

    async def create(self) -> "UsdcTrade":
        party = commands.Party
        await self.tell(
            SYSTEM,
            create_escrow=commands.CreateEscrow(
                contract_id=self.contract_id,
                contract_sha256="ab" * 32,
                buyer=party(user_id=self.buyer_id, tier=2),
                seller=party(user_id=self.seller_id, tier=2),
                price=common.Money(minor=PRICE, currency=common.CURRENCY_USDC),
                rail=common.RAIL_USDC_BASE,
                network=common.NETWORK_BASE,
                delivery_days=7,
                fee_schedule="v1",
                payee=types.Payee(payout_method_id=str(uuid4()), destination=SELLER),
            ),
        )
        return self

    async def fund(self) -> "UsdcTrade":
        """Let the buyer send what is due, and let it become final."""
        self._choose()
        await self.bench.pay(PRICE)
        await self.settle()
        return self

    async def deposit_unseen(self, amount: int = PRICE) -> None:
        """Let money come while nobody looks, until no look at recent blocks shows it."""
        address = (await self.account()).address
        self.bench.chain.bank.pay("buyer", people.USDC, address, amount)
        self.bench.chain.chain.mine(200)
        await self.bench.usdc.accounts.set_cursor(self.bench.chain.chain.head.number)
        await self.bench.custodian.vault.tick()

    async def order_release(self) -> None:
        delivered = commands.MarkDelivered(method=types.DELIVERY_METHOD_GROUP_TRANSFER)
        await self.tell(_user(self.seller_id), mark_delivered=delivered)
        await self.tell(_user(self.buyer_id), release_funds=commands.ReleaseFunds())

    async def release(self) -> "UsdcTrade":
        await self.order_release()
        await self.settled()
        return self

    async def refund(self) -> "UsdcTrade":
        await self.tell(_user(self.seller_id), refund_buyer=commands.RefundBuyer())
        await self.settled()
        return self

    async def settled(self, rounds: int = 8) -> None:
        """Let time and the chain go on, and let everybody hear of it."""
        self._choose()
        for _ in range(rounds):
            await self.bench.settled(1)
            await self.settle()

    async def tell(self, actor: common.Actor, **body: Any) -> None:
        system = actor.kind == common.ACTOR_KIND_SYSTEM
        producer = common.PRODUCER_CONTRACTS if system else common.PRODUCER_WEB
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
        self._choose()
        while True:
            await self.bench.executor.run_until_idle()
            fresh = [event for event in await self.bench.said() if self._is_new(event)]
            if not fresh:
                return
            for event in fresh:
                await self._decide(event)
                assert await Mirror(self.bench.clock).apply([event]) == [None]

    async def words(self) -> list[str]:
        self._choose()
        return await self.bench.words()

    def _choose(self) -> None:
        self.bench.escrow_id, self.bench.buyer_id = self.escrow_id, self.buyer_id

    def _is_new(self, event: payments.PaymentEvent) -> bool:
        new = event.metadata.message_id not in self.heard
        self.heard.add(event.metadata.message_id)
        return new and not event.HasField("discrepancy_found")

    async def _decide(self, cause: Any) -> None:
        context = Context(self.bench.clock.now(), 1, records.Origin())
        decision = decide(self.record, cause, context)
        assert decision.message == "", decision.message
        self.record = decision.record or self.record
        if decision.events:
            assert set(await Mirror(self.bench.clock).apply(decision.events)) == {None}
        for order in decision.orders:
            await self.bench.service.handle(order)


def _user(user_id: str) -> common.Actor:
    return common.Actor(kind=common.ACTOR_KIND_USER, user_id=user_id)
