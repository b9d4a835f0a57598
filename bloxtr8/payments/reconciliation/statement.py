"""A provider's balance statement beside the ledger, line by line.

Lines are kept as they come. What no event says of them (fees, money moved to our own bank) is
booked from them, once; everything else has to be in the ledger already.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.clock import Clock
from bloxtr8.ledger import accounts, bookings, journal
from bloxtr8.ledger.bookings import Line as Entry
from bloxtr8.payments.reconciliation.model import NOTHING, Finding, Kind, Report, amount
from bloxtr8.payments.reconciliation.provider import Line, ProviderBooks
from bloxtr8.store import database
from bloxtr8.store.database import Transaction

_BATCH = 500
_KIND_CHARACTERS_MAX = 40
_SUMMING_TIMEOUT_MS = 300_000

# Stripe's types, docs.stripe.com/reports/balance-transaction-types. Receipts carry their fee in
# the event that tells of them.
_RECEIPTS = frozenset({"charge", "payment"})
_BANK = frozenset(
    {
        *("payout", "payout_cancel", "payout_failure", "payout_minimum_balance_hold"),
        *("payout_minimum_balance_release", "topup", "topup_reversal"),
    }
)
_FEES = frozenset({"stripe_fee", "stripe_fx_fee", "tax_fee", "network_cost"})
# Our own money on its way between our own wallets: which line books it, from where to where. Both
# wallets have a line; events book every payout where the deposit came in.
_WALLETS = {
    ("base", "sweep"): ("base", "base_hot"),
    ("base_hot", "paid_out"): ("base_hot", "base"),
    ("base_hot", "refunded"): ("base_hot", "base"),
}
_OWN = (*_BANK, *_FEES, "between")

_INSERT = """
INSERT INTO statement_lines (provider, ref, kind, source, payment_ref, escrow_id, currency,
  amount_minor, fee_minor, occurred_at)
SELECT $1::text, $2, $3, $4::text, $5::text,
  coalesce((SELECT escrow_id FROM payment_artifacts
            WHERE provider = $1::text AND ref IN ($4::text, $5::text)
            ORDER BY ref = $4::text DESC LIMIT 1),
           (SELECT escrow_id FROM escrow_funds WHERE escrow_id = $6::uuid)),
  $7, $8, $9, $10
ON CONFLICT (provider, ref) DO NOTHING
"""
# Lines that came before their object was known here.
_MATCH = """
UPDATE statement_lines AS l SET escrow_id = a.escrow_id FROM payment_artifacts a
WHERE l.escrow_id IS NULL AND l.provider = $1 AND a.provider = $1
  AND a.ref <> '' AND a.ref IN (l.source, l.payment_ref)
"""
_UNSETTLED = """
SELECT id, ref, kind, payment_ref, escrow_id, currency, amount_minor, fee_minor, occurred_at
FROM statement_lines
WHERE provider = $1 AND settled_at IS NULL AND occurred_at < $2 AND id > $3
ORDER BY id LIMIT $4 FOR UPDATE
"""
_BOOKED_FEE = """
SELECT coalesce(-sum(amount_minor), 0)::bigint FROM ledger_entries
WHERE escrow_id = $1 AND event_id = $2 AND account = 'provider_fees'
"""
# An escrow with something under way is not finished being compared.
_DIFFERENT = """
WITH theirs AS (
  SELECT escrow_id, currency, sum(amount_minor - fee_minor) AS minor, max(occurred_at) AS at
  FROM statement_lines WHERE provider = $1 AND escrow_id IS NOT NULL GROUP BY 1, 2
), ours AS (
  SELECT escrow_id, currency, -sum(amount_minor) AS minor, max(occurred_at) AS at
  FROM ledger_entries WHERE account = $2 AND escrow_id IS NOT NULL GROUP BY 1, 2
)
SELECT escrow_id::text AS escrow_id, currency,
  coalesce(ours.minor, 0)::bigint AS ours, coalesce(theirs.minor, 0)::bigint AS theirs
FROM theirs FULL JOIN ours USING (escrow_id, currency)
WHERE coalesce(ours.minor, 0) <> coalesce(theirs.minor, 0)
  AND greatest(ours.at, theirs.at) < $3
  AND NOT EXISTS (
    SELECT FROM payment_operations o WHERE o.escrow_id = coalesce(ours.escrow_id, theirs.escrow_id)
      AND o.status IN ('REQUESTED', 'SENT', 'UNKNOWN')
  )
ORDER BY escrow_id LIMIT 1000
"""
# What was with the provider before there were trades is none of our business.
_OF_NO_TRADE = """
SELECT ref, kind, source, currency, amount_minor, occurred_at FROM statement_lines
WHERE provider = $1 AND escrow_id IS NULL AND NOT kind = ANY($2::text[]) AND occurred_at < $3
  AND occurred_at >= (SELECT min(requested_at) FROM payment_operations
                      WHERE starts_with($1, provider))
ORDER BY id DESC LIMIT 1000
"""
_TOTALS = """
SELECT currency, sum(amount_minor - fee_minor)::bigint AS minor FROM statement_lines
WHERE provider = $1 GROUP BY currency
"""


async def read_statement(
    provider: ProviderBooks, since: datetime | None, until: datetime, report: Report
) -> None:
    """Keep the provider's lines of that time; those known already stay as they are."""
    async for page in provider.statement(since, until):
        async with database.transaction() as tx:
            for line in page:
                report.lines += await _insert(tx, provider.name, line)


async def _insert(tx: Transaction, provider: str, line: Line) -> int:
    return await tx.execute(
        _INSERT,
        provider,
        line.ref,
        line.kind[:60],
        line.source,
        line.about,
        line.escrow_id or None,
        line.currency,
        line.amount_minor,
        line.fee_minor,
        line.at,
    )


