"""`bloxtr8 ledger`: looking at the books."""

from datetime import datetime
from typing import Any

import click

from bloxtr8.cli import output
from bloxtr8.cli.output import ExitCode, MomentType, UuidType, decimal
from bloxtr8.config import Settings
from bloxtr8.ledger import check as checking
from bloxtr8.ledger import reading
from bloxtr8.messaging.app import clock_of

_ACCOUNT = click.option("--account", help="Only accounts whose names begin so.")
_ESCROW = click.option("--escrow", type=UuidType(), help="Only this trade.")

Row = dict[str, Any]


@click.group()
def ledger() -> None:
    """The books: balances, entries, statements, and whether they are whole."""


@ledger.command()
@_ACCOUNT
@click.option("--currency", type=click.Choice(["USD", "USDC"]), help="Only this currency.")
@click.option("--zero", is_flag=True, help="Also accounts that are empty.")
@output.formats
def balance(account: str | None, currency: str | None, zero: bool, form: str | None) -> None:
    """Every account and what stands on it."""
    rows = output.run(reading.balances(account, currency, zero=zero))
    shown = [
        {
            "account": row["account"],
            "currency": row["currency"],
            "balance": decimal(row["balance_minor"], row["currency"]),
            "balance_minor": row["balance_minor"],
            "floor_minor": row["floor_minor"],
            "changed": row["updated_at"],
        }
        for row in rows
    ]
    output.show("Balances", ("account", "currency", "balance", "changed"), shown, form)


@ledger.command()
@click.option("--before", type=MomentType(), help="As it was before this moment (UTC).")
@output.formats
def trial(before: datetime | None, form: str | None) -> None:
    """The trial balance: both sides of every currency; exit code 1 unless they are equal."""
    lines = output.run(reading.trial(before))
    sums = reading.totals(lines)
    rows = [
        _trial_row(line.account_class, line.currency, line.debit_minor, line.credit_minor)
        for line in lines
    ]
    rows += [_trial_row("total", currency, *sides) for currency, sides in sums.items()]
    output.show("Trial balance", ("class", "currency", "debit", "credit"), rows, form)
    if any(debit != credit for debit, credit in sums.values()):
        output.end(ExitCode.DIFFERENT, "The two sides are not equal.")


def _trial_row(name: str, currency: str, debit_minor: int, credit_minor: int) -> Row:
    return {
        "class": name,
        "currency": currency,
        "debit": decimal(debit_minor, currency),
        "credit": decimal(credit_minor, currency),
        "debit_minor": debit_minor,
        "credit_minor": credit_minor,
    }


@ledger.command()
@_ACCOUNT
@_ESCROW
@click.option("--from", "since", type=MomentType(), help="Not before this moment (UTC).")
@click.option("--to", "until", type=MomentType(), help="Before this moment (UTC).")
@click.option("--limit", type=click.IntRange(1, reading.ENTRIES_MAX), default=100)
@output.formats
def entries(form: str | None, escrow: str | None, account: str | None, **period: Any) -> None:
    """The newest lines, newest first."""
    rows = output.run(reading.entries(account, escrow, **period))
    shown = [
        {
            "at": row["occurred_at"],
            "kind": row["kind"],
            "account": row["account"],
            "currency": row["currency"],
            "amount": decimal(row["amount_minor"], row["currency"]),
            "amount_minor": row["amount_minor"],
            "escrow": row["escrow_id"],
            "transaction": row["transaction_id"],
        }
        for row in rows
    ]
    columns = ("at", "kind", "account", "currency", "amount", "escrow")
    output.show("Entries", columns, shown, form)


@ledger.command()
@_ESCROW
@output.formats
def check(escrow: str | None, form: str | None) -> None:
    """Sums, balances, floors, and what is held; exit code 1 when something is wrong."""
    found = output.run(checking.check(escrow))
    rows = [
        {"what": d.what, "subject": d.subject, "expected": d.expected, "actual": d.actual}
        for d in found
    ]
    output.show("Differences", ("what", "subject", "expected", "actual"), rows, form)
    if found:
        output.end(ExitCode.DIFFERENT)


@ledger.command()
@click.argument("user_id", type=UuidType())
@click.option("--from", "since", type=MomentType(), required=True, help="Its first moment (UTC).")
@click.option("--to", "until", type=MomentType(), help="Its end, not included; now.")
@output.formats
def statement(user_id: str, since: datetime, until: datetime | None, form: str | None) -> None:
    """What moved through a user's accounts, with the balance after each line."""
    until = until or clock_of(Settings()).now()
    if until < since:
        output.end(ExitCode.USAGE, "The period ends before it begins.")
    found = output.run(reading.statement(user_id, since, until))
    rows = [_end_row("opening", since, *balance) for balance in found.opening.items()]
    rows += [_statement_row(line) for line in found.lines]
    rows += [_end_row("closing", until, *balance) for balance in found.closing.items()]
    columns = ("at", "kind", "account", "escrow", "currency", "amount", "balance")
    output.show(f"Statement of {user_id}", columns, rows, form)


def _statement_row(line: reading.StatementLine) -> Row:
    return {
        "at": line.at,
        "kind": line.kind,
        "account": line.account,
        "escrow": line.escrow_id,
        "currency": line.currency,
        "amount": decimal(line.amount_minor, line.currency),
        "balance": decimal(line.balance_minor, line.currency),
        "amount_minor": line.amount_minor,
        "balance_minor": line.balance_minor,
    }


def _end_row(kind: str, at: datetime, currency: str, minor: int) -> Row:
    return {
        "at": at,
        "kind": kind,
        "account": "",
        "escrow": "",
        "currency": currency,
        "amount": "",
        "balance": decimal(minor, currency),
        "amount_minor": "",
        "balance_minor": minor,
    }


@ledger.command()
@output.formats
def stray(form: str | None) -> None:
    """Money that came in, belongs to no trade and has not gone back."""
    rows = [
        {
            "escrow": row["escrow_id"],
            "provider": row["provider"],
            "payment": row["ref"],
            "status": row["status"],
            "currency": row["currency"],
            "amount": decimal(row["amount_minor"], row["currency"]),
            "amount_minor": row["amount_minor"],
            "refund": row["refund_status"] or "not ordered",
            "since": row["updated_at"],
        }
        for row in output.run(reading.stray())
    ]
    columns = ("escrow", "provider", "payment", "status", "currency", "amount", "refund", "since")
    output.show("Stray money", columns, rows, form)
