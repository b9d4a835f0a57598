"""The queue of what a person of staff has to look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bloxtr8 import ids
from bloxtr8.store.database import Transaction

DUE_AFTER = timedelta(hours=24)
PRIORITY = 50


@dataclass(frozen=True, slots=True)
class Task:
    """Something to look at. One open task per kind and subject."""

    kind: str
    subject_type: str
    subject_id: str
    amount_usd_minor: int | None
    priority: int = PRIORITY


async def open_tasks(tx: Transaction, tasks: Sequence[Task], now: datetime) -> None:
    """Add the tasks that are not open yet; an open one takes the higher priority."""
    await tx.executemany(
        "INSERT INTO staff_tasks (id, kind, subject_type, subject_id, amount_usd_minor, priority,"
        " due_at, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)"
        " ON CONFLICT (kind, subject_id) WHERE status <> 'CLOSED' DO UPDATE"
        " SET priority = greatest(staff_tasks.priority, excluded.priority)",
        [
            (
                ids.uuid7(),
                task.kind,
                task.subject_type,
                task.subject_id,
                task.amount_usd_minor,
                task.priority,
                now + DUE_AFTER,
                now,
            )
            for task in tasks
        ],
    )


async def close(
    tx: Transaction, subjects: Sequence[tuple[str, str]], outcome: str, now: datetime | None
) -> None:
    """Close the open tasks of these (kind, subject_id), because the matter is settled."""
    if not subjects:
        return
    await tx.execute(
        "UPDATE staff_tasks AS t SET status = 'CLOSED', closed_at = $4, outcome = $3,"
        " version = t.version + 1, updated_at = $4"
        " FROM unnest($1::text[], $2::text[]) AS s (kind, subject_id)"
        " WHERE t.kind = s.kind AND t.subject_id = s.subject_id AND t.status <> 'CLOSED'",
        [kind for kind, _ in subjects],
        [subject_id for _, subject_id in subjects],
        outcome,
        now,
    )
