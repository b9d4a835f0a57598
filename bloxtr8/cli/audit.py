"""`bloxtr8 audit`: checking the chain over the audit log, and taking it out."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import click

from bloxtr8.config import Settings
from bloxtr8.store import audit_chain, database
from bloxtr8.store.canonical import canonical_json

_DATE = click.DateTime(formats=["%Y-%m-%d"])


@click.group()
def audit() -> None:
    """Check and export the audit log."""


@audit.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(as_json: bool) -> None:
    """Recompute the chain. Exit code 1 when a row or link is not what it was."""
    found = _run(audit_chain.verify)
    if as_json:
        fields = {"ok": found.ok, "checked": found.checked, "head": found.head.hex()}
        more = {"first_bad_seq": found.bad_seq, "why": found.why, "unsealed": found.unsealed}
        click.echo(json.dumps(fields | more))
    elif found.ok:
        click.echo(f"{found.checked} rows hold, {found.unsealed} not sealed yet")
    else:
        click.echo(f"link {found.bad_seq}: {found.why}", err=True)
    raise SystemExit(0 if found.ok else 1)


@audit.command()
@click.option("--from", "since", type=_DATE, required=True, help="First day (UTC).")
@click.option("--to", "until", type=_DATE, required=True, help="Day after the last (UTC).")
def export(since: datetime, until: datetime) -> None:
    """Print sealed rows as JSON lines, in the order of the chain."""

    async def work() -> None:
        span = (since.replace(tzinfo=UTC), until.replace(tzinfo=UTC))
        async for row in audit_chain.export(*span):
            click.echo(canonical_json(row).decode())

    try:
        _run(work)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def connected() -> Any:
        await database.open_database(Settings())
        try:
            return await work()
        finally:
            await database.close_database()

    return asyncio.run(connected())
