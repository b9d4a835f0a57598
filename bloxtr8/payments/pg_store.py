"""Books in PostgreSQL: one transaction an escrow, serialised by its row in `escrow_funds`."""

import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import fields
from datetime import datetime
from typing import Any

from bloxtr8 import ids
from bloxtr8.clock import Clock
from bloxtr8.messaging import metadata
from bloxtr8.messaging.signatures import Signer
from bloxtr8.messaging.topics import PAYMENTS_EVENTS, WEBHOOK_EVENTS
from bloxtr8.payments import operations
from bloxtr8.payments.book import Artifact, Book, Funds
from bloxtr8.payments.operations import Kind, Operation, Status
from bloxtr8.payments.store import ProviderEvent
from bloxtr8.store import outbox, staff_tasks
from bloxtr8.store.database import Transaction, fetchrow, to_json, transaction
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.webhook.v1 import webhook_pb2 as webhook

# Whose objects an escrow's are, by the currency of its rail.
_PROVIDERS = {"USD": ("STRIPE", common.PROVIDER_STRIPE), "USDC": ("BASE", common.PROVIDER_BASE)}
_COLUMNS = tuple(field.name for field in fields(Operation))
_LIST = ", ".join(_COLUMNS)
_UUIDS = frozenset(
    {
        "operation_id",
        "escrow_id",
        "contract_id",
        "party_id",
        "intent_operation_id",
        "command_id",
    }
)
_INSERT = (
    f"INSERT INTO payment_operations ({_LIST}) "  # noqa: S608 - names of a dataclass
    f"VALUES ({', '.join(f'${n}' for n in range(1, len(_COLUMNS) + 1))})"
)
_UPDATE = (
    "UPDATE payment_operations SET updated_at = now(), "  # noqa: S608
    + ", ".join(f"{name} = ${n}" for n, name in enumerate(_COLUMNS, 1))
    + " WHERE operation_id = $1"
)
# What others have in hand is looked up once, and the order is the index's own: a long queue, and
# statistics that do not know of it yet, must not make each claim slower.
_DUE = """
WITH busy AS MATERIALIZED (
  SELECT escrow_id, operation_id FROM payment_operations
  WHERE finished_at IS NULL AND lease_until > $1
    AND (lease_owner <> $2 OR operation_id = ANY($3::uuid[]))
)
SELECT o.* FROM payment_operations o JOIN escrow_funds f ON f.escrow_id = o.escrow_id
WHERE o.finished_at IS NULL AND o.not_before <= $1
  AND o.operation_id <> ALL($3::uuid[])
  AND (o.lease_until IS NULL OR o.lease_until <= $1 OR o.lease_owner = $2)
  AND NOT EXISTS (
    SELECT FROM busy b WHERE b.escrow_id = o.escrow_id AND b.operation_id <> o.operation_id
  )
ORDER BY o.not_before NULLS FIRST LIMIT $4
FOR UPDATE OF o, f SKIP LOCKED
"""
# Seen again with the escrows' rows locked: what another worker took in between.
_TAKEN = """
SELECT DISTINCT escrow_id FROM payment_operations
WHERE escrow_id = ANY($1::uuid[]) AND finished_at IS NULL AND lease_until > $2
  AND (lease_owner <> $3 OR operation_id = ANY($4::uuid[]))
"""
_NEW_FUNDS = """
INSERT INTO escrow_funds (escrow_id, currency, received_minor, stray_received_minor,
  paid_out_minor, refunded_minor, fees_minor, stray_refunded_minor, fencing_token, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, now())
"""
_SAVE_FUNDS = """
UPDATE escrow_funds SET currency = $2, received_minor = $3, stray_received_minor = $4,
  paid_out_minor = $5, refunded_minor = $6, fees_minor = $7, stray_refunded_minor = $8,
  fencing_token = $9, updated_at = now()
WHERE escrow_id = $1
"""
_SAVE_ARTIFACT = """
INSERT INTO payment_artifacts (id, provider, kind, ref, escrow_id, operation_id, amount_minor,
  currency, status, raw, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, now())
ON CONFLICT (provider, ref) DO UPDATE SET operation_id = $6, amount_minor = $7, currency = $8,
  status = $9, raw = $10, updated_at = now()
"""


