"""Commands on their way: accepted here, sent to the stream, finished by what the stream says.

ACCEPTED → SENT → SUCCEEDED | REJECTED | STALLED; PENDING_APPROVAL → ACCEPTED. The row is
committed before the command is published, so a command whose sender died is sent by the
sweeper, with the same id. What the stream says wins: also over a row that was taken back or
given up while its command was, unknown to us, already out.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import structlog

from bloxtr8.clock import Clock
from bloxtr8.errors import AlreadyDecided, NotFound
from bloxtr8.messaging.publisher import PublishTimeout
from bloxtr8.messaging.topics import ESCROW_COMMANDS, TopicSpec
from bloxtr8.store import database, idempotency, polling, staff_tasks
from bloxtr8.store.database import Transaction
from bloxtr8.store.idempotency import Claim, Stored
from proto.bloxtr8.escrow.v1.commands_pb2 import EscrowCommand
from proto.bloxtr8.escrow.v1.types_pb2 import RefusalCode

SEND_FOR = timedelta(hours=24)
RESEND_AFTER = timedelta(seconds=5)
STALLED_AFTER = timedelta(minutes=5)
SWEEP_EVERY_S = 2.0
_SWEEP_MAX = 200
_LIST_MAX = 200

_log = structlog.get_logger(__name__)

Row = dict[str, Any]


class Publisher(Protocol):
    async def publish(self, spec: TopicSpec, message: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Submission:
    """A command that someone asks for.

    `claim` makes the request repeatable; `reply` turns the operation's row into the document
    that is kept for that. `also` runs in the same transaction, after the operation's row is in.
    With `approval_id` (staff) or `waits_until` (the other party) the operation waits as
    PENDING_APPROVAL and nothing is published.
    """

    command: EscrowCommand
    requested_by: UUID | None
    channel: str
    claim: Claim | None = None
    reply: Callable[[Row], dict[str, Any]] | None = None
    also: Callable[[Transaction], Awaitable[None]] | None = None
    approval_id: UUID | None = None
    waits_until: datetime | None = None

    @property
    def waits(self) -> bool:
        return self.approval_id is not None or self.waits_until is not None


@dataclass(frozen=True, slots=True)
class Submitted:
    """The operation's row; or, for a repeated request, the answer that was given before."""

    operation: Row | None
    replayed: Stored | None = None


async def submit_command(publisher: Publisher, clock: Clock, submission: Submission) -> Submitted:
    """Accept the command, commit, publish it and mark it SENT.

    When the broker does not answer the operation stays ACCEPTED and the sweeper goes on.
    Raises IdempotencyInProgress, IdempotencyKeyReused, DatabaseUnavailable.
    """
    now = clock.now()

    async def work(tx: Transaction) -> Submitted:
        if submission.claim is not None:
            stored = await idempotency.claim(tx, submission.claim, now)
            if stored is not None:
                return Submitted(None, stored)
        row = await accept(tx, submission, now)
        if submission.also is not None:
            await submission.also(tx)
        if submission.claim is not None and submission.reply is not None:
            await idempotency.keep(tx, submission.claim, 202, submission.reply(row))
        return Submitted(row)

    submitted = await database.run_in_transaction(work)
    if submitted.operation is not None and not submission.waits:
        sent = await send(publisher, clock, submission.command)
        return Submitted(submitted.operation | sent)
    return submitted


async def accept(tx: Transaction, submission: Submission, now: datetime) -> Row:
    """Insert the operation's row and return it; nothing is published by this."""
    command = submission.command
    row = await tx.fetchrow(
        "INSERT INTO operations (id, kind, escrow_id, requested_by, channel, status, command,"
        " traceparent, not_after, approval_id, created_at, updated_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) RETURNING *",
        UUID(command.metadata.message_id),
        command.WhichOneof("body"),
        UUID(command.escrow_id),
        submission.requested_by,
        submission.channel,
        "PENDING_APPROVAL" if submission.waits else "ACCEPTED",
        command.SerializeToString(),
        command.metadata.traceparent,
        submission.waits_until or now + SEND_FOR,
        submission.approval_id,
        now,
    )
    assert row is not None, "an insert that returns"
    return row


