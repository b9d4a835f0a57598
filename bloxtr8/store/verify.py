"""Do record, events, mirror, ledger and payment operations tell the same story?

Meant for a system at rest: what is under way shows as a difference until it has arrived.
Invariants: refolded events = mirror = table record; the hash chain is whole; the ledger holds
what the escrow holds; what was paid out and refunded is what operations confirmed.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bloxtr8.ledger.check import Difference, check
from bloxtr8.store import database
from bloxtr8.store.database import Transaction
from bloxtr8.store.mirror_fold import (
    CHAIN_START,
    MirrorGap,
    Stored,
    chained,
    effective_events,
    fold,
)
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowEvent
from proto.bloxtr8.escrow.v1.record_pb2 import Escrow, EscrowRecord

_PAGE = 200
_DIFFERENCES_MAX = 10_000
_FIRST = "00000000-0000-0000-0000-000000000000"

_ESCROWS = """
SELECT id::text AS id, state_bytes, chain_hash, version, fencing_token FROM escrows
WHERE id > $1::uuid AND ($2::uuid IS NULL OR id = $2) ORDER BY id LIMIT $3
"""
_EVENTS = """
SELECT escrow_id::text AS escrow_id, sequence, fencing_token, payload, prev_hash, hash
FROM escrow_events WHERE escrow_id = ANY($1::uuid[]) ORDER BY id
"""
_ORPHANS = """
SELECT DISTINCT escrow_id::text AS id FROM escrow_events
WHERE ($1::uuid IS NULL OR escrow_id = $1) AND escrow_id NOT IN (SELECT id FROM escrows) LIMIT 100
"""
_MONEY = """
SELECT e.id::text AS id,
  f.received_minor + f.stray_received_minor AS received_minor,
  coalesce(sum(o.amount_minor) FILTER (WHERE o.kind = 'PAYOUT'), 0)::bigint AS released_minor,
  coalesce(sum(o.amount_minor) FILTER (WHERE o.kind = 'REFUND'), 0)::bigint AS refunded_minor,
  coalesce(sum(o.amount_minor) FILTER (WHERE o.kind = 'STRAY_REFUND'), 0)::bigint
    AS returned_minor
