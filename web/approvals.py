"""Second approvals: what staff may not do alone is stored whole and runs when another agrees."""

import hashlib
import json
from datetime import datetime
from typing import Any
from uuid import UUID

from google.protobuf.json_format import MessageToDict

from bloxtr8 import ids
from bloxtr8.errors import (
    AlreadyDecided,
    ApprovalStale,
    ConflictOfInterest,
    NotFound,
    OperationConflict,
)
from bloxtr8.market import clocks
from bloxtr8.store import operations as store
from bloxtr8.store.database import Transaction, to_json
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from web.audit import audit
from web.call import Call
from web.orders import Order
from web.routes import Reply
from web.submission import Waiting, Writes, submit

# Minor units of USDC are millionths of a dollar; approvals show cents.
_MICROS_PER_CENT = 10_000

Row = dict[str, Any]


async def submit_or_ask(
    call: Call, order: Order, *, reason: str, writes: Writes | None = None
) -> Reply:
    """Send a staff command, or store it for a second member of staff to approve."""
    if not order.needs_approval:
        return await submit(call, order, writes=writes, reason=reason)
    approval_id = ids.uuid7()
    until = call.now + clocks.SECOND_APPROVAL.length

    async def ask(tx: Transaction) -> None:
        if writes is not None:
            await writes(tx)
        await _insert(tx, call, order, approval_id, reason)

    waiting = Waiting(until, approval_id)
    return await submit(call, order, writes=ask, reason=reason, waiting=waiting)


def payload_of(command: commands.EscrowCommand) -> dict[str, Any]:
    """Return what is approved: the command without its envelope."""
    document: dict[str, Any] = MessageToDict(command, preserving_proto_field_name=True)
    document.pop("metadata", None)
    document.pop("approvals", None)
    return document


def payload_hash(payload: dict[str, Any]) -> bytes:
    """Return the SHA-256 of the payload's canonical JSON."""
    return hashlib.sha256(to_json(payload).encode()).digest()


async def _insert(
    tx: Transaction, call: Call, order: Order, approval_id: UUID, reason: str
) -> None:
    action = order.command.WhichOneof("body")
    subject_id = order.command.escrow_id
    await _make_room(tx, call, action or "", subject_id)
    payload = payload_of(order.command)
    inserted = await tx.execute(
        "INSERT INTO approvals (id, action, subject_type, subject_id, subject_version, payload,"
        " payload_sha256, amount_usd_minor, requested_by, reason, expires_at, created_at,"
        " updated_at) VALUES ($1, $2, 'escrow', $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)"
        " ON CONFLICT (action, subject_id) WHERE status = 'PENDING' DO NOTHING",
        approval_id,
        action,
        subject_id,
        call.trade.escrow.sequence,
        to_json(payload),
        payload_hash(payload),
        _usd_minor(call),
        call.caller.user_id,
        reason,
        call.now + clocks.SECOND_APPROVAL.length,
        call.now,
    )
    if not inserted:
        raise OperationConflict("The same is already waiting for a second approval.")


async def _make_room(tx: Transaction, call: Call, action: str, subject_id: str) -> None:
    """End requests for the same that are over, or were about an earlier state of the trade."""
    ended = await tx.fetch(
        "UPDATE approvals SET status = 'EXPIRED', updated_at = $3 WHERE action = $1"
        " AND subject_id = $2 AND status = 'PENDING'"
        " AND (expires_at <= $3 OR subject_version <> $4) RETURNING id",
        action,
        subject_id,
        call.now,
        call.trade.escrow.sequence,
    )
    await tx.execute(
        "UPDATE operations SET status = 'REJECTED', error_code = 'approval_expired',"
        " finished_at = $2, updated_at = $2"
        " WHERE approval_id = ANY($1::uuid[]) AND status = 'PENDING_APPROVAL'",
        [row["id"] for row in ended],
        call.now,
    )


async def withdraw(tx: Transaction, operation_id: UUID, requester: UUID, now: datetime) -> None:
    """End the request for an operation that its requester takes back, if it has one."""
    await tx.execute(
        "UPDATE approvals SET status = 'EXPIRED', updated_at = $3 WHERE status = 'PENDING'"
        " AND id = (SELECT approval_id FROM operations WHERE id = $1 AND requested_by = $2)",
        operation_id,
        requester,
        now,
    )


def _usd_minor(call: Call) -> int:
    price = call.trade.escrow.price
    return price.minor if price.currency == common.CURRENCY_USD else price.minor // _MICROS_PER_CENT


async def lock(tx: Transaction, approval_id: UUID, sha256: str, call: Call) -> Row:
    """Return the approval, locked, if the caller may decide it now.

    Raises NotFound, AlreadyDecided, ConflictOfInterest (the requester, or a party of the
    trade) and ApprovalStale (over, another payload than was read, or a changed escrow).
    """
    row = await tx.fetchrow("SELECT * FROM approvals WHERE id = $1 FOR UPDATE", approval_id)
    if row is None:
        raise NotFound
    escrow = await tx.fetchrow(
        "SELECT version, buyer_id, seller_id FROM escrows WHERE id = $1", row["subject_id"]
    )
    assert escrow is not None, "mirrored escrows are never deleted"
    caller = UUID(call.caller.user_id)
    if caller in (row["requested_by"], escrow["buyer_id"], escrow["seller_id"]):
        raise ConflictOfInterest
    if row["status"] != "PENDING":
        raise AlreadyDecided
    if row["expires_at"] <= call.now or row["payload_sha256"].hex() != sha256:
        raise ApprovalStale
    return row | {"escrow_version": escrow["version"]}


async def decide(tx: Transaction, call: Call, row: Row, status: str, reason: str) -> Row:
    """Write the decision and its audit row; return the approval as it is now."""
    decided = await tx.fetchrow(
        "UPDATE approvals SET status = $2, decided_by = $3, decided_at = $4, decision_reason = $5,"
        " updated_at = $4 WHERE id = $1 RETURNING *",
        row["id"],
        status,
        call.caller.user_id,
        call.now,
        reason,
    )
    subject = ("approval", str(row["id"]))
    data = {"action": row["action"], "escrow_id": row["subject_id"]}
    await audit(tx, call, f"approval.{status.lower()}", subject, reason=reason, data=data)
    assert decided is not None, "the row is locked"
    return decided


async def waiting_command(tx: Transaction, approval_id: UUID) -> commands.EscrowCommand:
    """Return the command that waits for the approval; raises AlreadyDecided without one."""
    row = await tx.fetchrow(
        "SELECT command FROM operations WHERE approval_id = $1 AND status = 'PENDING_APPROVAL'"
        " FOR UPDATE",
        approval_id,
    )
    if row is None:
        raise AlreadyDecided
    return commands.EscrowCommand.FromString(row["command"])


async def reject_waiting(tx: Transaction, approval_id: UUID, now: datetime) -> None:
    """End the operation that waits for the approval; raises AlreadyDecided without one."""
    command = await waiting_command(tx, approval_id)
    await store.reject(tx, UUID(command.metadata.message_id), "approval_rejected", now)


def loaded(value: Any) -> Any:
    """Return a JSON column, which plain SQL gives as text."""
    return json.loads(value) if isinstance(value, str) else value
