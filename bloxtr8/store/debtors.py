"""Sellers whose trades were charged back after they had been paid: they owe us, and are frozen."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from bloxtr8.messaging import metadata
from bloxtr8.store import database, staff_tasks
from bloxtr8.store.database import Transaction
from bloxtr8.store.mirror_fold import Step
from bloxtr8.store.mirror_rows import trace_id
from bloxtr8.store.staff_tasks import Task
from proto.bloxtr8.escrow.v1 import events_pb2 as events

CHARGEBACK = "CHARGEBACK"
REASON = "A payment was charged back after its payout."
_PRIORITY = 80


async def freeze(tx: Transaction, steps: Sequence[Step], now: datetime) -> None:
    """Freeze the sellers of `steps` that say such a chargeback, and ask staff to see to it."""
    owing = [step for step in steps if _is_owed(step)]
    for step in owing:
        seller_id = UUID(step.after.seller_id)
        frozen = await tx.fetchval(
            "UPDATE users SET status = 'FROZEN', status_reason = $2, version = version + 1,"
            " updated_at = $3 WHERE id = $1 AND status = 'ACTIVE' RETURNING id",
            seller_id,
            REASON,
            now,
        )
        if frozen is not None:
            await _audit(tx, step, seller_id)
    tasks = [
        Task(
            CHARGEBACK,
            "escrow",
            step.event.escrow_id,
            step.event.chargeback_recorded.amount_minor,
            _PRIORITY,
        )
        for step in owing
    ]
    await staff_tasks.open_tasks(tx, tasks, now)


def _is_owed(step: Step) -> bool:
    if step.event.WhichOneof("body") != "chargeback_recorded":
        return False
    said = step.event.chargeback_recorded
    return said.after_release and said.status == events.CHARGEBACK_STATUS_OPEN


async def _audit(tx: Transaction, step: Step, seller_id: UUID) -> None:
    about = step.event.metadata
    data: dict[str, Any] = {"dispute_ref": step.event.chargeback_recorded.dispute_ref}
    await tx.execute(
        "INSERT INTO audit_log (at, actor_type, channel, action, subject_type, subject_id,"
        " escrow_id, reason, data, trace_id)"
        " VALUES ($1, 'SYSTEM', 'SYSTEM', 'user.frozen', 'user', $2, $3, $4, $5, $6)",
        metadata.moment(about.occurred_at),
        str(seller_id),
        step.event.escrow_id,
        REASON,
        database.to_json(data),
        trace_id(about.traceparent),
    )
