"""`bloxtr8 reconcile` and `bloxtr8 webhooks replay`: compare with the providers, now."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import click

from bloxtr8.cli import output
from bloxtr8.cli.output import ExitCode, MomentType, UuidType
from bloxtr8.config import Settings
from bloxtr8.messaging.app import clock_of
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.payments.reconciliation import findings, wiring
from bloxtr8.payments.reconciliation.model import Report
from bloxtr8.payments.reconciliation.replay import Replayed, replay
from bloxtr8.payments.reconciliation.wiring import Reconciliation

_ESCROW = click.option("--escrow", type=UuidType(), help="Only this trade.")
_SINCE = click.option(
    "--since", type=MomentType(), required=True, help="From what was received then (UTC)."
)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Reconciliation]:
    keyring = Keyring.load(settings.keys.directory, create=False)
    made = wiring.make(settings, clock_of(settings), keyring)
    try:
        yield made
    finally:
        await made.close()


@click.command()
@_ESCROW
@click.option("--open", "only_open", is_flag=True, help="Ask nobody; list what is open.")
@output.formats
def reconcile(escrow: str | None, only_open: bool, form: str | None) -> None:
    """Ask the providers, make up for what was missed, and print what differs.

    Exit code 1 when something differs, 4 when a provider, or a run under way, is in the way.
    """
    if only_open:
        rows = output.run(findings.list_open())
        columns = ("kind", "provider", "subject", "what", "expected", "actual", "found_at")
        output.show("Open differences", columns, rows, form)
        output.end(ExitCode.DIFFERENT if rows else ExitCode.OK)
    report = output.run(_reconcile(escrow))
    show(report, form)
    if report.silent:
        output.end(ExitCode.UNAVAILABLE)
    output.end(ExitCode.DIFFERENT if report.findings else ExitCode.OK)


async def _reconcile(escrow_id: str | None) -> Report:
    async with _opened(Settings()) as made:
        return await made.run(escrow_id)


def show(report: Report, form: str | None) -> None:
    """Print what a run found and did."""
    rows = rows_of(report)
    if form is None:
        figures = ", ".join(f"{name} {number}" for name, number in report.figures().items())
        click.echo(figures)
    output.show("Reconciliation", ("", "subject", "what", "expected", "actual"), rows, form)


def rows_of(report: Report) -> list[dict[str, Any]]:
    """Return one row per finding, repair and silence; `""` says which."""
    rows = [
        _row(entry.kind.value, entry.subject, entry.what, entry.expected, entry.actual)
        | {"escrow": entry.escrow_id}
        for entry in report.findings
    ]
    rows += [
        _row("REPAIRED", entry.subject, entry.what) | {"escrow": entry.escrow_id}
        for entry in report.repairs
    ]
    rows += [_row("NO ANSWER", subject, "") | {"escrow": ""} for subject in report.silent]
    return rows


def _row(
    kind: str, subject: str, what: str, expected: str = "", actual: str = ""
) -> dict[str, Any]:
    return {"": kind, "subject": subject, "what": what, "expected": expected, "actual": actual}


@click.group()
def webhooks() -> None:
    """What providers called."""


@webhooks.command("replay")
@_SINCE
@output.formats
def replay_webhooks(since: datetime, form: str | None) -> None:
    """Take in again what was kept of providers' calls; safe to repeat."""
    done = output.run(_replay(since))
    row = {"taken": done.taken, "passed": done.passed}
    output.show("Replayed", ("taken", "passed"), [row], form)


async def _replay(since: datetime) -> Replayed:
    async with _opened(Settings()) as made:
        return await replay(made.missed, since)
