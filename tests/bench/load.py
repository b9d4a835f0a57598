"""The messages of whole trades, made and signed before the clock runs."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bloxtr8 import ids
from bloxtr8.clock import SystemClock
from bloxtr8.config import KafkaSettings
from bloxtr8.escrow import Context, decide, fees
from bloxtr8.messaging import envelope, metadata
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.messaging.topics import (
    ESCROW_COMMANDS,
    ESCROW_EVENTS,
    PAYMENTS_EVENTS,
    TopicSpec,
)
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.escrow.v1.record_pb2 import EscrowRecord, Origin
from proto.bloxtr8.payments.v1 import payments_pb2 as payments

PRICE_MINOR = 250_000
DUE_MINOR = PRICE_MINOR + fees.buyer_fee("v1", common.RAIL_STRIPE, PRICE_MINOR)
PAYOUT_MINOR = PRICE_MINOR - fees.seller_fee("v1", common.RAIL_STRIPE, PRICE_MINOR)
_PAYEE = types.Payee(payout_method_id="method", destination="acct_seller")
_CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Trade:
    contract_id: str
    escrow_id: str
    buyer_id: str
    seller_id: str

    @classmethod
    def new(cls) -> "Trade":
        contract_id = str(uuid4())
        return cls(contract_id, ids.escrow_id_for(contract_id), str(uuid4()), str(uuid4()))


@dataclass(frozen=True, slots=True)
class Phase:
    """One step of every trade. `events` is how many each of them leads to."""

    name: str
    spec: TopicSpec
    wires: Sequence[envelope.Wire]
    events: int


def phases(trades: Sequence[Trade], keyring: Keyring) -> Iterator[Phase]:
    """Yield the five steps of a trade: created, paid, delivered, released, paid out."""
    steps: tuple[tuple[str, TopicSpec, Any, int], ...] = (
        ("create", ESCROW_COMMANDS, create, 2),
        ("paid", PAYMENTS_EVENTS, paid, 1),
        ("delivered", ESCROW_COMMANDS, delivered, 1),
        ("release", ESCROW_COMMANDS, release, 1),
        ("paid out", PAYMENTS_EVENTS, paid_out, 1),
    )
    for name, spec, make, events in steps:
        wires = [sign(spec, make(trade), keyring) for trade in trades]
        yield Phase(name, spec, wires, events)


def sign(spec: TopicSpec, message: Any, keyring: Keyring) -> envelope.Wire:
    return envelope.encode(spec, message, keyring.signer(message.metadata.producer))


def create(trade: Trade) -> commands.EscrowCommand:
    return commands.EscrowCommand(
        metadata=metadata.new(common.PRODUCER_CONTRACTS, _CLOCK.now()),
        escrow_id=trade.escrow_id,
        actor=common.Actor(kind=common.ACTOR_KIND_SYSTEM),
        create_escrow=commands.CreateEscrow(
            contract_id=trade.contract_id,
            contract_sha256="0" * 64,
            buyer=commands.Party(user_id=trade.buyer_id, tier=1),
            seller=commands.Party(user_id=trade.seller_id, tier=1),
            price=_usd(PRICE_MINOR),
            rail=common.RAIL_STRIPE,
            delivery_days=7,
            fee_schedule="v1",
            payee=_PAYEE,
        ),
    )


def paid(trade: Trade) -> payments.PaymentEvent:
    operation_id = ids.operation_id_for(trade.escrow_id, "INTENT", 1)
    body = payments.PaymentSucceeded(
        operation_id=operation_id, payment_ref=f"pi_{operation_id}", amount=_usd(DUE_MINOR)
    )
    return _fact(trade, payment_succeeded=body)


def delivered(trade: Trade) -> commands.EscrowCommand:
    body = commands.MarkDelivered(method=types.DELIVERY_METHOD_GROUP_TRANSFER)
    return _command(trade, trade.seller_id, mark_delivered=body)


def release(trade: Trade) -> commands.EscrowCommand:
    return _command(trade, trade.buyer_id, release_funds=commands.ReleaseFunds())


def paid_out(trade: Trade) -> payments.PaymentEvent:
    operation_id = ids.operation_id_for(trade.escrow_id, "PAYOUT", 1)
    body = payments.TransferSucceeded(
        operation_id=operation_id,
        generation=1,
        amount=_usd(PAYOUT_MINOR),
        provider_ref=f"tr_{operation_id}",
        destination=_PAYEE.destination,
    )
    return _fact(trade, transfer_succeeded=body)


def set_payee(trade: Trade) -> commands.EscrowCommand:
    """A change that a trade which waits for its money can take any number of times."""
    return _command(trade, trade.seller_id, set_payee=commands.SetPayee(payee=_PAYEE))


def record(trade: Trade) -> bytes:
    """Return the table's value of a trade that waits for its money, its outbox long published."""
    context = Context(
        now=_CLOCK.now(),
        fencing_token=1,
        origin=Origin(topic=ESCROW_COMMANDS.name, partition=0, offset=0),
    )
    made = decide(None, create(trade), context).record
    assert made is not None, "the trade is in order"
    return made.SerializeToString()


