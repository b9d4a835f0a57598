"""Chargebacks after a payout, for staff to see to; who owes is frozen by the debtors agent."""

from collections.abc import Sequence
from datetime import datetime

from bloxtr8.store import staff_tasks
from bloxtr8.store.database import Transaction
from bloxtr8.store.mirror_fold import Step
from bloxtr8.store.staff_tasks import Task
from proto.bloxtr8.escrow.v1 import events_pb2 as events

CHARGEBACK = "CHARGEBACK"
_PRIORITY = 80


async def report(tx: Transaction, steps: Sequence[Step], now: datetime) -> None:
    """Ask staff to see to the chargebacks after a payout that `steps` say."""
    tasks = [
        Task(
            CHARGEBACK,
            "escrow",
            step.event.escrow_id,
            step.event.chargeback_recorded.amount_minor,
            _PRIORITY,
        )
        for step in steps
        if _is_owed(step)
    ]
    await staff_tasks.open_tasks(tx, tasks, now)


def _is_owed(step: Step) -> bool:
    if step.event.WhichOneof("body") != "chargeback_recorded":
        return False
    said = step.event.chargeback_recorded
    return said.after_release and said.status == events.CHARGEBACK_STATUS_OPEN
