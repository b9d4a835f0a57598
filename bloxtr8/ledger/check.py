"""Is the ledger whole? Sums, floors, balances, and what is held against the mirror."""

from dataclasses import dataclass
from typing import Any

from bloxtr8 import telemetry
from bloxtr8.store import database
from bloxtr8.store.database import Transaction

_FOUND_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Difference:
    """`what` disagrees at `subject`."""

    what: str
    subject: str
    expected: str
    actual: str

    def __str__(self) -> str:
        return f"{self.what}: {self.subject} expected {self.expected}, found {self.actual}"


# Each returns subject, expected, actual of what disagrees; $1 is an escrow or null for all.
_CHECKS = {
    "ledger transaction sums to zero": """
        SELECT transaction_id::text AS subject, '0' AS expected, sum(amount_minor)::text AS actual
        FROM ledger_entries WHERE $1::uuid IS NULL OR escrow_id = $1
        GROUP BY transaction_id, currency HAVING sum(amount_minor) <> 0
    """,
    "account balance is the sum of its lines": """
        SELECT a.account AS subject, coalesce(e.total, 0)::text AS expected,
          a.balance_minor::text AS actual
        FROM ledger_accounts a LEFT JOIN (
          SELECT account, currency, sum(amount_minor) AS total FROM ledger_entries
          GROUP BY account, currency
        ) e USING (account, currency)
        WHERE ($1::uuid IS NULL OR a.account = 'escrow_held:' || $1::text)
          AND a.balance_minor <> coalesce(e.total, 0)
    """,
    "account is at or above its floor": """
        SELECT account AS subject, floor_minor::text AS expected, balance_minor::text AS actual
        FROM ledger_accounts WHERE balance_minor < floor_minor
          AND ($1::uuid IS NULL OR account = 'escrow_held:' || $1::text)
    """,
    "ledger holds what the escrow holds": """
        SELECT e.id::text AS subject, e.held_minor::text AS expected,
          coalesce(a.balance_minor, 0)::text AS actual
        FROM escrows e LEFT JOIN ledger_accounts a
          ON a.account = 'escrow_held:' || e.id::text AND a.currency = e.currency
        WHERE ($1::uuid IS NULL OR e.id = $1) AND e.held_minor <> coalesce(a.balance_minor, 0)
    """,
}


async def check(escrow_id: str | None = None) -> list[Difference]:
    """Return what is wrong with the ledger of one escrow, or of all; at most 1,000 of a kind.

    Raises DatabaseUnavailable.
    """
    async with database.transaction() as tx:
        # One moment for all questions, though writers go on.
        await tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        found = [
            Difference(what, row["subject"], row["expected"], row["actual"])
            for what, sql in _CHECKS.items()
            for row in await tx.fetch(f"{sql} LIMIT {_FOUND_MAX}", escrow_id)
        ]
        for row in await _sums(tx):
            telemetry.LEDGER_IMBALANCE.labels(currency=row["currency"]).set(row["total"])
    return found


async def _sums(tx: Transaction) -> list[dict[str, Any]]:
    return await tx.fetch(
        "SELECT currency, sum(amount_minor)::bigint AS total FROM ledger_entries GROUP BY currency"
    )