class Records:
    """Table values of many live trades, made from one; ids of the same length change places."""

    def __init__(self) -> None:
        self._trade = Trade.new()
        base = EscrowRecord.FromString(record(self._trade))
        base.ClearField("events")
        base.ClearField("orders")
        self._value = base.SerializeToString()

    def of(self, trade: Trade) -> bytes:
        value = self._value
        for field in ("contract_id", "escrow_id", "buyer_id", "seller_id"):
            mine, theirs = getattr(self._trade, field), getattr(trade, field)
            value = value.replace(mine.encode(), theirs.encode())
        return value


def _command(trade: Trade, user_id: str, **body: Any) -> commands.EscrowCommand:
    return commands.EscrowCommand(
        metadata=metadata.new(common.PRODUCER_WEB, _CLOCK.now()),
        escrow_id=trade.escrow_id,
        actor=common.Actor(kind=common.ACTOR_KIND_USER, user_id=user_id),
        **body,
    )


def _fact(trade: Trade, **body: Any) -> payments.PaymentEvent:
    about = metadata.new(common.PRODUCER_PAYMENTS, _CLOCK.now())
    return payments.PaymentEvent(metadata=about, escrow_id=trade.escrow_id, **body)


def _usd(minor: int) -> common.Money:
    return common.Money(minor=minor, currency=common.CURRENCY_USD)


class Client:
    """Produces, and looks at how far a topic has come."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer = AIOKafkaProducer(
            bootstrap_servers=settings.bootstrap, linger_ms=2, acks="all"
        )
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.bootstrap, auto_offset_reset="earliest"
        )

    async def __aenter__(self) -> "Client":
        await self._producer.start()
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()
        await self._consumer.stop()

    async def send(self, topic: str, wire: envelope.Wire) -> Any:
        return await self._producer.send(
            topic, wire.value, key=wire.key, headers=list(wire.headers.items())
        )

    async def send_record(self, topic: str, key: bytes, value: bytes) -> Any:
        return await self._producer.send(topic, value, key=key)

    async def send_all(self, topic: str, wires: Sequence[envelope.Wire]) -> None:
        """Send and wait until the broker has them."""
        await asyncio.gather(*[await self.send(topic, wire) for wire in wires])

    async def end(self, topic: str = ESCROW_EVENTS.name) -> int:
        """Return how many records the topic has had."""
        tps = [TopicPartition(topic, number) for number in range(self._settings.partitions)]
        return int(sum((await self._consumer.end_offsets(tps)).values()))

    async def until_end(self, wanted: int, timeout_s: float) -> None:
        """Wait until the escrow events have come so far; raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while await self.end() < wanted:  # noqa: ASYNC110 - another process moves it
                await asyncio.sleep(0.02)
