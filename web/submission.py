"""Sending a command on behalf of a caller, and answering with its operation."""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from bloxtr8.store import database, idempotency
from bloxtr8.store import operations as store
from bloxtr8.store.database import Transaction
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from web import operations
from web.audit import audit
from web.call import Call
from web.idempotency import REPLAYED_HEADER, replayed
from web.orders import Order
from web.routes import Reply

ACCEPTED = 202

Writes = Callable[[Transaction], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Until when an operation waits, and (staff) for which approval."""

    until: datetime
    approval_id: UUID | None = None


async def submit(
    call: Call,
    order: Order,
    *,
    writes: Writes | None = None,
    reason: str = "",
    waiting: Waiting | None = None,
) -> Reply:
    """Store the operation, `writes` and the key in one transaction, publish, and answer 202.

    With `waiting` nothing is published.
    """
    command = order.command

    async def also(tx: Transaction) -> None:
        if writes is not None:
            await writes(tx)
        subject = ("operation", command.metadata.message_id)
        await audit(tx, call, f"escrow.{command.WhichOneof('body')}", subject, reason=reason)

    submitted = await store.submit_command(
        call.deps.process.publisher,
        call.deps.clock,
        store.Submission(
            command=command,
            requested_by=UUID(call.caller.user_id),
            channel="WEB",
            claim=call.key,
            reply=document,
            also=also,
            approval_id=waiting.approval_id if waiting else None,
            waits_until=waiting.until if waiting else None,
        ),
    )
    if submitted.replayed is not None:
        return replayed(submitted.replayed)
    assert submitted.operation is not None, "what is not replayed was accepted"
    return await told(call, submitted.operation)


async def release_waiting(
    call: Call,
    command: commands.EscrowCommand,
    work: Callable[[Transaction], Awaitable[dict[str, Any]]],
) -> Reply:
    """Send an operation that has waited: `work` lets it go and returns its row.

    Its key is the caller's, who is not the one who asked for the operation.
    """
    released: list[dict[str, Any]] = []

    async def released_once(tx: Transaction) -> Reply:
        row = await work(tx)
        subject = ("operation", command.metadata.message_id)
        await audit(tx, call, f"escrow.{command.WhichOneof('body')}.agreed", subject)
        released[:] = [row]
        return Reply(document(row), ACCEPTED)

    reply = await once(call, released_once)
    if REPLAYED_HEADER in (reply.headers or {}):
        return reply
    sent = await store.send(call.deps.process.publisher, call.deps.clock, command)
    return await told(call, released[0] | sent)


async def once(call: Call, work: Callable[[Transaction], Awaitable[Reply]]) -> Reply:
    """Run `work` in a transaction with the call's key; or return what it answered before."""

    async def keyed(tx: Transaction) -> Reply:
        if call.key is None:
            return await work(tx)
        stored = await idempotency.claim(tx, call.key, call.now)
        if stored is not None:
            return replayed(stored)
        reply = await work(tx)
        await idempotency.keep(tx, call.key, reply.status, reply.body)
        return reply

    return await database.run_in_transaction(keyed)


async def told(call: Call, row: dict[str, Any]) -> Reply:
    """Return 202 with the operation; what was kept for a repeated request is brought up to it."""
    body = document(row)
    if call.key is not None and row["status"] == "SENT":
        key = call.key

        async def keep(tx: Transaction) -> None:
            await idempotency.keep(tx, key, ACCEPTED, body)

        # Without it a repetition is told ACCEPTED: the command is out, its row committed.
        with contextlib.suppress(database.DatabaseUnavailable):
            await database.run_in_transaction(keep)
    return Reply(body, ACCEPTED)


def document(row: dict[str, Any]) -> dict[str, Any]:
    """Return an operation's row as JSON."""
    rendered: dict[str, Any] = operations.render(row).model_dump(mode="json", by_alias=True)
    return rendered