class IntentReader:
    """What the pay page needs to know of an escrow; reads only, and signs nothing."""

    async def current_intent(self, escrow_id: str) -> Operation | None:
        """Return the newest operation that made a payment instrument for the escrow."""
        row = await fetchrow(
            "SELECT * FROM payment_operations WHERE escrow_id = $1 AND kind = 'INTENT' "
            "ORDER BY generation DESC LIMIT 1",
            escrow_id,
        )
        return None if row is None else _operation(row)


class PostgresStore:
    """`signer` is the payments agent's, for what it has to say through the outbox."""

    def __init__(self, signer: Signer, clock: Clock) -> None:
        assert signer.producer == common.PRODUCER_PAYMENTS, "payments speaks for itself"
        self._signer = signer
        self._clock = clock

    @asynccontextmanager
    async def open(self, escrow_id: str, event: ProviderEvent | None = None) -> AsyncIterator[Book]:
        async with self.open_with(escrow_id, event) as (_, book):
            yield book

    @asynccontextmanager
    async def open_with(
        self, escrow_id: str, event: ProviderEvent | None = None
    ) -> AsyncIterator[tuple[Transaction, Book]]:
        """Open the book with the transaction that it is kept in, for what belongs to it."""
        async with transaction() as tx:
            book = await _read(tx, escrow_id, event)
            before = None if book.funds is None else _funds_values(book, book.funds)
            yield tx, book
            await _write_funds(tx, book, before)
            await self._write(tx, book)
            if event is not None:
                await _mark_handled(tx, event, escrow_id, self._clock.now())

    async def claim(
        self, owner: str, now: datetime, limit: int, held: Collection[str]
    ) -> list[Operation]:
        async with transaction() as tx:
            rows = await tx.fetch(_DUE, now, owner, list(held), limit)
            due: dict[str, Operation] = {}
            for row in rows:
                operation = _operation(row)
                due.setdefault(operation.escrow_id, operation)
            taken = await tx.fetch(_TAKEN, list(due), now, owner, list(held)) if due else []
            for row in taken:
                del due[str(row["escrow_id"])]
            claimed = [operations.claim(operation, owner, now) for operation in due.values()]
            await tx.executemany(_UPDATE, [_values(operation) for operation in claimed])
        return claimed

    async def operation(self, operation_id: str) -> Operation | None:
        if not operation_id:
            return None
        row = await fetchrow(
            "SELECT * FROM payment_operations WHERE operation_id = $1", operation_id
        )
        return None if row is None else _operation(row)

    async def _write(self, tx: Transaction, book: Book) -> None:
        for operation in book.changed_operations:
            sql = _INSERT if book.is_new(operation) else _UPDATE
            await tx.execute(sql, *_values(operation))
        for artifact in book.changed_artifacts:
            await tx.execute(_SAVE_ARTIFACT, *_artifact_values(book, artifact))
        for message in book.events:
            await outbox.enqueue(tx, PAYMENTS_EVENTS, message, self._signer)
        for ref in book.learned:
            await outbox.enqueue(tx, WEBHOOK_EVENTS, self._reference(book, ref), self._signer)
        if book.tasks:
            await staff_tasks.open_tasks(tx, _tasks(book), self._clock.now())

    def _reference(self, book: Book, ref: str) -> webhook.WebhookEvent:
        """Return the word to the webhooks agent that calls about `ref` are for this escrow."""
        name, provider = _provider_of(book)
        message_id = str(ids.derived("provider-reference", name, ref))
        now = self._clock.now()
        return webhook.WebhookEvent(
            metadata=metadata.new(common.PRODUCER_PAYMENTS, now, message_id=message_id),
            provider=provider,
            provider_payment_id=ref,
            reference=webhook.ProviderReference(escrow_id=book.escrow_id),
        )


