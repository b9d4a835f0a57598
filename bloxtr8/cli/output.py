"""How the commands of `bloxtr8` print: a table for people, JSON or CSV for machines."""

import asyncio
import csv
import json
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any, NoReturn, TypeVar
from uuid import UUID

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bloxtr8.config import Settings
from bloxtr8.errors import Bloxtr8Error, Unavailable
from bloxtr8.messaging.envelope import is_uuid
from bloxtr8.money import EXPONENTS, Money
from bloxtr8.store import database

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])

# Wide enough for an id and what stands beside it when the output is not a terminal.
_PLAIN_WIDTH = 200


class ExitCode(IntEnum):
    """The same as those of `faust -A app`; click's own 2 is a wrong use of the command line."""

    OK = 0
    DIFFERENT = 1
    USAGE = 2
    NOT_FOUND = 3
    UNAVAILABLE = 4


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def formats(command: Command) -> Command:
    """Add `--json` and `--csv`; the command gets `form`."""
    as_json = click.option("--json", "form", flag_value=Format.JSON.value, help="For machines.")
    as_csv = click.option("--csv", "form", flag_value=Format.CSV.value, help="For spreadsheets.")
    return as_json(as_csv(command))


class UuidType(click.ParamType):
    name = "uuid"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        text = str(value).lower()
        if not is_uuid(text):
            self.fail(f"{value!r} is not a UUID", param, ctx)
        return text


class MomentType(click.ParamType):
    """`2026-03-01` or `2026-03-01T12:00`; UTC unless it says otherwise."""

    name = "moment"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a date such as 2026-03-01", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns, with the database of the settings open around it."""
    try:
        return asyncio.run(_with_database(work))
    except (Unavailable, OSError, TimeoutError) as error:
        end(ExitCode.UNAVAILABLE, f"Not to be had: {type(error).__name__}: {error}")
    except Bloxtr8Error as error:
        end(ExitCode.USAGE, str(error))


async def _with_database(work: Coroutine[Any, Any, T]) -> T:
    try:
        await database.open_database(Settings())
    except BaseException:
        work.close()
        raise
    try:
        return await work
    finally:
        await database.close_database()


def end(code: ExitCode, complaint: str = "") -> NoReturn:
    """End the process; `complaint` goes to standard error."""
    if complaint:
        click.echo(complaint, err=True)
    raise SystemExit(int(code))


def show(
    title: str, columns: Sequence[str], rows: Sequence[dict[str, Any]], form: str | None
) -> None:
    """Print `rows`; a table has `columns` only, JSON and CSV have all that the rows hold."""
    if form == Format.JSON:
        click.echo(json.dumps(rows, default=plain))
    elif form == Format.CSV:
        names = list(rows[0]) if rows else list(columns)
        writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _text(row[name]) for name in names} for row in rows)
    else:
        table = Table(title=title, title_justify="left")
        for name in columns:
            numbers = any(isinstance(row[name], int) for row in rows)
            right = numbers or name in ("amount", "balance", "debit", "credit")
            table.add_column(name, justify="right" if right else "left")
        for row in rows:
            # As text: what stands in the database is not markup.
            table.add_row(*(Text(_text(row[name])) for name in columns))
        width = None if sys.stdout.isatty() else _PLAIN_WIDTH
        Console(width=width, highlight=False).print(table)


def decimal(minor: int, currency: str) -> str:
    """Return an amount with its point; in minor units where the currency is not ours."""
    return Money(currency, minor).decimal if currency in EXPONENTS else str(minor)


def plain(value: Any) -> Any:
    """Return what JSON has no word for."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return str(value)