async def book_lines(provider: ProviderBooks, clock: Clock, report: Report) -> None:
    """Book what only the statement says, and note lines whose fee is not the one booked."""
    async with database.transaction() as tx:
        await tx.execute(_MATCH, provider.name)
    after = 0
    while True:
        async with database.transaction() as tx:
            before = clock.now() - provider.settled_after
            rows = await tx.fetch(_UNSETTLED, provider.name, before, after, _BATCH)
            for row in rows:
                await _book(tx, _Unsettled(provider, row), clock.now(), report)
        if len(rows) < _BATCH:
            return
        after = rows[-1]["id"]


@dataclass(frozen=True, slots=True)
class _Unsettled:
    provider: ProviderBooks
    row: dict[str, Any]

    @property
    def event_id(self) -> UUID:
        return ids.derived("statement-line", self.provider.name, self.row["ref"])

    @property
    def receipt_event_id(self) -> UUID | None:
        """The payment event that tells of the receipt and its fee."""
        row = self.row
        known = row["kind"] in _RECEIPTS and row["payment_ref"] and row["escrow_id"]
        return ids.derived("payment-event", "receipt", row["payment_ref"]) if known else None

    def entries(self, fee_minor: int) -> Iterator[Entry]:
        place, currency, minor = self.provider.place, self.row["currency"], self.row["amount_minor"]
        yield from bookings.provider_fee(place, currency, fee_minor)
        if self.row["kind"] in _FEES:
            yield from bookings.provider_fee(place, currency, -minor)
        elif self.row["kind"] in _BANK:
            source, target = (place, "bank") if minor < 0 else ("bank", place)
            yield from bookings.relocation(source, target, currency, abs(minor))
        elif (place, self.row["kind"]) in _WALLETS:
            source, target = _WALLETS[place, self.row["kind"]]
            yield from bookings.relocation(source, target, currency, abs(minor))


async def _book(tx: Transaction, line: _Unsettled, now: datetime, report: Report) -> None:
    row, fee_minor = line.row, line.row["fee_minor"]
    told_by = line.receipt_event_id
    if told_by is not None:
        if not await _is_booked(tx, told_by):
            # Its fee comes with the event; if it never does, the sums differ and say so.
            return
        booked = await tx.fetchval(_BOOKED_FEE, row["escrow_id"], told_by)
        if booked not in (0, fee_minor):
            report.find(_fee_differs(line, booked))
        fee_minor = 0 if booked else fee_minor
    booking = journal.Booking(
        transaction_id=ids.derived("ledger", str(line.event_id)),
        event_id=line.event_id,
        kind=f"statement_{row['kind']}"[:_KIND_CHARACTERS_MAX],
        escrow_id=row["escrow_id"],
        occurred_at=row["occurred_at"],
        lines=list(line.entries(fee_minor)),
    )
    await journal.post(tx, [booking])
    await tx.execute("UPDATE statement_lines SET settled_at = $2 WHERE id = $1", row["id"], now)


async def _is_booked(tx: Transaction, event_id: UUID) -> bool:
    return bool(
        await tx.fetchval(
            "SELECT EXISTS (SELECT FROM inbox_messages"
            " WHERE consumer = 'mirror' AND message_id = $1)",
            event_id,
        )
    )


def _fee_differs(line: _Unsettled, booked: int) -> Finding:
    currency = line.row["currency"]
    return Finding(
        Kind.BALANCE,
        line.provider.name,
        line.row["ref"],
        "fee",
        amount(booked, currency),
        amount(line.row["fee_minor"], currency),
        str(line.row["escrow_id"]),
    )


async def compare_balances(provider: ProviderBooks, now: datetime) -> list[Finding]:
    """Return where the statement and the ledger differ, and the statement and the balance."""
    before = now - provider.settled_after
    place = accounts.clearing_at(provider.place)
    async with database.transaction() as tx:
        # All of the account is summed up, once a day.
        await tx.execute(f"SET LOCAL statement_timeout = {_SUMMING_TIMEOUT_MS}")
        different = await tx.fetch(_DIFFERENT, provider.name, place, before)
        unknown = await tx.fetch(_OF_NO_TRADE, provider.name, list(_OWN), before)
        totals = {row["currency"]: row["minor"] for row in await tx.fetch(_TOTALS, provider.name)}
    return [
        *(_of_escrow(provider, row) for row in different),
        *(_of_no_trade(provider, row) for row in unknown),
        *_of_balance(provider, totals, await provider.balance()),
    ]


def _of_escrow(provider: ProviderBooks, row: dict[str, Any]) -> Finding:
    return Finding(
        Kind.BALANCE,
        provider.name,
        f"{row['escrow_id']} {row['currency']}",
        "ledger and statement",
        amount(row["ours"], row["currency"]),
        amount(row["theirs"], row["currency"]),
        row["escrow_id"],
    )


def _of_no_trade(provider: ProviderBooks, row: dict[str, Any]) -> Finding:
    money = amount(row["amount_minor"], row["currency"])
    said = f"{row['kind']} of {money} by {row['source']}"[:255]
    return Finding(Kind.BALANCE, provider.name, row["ref"], "of no trade", NOTHING, said)


def _of_balance(
    provider: ProviderBooks, statement: dict[str, int], balance: dict[str, int]
) -> Iterator[Finding]:
    for currency in sorted({*statement, *balance}):
        listed, there = statement.get(currency, 0), balance.get(currency, 0)
        if listed != there:
            yield Finding(
                Kind.BALANCE,
                provider.name,
                f"balance {currency}",
                "statement and balance",
                amount(listed, currency),
                amount(there, currency),
            )
