"""Reading the books: balances, trial balance, entries, a user's statement, stray money."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bloxtr8.errors import ValidationFailed
from bloxtr8.ledger import accounts
from bloxtr8.store import database

ENTRIES_MAX = 10_000
ACCOUNTS_MAX = 100_000
STATEMENT_LINES_MAX = 50_000

_BALANCES = """
SELECT account, currency, balance_minor, floor_minor, updated_at FROM ledger_accounts
WHERE ($1::text IS NULL OR starts_with(account, $1)) AND ($2::text IS NULL OR currency = $2)
  AND (balance_minor <> 0 OR $3)
ORDER BY account, currency LIMIT $4
"""
# The sides are sums of whole accounts, as a trial balance has them.
_TRIAL = """
SELECT class, currency, count(*) AS accounts,
  coalesce(sum(-balance) FILTER (WHERE balance < 0), 0)::bigint AS debit_minor,
  coalesce(sum(balance) FILTER (WHERE balance > 0), 0)::bigint AS credit_minor
FROM (
  SELECT split_part(account, ':', 1) AS class, currency, sum(amount_minor) AS balance
  FROM ledger_entries WHERE $1::timestamptz IS NULL OR occurred_at < $1
  GROUP BY account, currency HAVING sum(amount_minor) <> 0
) AS of_account
GROUP BY class, currency ORDER BY currency, class
"""
_ENTRIES = """
SELECT id, occurred_at, kind, account, currency, amount_minor, escrow_id, transaction_id
FROM ledger_entries
WHERE ($1::text IS NULL OR starts_with(account, $1)) AND ($2::uuid IS NULL OR escrow_id = $2)
  AND ($3::timestamptz IS NULL OR occurred_at >= $3)
  AND ($4::timestamptz IS NULL OR occurred_at < $4)
ORDER BY id DESC LIMIT $5
"""
_OPENING = """
SELECT currency, sum(amount_minor)::bigint AS minor FROM ledger_entries
WHERE account = ANY($1::text[]) AND occurred_at < $2 GROUP BY currency ORDER BY currency
"""
_OF_USER = """
SELECT id, occurred_at, kind, split_part(account, ':', 1) AS account, currency, amount_minor,
  escrow_id
FROM ledger_entries
WHERE account = ANY($1::text[]) AND occurred_at >= $2 AND occurred_at < $3
ORDER BY occurred_at, id LIMIT $4
"""
_STRAY = """
SELECT a.escrow_id, a.provider, a.ref, a.status, a.amount_minor, a.currency, a.updated_at,
  o.status AS refund_status
FROM payment_artifacts a LEFT JOIN LATERAL (
  SELECT status FROM payment_operations
  WHERE escrow_id = a.escrow_id AND kind = 'STRAY_REFUND' AND payment_ref = a.ref
  ORDER BY generation DESC LIMIT 1
) o ON true
WHERE a.status IN ('STRAY', 'FOREIGN')
  AND coalesce(o.status, '') <> 'CONFIRMED'
ORDER BY a.updated_at, a.ref LIMIT $1
"""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TrialLine:
    """One class of accounts in one currency; the sides of all lines of a currency are equal."""

    account_class: str
    currency: str
    accounts: int
    debit_minor: int
    credit_minor: int


@dataclass(frozen=True, slots=True)
class StatementLine:
    """`balance_minor`: of all of the user's accounts in that currency after this line."""

    at: datetime
    kind: str
    account: str
    escrow_id: str
    currency: str
    amount_minor: int
    balance_minor: int


@dataclass(frozen=True, slots=True)
class Statement:
    """What moved through a user's accounts from `since` until before `until`.

    `opening` and `closing` are minor units by currency; positive is owed to the user.
    """

    user_id: str
    since: datetime
    until: datetime
    opening: dict[str, int]
    lines: tuple[StatementLine, ...]
    closing: dict[str, int]


async def balances(
    prefix: str | None = None, currency: str | None = None, *, zero: bool = False
) -> list[Row]:
    """Return the accounts whose names begin with `prefix`; `zero`: also the empty ones."""
    return await database.fetch(_BALANCES, prefix, currency, zero, ACCOUNTS_MAX)


async def trial(before: datetime | None = None) -> list[TrialLine]:
    """Return the trial balance, of now or of what had happened `before` a moment."""
    rows = await database.fetch(_TRIAL, before)
    return [
        TrialLine(
            row["class"],
            row["currency"],
            row["accounts"],
            row["debit_minor"],
            row["credit_minor"],
        )
        for row in rows
    ]


def totals(lines: Sequence[TrialLine]) -> dict[str, tuple[int, int]]:
    """Return (debit, credit) in minor units by currency; in whole books the two are equal."""
    sums: dict[str, tuple[int, int]] = {}
    for line in lines:
        debit, credit = sums.get(line.currency, (0, 0))
        sums[line.currency] = (debit + line.debit_minor, credit + line.credit_minor)
    return sums


async def entries(
    prefix: str | None = None,
    escrow_id: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 100,
) -> list[Row]:
    """Return the newest lines, newest first."""
    assert 0 < limit <= ENTRIES_MAX, "a page has a limit"
    return await database.fetch(_ENTRIES, prefix, escrow_id, since, until, limit)


async def statement(user_id: str, since: datetime, until: datetime) -> Statement:
    """Return a user's statement; raises ValidationFailed for more than 50,000 lines."""
    assert since <= until, "a period ends after it begins"
    names = list(accounts.of_user(user_id))
    async with database.transaction() as tx:
        await tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        before = await tx.fetch(_OPENING, names, since)
        rows = await tx.fetch(_OF_USER, names, since, until, STATEMENT_LINES_MAX + 1)
    if len(rows) > STATEMENT_LINES_MAX:
        raise ValidationFailed("The period has too many lines for one statement.")
    opening = {row["currency"]: row["minor"] for row in before}
    running: dict[str, int] = defaultdict(int, opening)
    lines = []
    for row in rows:
        running[row["currency"]] += row["amount_minor"]
        lines.append(_statement_line(row, running[row["currency"]]))
    return Statement(user_id, since, until, opening, tuple(lines), dict(running))


async def stray() -> list[Row]:
    """Return money that came in, belongs to no trade and has not gone back, oldest first.

    `refund_status` is that of its way back, None where nobody ordered it.
    """
    return await database.fetch(_STRAY, ENTRIES_MAX)


def _statement_line(row: Row, balance_minor: int) -> StatementLine:
    return StatementLine(
        at=row["occurred_at"],
        kind=row["kind"],
        account=row["account"],
        escrow_id=str(row["escrow_id"] or ""),
        currency=row["currency"],
        amount_minor=row["amount_minor"],
        balance_minor=balance_minor,
    )