async def _read(tx: Transaction, escrow_id: str, event: ProviderEvent | None) -> Book:
    # Without a row there is nothing to lock: the first order of an escrow makes one. Of two first
    # orders at once the second meets the primary key, fails and is handled again.
    funds = await tx.fetchrow(
        "SELECT * FROM escrow_funds WHERE escrow_id = $1 FOR UPDATE", escrow_id
    )
    if funds is None:
        return Book(escrow_id, knows_event=await _handled(tx, event))
    rows = await tx.fetch(
        "SELECT * FROM payment_operations WHERE escrow_id = $1 ORDER BY requested_at, operation_id",
        escrow_id,
    )
    artifacts = await tx.fetch(
        "SELECT * FROM payment_artifacts WHERE escrow_id = $1 ORDER BY created_at, id", escrow_id
    )
    return Book(
        escrow_id,
        Funds(
            funds["currency"],
            funds["received_minor"],
            funds["stray_received_minor"],
            funds["fencing_token"],
        ),
        [_operation(row) for row in rows],
        [_artifact(row) for row in artifacts],
        knows_event=await _handled(tx, event),
    )


async def _write_funds(tx: Transaction, book: Book, before: tuple[Any, ...] | None) -> None:
    if book.funds is None:
        return
    after = _funds_values(book, book.funds)
    if after != before:
        await tx.execute(_NEW_FUNDS if book.is_first else _SAVE_FUNDS, *after)


async def _handled(tx: Transaction, event: ProviderEvent | None) -> bool:
    if event is None:
        return False
    found = await tx.fetchval(
        "SELECT status = 'HANDLED' FROM webhook_events "
        "WHERE provider = $1 AND provider_event_id = $2",
        event.provider,
        event.event_id,
    )
    return bool(found)


async def _mark_handled(
    tx: Transaction, event: ProviderEvent, escrow_id: str, now: datetime
) -> None:
    await tx.execute(
        "UPDATE webhook_events SET status = 'HANDLED', escrow_id = $3, handled_at = $4 "
        "WHERE provider = $1 AND provider_event_id = $2 AND status <> 'HANDLED'",
        event.provider,
        event.event_id,
        escrow_id,
        now,
    )


def _operation(row: dict[str, Any]) -> Operation:
    values = {name: row[name] for name in _COLUMNS}
    for name in _UUIDS:
        values[name] = None if values[name] is None else str(values[name])
    values["kind"] = Kind(values["kind"])
    values["status"] = Status(values["status"])
    values["result"] = json.loads(values["result"]) if values["result"] else {}
    values["not_before"] = values["not_before"] or values["requested_at"]
    return Operation(**values)


def _values(operation: Operation) -> tuple[Any, ...]:
    return tuple(
        to_json(operation.result) if name == "result" else getattr(operation, name)
        for name in _COLUMNS
    )


def _funds_values(book: Book, funds: Funds) -> tuple[Any, ...]:
    return (
        book.escrow_id,
        funds.currency,
        funds.received_minor,
        funds.stray_received_minor,
        book.spent_minor(Kind.PAYOUT),
        book.spent_minor(Kind.REFUND),
        book.fees_minor(),
        book.spent_minor(Kind.STRAY_REFUND),
        funds.fencing_token,
    )


def _artifact(row: dict[str, Any]) -> Artifact:
    return Artifact(
        kind=row["kind"],
        ref=row["ref"],
        operation_id=None if row["operation_id"] is None else str(row["operation_id"]),
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        status=row["status"],
        body=json.loads(row["raw"]) if row["raw"] else {},
    )


def _provider_of(book: Book) -> "tuple[str, common.Provider.ValueType]":
    assert book.funds is not None, "an escrow with objects has funds"
    return _PROVIDERS[book.funds.currency]


def _artifact_values(book: Book, artifact: Artifact) -> tuple[Any, ...]:
    return (
        ids.uuid7(),
        _provider_of(book)[0],
        artifact.kind,
        artifact.ref,
        book.escrow_id,
        artifact.operation_id,
        artifact.amount_minor,
        artifact.currency,
        artifact.status,
        to_json(artifact.body).encode(),
    )


def _tasks(book: Book) -> list[staff_tasks.Task]:
    return [
        staff_tasks.Task(task.kind, "payment", task.subject_id, task.amount_minor)
        for task in book.tasks
    ]
