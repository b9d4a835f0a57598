"""`escrow`, `escrows`, `deadlines`: the state of trades."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click
from faust.cli import option

from bloxtr8.cli.inspect.command import (
    JSON,
    Duration,
    ExitCode,
    Failed,
    Inspect,
    escrow_argument,
)
from bloxtr8.cli.inspect.table import table_records
from bloxtr8.messaging import decoding
from bloxtr8.store.database import fetch, fetchrow
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.escrow.v1.record_pb2 import Escrow, EscrowRecord

_LIMIT_MAX = 10_000
_LIMIT = option("--limit", type=click.IntRange(1, _LIMIT_MAX), default=50, show_default=True)
_STATES = [name.removeprefix("ESCROW_STATE_") for name in types.EscrowState.keys()[1:]]

# What of a nested message stands in one cell.
_SHORT = (
    *("kind", "at", "remaining_seconds", "version", "generation", "attempt", "status"),
    *("amount_minor", "operation_id", "provider_ref", "reason", "proposal_id"),
)

_MIRROR_SQL = "SELECT state_bytes, version, fencing_token, updated_at FROM escrows WHERE id = $1"
_LEDGER_SQL = """
SELECT account, currency, sum(amount_minor)::bigint AS minor FROM ledger_entries
WHERE escrow_id = $1 GROUP BY account, currency ORDER BY account, currency
"""
_LIST_SQL = """
SELECT id, state, rail, currency, price_minor, held_minor, hold_kind, deadline_kind, deadline_at,
  version, created_at, updated_at
FROM escrows
WHERE ($1::text IS NULL OR state = $1) AND ($2::timestamptz IS NULL OR updated_at < $2)
ORDER BY updated_at, id LIMIT $3
"""
_DEADLINES_SQL = """
SELECT id, state, deadline_kind, deadline_at, deadline_version, hold_kind
FROM escrows WHERE deadline_at IS NOT NULL AND ($1::timestamptz IS NULL OR deadline_at <= $1)
ORDER BY deadline_at LIMIT $2
"""


class escrow(Inspect):  # noqa: N801 - the class's name is the command's
    """One escrow's record, mirror and ledger side by side; exit code 1 when they differ."""

    options = (escrow_argument(), JSON)

    async def work(self, *, escrow_id: str) -> ExitCode:
        record = await self._record(escrow_id)
        async with self.database():
            mirror = await fetchrow(_MIRROR_SQL, escrow_id)
            ledger = await fetch(_LEDGER_SQL, escrow_id)
        if record is None and mirror is None:
            raise Failed(ExitCode.NOT_FOUND, f"Neither the table nor the mirror has {escrow_id}.")
        mirrored = None if mirror is None else Escrow.FromString(mirror["state_bytes"])
        same = record is None or (mirrored is not None and record.escrow == mirrored)
        if self.as_json:
            self.print_json(
                {
                    "escrow_id": escrow_id,
                    "record": None if record is None else decoding.to_dict(record),
                    "mirror": None if mirrored is None else decoding.to_dict(mirrored),
                    "ledger": ledger,
                    "same": same,
                }
            )
        else:
            self._print(escrow_id, record, mirrored, ledger)
        return ExitCode.OK if same else ExitCode.DIFFERENT

    async def _record(self, escrow_id: str) -> EscrowRecord | None:
        # The table lives in the worker that has the partition; its changelog is for everyone.
        async with self.broker() as broker:
            found = await table_records(broker, self.app.settings.kafka.app_id, escrow_id)
        return found.get(escrow_id)

    def _print(
        self,
        escrow_id: str,
        record: EscrowRecord | None,
        mirrored: Escrow | None,
        ledger: list[dict[str, Any]],
    ) -> None:
        left = {} if record is None else _facts(record.escrow)
        right = {} if mirrored is None else _facts(mirrored)
        self.print_table(
            f"Escrow {escrow_id}",
            ("", "record", "mirror", ""),
            (
                (name, left.get(name), right.get(name), _mark(left, right, name))
                for name in left or right
            ),
        )
        if record is not None:
            self.print_table(
                "Last change",
                ("fencing", "cause", "absorbed#", "refused#", "said"),
                [
                    (
                        record.fencing_token,
                        f"{record.origin.topic} {record.origin.partition}:{record.origin.offset}",
                        len(record.absorbed),
                        len(record.refused),
                        ", ".join(decoding.body_name(m) for m in (*record.events, *record.orders)),
                    )
                ],
            )
        self.print_table(
            "Ledger",
            ("account", "currency", "minor#"),
            ((row["account"], row["currency"], row["minor"]) for row in ledger),
        )


