"""From a payment at the provider to its EscrowFundsHeld: the whole stack, at a steady rate."""

import asyncio
import time
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, TopicPartition

from bloxtr8 import ids
from bloxtr8.dev.stack import Stack, StackOptions, running_stack
from bloxtr8.messaging import metadata
from bloxtr8.messaging.publisher import Publisher
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.messaging.topics import ESCROW_COMMANDS, ESCROW_EVENTS
from bloxtr8.store import database
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowEvent
from tests.bench.parts import Latency
from tests.bench.stage import cpu_seconds

_WARM_UP = 40
_AT_ONCE = 20
_POLL_S = 0.2
_READY_S = 180.0
_END_S = 60.0


async def funding(rate: int, seconds: int) -> dict[str, float]:
    """Return the percentiles in milliseconds, from the payment to the event's arrival."""
    trades = rate * seconds + _WARM_UP
    async with running_stack(StackOptions(), lambda _step: None) as stack:
        intents = await _create(stack, trades)
        paid: dict[str, float] = {}
        held: dict[str, float] = {}
        reading = asyncio.create_task(_read(stack, held, trades))
        # The first ones are slower than all others: connections, caches.
        await _pay(stack, intents[:_WARM_UP], rate, paid)
        began = cpu_seconds(stack.workers[0].pid)
        await _pay(stack, intents[_WARM_UP:], rate, paid)
        async with asyncio.timeout(_END_S):
            await reading
        spent_ms = 1000 * (cpu_seconds(stack.workers[0].pid) - began)
    measured = [escrow_id for escrow_id, _ in intents[_WARM_UP:]]
    spent = Latency.of([held[escrow_id] - paid[escrow_id] for escrow_id in measured])
    return {
        "payments_per_second": rate,
        "worker_cpu_ms_a_payment": round(spent_ms / len(measured), 1),
        "p50_ms": round(spent.p50, 1),
        "p95_ms": round(spent.p95, 1),
        "p99_ms": round(spent.p99, 1),
    }


async def _create(stack: Stack, trades: int) -> list[tuple[str, str]]:
    """Make trades that wait for money; return their escrows and payment intents."""
    publisher = Publisher(
        stack.settings.kafka, Keyring.load(stack.settings.keys.directory, create=False)
    )
    made = [_creation(stack) for _ in range(trades)]
    for start in range(0, trades, _AT_ONCE):
        batch = made[start : start + _AT_ONCE]
        await asyncio.gather(*(publisher.publish(ESCROW_COMMANDS, command) for command in batch))
    await publisher.stop()
    await database.open_database(stack.settings)
    async with asyncio.timeout(_READY_S):
        while await _unready(trades):  # noqa: ASYNC110 - the database is asked
            await asyncio.sleep(_POLL_S)
    await database.close_database()
    world = stack.stripe.world
    found = {e["transfer_group"]: e["id"] for e in world.objects["payment_intent"].values()}
    return [(command.escrow_id, found[command.escrow_id]) for command in made]


async def _unready(trades: int) -> bool:
    row = await database.fetchrow(
        "SELECT (SELECT count(*) FROM payment_operations WHERE status = 'CONFIRMED') AS made,"
        " (SELECT count(*) FROM outbox WHERE published_at IS NULL) AS waiting"
    )
    return row is None or row["made"] < trades or row["waiting"] > 0


async def _pay(
    stack: Stack, intents: list[tuple[str, str]], rate: int, paid: dict[str, float]
) -> None:
    """Pay `rate` times a second, whether or not the answers have come."""
    began = time.perf_counter()
    for number, (escrow_id, intent) in enumerate(intents):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        paid[escrow_id] = time.perf_counter()
        stack.stripe.world.pay(intent)


async def _read(stack: Stack, held: dict[str, float], wanted: int) -> None:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=stack.settings.kafka.bootstrap,
        fetch_max_wait_ms=int(stack.settings.kafka.fetch_wait_s * 1000),
    )
    await consumer.start()
    partitions = range(stack.settings.kafka.partitions)
    consumer.assign([TopicPartition(ESCROW_EVENTS.name, number) for number in partitions])
    await consumer.seek_to_beginning()
    try:
        async for record in consumer:
            event = EscrowEvent.FromString(record.value)
            if event.HasField("escrow_funds_held"):
                held.setdefault(event.escrow_id, time.perf_counter())
                if len(held) >= wanted:
                    return
    finally:
        await consumer.stop()


def _creation(stack: Stack) -> commands.EscrowCommand:
    contract_id = str(uuid4())
    body = commands.CreateEscrow(
        contract_id=contract_id,
        contract_sha256="ab" * 32,
        buyer=commands.Party(user_id=str(uuid4()), tier=1),
        seller=commands.Party(user_id=str(uuid4()), tier=1),
        price=common.Money(minor=20_000, currency=common.CURRENCY_USD),
        rail=common.RAIL_STRIPE,
        delivery_days=7,
        fee_schedule="v1",
        payee=types.Payee(payout_method_id=str(uuid4()), destination="acct_bench"),
    )
    return commands.EscrowCommand(
        metadata=metadata.new(common.PRODUCER_CONTRACTS, stack.clock.now()),
        escrow_id=ids.escrow_id_for(contract_id),
        actor=common.Actor(kind=common.ACTOR_KIND_SYSTEM),
        create_escrow=body,
    )
