"""The mirror: what the stream says, in PostgreSQL, for lists, pages, ledger and staff.

Handlers of several partitions hand in their message and wait; whatever has come together is
written in one transaction. A message that cannot be written does not hold up its batch.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog

from bloxtr8 import ids, telemetry
from bloxtr8.clock import Clock
from bloxtr8.ledger import bookings, journal
from bloxtr8.messaging import metadata
from bloxtr8.store import database, mirror_effects, mirror_rows
from bloxtr8.store.database import Transaction
from bloxtr8.store.mirror_fold import (
    Folding,
    MirrorConflict,
    MirrorGap,
    Place,
    Step,
)
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowEvent
from proto.bloxtr8.escrow.v1.record_pb2 import Escrow
from proto.bloxtr8.payments.v1.payments_pb2 import PaymentEvent

BATCH_MAX = 500
# More than the partitions of one worker have in flight; beyond it something is wrong.
WAITING_MAX = 10_000
_CONSUMER = "mirror"

_log = structlog.get_logger(__name__)

Message = EscrowEvent | PaymentEvent
# What became of one message: None, or why it could not be written (yet).
Fate = MirrorGap | MirrorConflict | None


@dataclass(slots=True)
class _Waiting:
    message: Message
    done: asyncio.Future[None]


class Mirror:
    """Writes events in groups. `await write(event)` returns when it is committed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._flushing: asyncio.Task[None] | None = None

    async def write(self, message: Message) -> None:
        """Write one event, with whatever others are waiting.

        Raises MirrorGap when its predecessor is missing, MirrorConflict when it contradicts
        one that is stored, and what the database raises.
        """
        assert len(self._waiting) < WAITING_MAX, "handlers wait for what they hand in"
        waiting = _Waiting(message, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        telemetry.MIRROR_PENDING.set(len(self._waiting))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush(), name="mirror-flush")
        await waiting.done

    async def apply(self, batch: Sequence[Message]) -> list[Fate]:
        """Write `batch` in one transaction; return what became of each of its messages.

        Nothing is written when this raises.
        """
        written: list[_Writing] = []

        async def work(tx: Transaction) -> list[Fate]:
            writing = _Writing(tx, self._clock)
            written.append(writing)
            return await writing.run(batch)

        fates = await database.run_in_transaction(work)
        # Only the attempt that committed counts.
        written[-1].count()
        return fates

    async def _flush(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
            await self._write_batch(batch)
        telemetry.MIRROR_PENDING.set(0)

    async def _write_batch(self, batch: list[_Waiting]) -> None:
        try:
            fates = await self.apply([waiting.message for waiting in batch])
        except Exception as error:
            if len(batch) > 1 and not database.is_transient(error):
                # One of them is to blame; the others must not share its end.
                for waiting in batch:
                    await self._write_batch([waiting])
                return
            _finish(batch, [error] * len(batch))
        except BaseException as error:
            _finish(batch, [error] * len(batch))
            raise
        else:
            _finish(batch, fates)


def _finish(batch: list[_Waiting], fates: Sequence[BaseException | None]) -> None:
    for waiting, fate in zip(batch, fates, strict=True):
        if waiting.done.done():
            continue
        if fate is None:
            waiting.done.set_result(None)
        elif isinstance(fate, asyncio.CancelledError):
            waiting.done.cancel()
        else:
            waiting.done.set_exception(fate)


class _Writing:
    """One batch in one transaction, and the figures to count once it is committed."""

    def __init__(self, tx: Transaction, clock: Clock) -> None:
        self._tx = tx
        self._now = clock.now()
        self._outcomes: list[str] = []
        self._steps: list[Step] = []

    async def run(self, batch: Sequence[Message]) -> list[Fate]:
        escrow_events = [event for event in batch if isinstance(event, EscrowEvent)]
        refusals = [event for event in escrow_events if event.sequence == 0]
        numbered = [event for event in escrow_events if event.sequence > 0]
        foldings = await mirror_rows.load(self._tx, numbered) if numbered else {}
        fates: list[Fate] = []
        for event in batch:
            if isinstance(event, EscrowEvent) and event.sequence > 0:
                fates.append(await self._take(foldings[event.escrow_id], event))
            else:
                fates.append(None)
        await mirror_rows.write(self._tx, list(foldings.values()), self._now)
        answers = {event.metadata.message_id: event for event in refusals}
        fresh = [answers[message_id] for message_id in await self._once(list(answers))]
        await mirror_effects.write(self._tx, self._steps, fresh, self._now)
        await self._payments(batch, fates, foldings)
        return fates

    async def _take(self, folding: Folding, event: EscrowEvent) -> Fate:
        try:
            place = await self._apply(folding, event)
        except (MirrorGap, MirrorConflict) as error:
            self._outcomes.append("refused")
            return error
        self._outcomes.append(place.value)
        if place in (Place.NEXT, Place.SUPERSEDES):
            self._steps.append(folding.steps[-1])
        if place is Place.SUPERSEDES:
            _log.error("events_superseded", escrow_id=event.escrow_id, sequence=event.sequence)
        elif place is Place.FENCED:
            _log.warning("event_fenced", escrow_id=event.escrow_id, sequence=event.sequence)
        return None

    async def _apply(self, folding: Folding, event: EscrowEvent) -> Place:
        place = folding.place(event)
        if place is Place.NEXT:
            folding.append(event)
        elif place is Place.SUPERSEDES:
            if not folding.history:
                await mirror_rows.load_history(self._tx, folding)
            folding.supersede(event)
        return place

    async def _payments(
        self, batch: Sequence[Message], fates: list[Fate], foldings: dict[str, Folding]
    ) -> None:
        """Book what only payment events say, each once."""
        for position, event in enumerate(batch):
            if not isinstance(event, PaymentEvent) or not bookings.books(event):
                continue
            escrow = await self._escrow_of(event, foldings)
            if escrow is None:
                fates[position] = MirrorGap(f"{event.escrow_id}: money before its escrow")
                continue
            if await self._once([event.metadata.message_id]):
                await journal.post(self._tx, [_payment_booking(event, escrow)])
            else:
                self._outcomes.append(Place.DUPLICATE.value)

    async def _escrow_of(self, event: PaymentEvent, foldings: dict[str, Folding]) -> Escrow | None:
        folding = foldings.get(event.escrow_id)
        if folding is not None:
            return folding.escrow
        state: bytes | None = await self._tx.fetchval(
            "SELECT state_bytes FROM escrows WHERE id = $1", event.escrow_id
        )
        return None if state is None else Escrow.FromString(state)

    async def _once(self, message_ids: list[str]) -> list[str]:
        """Note these messages as seen and return those that had not been."""
        if not message_ids:
            return []
        rows = await self._tx.fetch(
            "INSERT INTO inbox_messages (consumer, message_id, result, processed_at)"
            " SELECT $1, message_id, 'DONE', $3 FROM unnest($2::uuid[]) AS message_id"
            " ON CONFLICT (consumer, message_id) DO NOTHING RETURNING message_id::text AS id",
            _CONSUMER,
            message_ids,
            self._now,
        )
        return [row["id"] for row in rows]

    def count(self) -> None:
        """Count what was committed."""
        for outcome in self._outcomes:
            telemetry.MIRROR_EVENTS.labels(outcome=outcome).inc()
        duplicates = self._outcomes.count(Place.DUPLICATE.value)
        fenced = self._outcomes.count(Place.FENCED.value)
        telemetry.DUPLICATES.labels(consumer=_CONSUMER).inc(duplicates)
        telemetry.FENCED.labels(consumer=_CONSUMER).inc(fenced)
        for step in self._steps:
            lag = self._now - metadata.moment(step.event.metadata.occurred_at)
            telemetry.MIRROR_LAG.observe(max(0.0, lag.total_seconds()))
            _count_transition(step)


def _count_transition(step: Step) -> None:
    before = step.before.state if step.before is not None else 0
    if before == step.after.state:
        return
    telemetry.TRANSITIONS.labels(
        from_state=mirror_rows.state_name(before) if before else "NONE",
        to_state=mirror_rows.state_name(step.after.state),
        rail=mirror_rows.name_of(common.Rail, step.after.rail, "RAIL_"),
    ).inc()


def _payment_booking(event: PaymentEvent, escrow: Escrow) -> journal.Booking:
    return journal.Booking(
        transaction_id=ids.derived("ledger", event.metadata.message_id),
        event_id=UUID(event.metadata.message_id),
        kind=str(event.WhichOneof("body")),
        escrow_id=UUID(event.escrow_id),
        occurred_at=metadata.moment(event.metadata.occurred_at),
        lines=bookings.of_payment_event(event, escrow),
    )
