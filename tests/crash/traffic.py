"""Many trades at once: each reacts to the events of its escrow until it is over.

What is sent is derived from what was seen, so an event that is seen twice changes nothing.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

import aiokafka

from bloxtr8 import ids
from bloxtr8.config import Settings
from bloxtr8.messaging import metadata
from bloxtr8.messaging.publisher import Publisher, PublishTimeout
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.messaging.topics import ESCROW_COMMANDS, ESCROW_EVENTS, PAYMENTS_EVENTS
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowEvent
from proto.bloxtr8.payments.v1 import payments_pb2 as payments

PATHS = ("release", "refund", "dispute", "settlement", "cancel")
ENDS = {
    types.ESCROW_STATE_RELEASED,
    types.ESCROW_STATE_REFUNDED,
    types.ESCROW_STATE_SPLIT,
    types.ESCROW_STATE_CANCELLED,
}
_SEND_TRIES_MAX = 20
_TRADES_MAX = 3_000
# A worker may take minutes to come back. The embedded cluster keeps only the last 5 MiB of a
# partition: whoever went on at the same rate meanwhile would push out what the run is judged by.
_UNFINISHED_MAX = 100
_PRICE = 125_000

Body = Any  # a body of EscrowCommand or of PaymentEvent


@dataclass
class Trade:
    """One escrow, the way it takes, and how far it is known to be."""

    number: int
    path: str
    contract_id: str
    escrow_id: str
    buyer: str
    seller: str
    due_minor: int = 0
    seen: int = 0
    state: int = 0

    @classmethod
    def of(cls, run: str, number: int) -> "Trade":
        contract = str(ids.derived(run, "contract", number))
        return cls(
            number=number,
            path=PATHS[number % len(PATHS)],
            contract_id=contract,
            escrow_id=ids.escrow_id_for(contract),
            buyer=str(ids.derived(run, "buyer", number)),
            seller=str(ids.derived(run, "seller", number)),
        )


@dataclass
class Sent:
    """What was published: message id → body, and how often more than once."""

    commands: dict[str, str] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    repeated: int = 0

    @property
    def count(self) -> int:
        return len(self.commands) + len(self.facts)


class Traffic:
    """Publishes as web, contracts and payments would; reads the events as they do."""

    def __init__(self, settings: Settings, *, run: str, seed: int) -> None:
        self._settings = settings
        self._publisher = Publisher(
            settings.kafka, Keyring.load(settings.keys.directory, create=True)
        )
        self._random = Random(seed)
        self._run = run
        self.trades: dict[str, Trade] = {}
        self.sent = Sent()
        self.answered: set[str] = set()  # ids of what caused the events so far
        self.last_event_at = 0.0  # loop time of the last event that was new
        self.enough = asyncio.Event()
        self._reactions: set[asyncio.Task[None]] = set()

    @property
    def over(self) -> bool:
        return not self._unfinished

    @property
    def _unfinished(self) -> int:
        return sum(trade.state not in ENDS for trade in self.trades.values())

    async def begin(self, trades: int, per_second: float) -> None:
        """Create escrows at a steady rate; their own events drive them on.

        At least `trades`, and more until `enough` is set, so that there is always traffic; no new
        ones while many are unfinished.
        """
        for number in range(_TRADES_MAX):
            if number >= trades and self.enough.is_set():
                return
            while self._unfinished >= _UNFINISHED_MAX:  # noqa: ASYNC110 - nobody sets an event
                await asyncio.sleep(1 / per_second)
            trade = Trade.of(self._run, number)
            self.trades[trade.escrow_id] = trade
            await self._command(trade, "create", _SYSTEM, common.PRODUCER_CONTRACTS, _create(trade))
            if self._random.random() < 0.02:
                ghost = Trade.of(self._run + "-ghost", number)
                await self._user(ghost, "buyer", f"ghost-{number}", commands.ReleaseFunds())
            await asyncio.sleep(1 / per_second)

    async def follow(self) -> None:
        """Read events for ever and let the trades react."""
        consumer = aiokafka.AIOKafkaConsumer(
            ESCROW_EVENTS.name,
            bootstrap_servers=self._settings.kafka.bootstrap,
            auto_offset_reset="earliest",
            metadata_max_age_ms=1_000,
        )
        await consumer.start()
        try:
            async for record in consumer:
                self._take(EscrowEvent.FromString(record.value))
        finally:
            await consumer.stop()

    async def close(self) -> None:
        for task in self._reactions:
            task.cancel()
        await asyncio.gather(*self._reactions, return_exceptions=True)
        await self._publisher.stop()

    def _take(self, event: EscrowEvent) -> None:
        self.answered.add(event.metadata.causation_id)
        trade = self.trades.get(event.escrow_id)
        if trade is None or event.sequence <= trade.seen:
            return
        trade.seen, trade.state = event.sequence, event.state
        self.last_event_at = asyncio.get_running_loop().time()
        task = asyncio.create_task(self._react(trade, event))
        self._reactions.add(task)
        task.add_done_callback(self._reactions.discard)

    async def _react(self, trade: Trade, event: EscrowEvent) -> None:
        name = event.WhichOneof("body") or ""
        reaction = _REACTIONS.get(name)
        if name == "escrow_created":
            trade.due_minor = (
                event.escrow_created.price.minor + event.escrow_created.buyer_fee_minor
            )
        if reaction is None:
            return
        for who, body in reaction(trade, getattr(event, name)):
            if who in ("buyer", "seller") and self._random.random() < 0.1:
                await self._user(trade, "stranger", f"{event.sequence}-wrong", body)
            slot = f"{event.sequence}-{type(body).__name__}"
            if who == "payments":
                await self._fact(trade, slot, body)
            elif who == "moderator":
                await self._staff(trade, slot, body)
            else:
                await self._user(trade, who, slot, body)

    async def _user(self, trade: Trade, who: str, slot: str, body: Body) -> None:
        user_id = {"buyer": trade.buyer, "seller": trade.seller}.get(who) or str(ids.uuid7())
        actor = common.Actor(kind=common.ACTOR_KIND_USER, user_id=user_id)
        await self._command(trade, slot, actor, common.PRODUCER_WEB, body)

    async def _staff(self, trade: Trade, slot: str, body: Body) -> None:
        actor = common.Actor(
            kind=common.ACTOR_KIND_STAFF,
            user_id=str(ids.derived("moderator")),
            staff_role=common.STAFF_ROLE_MODERATOR,
        )
        await self._command(trade, slot, actor, common.PRODUCER_WEB, body)

    async def _command(
        self, trade: Trade, slot: str, actor: common.Actor, producer: Any, body: Body
    ) -> None:
        message = commands.EscrowCommand(
            metadata=self._metadata(trade, slot, producer), escrow_id=trade.escrow_id, actor=actor
        )
        _put(message, body)
        self.sent.commands[message.metadata.message_id] = type(body).__name__
        await self._publish(ESCROW_COMMANDS, message)

    async def _fact(self, trade: Trade, slot: str, body: Body) -> None:
        about = self._metadata(trade, slot, common.PRODUCER_PAYMENTS)
        message = payments.PaymentEvent(metadata=about, escrow_id=trade.escrow_id)
        _put(message, body)
        self.sent.facts[message.metadata.message_id] = type(body).__name__
        await self._publish(PAYMENTS_EVENTS, message)

    def _metadata(self, trade: Trade, slot: str, producer: Any) -> common.Metadata:
        message_id = str(ids.derived(self._run, trade.escrow_id, slot))
        return metadata.new(producer, datetime.now(UTC), message_id=message_id)

    async def _publish(self, spec: Any, message: Any) -> None:
        times = 2 if self._random.random() < 0.1 else 1
        self.sent.repeated += times - 1
        for _ in range(times):
            for attempt in range(_SEND_TRIES_MAX):
                try:
                    await self._publisher.publish(spec, message)
                    break
                except PublishTimeout:
                    # The id makes it safe; the broker of this test may be restarting.
                    assert attempt < _SEND_TRIES_MAX - 1, "the broker does not come back"


_SYSTEM = common.Actor(kind=common.ACTOR_KIND_SYSTEM)


def _create(trade: Trade) -> commands.CreateEscrow:
    return commands.CreateEscrow(
        contract_id=trade.contract_id,
        contract_sha256="a" * 64,
        buyer=commands.Party(user_id=trade.buyer, tier=1),
        seller=commands.Party(user_id=trade.seller, tier=1),
        price=_usd(_PRICE),
        rail=common.RAIL_STRIPE,
        delivery_days=7,
        fee_schedule="v1",
        payee=types.Payee(payout_method_id="method-1", destination="acct_1"),
    )


def _usd(minor: int) -> common.Money:
    return common.Money(minor=minor, currency=common.CURRENCY_USD)


def _put(message: Any, body: Body) -> None:
    for field_ in message.DESCRIPTOR.oneofs_by_name["body"].fields:
        if field_.message_type is body.DESCRIPTOR:
            target = getattr(message, field_.name)
            target.CopyFrom(body)
            target.SetInParent()
            return
    raise AssertionError(f"{type(body).__name__} is no body of {type(message).__name__}")


Reaction = Callable[[Trade, Any], list[tuple[str, Body]]]


def _fund(trade: Trade, body: Any) -> list[tuple[str, Body]]:
    intent = payments.PaymentIntentCreated(
        operation_id=body.operation_id, generation=body.generation, provider_ref="pi_1"
    )
    if trade.path == "cancel":
        return [("payments", intent)]
    paid = payments.PaymentSucceeded(
        operation_id=body.operation_id,
        payment_ref=f"pi_{trade.number}",
        amount=_usd(trade.due_minor),
    )
    return [("payments", intent), ("payments", paid)]


def _ready(trade: Trade, _body: Any) -> list[tuple[str, Body]]:
    if trade.path != "cancel":
        return []
    return [("buyer", commands.CancelEscrow(reason=types.CANCEL_REASON_CHANGED_MIND))]


def _held(trade: Trade, _body: Any) -> list[tuple[str, Body]]:
    if trade.path == "refund":
        return [("seller", commands.RefundBuyer())]
    return [("seller", commands.MarkDelivered(method=types.DELIVERY_METHOD_GROUP_TRANSFER))]


def _delivered(trade: Trade, _body: Any) -> list[tuple[str, Body]]:
    if trade.path == "dispute":
        dispute = commands.RaiseDispute(
            reason=types.DISPUTE_REASON_NOT_AS_DESCRIBED, wanted=types.OUTCOME_SPLIT
        )
        return [("buyer", dispute)]
    if trade.path == "settlement":
        return [("buyer", commands.ProposeSettlement(refund_minor=_PRICE // 3))]
    return [("buyer", commands.ReleaseFunds())]


def _disputed(trade: Trade, _body: Any) -> list[tuple[str, Body]]:
    verdict = commands.ResolveDispute(outcome=types.OUTCOME_SPLIT, refund_minor=_PRICE // 4)
    return [("moderator", verdict)]


def _paid_out(leg: types.Leg) -> tuple[str, Body]:
    done = payments.TransferSucceeded(
        operation_id=leg.operation_id,
        generation=leg.generation,
        amount=_usd(leg.amount_minor),
        provider_ref="tr_1",
        destination="acct_1",
    )
    return "payments", done


def _paid_back(leg: types.Leg) -> tuple[str, Body]:
    done = payments.RefundSucceeded(
        operation_id=leg.operation_id,
        generation=leg.generation,
        amount=_usd(leg.amount_minor),
        provider_ref="re_1",
        kind=payments.OPERATION_KIND_REFUND,
    )
    return "payments", done


def _cancelled(trade: Trade, body: Any) -> list[tuple[str, Body]]:
    done = payments.PaymentCancelled(operation_id=body.operation_id, provider_ref="pi_1")
    return [("payments", done)]


_REACTIONS: dict[str, Reaction] = {
    "escrow_await_funds": _fund,
    "payment_ready": _ready,
    "escrow_funds_held": _held,
    "escrow_delivered": _delivered,
    "escrow_disputed": _disputed,
    "settlement_proposed": lambda _trade, body: [
        ("seller", commands.AcceptSettlement(proposal_id=body.proposal_id))
    ],
    "escrow_releasing": lambda _trade, body: [_paid_out(body.payout)],
    "escrow_refunding": lambda _trade, body: [_paid_back(body.refund)],
    "escrow_splitting": lambda _trade, body: [_paid_out(body.payout), _paid_back(body.refund)],
    "escrow_cancelling": _cancelled,
}
