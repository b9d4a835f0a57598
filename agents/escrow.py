"""The escrow agent: decide, store and wait for the broker, then say it, then acknowledge."""

import asyncio
from datetime import datetime
from typing import Any

import structlog
from faust.types import TP

from agents.deadlines import ARCHIVE_AFTER, DeadlineService
from bloxtr8 import telemetry
from bloxtr8.escrow import Context, Decision, Verdict, decide, is_terminal, permits
from bloxtr8.messaging import envelope, metadata, partitioning
from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.messaging.handling import Delivery, Refused
from bloxtr8.messaging.topics import (
    ESCROW_COMMANDS,
    ESCROW_EVENTS,
    PAYMENTS_COMMANDS,
    PAYMENTS_EVENTS,
    TopicSpec,
)
from bloxtr8.store.mirror_check import escrows_behind
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1.commands_pb2 import EscrowCommand
from proto.bloxtr8.escrow.v1.record_pb2 import EscrowRecord, Origin
from proto.bloxtr8.payments.v1.payments_pb2 import PaymentEvent
from tables.durable import DurableTable

_REPUBLISH_AT_ONCE = 200

_log = structlog.get_logger(__name__)


class UnknownEscrow(Exception):
    """A payment fact of an escrow that this partition has no record of."""


class EscrowAgent:
    """Owns the table `escrows`. Both of its topics are handled under one lock per partition."""

    def __init__(self, app: BloxtrApp, table: DurableTable, deadlines: DeadlineService) -> None:
        self._app = app
        self._table = table
        self._deadlines = deadlines
        self._timeout_s = app.settings.kafka.publish_timeout_s
        # Records that the mirror knows to be incomplete: not served until someone has looked.
        self._behind: set[bytes] = set()

    async def handle(self, message: Any, delivery: Delivery) -> None:
        """Bring one command or payment event to its effect."""
        if isinstance(message, PaymentEvent) and message.HasField("discrepancy_found"):
            # For people; it may be about no escrow at all.
            return
        self._admit(message, delivery)
        async with self._app.partition_lock(delivery.partition):
            self._app.assert_in_session()
            if isinstance(message, EscrowCommand) and message.HasField("archive_escrow"):
                await self._archive(delivery)
                return
            decision = self._decide(message, delivery)
            if decision.record is not None:
                await self._store(delivery, decision.record)
            await self._say([(decision.events, decision.orders, delivery.partition)])
        self._count(message, decision)

    def _admit(self, message: Any, delivery: Delivery) -> None:
        kafka = self._app.settings.kafka
        if partitioning.partition_of(delivery.key, kafka.partitions) != delivery.partition:
            raise Refused(common.DEAD_LETTER_KIND_MALFORMED, "in a partition of other keys")
        if isinstance(message, EscrowCommand) and not permits(delivery.producer, message):
            raise Refused(
                common.DEAD_LETTER_KIND_UNAUTHENTIC, "not a command that this producer may send"
            )
        if delivery.key in self._behind:
            raise Refused(common.DEAD_LETTER_KIND_HANDLER, "the record is behind its mirror")

    def _decide(self, message: Any, delivery: Delivery) -> Decision:
        held = self._table.value_of(delivery.key)
        origin = Origin(topic=delivery.topic, partition=delivery.partition, offset=delivery.offset)
        context = Context(
            now=self._app.clock.now(), fencing_token=delivery.fencing_token, origin=origin
        )
        record = None if held is None else EscrowRecord.FromString(held)
        decision = decide(record, message, context)
        if record is None and decision.record is None and delivery.topic == PAYMENTS_EVENTS.name:
            # Its creation may still be on the way; if not, the money must not pass unseen.
            raise UnknownEscrow("a payment fact of an unknown escrow")
        return decision

    async def _store(self, delivery: Delivery, record: EscrowRecord) -> None:
        value = record.SerializeToString()
        try:
            await self._table.put(delivery.key, value, delivery.partition, self._timeout_s)
        except Exception as error:
            self._app.stop_process("changelog_unacknowledged", repr(error))
            raise
        self._deadlines.watch(delivery.key, record.escrow)

    async def _say(self, outputs: list[tuple[Any, Any, int]]) -> None:
        """Publish (events, orders, partition) in order and wait until the broker has them all.

        Without the acknowledgements the process ends; what was said is said again after recovery.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                acknowledgements = []
                for events, orders, partition in outputs:
                    for event in events:
                        acknowledgements.append(await self._send(ESCROW_EVENTS, event, partition))
                    for order in orders:
                        acknowledgements.append(
                            await self._send(PAYMENTS_COMMANDS, order, partition)
                        )
                for acknowledgement in acknowledgements:
                    await acknowledgement
        except Exception as error:
            self._app.stop_process("output_unacknowledged", repr(error))
            raise

    async def _send(self, spec: TopicSpec, message: Any, partition: int) -> Any:
        signer = self._app.keyring.signer(message.metadata.producer) if spec.signed else None
        schema_id = await self._app.publisher.registry.schema_id(spec)
        wire = envelope.encode(spec, message, signer, schema_id=schema_id)
        # All topics have the same partitions, so the input's is the output's too. During a
        # recovery the partitioner could not tell: it has no metadata yet.
        return await self._app.producer.send(
            spec.name, wire.key, wire.value, partition, None, wire.headers
        )

    async def _archive(self, delivery: Delivery) -> None:
        held = self._table.value_of(delivery.key)
        if held is None:
            return
        escrow = EscrowRecord.FromString(held).escrow
        ended = metadata.moment(escrow.ended_at)
        if not is_terminal(escrow.state) or self._app.clock.now() < ended + ARCHIVE_AFTER:
            return
        try:
            await self._table.remove(delivery.key, delivery.partition, self._timeout_s)
        except Exception as error:
            self._app.stop_process("changelog_unacknowledged", repr(error))
            raise
        self._deadlines.forget(delivery.key)

    # --- after recovery ------------------------------------------------------------------

    async def recovered(self, partitions: set[int]) -> None:
        """Say again what may not have been said, arm the deadlines, compare with the mirror."""
        committed = await self._committed(partitions)
        pending: list[EscrowRecord] = []
        sequences: dict[str, int] = {}
        self._deadlines.clear()
        for key in self._table.keys_of(partitions):
            value = self._table.value_of(key)
            assert value is not None, "keys_of lists what memory has"
            record = EscrowRecord.FromString(value)
            self._deadlines.watch(key, record.escrow)
            sequences[record.escrow.escrow_id] = record.escrow.sequence
            done = committed.get((record.origin.topic, record.origin.partition))
            if done is None or record.origin.offset >= done:
                pending.append(record)
        for start in range(0, len(pending), _REPUBLISH_AT_ONCE):
            await self._say(
                [
                    (record.events, record.orders, record.origin.partition)
                    for record in pending[start : start + _REPUBLISH_AT_ONCE]
                ]
            )
        telemetry.TABLE_RECORDS.labels(table=self._table.name).set(len(sequences))
        _log.info("escrows_recovered", records=len(sequences), republished=len(pending))
        await self._compare(sequences, partitions)

    async def _committed(self, partitions: set[int]) -> dict[tuple[str, int], int | None]:
        tps = {
            TP(spec.name, partition)
            for spec in (ESCROW_COMMANDS, PAYMENTS_EVENTS)
            for partition in partitions
        }
        found = await self._app.consumer.committed(tps)
        return {(tp.topic, tp.partition): offset for tp, offset in found.items()}

    async def _compare(self, sequences: dict[str, int], partitions: set[int]) -> None:
        count = self._app.settings.kafka.partitions

        def mine(escrow_id: str) -> bool:
            return partitioning.partition_of(escrow_id.encode(), count) in partitions

        try:
            behind = await escrows_behind(sequences, mine)
        except Exception as error:
            if not self._app.is_transient(error):
                raise
            # Without PostgreSQL escrows go on: the changelog is the authority.
            _log.warning("mirror_not_compared", error=repr(error)[:200])
            return
        self._behind = {escrow_id.encode() for escrow_id in behind}
        for escrow_id in behind:
            _log.critical("recovery_mismatch", escrow_id=escrow_id)

    # --- figures -------------------------------------------------------------------------

    def _count(self, message: Any, decision: Decision) -> None:
        code = common_code(decision)
        telemetry.COMMANDS.labels(outcome=decision.verdict.name, code=code).inc()
        if decision.verdict is Verdict.DUPLICATE:
            telemetry.DUPLICATES.labels(consumer="escrow").inc()
        if decision.events:
            made: datetime = metadata.moment(message.metadata.occurred_at)
            waited = (self._app.clock.now() - made).total_seconds()
            telemetry.COMMAND_TO_EVENT.observe(max(0.0, waited))
        self._count_call(message, decision)

    def _count_call(self, message: Any, decision: Decision) -> None:
        """Measure from a provider's call to the event that it led to, however many hops."""
        if isinstance(message, EscrowCommand) or not decision.events:
            return
        if message.HasField("provider_called_at"):
            called = metadata.moment(message.provider_called_at)
            waited = (self._app.clock.now() - called).total_seconds()
            telemetry.WEBHOOK_TO_EVENT.observe(max(0.0, waited))


def common_code(decision: Decision) -> str:
    """Return the refusal's name, "OK" when there is none."""
    from proto.bloxtr8.escrow.v1.types_pb2 import RefusalCode

    if not decision.code:
        return "OK"
    return RefusalCode.Name(decision.code).removeprefix("REFUSAL_CODE_")


def register(app: BloxtrApp, table: DurableTable, deadlines: DeadlineService) -> EscrowAgent:
    """Plug the agent into `app`. No time limit around it: it ends the process by itself."""
    agent = EscrowAgent(app, table, deadlines)
    table.on_recovered(agent.recovered)
    app.handle(ESCROW_COMMANDS, agent.handle, name="escrow_commands", limit_s=None)
    app.handle(PAYMENTS_EVENTS, agent.handle, name="escrow_payments", limit_s=None)
    return agent