def _mark(left: dict[str, Any], right: dict[str, Any], name: str) -> str:
    return "" if not left or left.get(name) == right.get(name) else "differs"


def _facts(state: Escrow) -> dict[str, Any]:
    """Return what a person wants to compare, by name."""
    fields = decoding.to_dict(state)
    facts: dict[str, Any] = {
        "state": types.EscrowState.Name(state.state).removeprefix("ESCROW_STATE_"),
        "sequence": state.sequence,
        "buyer": state.buyer_id,
        "seller": state.seller_id,
        "price": f"{state.price.minor:,}",
    }
    for name in ("received", "held", "released", "refunded", "fees"):
        facts[name] = f"{getattr(state, f'{name}_minor'):,}"
    for name in ("deadline", "hold", "intent", "payout", "refund", "dispute", "settlement"):
        if name in fields:
            facts[name] = _short(fields[name])
    for name in ("chargebacks", "stray"):
        facts[name] = len(getattr(state, name))
    return facts


def _short(fields: dict[str, Any]) -> str:
    return " ".join(f"{name}={fields[name]}" for name in _SHORT if name in fields)


class escrows(Inspect):  # noqa: N801
    """Escrows of the mirror, the longest untouched first."""

    options = (
        option("--state", type=click.Choice(_STATES, case_sensitive=False)),
        option("--older", type=Duration(), help="Untouched for so long, e.g. 36h."),
        _LIMIT,
        JSON,
    )

    async def work(self, *, state: str | None, older: timedelta | None, limit: int) -> ExitCode:
        before = None if older is None else self.app.clock.now() - older
        async with self.database():
            rows = await fetch(_LIST_SQL, state, before, limit)
        if self.as_json:
            self.print_json(rows)
            return ExitCode.OK
        self.print_table(
            "Escrows",
            ("id", "state", "rail", "price#", "held#", "hold", "deadline", "events#", "touched"),
            (
                (
                    row["id"],
                    row["state"],
                    row["rail"],
                    row["price_minor"],
                    row["held_minor"],
                    row["hold_kind"],
                    _when(row["deadline_kind"], row["deadline_at"]),
                    row["version"],
                    row["updated_at"],
                )
                for row in rows
            ),
        )
        return ExitCode.OK


def _when(kind: str | None, at: datetime | None) -> str:
    if kind is None:
        return ""
    return f"{kind} {at.astimezone(UTC):%Y-%m-%d %H:%M}" if at else f"{kind} paused"


class deadlines(Inspect):  # noqa: N801
    """Running deadlines, the next one first; exit code 1 when one is late by a minute or more."""

    options = (
        option("--within", type=Duration(), help="Only what is due within e.g. 2h."),
        _LIMIT,
        JSON,
    )
    # The service repeats itself after so long; what is later than that is not being worked on.
    _LATE = timedelta(seconds=60)

    async def work(self, *, within: timedelta | None, limit: int) -> ExitCode:
        now = self.app.clock.now()
        async with self.database():
            rows = await fetch(_DEADLINES_SQL, None if within is None else now + within, limit)
        # A hold stops the clock, and a dispute's end is only told once.
        late = [
            row
            for row in rows
            if now - row["deadline_at"] >= self._LATE
            and row["hold_kind"] is None
            and row["deadline_kind"] != "DISPUTE"
        ]
        if self.as_json:
            self.print_json([{**row, "left_s": row["deadline_at"] - now} for row in rows])
        else:
            self.print_table(
                "Deadlines",
                ("escrow", "state", "kind", "at", "left", "version#", "hold"),
                (
                    (
                        row["id"],
                        row["state"],
                        row["deadline_kind"],
                        row["deadline_at"],
                        row["deadline_at"] - now,
                        row["deadline_version"],
                        row["hold_kind"],
                    )
                    for row in rows
                ),
            )
        return ExitCode.DIFFERENT if late else ExitCode.OK
