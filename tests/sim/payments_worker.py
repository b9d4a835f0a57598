"""The payments side: the real service and executor on books in memory and a provider in doubt."""

from datetime import datetime

from bloxtr8 import ids
from bloxtr8.clock import Clock
from bloxtr8.messaging import metadata
from bloxtr8.messaging.topics import PAYMENTS_COMMANDS, PAYMENTS_EVENTS
from bloxtr8.payments.executor import Executor
from bloxtr8.payments.memory_store import MemoryStore
from bloxtr8.payments.operations import Kind, Operation
from bloxtr8.payments.rails import Outcome
from bloxtr8.payments.service import PaymentService
from bloxtr8.payments.settling import settle
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.payments.v1 import payments_pb2 as payments
from tests.sim.broker import PARTITIONS, Broker, Reader
from tests.sim.faults import Faults
from tests.sim.provider import Call, Provider


class _SteppedExecutor(Executor):
    """The executor's own decisions, without its tasks: asking and settling are two steps."""

    async def ask_provider(self, rail: Provider, operation: Operation) -> Outcome:
        if operation.kind is Kind.CANCEL:
            return await self._cancel(rail, operation)
        return await self._look_then_act(rail, operation)


class PaymentsWorker:
    """Consumes orders, carries them out, relays what its books have to say."""

    def __init__(self, broker: Broker, provider: Provider, clock: Clock, faults: Faults) -> None:
        self.store = MemoryStore()
        self._broker = broker
        self._provider = provider
        self._clock = clock
        self._faults = faults
        self._lives = 0
        self._relayed = 0
        self.restart()

    def restart(self) -> None:
        """A new process under another name: what the old one had claimed is leased for a while."""
        self._lives += 1
        self._executor = _SteppedExecutor(
            self.store, {"STRIPE": self._provider}, self._clock, owner=f"life-{self._lives}"
        )
        self._service = PaymentService(self.store, self._clock, lambda: None)
        self.readers = [
            Reader(self._broker, (PAYMENTS_COMMANDS.name, partition))
            for partition in range(PARTITIONS)
        ]

    @property
    def ready(self) -> list[Reader]:
        return [reader for reader in self.readers if reader.has_next]

    @property
    def has_to_relay(self) -> bool:
        return self._relayed < len(self.store.outbox)

    async def handle(self, reader: Reader) -> None:
        self._faults.step()
        await self._service.handle(payments.PaymentCommand.FromString(reader.next().value or b""))
        self._faults.step()
        reader.done()

    async def execute(self) -> bool:
        """Carry out one operation that is due, in three steps that a crash may come between."""
        owner = f"life-{self._lives}"
        claimed = await self.store.claim(owner, self._clock.now(), 1, ())
        for operation in claimed:
            self._faults.step()
            outcome = await self._executor.ask_provider(self._provider, operation)
            self._faults.step()
            async with self.store.open(operation.escrow_id) as book:
                settle(book, operation, outcome, self._clock.now(), livemode=False)
        return bool(claimed)

    def relay(self) -> None:
        """Publish the oldest event of the books that was not published yet."""
        event = list(self.store.outbox.values())[self._relayed]
        self._broker.publish(PAYMENTS_EVENTS.name, event.escrow_id.encode(), event)
        self._relayed += 1

    def pass_on(self, call: Call, received_at: datetime) -> None:
        """Do what the webhooks agent does with a call whose signed body names the escrow."""
        message_id = str(ids.derived("provider-event", "STRIPE", call.event_id))
        command = payments.PaymentCommand(
            metadata=metadata.new(common.PRODUCER_WEBHOOKS, received_at, message_id=message_id),
            escrow_id=call.escrow_id,
            rail=common.RAIL_STRIPE,
            record_provider_event=payments.RecordProviderEvent(
                provider=common.PROVIDER_STRIPE,
                provider_event_id=call.event_id,
                provider_payment_id=call.payment_ref,
                type=call.type,
                body=call.body,
                received_at=metadata.timestamp(received_at),
            ),
        )
        self._broker.publish(PAYMENTS_COMMANDS.name, call.escrow_id.encode(), command)
