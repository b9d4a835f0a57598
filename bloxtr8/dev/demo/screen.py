"""What the demo shows while it plays, and its tables at the end."""

import time
from types import TracebackType

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bloxtr8.dev.demo.report import Report
from bloxtr8.dev.demo.scenes import Scene
from bloxtr8.money import Money

_REFRESHES_PER_SECOND = 8
_STATE_STYLES = {"RELEASED": "green", "REFUNDED": "yellow", "SPLIT": "cyan", "CANCELLED": "magenta"}


class Screen:
    """A table that follows the scenes on a terminal; elsewhere a line for each step."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._scenes: list[Scene] = []
        self._started = time.monotonic()
        self._live = Live(
            console=console,
            refresh_per_second=_REFRESHES_PER_SECOND,
            get_renderable=self._table,
            transient=True,
        )

    def __enter__(self) -> "Screen":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def say(self, line: str) -> None:
        """Show a line that stays."""
        self._console.print(Text(f"{self._clock()}  {line}", style="dim"))

    def add(self, scene: Scene) -> None:
        self._scenes.append(scene)

    def tell(self, scene: Scene, step: str) -> None:
        """Show where `scene` is now."""
        scene.step = step
        self._console.print(Text(f"{self._clock()}  {scene.name}: {step}"))

    def _clock(self) -> str:
        return f"{time.monotonic() - self._started:6.1f} s"

    def _table(self) -> Table:
        table = Table("scene", "now", "state", title=f"Bloxtr8 demo · {self._clock().strip()}")
        for scene in self._scenes:
            states = Text(" ").join(_state(trade.state) for trade in scene.trades)
            table.add_row(scene.name, scene.failure or scene.step, states)
        return table


def summary(report: Report) -> Table:
    """Return the table of all trades; amounts in USD or USDC, times from command to event in ms."""
    table = Table(title="Trades", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("scene")
    table.add_column("state", no_wrap=True)
    for heading in ("in", "to seller", "to buyer", "to bank"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("commands", "events", "dropped", "p50", "p95"):
        table.add_column(heading, justify="right")
    for row in report.rows:
        figures = row.figures
        amounts = (row.money_in, row.to_seller, row.to_buyer, row.to_bank)
        counts = (figures.commands, figures.events, figures.duplicates)
        table.add_row(
            row.scene,
            _state(row.state),
            *(_amount(row.currency, minor) for minor in amounts),
            *map(str, (*counts, figures.percentile(50), figures.percentile(95))),
        )
    return table


def verdict(report: Report) -> Table:
    """Return what was checked and whether it holds."""
    table = Table("checked", "result", title="Verification", title_justify="left", box=SIMPLE_HEAD)
    for name, holds, detail in report.checks():
        mark = Text("holds", style="green") if holds else Text("FAILS", style="bold red")
        table.add_row(name, Text.assemble(mark, f"  {detail}"))
    return table


def _amount(currency: str, minor: int) -> str:
    # Cents of a USDC are enough to look at.
    return Money("USD", minor if currency == "USD" else minor // 10_000).decimal


def _state(state: str) -> Text:
    return Text(state, style=_STATE_STYLES.get(state, ""))