async def approve(tx: Transaction, command: EscrowCommand, now: datetime) -> Row:
    """Let a PENDING_APPROVAL operation go, as `command` with both approvals in it.

    The caller publishes it with `send` after the commit. Raises AlreadyDecided.
    """
    row = await tx.fetchrow(
        "UPDATE operations SET status = 'ACCEPTED', command = $2, not_after = $3, updated_at = $4"
        " WHERE id = $1 AND status = 'PENDING_APPROVAL' RETURNING *",
        UUID(command.metadata.message_id),
        command.SerializeToString(),
        now + SEND_FOR,
        now,
    )
    if row is None:
        raise AlreadyDecided
    return row


async def reject(tx: Transaction, operation_id: UUID, error_code: str, now: datetime) -> None:
    """End a PENDING_APPROVAL operation; raises AlreadyDecided."""
    if not await _end(tx, operation_id, "PENDING_APPROVAL", error_code, now):
        raise AlreadyDecided


async def send(publisher: Publisher, clock: Clock, command: EscrowCommand) -> Row:
    """Publish an accepted command; return the columns that changed, none without an answer."""
    try:
        await publisher.publish(ESCROW_COMMANDS, command)
    except PublishTimeout:
        _log.warning("command_not_acknowledged", command_id=command.metadata.message_id)
        return {}
    now = clock.now()
    try:
        async with database.transaction() as tx:
            await tx.execute(
                "UPDATE operations SET status = 'SENT', sent_at = $2, updated_at = $2"
                " WHERE id = $1 AND status = 'ACCEPTED'",
                UUID(command.metadata.message_id),
                now,
            )
    except database.DatabaseUnavailable:
        # It is out; the sweeper will send it once more and the stream will know it.
        return {}
    return {"status": "SENT", "sent_at": now, "updated_at": now}


async def take_back(tx: Transaction, operation_id: UUID, requester: UUID, now: datetime) -> Row:
    """End an operation that is not sent yet; raises NotFound and AlreadyDecided."""
    row = await tx.fetchrow(
        "SELECT requested_by, status FROM operations WHERE id = $1 FOR UPDATE", operation_id
    )
    if row is None or row["requested_by"] != requester:
        raise NotFound
    if row["status"] not in ("ACCEPTED", "PENDING_APPROVAL"):
        raise AlreadyDecided
    await _end(tx, operation_id, row["status"], "taken_back", now)
    ended = await tx.fetchrow("SELECT * FROM operations WHERE id = $1", operation_id)
    assert ended is not None, "the row was locked"
    return ended


async def get(operation_id: UUID) -> Row | None:
    """Return the operation's row."""
    return await database.fetchrow("SELECT * FROM operations WHERE id = $1", operation_id)


async def wait(operation_id: UUID, timeout: float) -> Row | None:
    """Return the operation's row when it is finished, or as it is after `timeout` seconds."""
    return await polling.finished(lambda: get(operation_id), timeout)


