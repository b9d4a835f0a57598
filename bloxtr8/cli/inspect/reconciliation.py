"""`reconcile` and `webhooks`: compare with the providers, with a worker's own settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import click
from faust.cli import argument, option

from bloxtr8.cli.inspect.command import JSON, ExitCode, Failed, Inspect
from bloxtr8.cli.output import MomentType, UuidType
from bloxtr8.cli.reconcile import rows_of
from bloxtr8.payments.reconciliation import wiring
from bloxtr8.payments.reconciliation.replay import replay
from bloxtr8.payments.reconciliation.wiring import Reconciliation


class _WithProviders(Inspect):
    abstract = True

    @asynccontextmanager
    async def reconciliation(self) -> AsyncIterator[Reconciliation]:
        made = wiring.make(self.app.settings, self.app.clock, self.app.keyring)
        try:
            async with self.database():
                yield made
        finally:
            await made.close()


class reconcile(_WithProviders):  # noqa: N801 - the class's name is the command's
    """Ask the providers now, make up for what was missed; exit code 1 when something differs."""

    options = (option("--escrow", type=UuidType(), help="Only this trade."), JSON)

    async def work(self, *, escrow: str | None) -> ExitCode:
        async with self.reconciliation() as made:
            report = await made.run(escrow)
        rows = rows_of(report)
        if self.as_json:
            self.print_json({**report.figures(), "rows": rows})
        else:
            columns = ("", "subject", "what", "expected", "actual")
            self.print_table(
                "Reconciliation", columns, ([row[name] for name in columns] for row in rows)
            )
            self.console.print(", ".join(f"{n} {count}" for n, count in report.figures().items()))
        if report.silent:
            raise Failed(ExitCode.UNAVAILABLE, "Not everything could be asked.")
        return ExitCode.DIFFERENT if report.findings else ExitCode.OK


class webhooks(_WithProviders):  # noqa: N801
    """`replay --since DATE`: take in again what was kept of providers' calls; safe to repeat."""

    options = (
        argument("action", type=click.Choice(["replay"])),
        option("--since", type=MomentType(), required=True, help="Received from then on (UTC)."),
        JSON,
    )

    async def work(self, *, action: str, since: datetime) -> ExitCode:
        async with self.reconciliation() as made:
            done = await replay(made.missed, since)
        if self.as_json:
            self.print_json({"taken": done.taken, "passed": done.passed})
        else:
            self.print_table("Replayed", ("taken#", "passed#"), [(done.taken, done.passed)])
        return ExitCode.OK
