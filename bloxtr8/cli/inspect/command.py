"""What the commands share: how they run, how they print, what their exit codes mean."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any, ClassVar, NoReturn
from uuid import UUID

import click
from aiokafka.errors import KafkaError
from faust.cli import AppCommand, argument, option
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bloxtr8.errors import Unavailable
from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.messaging.envelope import is_uuid
from bloxtr8.messaging.inspection import Inspector, TopicUnknown, inspecting
from bloxtr8.store.database import close_database, open_database

JSON = option("--json", "as_json", is_flag=True, help="For machines: JSON instead of tables.")
# Wide enough for an id and what stands beside it when the output is not a terminal.
_PLAIN_WIDTH = 200


class ExitCode(IntEnum):
    """The exit codes of every command; click's own 2 is a wrong use of the command line."""

    OK = 0
    DIFFERENT = 1  # something was found that should not be so
    USAGE = 2
    NOT_FOUND = 3
    UNAVAILABLE = 4


class Failed(Exception):
    """The command cannot do what it was asked; `code` becomes the exit code."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class Inspect(AppCommand):  # type: ignore[misc]
    """A command that looks and prints. Subclasses define `work(**options)`."""

    abstract: ClassVar[bool] = True
    app: BloxtrApp

    async def work(self, *args: Any, **options: Any) -> ExitCode:
        raise NotImplementedError

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        # Without Faust's worker around it: nothing is started that would have to be stopped.
        try:
            code = asyncio.run(self._guarded())
        except KeyboardInterrupt:
            code = ExitCode.OK
        sys.stdout.flush()
        raise SystemExit(int(code))

    async def _guarded(self) -> ExitCode:
        options = dict(self.kwargs)
        self.as_json = bool(options.pop("as_json", False)) or self.json
        try:
            return await self.work(**options)
        except Failed as error:
            self.complain(str(error))
            return error.code
        except TopicUnknown as error:
            self.complain(f"There is no topic {error}.")
            return ExitCode.NOT_FOUND
        except (KafkaError, Unavailable, OSError, TimeoutError) as error:
            self.complain(f"Not to be had: {type(error).__name__}: {error}")
            return ExitCode.UNAVAILABLE

    # --- what they stand on -----------------------------------------------------------------

    @asynccontextmanager
    async def broker(self) -> AsyncIterator[Inspector]:
        async with inspecting(self.app.settings.kafka) as inspector:
            yield inspector

    @asynccontextmanager
    async def database(self) -> AsyncIterator[None]:
        await open_database(self.app.settings)
        try:
            yield
        finally:
            await close_database()

    # --- printing ---------------------------------------------------------------------------

    @property
    def console(self) -> Console:
        width = None if self.stdout.isatty() else _PLAIN_WIDTH
        return Console(file=self.stdout, width=width, highlight=False)

    def complain(self, text: str) -> None:
        print(text, file=self.stderr)

    def print_json(self, value: Any) -> None:
        print(json.dumps(value, default=plain), file=self.stdout)

    def print_table(
        self, title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
    ) -> None:
        """Print rows as a table; a column whose name ends in "#" holds numbers."""
        table = Table(title=title, title_justify="left")
        for column in columns:
            numeric = column.endswith("#")
            table.add_column(column.rstrip("#"), justify="right" if numeric else "left")
        for row in rows:
            # As text: what stands in a message is not markup.
            table.add_row(*(Text(cell(value)) for value in row))
        self.console.print(table)


def escrow_argument() -> Any:
    return argument("escrow_id", type=Uuid())


class Uuid(click.ParamType):
    """A UUID, in lower case."""

    name = "uuid"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        text = str(value).lower()
        if not is_uuid(text):
            self.fail(f"{value!r} is not a UUID", param, ctx)
        return text


class Duration(click.ParamType):
    """`90s`, `15m`, `36h`, `7d`."""

    name = "duration"
    _SECONDS: ClassVar[dict[str, int]] = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

    def convert(self, value: Any, param: Any, ctx: Any) -> timedelta:
        text = str(value)
        if text[-1:] not in self._SECONDS or not text[:-1].isdigit():
            self.fail(f"{value!r} is not a duration such as 15m or 7d", param, ctx)
        return timedelta(seconds=int(text[:-1]) * self._SECONDS[text[-1]])


def cell(value: Any) -> str:
    """Return `value` as a person reads it; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    if isinstance(value, timedelta):
        return span(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def span(value: timedelta) -> str:
    """Return e.g. "6d 23h", "-4m 10s"; two units are enough."""
    seconds = int(abs(value).total_seconds())
    parts = [(seconds // 86_400, "d"), (seconds // 3_600 % 24, "h")]
    parts += [(seconds // 60 % 60, "m"), (seconds % 60, "s")]
    first = next((index for index, (count, _) in enumerate(parts) if count), 3)
    sign = "-" if value < timedelta(0) else ""
    return sign + " ".join(
        f"{count}{unit}" for count, unit in parts[first : first + 2] if count or unit == "s"
    )


def plain(value: Any) -> Any:
    """Return what JSON has no word for as text or seconds."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} has no JSON form")
