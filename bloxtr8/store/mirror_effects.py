"""What follows from events besides the mirror itself: cases, tasks, audit, operations, ledger."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.ledger import bookings, journal
from bloxtr8.market import escrow_notices, notices
from bloxtr8.messaging import metadata
from bloxtr8.store import database, debtors, operations, staff_tasks
from bloxtr8.store.database import Transaction
from bloxtr8.store.mirror_fold import Step
from bloxtr8.store.mirror_rows import actor_kind, name_of, state_name, trace_id, uuid_or_none
from bloxtr8.store.operations import Outcome
from bloxtr8.store.staff_tasks import Task
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowEvent
from proto.bloxtr8.escrow.v1.record_pb2 import Escrow

# Micro-USDC in a cent; one USDC counts as one USD.
_USDC_PER_CENT = 10_000
_OVERDUE_PRIORITY = 90
_FAILED_HOLDS = (types.HOLD_KIND_PAYOUT_FAILED, types.HOLD_KIND_REFUND_FAILED)


async def write(
    tx: Transaction, steps: Sequence[Step], refusals: Sequence[EscrowEvent], now: datetime
) -> None:
    """Write everything that `steps` lead to; `refusals` are events of no escrow."""
    events = [step.event for step in steps]
    await journal.post(tx, [_booking(step) for step in steps])
    for step in steps:
        await _dispute(tx, step)
    await _tasks(tx, steps, now)
    await debtors.report(tx, steps, now)
    told = [item for step in steps for item in escrow_notices.of_event(step.event, step.after)]
    await notices.tell_all(tx, told, now)
    await _audit(tx, [*events, *refusals])
    await operations.finish(tx, _outcomes([*events, *refusals]))


def _booking(step: Step) -> journal.Booking:
    event = step.event
    token = event.fencing_token if step.replaced else 0
    return journal.Booking(
        transaction_id=ids.derived("ledger", event.escrow_id, event.sequence, token),
        event_id=UUID(event.metadata.message_id),
        kind=str(event.WhichOneof("body")),
        escrow_id=UUID(event.escrow_id),
        occurred_at=metadata.moment(event.metadata.occurred_at),
        lines=bookings.of_escrow_event(step.before, step.after),
    )


def _outcomes(events: Sequence[EscrowEvent]) -> list[Outcome]:
    """Return the last word on each command that caused one of `events`."""
    last: dict[UUID, Outcome] = {}
    for event in events:
        command_id = uuid_or_none(event.metadata.causation_id)
        if command_id is None:
            continue
        refused = event.WhichOneof("body") == "escrow_command_rejected"
        code = event.escrow_command_rejected.code
        last[command_id] = Outcome(
            command_id=command_id,
            escrow_state=state_name(event.state),
            escrow_version=event.sequence,
            error_code=operations.error_code_of(code) if refused else None,
            at=metadata.moment(event.metadata.occurred_at),
        )
    return list(last.values())


# --- disputes ------------------------------------------------------------------------


async def _dispute(tx: Transaction, step: Step) -> None:
    event, body = step.event, step.event.WhichOneof("body")
    at = metadata.moment(event.metadata.occurred_at)
    if body == "escrow_disputed":
        await _open_dispute(tx, event, at)
    elif body == "dispute_overdue":
        await tx.execute(
            "UPDATE disputes SET overdue_at = $2, updated_at = $2"
            " WHERE escrow_id = $1 AND status = 'OPEN'",
            event.escrow_id,
            at,
        )
    elif body == "escrow_dispute_resolved":
        resolved = event.escrow_dispute_resolved
        outcome = name_of(types.Outcome, resolved.outcome, "OUTCOME_")
        verdict = uuid_or_none(resolved.verdict.id)
        await _close_dispute(tx, event, "RESOLVED", outcome, resolved.refund_minor, verdict)
    elif _was_disputed(step.before) and not _was_disputed(step.after):
        withdrawn = body == "escrow_dispute_withdrawn"
        await _close_dispute(tx, event, "WITHDRAWN" if withdrawn else "RESOLVED")


async def _open_dispute(tx: Transaction, event: EscrowEvent, at: datetime) -> None:
    disputed = event.escrow_disputed
    await tx.execute(
        "INSERT INTO disputes (id, escrow_id, status, reason, wanted, opened_kind, opened_by,"
        " from_state, statement_id, opened_at, created_at, updated_at)"
        " VALUES ($1, $2, 'OPEN', $3, $4, $5, $6, $7, $8, $9, $9, $9) ON CONFLICT DO NOTHING",
        ids.derived("dispute", event.escrow_id, event.sequence),
        event.escrow_id,
        name_of(types.DisputeReason, disputed.reason, "DISPUTE_REASON_"),
        name_of(types.Outcome, disputed.wanted, "OUTCOME_") if disputed.wanted else None,
        actor_kind(event.actor),
        uuid_or_none(event.actor.user_id),
        state_name(getattr(disputed, "from")),
        uuid_or_none(disputed.statement.id),
        at,
    )


async def _close_dispute(
    tx: Transaction,
    event: EscrowEvent,
    status: str,
    outcome: str | None = None,
    refund_minor: int | None = None,
    verdict_id: UUID | None = None,
) -> None:
    await tx.execute(
        "UPDATE disputes SET status = $2, outcome = $3, refund_minor = $4, verdict_id = $5,"
        " closed_at = $6, updated_at = $6 WHERE escrow_id = $1 AND status = 'OPEN'",
        event.escrow_id,
        status,
        outcome,
        refund_minor,
        verdict_id,
        metadata.moment(event.metadata.occurred_at),
    )


def _was_disputed(escrow: Escrow | None) -> bool:
    return escrow is not None and escrow.state == types.ESCROW_STATE_DISPUTED


# --- staff's queue -------------------------------------------------------------------


async def _tasks(tx: Transaction, steps: Sequence[Step], now: datetime) -> None:
    """Open and close tasks step by step: an escrow may need one, then another, in one batch."""
    for step in steps:
        before, after = _needs(step.before), _needs(step.after)
        overdue = step.event.WhichOneof("body") == "dispute_overdue"
        wanted = after if overdue else after - before
        priority = _OVERDUE_PRIORITY if overdue else staff_tasks.PRIORITY
        escrow_id = step.event.escrow_id
        if wanted:
            cents = _usd_cents(step.after)
            tasks = [Task(kind, "escrow", escrow_id, cents, priority) for kind in sorted(wanted)]
            await staff_tasks.open_tasks(tx, tasks, now)
        done = [(kind, escrow_id) for kind in sorted(before - after)]
        await staff_tasks.close(tx, done, state_name(step.after.state), now)


def _needs(escrow: Escrow | None) -> set[str]:
    """Return the kinds of task that an escrow in this state is."""
    if escrow is None:
        return set()
    needs = set()
    if escrow.state == types.ESCROW_STATE_FUNDS_REVIEW:
        needs.add("FUNDS_REVIEW")
    if escrow.state == types.ESCROW_STATE_DISPUTED:
        needs.add("DISPUTE")
    failed_stray = any(stray.status == types.LEG_STATUS_FAILED for stray in escrow.stray)
    if escrow.hold.kind in _FAILED_HOLDS or failed_stray:
        needs.add("PAYOUT_FAILED")
    return needs


def _usd_cents(escrow: Escrow) -> int:
    if escrow.price.currency == common.CURRENCY_USDC:
        return escrow.price.minor // _USDC_PER_CENT
    return escrow.price.minor


# --- audit ---------------------------------------------------------------------------


async def _audit(tx: Transaction, events: Sequence[EscrowEvent]) -> None:
    await tx.executemany(
        "INSERT INTO audit_log (at, actor_type, actor_id, channel, action, subject_type,"
        " subject_id, escrow_id, data, trace_id)"
        " VALUES ($1, $2, $3, 'SYSTEM', $4, 'escrow', $5, $6, $7, $8)",
        [_audit_row(event) for event in events],
    )


def _audit_row(event: EscrowEvent) -> tuple[Any, ...]:
    about = event.metadata
    data = {
        "causation_id": about.causation_id,
        "sequence": event.sequence,
        "state": state_name(event.state),
    }
    if event.WhichOneof("body") == "escrow_command_rejected":
        refused = event.escrow_command_rejected
        data |= {"command": refused.command, "code": operations.error_code_of(refused.code)}
    return (
        metadata.moment(about.occurred_at),
        actor_kind(event.actor),
        uuid_or_none(event.actor.user_id),
        f"escrow.{event.WhichOneof('body')}",
        event.escrow_id,
        event.escrow_id,
        database.to_json(data),
        trace_id(about.traceparent),
    )