FROM escrows e
LEFT JOIN escrow_funds f ON f.escrow_id = e.id
LEFT JOIN payment_operations o ON o.escrow_id = e.id AND o.status = 'CONFIRMED'
WHERE e.id = ANY($1::uuid[]) GROUP BY e.id, f.escrow_id
"""


@dataclass(slots=True)
class Report:
    """What was looked at and what disagrees; at most 10,000 differences are kept."""

    escrows: int = 0
    events: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.differences

    def counts(self) -> dict[str, int]:
        """Return how many differences there are of each kind."""
        counts: dict[str, int] = {}
        for difference in self.differences:
            counts[difference.what] = counts.get(difference.what, 0) + 1
        return counts

    def differ(self, what: str, subject: str, expected: object, actual: object) -> None:
        """Note a difference unless both are equal."""
        if expected != actual and len(self.differences) < _DIFFERENCES_MAX:
            self.differences.append(Difference(what, subject, str(expected), str(actual)))


async def verify(
    escrow_id: str | None = None, table_records: Mapping[str, EscrowRecord] | None = None
) -> Report:
    """Compare everything that is known of one escrow, or of all.

    `table_records` (escrow_id → record) are compared too where given; those that the mirror
    lacks are reported. Raises DatabaseUnavailable.
    """
    report = Report()
    seen: set[str] = set()
    after = _FIRST
    while True:
        async with database.transaction() as tx:
            # Events, mirror and money of one page as of one moment.
            await tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            rows = await tx.fetch(_ESCROWS, after, escrow_id, _PAGE)
            await _page(tx, rows, report, table_records)
        seen |= {row["id"] for row in rows}
        if len(rows) < _PAGE:
            break
        after = rows[-1]["id"]
    await _missing(report, escrow_id, seen, table_records)
    report.differences += await check(escrow_id)
    return report


async def _page(
    tx: Transaction,
    rows: Sequence[dict[str, Any]],
    report: Report,
    table_records: Mapping[str, EscrowRecord] | None,
) -> None:
    ids = [row["id"] for row in rows]
    histories: dict[str, list[dict[str, Any]]] = {escrow_id: [] for escrow_id in ids}
    for event in await tx.fetch(_EVENTS, ids):
        histories[event["escrow_id"]].append(event)
    money = {row["id"]: row for row in await tx.fetch(_MONEY, ids)}
    for row in rows:
        mirrored = Escrow.FromString(row["state_bytes"])
        history = histories[row["id"]]
        report.escrows += 1
        report.events += len(history)
        _chain(report, row, history)
        _refold(report, row, mirrored, history)
        _operations(report, mirrored, money[row["id"]])
        record = (table_records or {}).get(row["id"])
        if record is not None:
            _same_state(report, "table record equals mirror", record.escrow, mirrored)


async def _missing(
    report: Report,
    escrow_id: str | None,
    seen: set[str],
    table_records: Mapping[str, EscrowRecord] | None,
) -> None:
    for orphan in await database.fetch(_ORPHANS, escrow_id):
        report.differ("events have a mirrored escrow", orphan["id"], "a row", "none")
    for known in table_records or {}:
        if known not in seen and escrow_id in (None, known):
            report.differ("table record is mirrored", known, "a row", "none")


def _chain(report: Report, row: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> None:
    head = CHAIN_START
    for event in history:
        expected = chained(head, EscrowEvent.FromString(event["payload"]), event["payload"])
        whole = (event["prev_hash"], event["hash"]) == (head, expected)
        report.differ("hash chain is whole", f"{row['id']}/{event['sequence']}", True, whole)
        head = event["hash"]
    report.differ("hash chain ends at its head", row["id"], row["chain_hash"].hex(), head.hex())


def _refold(
    report: Report,
    row: Mapping[str, Any],
    mirrored: Escrow,
    history: Sequence[Mapping[str, Any]],
) -> None:
    stored = [Stored(e["sequence"], e["fencing_token"], e["payload"]) for e in history]
    try:
        folded, token = fold(effective_events(stored))
    except (AssertionError, MirrorGap, ValueError) as error:
        report.differ("events can be folded", row["id"], "a state", repr(error))
        return
    if folded is None:
        report.differ("events can be folded", row["id"], "a state", "no events")
        return
    _same_state(report, "refolded events equal mirror", folded, mirrored)
    report.differ("mirror's version", row["id"], mirrored.sequence, row["version"])
    report.differ("mirror's fencing token", row["id"], token, row["fencing_token"])


def _same_state(report: Report, what: str, expected: Escrow, actual: Escrow) -> None:
    if expected != actual:
        report.differ(what, actual.escrow_id, _short(expected), _short(actual))


def _short(escrow: Escrow) -> str:
    return f"{types.EscrowState.Name(escrow.state)} at {escrow.sequence}, {_hash_of(escrow)[:12]}"


def _hash_of(escrow: Escrow) -> str:
    return hashlib.sha256(escrow.SerializeToString(deterministic=True)).hexdigest()


def _operations(report: Report, escrow: Escrow, money: Mapping[str, Any]) -> None:
    """Compare with what operations confirmed. A bank that took its money back had none."""
    returned = [stray for stray in escrow.stray if stray.refunded]
    by_bank = escrow.refund_reason == types.REFUND_REASON_CHARGEBACK
    expected = {
        "released_minor": escrow.released_minor,
        "refunded_minor": 0 if by_bank else escrow.refunded_minor,
        "returned_minor": sum(stray.amount_minor for stray in returned),
    }
    for name, amount in expected.items():
        report.differ(f"operations confirmed {name}", escrow.escrow_id, amount, money[name])
    if money["received_minor"] is not None:
        # Foreign money stands in the funds from when its return is ordered.
        in_minor = escrow.received_minor + sum(
            stray.amount_minor
            for stray in escrow.stray
            if stray.currency == escrow.price.currency or stray.status != types.LEG_STATUS_DEFERRED
        )
        report.differ("funds received", escrow.escrow_id, in_minor, money["received_minor"])
