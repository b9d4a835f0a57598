"""What was found, kept: told once, seen again, and resolved when it is gone."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from bloxtr8 import ids, telemetry
from bloxtr8.messaging import metadata
from bloxtr8.messaging.signatures import Signer
from bloxtr8.messaging.topics import PAYMENTS_EVENTS
from bloxtr8.payments.reconciliation.model import Finding, Kind
from bloxtr8.store import database, outbox, staff_tasks
from bloxtr8.store.database import Transaction
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.payments.v1 import payments_pb2 as payments

TASK = "RECONCILIATION"
_OPEN_MAX = 10_000
_CHARACTERS_MAX = 255
_PROVIDERS = {
    "STRIPE": common.PROVIDER_STRIPE,
    "BASE": common.PROVIDER_BASE,
    "BASE_HOT": common.PROVIDER_BASE,
}

_OPEN = """
SELECT id, kind, provider, subject, what, escrow_id::text AS escrow_id, expected, actual
FROM discrepancies WHERE resolved_at IS NULL ORDER BY id LIMIT $1 FOR UPDATE
"""
_NEW = """
INSERT INTO discrepancies (id, kind, provider, subject, what, escrow_id, expected, actual,
  found_at, seen_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
ON CONFLICT (kind, provider, subject, what) WHERE resolved_at IS NULL DO NOTHING
"""
_SEEN = """
UPDATE discrepancies SET expected = $2, actual = $3, seen_at = $4, updated_at = $4 WHERE id = $1
"""
_GONE = "UPDATE discrepancies SET resolved_at = $2, updated_at = $2 WHERE id = $1"
_COUNT = """
SELECT kind, count(*) AS number FROM discrepancies WHERE resolved_at IS NULL GROUP BY kind
"""

Row = dict[str, Any]


async def keep(
    findings: Sequence[Finding], looked_at: Callable[[Row], bool], now: datetime, signer: Signer
) -> int:
    """Keep `findings`, tell of those that are new, and return how many those are.

    Of the open ones that are not among them, those that `looked_at` says the run would have
    found again are resolved, and their tasks closed.
    """
    found = {finding.key: finding for finding in findings}
    async with database.transaction() as tx:
        known = await tx.fetch(_OPEN, _OPEN_MAX)
        for row in known:
            key = (row["kind"], row["provider"], row["subject"], row["what"])
            again = found.pop(key, None)
            if again is not None:
                await tx.execute(_SEEN, row["id"], *_values(again), now)
            elif looked_at(row):
                await _resolve(tx, row, now)
        new = [finding for finding in found.values() if await _tell(tx, finding, now, signer)]
    for finding in new:
        telemetry.DISCREPANCIES.labels(kind=finding.kind.value).inc()
    await count_open()
    return len(new)


async def count_open() -> None:
    """Set the metric of how many are open, of each kind."""
    counts = {row["kind"]: row["number"] for row in await database.fetch(_COUNT)}
    for kind in Kind:
        telemetry.DISCREPANCIES_OPEN.labels(kind=kind.value).set(counts.get(kind.value, 0))


async def list_open(limit: int = 1_000) -> list[Row]:
    """Return what is open, oldest first."""
    assert 0 < limit <= _OPEN_MAX, "a list has a limit"
    return await database.fetch(
        "SELECT id, kind, provider, subject, what, escrow_id, expected, actual, found_at, seen_at"
        " FROM discrepancies WHERE resolved_at IS NULL ORDER BY found_at, id LIMIT $1",
        limit,
    )


async def _tell(tx: Transaction, finding: Finding, now: datetime, signer: Signer) -> bool:
    discrepancy_id = ids.uuid7()
    kind, provider, subject, what = finding.key
    escrow_id = UUID(finding.escrow_id) if finding.escrow_id else None
    values = (subject, what, escrow_id, *_values(finding), now)
    if not await tx.execute(_NEW, discrepancy_id, kind, provider, *values):
        return False
    await outbox.enqueue(tx, PAYMENTS_EVENTS, _event(discrepancy_id, finding, now), signer)
    task = staff_tasks.Task(TASK, "discrepancy", str(discrepancy_id), None)
    await staff_tasks.open_tasks(tx, [task], now)
    return True


async def _resolve(tx: Transaction, row: Row, now: datetime) -> None:
    await tx.execute(_GONE, row["id"], now)
    await staff_tasks.close(tx, [(TASK, str(row["id"]))], "resolved", now)


def _event(discrepancy_id: UUID, finding: Finding, now: datetime) -> payments.PaymentEvent:
    expected, actual = _values(finding)
    nobody = str(ids.derived("provider", finding.provider))
    return payments.PaymentEvent(
        metadata=metadata.new(common.PRODUCER_PAYMENTS, now, message_id=str(discrepancy_id)),
        escrow_id=finding.escrow_id or nobody,
        discrepancy_found=payments.DiscrepancyFound(
            kind=payments.DiscrepancyKind.Value(f"DISCREPANCY_KIND_{finding.kind.value}"),
            provider=_PROVIDERS.get(finding.provider, common.PROVIDER_UNSPECIFIED),
            subject=finding.key[2],
            what=finding.what,
            expected=expected,
            actual=actual,
        ),
    )


def _values(finding: Finding) -> tuple[str, str]:
    return finding.expected[:_CHARACTERS_MAX], finding.actual[:_CHARACTERS_MAX]
