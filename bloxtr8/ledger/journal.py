"""Writing bookings: the lines, and the balances they make, in one transaction with their cause."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from bloxtr8.ledger import accounts
from bloxtr8.ledger.bookings import Line
from bloxtr8.store.database import Transaction


@dataclass(frozen=True, slots=True)
class Booking:
    """Balanced lines of one event. The same `transaction_id` can be written only once.

    `escrow_id` is None for what belongs to no trade.
    """

    transaction_id: UUID
    event_id: UUID
    kind: str
    escrow_id: UUID | None
    occurred_at: datetime
    lines: Sequence[Line]


async def post(tx: Transaction, bookings: Sequence[Booking]) -> None:
    """Write the bookings and move the balances.

    Raises asyncpg.UniqueViolationError when one of them is written already and
    CheckViolationError when an account would go below its floor.
    """
    bookings = [booking for booking in bookings if booking.lines]
    if not bookings:
        return
    await tx.executemany(
        "INSERT INTO ledger_entries (transaction_id, line, kind, account, currency, amount_minor,"
        " escrow_id, event_id, occurred_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        [
            (
                booking.transaction_id,
                number,
                booking.kind,
                line.account,
                line.currency,
                line.amount_minor,
                booking.escrow_id,
                booking.event_id,
                booking.occurred_at,
            )
            for booking in bookings
            for number, line in enumerate(booking.lines)
        ],
    )
    await _move_balances(tx, bookings)


async def _move_balances(tx: Transaction, bookings: Sequence[Booking]) -> None:
    moved: dict[tuple[str, str], int] = defaultdict(int)
    for booking in bookings:
        for line in booking.lines:
            moved[line.account, line.currency] += line.amount_minor
    # In one order everywhere, so that two writers cannot wait for each other.
    keys = sorted(moved)
    names = [account for account, _ in keys]
    currencies = [currency for _, currency in keys]
    await tx.execute(
        "INSERT INTO ledger_accounts (account, currency, floor_minor)"
        " SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])"
        " ON CONFLICT (account, currency) DO NOTHING",
        names,
        currencies,
        [accounts.floor_minor(name) for name in names],
    )
    await tx.execute(
        "SELECT FROM ledger_accounts AS a JOIN unnest($1::text[], $2::text[])"
        " AS k (account, currency) USING (account, currency) ORDER BY a.account, a.currency"
        " FOR UPDATE OF a",
        names,
        currencies,
    )
    await tx.execute(
        "UPDATE ledger_accounts AS a SET balance_minor = a.balance_minor + m.minor,"
        " updated_at = clock_timestamp()"
        " FROM unnest($1::text[], $2::text[], $3::bigint[]) AS m (account, currency, minor)"
        " WHERE a.account = m.account AND a.currency = m.currency AND m.minor <> 0",
        names,
        currencies,
        [moved[key] for key in keys],
    )