async def list_operations(
    requested_by: UUID,
    *,
    escrow_id: UUID | None = None,
    status: str | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 50,
) -> list[Row]:
    """Return the operations of a person, newest first; `before` is the last row's place."""
    assert 0 < limit <= _LIST_MAX, "a page has a limit"
    moment, last = before or (None, None)
    return await database.fetch(
        "SELECT * FROM operations WHERE requested_by = $1"
        " AND ($2::uuid IS NULL OR escrow_id = $2) AND ($3::text IS NULL OR status = $3)"
        " AND ($4::timestamptz IS NULL OR (created_at, id) < ($4, $5::uuid))"
        " ORDER BY created_at DESC, id DESC LIMIT $6",
        requested_by,
        escrow_id,
        status,
        moment,
        last,
        limit,
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the stream says of a command: the state and version after it, or why not."""

    command_id: UUID
    escrow_state: str
    escrow_version: int
    error_code: str | None
    at: datetime


def error_code_of(code: int) -> str:
    """Return the error code of a refusal, e.g. "WRONG_STATE"."""
    name: str = RefusalCode.Name(code)  # type: ignore[arg-type]
    return name.removeprefix("REFUSAL_CODE_")


async def finish(tx: Transaction, outcomes: Sequence[Outcome]) -> None:
    """Finish the operations of these commands; commands that are no operation are passed over.

    Of several events of one command the last one's version stands.
    """
    if not outcomes:
        return
    known = await tx.fetch(
        "UPDATE operations AS o SET status = n.status, result = n.result,"
        " error_code = n.error_code, escrow_version = n.version,"
        " finished_at = coalesce(o.finished_at, n.at), sent_at = coalesce(o.sent_at, n.at),"
        " updated_at = n.at FROM unnest($1::uuid[], $2::text[], $3::jsonb[], $4::text[],"
        " $5::bigint[], $6::timestamptz[]) AS n (id, status, result, error_code, version, at)"
        " WHERE o.id = n.id AND (o.status NOT IN ('SUCCEEDED', 'REJECTED')"
        "  OR (o.status = 'REJECTED' AND o.error_code IN ('taken_back', 'not_sent'))"
        "  OR (o.status = 'SUCCEEDED' AND n.status = 'SUCCEEDED'"
        "      AND o.escrow_version < n.version)) RETURNING o.id, o.updated_at",
        [outcome.command_id for outcome in outcomes],
        ["REJECTED" if outcome.error_code else "SUCCEEDED" for outcome in outcomes],
        [None if outcome.error_code else _result(outcome) for outcome in outcomes],
        [outcome.error_code for outcome in outcomes],
        [outcome.escrow_version for outcome in outcomes],
        [outcome.at for outcome in outcomes],
    )
    if known:
        subjects = [("STALLED_OPERATION", str(row["id"])) for row in known]
        await staff_tasks.close(tx, subjects, "answered", known[0]["updated_at"])


class Sweeper:
    """Sends again what did not get out, gives up what is too old, reports what got no answer."""

    def __init__(self, publisher: Publisher, clock: Clock) -> None:
        self._publisher = publisher
        self._clock = clock

    async def run(self) -> None:
        """Sweep until cancelled; without the database wait for it."""
        while True:
            try:
                await self.sweep()
            except Exception as error:
                if not database.is_transient(error):
                    raise
                _log.warning("operations_wait", error=repr(error)[:200])
            await asyncio.sleep(SWEEP_EVERY_S)

    async def sweep(self) -> int:
        """Do one round; return how many commands were published."""
        now = self._clock.now()
        async with database.transaction() as tx:
            await self._give_up(tx, now)
            await self._report_stalled(tx, now)
            rows = await self._claim(tx, now)
        sent = 0
        for row in rows:
            command = EscrowCommand.FromString(row["command"])
            sent += bool(await send(self._publisher, self._clock, command))
        return sent

    async def _claim(self, tx: Transaction, now: datetime) -> list[Row]:
        """Return what is to be sent again; the others on this table pass it over for a while."""
        return await tx.fetch(
            "UPDATE operations SET updated_at = $1 WHERE id IN (SELECT id FROM operations"
            " WHERE status = 'ACCEPTED' AND updated_at < $2 AND finished_at IS NULL"
            " ORDER BY created_at LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING id, command",
            now,
            now - RESEND_AFTER,
            _SWEEP_MAX,
        )

    async def _give_up(self, tx: Transaction, now: datetime) -> None:
        await tx.execute(
            "UPDATE operations SET status = 'REJECTED', error_code ="
            " CASE status WHEN 'ACCEPTED' THEN 'not_sent' ELSE 'approval_expired' END,"
            " finished_at = $1, updated_at = $1 WHERE id IN (SELECT id FROM operations"
            " WHERE status IN ('ACCEPTED', 'PENDING_APPROVAL')"
            " AND finished_at IS NULL AND not_after <= $1"
            " LIMIT $2 FOR UPDATE SKIP LOCKED)",
            now,
            _SWEEP_MAX,
        )

    async def _report_stalled(self, tx: Transaction, now: datetime) -> None:
        rows = await tx.fetch(
            "UPDATE operations SET status = 'STALLED', updated_at = $1 WHERE id IN (SELECT id"
            " FROM operations WHERE status = 'SENT' AND finished_at IS NULL AND sent_at < $2"
            " LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING id",
            now,
            now - STALLED_AFTER,
            _SWEEP_MAX,
        )
        tasks = [
            staff_tasks.Task("STALLED_OPERATION", "operation", str(row["id"]), None) for row in rows
        ]
        await staff_tasks.open_tasks(tx, tasks, now)


async def _end(
    tx: Transaction, operation_id: UUID, status: str, error_code: str, now: datetime
) -> bool:
    return bool(
        await tx.execute(
            "UPDATE operations SET status = 'REJECTED', error_code = $3, finished_at = $4,"
            " updated_at = $4 WHERE id = $1 AND status = $2",
            operation_id,
            status,
            error_code,
            now,
        )
    )


def _result(outcome: Outcome) -> str:
    return database.to_json(
        {"escrow_status": outcome.escrow_state, "escrow_version": outcome.escrow_version}
    )
