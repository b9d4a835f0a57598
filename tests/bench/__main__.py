"""`python -m tests.bench [--kafka apache|embedded] [--parts throughput,latency,…]`."""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bloxtr8.dev.apache_kafka import missing_tools
from tests.bench import parts
from tests.bench.stage import Stage

_MIB_MAX, _RECOVERY_S_MAX, _P95_MS_MAX = 250, 15, 25
_TRANSITIONS_MIN, _OF_NOOP_MIN, _OF_RIVAL_MIN, _GROWTH_MAX = 1_200, 0.2, 2.0, 0.10
_PARTS = ("throughput", "latency", "recovery", "memory", "growth")


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `holds` is None where there is no aim."""

    name: str
    value: str
    ratio: str = ""
    aim: str = ""
    holds: bool | None = None


class Bench:
    def __init__(self, stage: Stage, options: argparse.Namespace, console: Console) -> None:
        self._stage = stage
        self._options = options
        self._console = console
        self.figures: list[Figure] = []

    async def run(self) -> None:
        for name in self._options.parts.split(","):
            measure: Callable[[], Awaitable[None]] = getattr(self, f"_{name}")
            began = time.monotonic()
            await measure()
            self._console.print(f"[dim]{name}: {time.monotonic() - began:.0f} s[/dim]")

    async def _throughput(self) -> None:
        trades, stage = self._options.trades, self._stage
        ours = await parts.throughput(stage, "escrow", trades)
        nothing = await parts.noop(stage, 10 * trades)
        # Slower by far: a part of the trades is enough to see how slow.
        loop = await parts.throughput(stage, "rival", max(200, trades // 4))
        parallel = await parts.throughput(stage, "rival", max(200, trades // 4), BENCH_PARALLEL="1")
        aim = f"≥ {_TRANSITIONS_MIN:,}/s"
        self._add("transitions, durable", f"{ours:,.0f}/s", "1", aim, ours >= _TRANSITIONS_MIN)
        of_noop = ours / nothing
        self._add(
            "(a) no-op Faust agent",
            f"{nothing:,.0f}/s",
            f"{of_noop:.2f} of it",
            f"≥ {_OF_NOOP_MIN}",
            of_noop >= _OF_NOOP_MIN,
        )
        of_loop = ours / loop
        self._add(
            "(b) aiokafka loop, a transaction each",
            f"{loop:,.0f}/s",
            f"{of_loop:.2f} times it",
            f"≥ {_OF_RIVAL_MIN}",
            of_loop >= _OF_RIVAL_MIN,
        )
        self._add(
            "    the same, partitions side by side", f"{parallel:,.0f}/s", f"{ours / parallel:.2f}"
        )

    async def _latency(self) -> None:
        rate, seconds, stage = 200, self._options.seconds, self._stage
        ours = await parts.latency(stage, "escrow", rate, seconds)
        loop = await parts.latency(stage, "rival", rate, seconds)
        self._add(
            f"command to event at {rate}/s, p50 / p95 / p99",
            str(ours),
            f"{loop.p95 / ours.p95:.1f} times faster than (b)",
            f"p95 ≤ {_P95_MS_MAX} ms",
            ours.p95 <= _P95_MS_MAX,
        )
        self._add("    (b)", str(loop))

    async def _recovery(self) -> None:
        records = self._options.records
        if self._without_apache("recovery", records):
            return
        seconds = await parts.recovery(self._stage, records)
        self._add(
            f"recovery of {records:,} records",
            f"{seconds:.1f} s",
            f"{records / max(seconds, 0.001):,.0f}/s",
            f"≤ {_RECOVERY_S_MAX} s",
            seconds <= _RECOVERY_S_MAX,
        )

    async def _memory(self) -> None:
        if self._without_apache("memory", 10_000):
            return
        mib = await parts.memory(self._stage, 10_000)
        self._add(
            "memory of a whole worker, 10,000 escrows",
            f"{mib:.0f} MiB",
            "",
            f"≤ {_MIB_MAX} MiB",
            mib <= _MIB_MAX,
        )

    async def _growth(self) -> None:
        few, many = 1_000, self._options.growth
        if self._without_apache("growth", many):
            return
        messages = 2 * self._options.trades
        small = await parts.cost(self._stage, few, messages)
        large = await parts.cost(self._stage, many, messages)
        grown = large / small - 1
        self._add(
            f"CPU a command, {few:,} → {many:,} escrows",
            f"{small:.0f} → {large:.0f} µs",
            f"{100 * grown:+.0f} %",
            f"≤ {100 * _GROWTH_MAX:.0f} %",
            grown <= _GROWTH_MAX,
        )

    def _without_apache(self, name: str, records: int) -> bool:
        """The in-process cluster forgets all but the last 5 MiB of a partition."""
        if not self._stage.is_apache:
            self._add(f"{name} with {records:,} records", "needs Apache Kafka")
        return not self._stage.is_apache

    def _add(self, *columns: Any) -> None:
        self.figures.append(Figure(*columns))


def _print(console: Console, figures: list[Figure], broker: str) -> None:
    table = Table(title=f"Bench on {broker}, one worker", title_justify="left")
    for column in ("", "measured", "ratio", "aim", ""):
        table.add_column(column)
    for figure in figures:
        verdict = {None: "", True: "[green]holds[/green]", False: "[red]missed[/red]"}
        table.add_row(figure.name, figure.value, figure.ratio, figure.aim, verdict[figure.holds])
    console.print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--kafka", choices=("apache", "embedded"))
    parser.add_argument("--parts", default=",".join(_PARTS))
    parser.add_argument("--trades", type=int, default=2_000, help="per throughput run")
    parser.add_argument("--seconds", type=int, default=10, help="of the latency run")
    parser.add_argument("--records", type=int, default=100_000, help="to recover")
    parser.add_argument("--growth", type=int, default=200_000, help="live escrows at most")
    parser.add_argument("--fsync", action="store_true", help="PostgreSQL as in production")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if unknown := set(options.parts.split(",")) - set(_PARTS):
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}")
    return options


async def _main(options: argparse.Namespace) -> None:
    apache = options.kafka == "apache" or (options.kafka is None and not missing_tools())
    directory = Path(tempfile.mkdtemp(prefix="bloxtr8-bench-"))
    console = Console(stderr=options.json, width=None if sys.stdout.isatty() else 120)
    async with AsyncExitStack() as undo:
        undo.callback(shutil.rmtree, directory, ignore_errors=True)
        stage = await Stage.open(undo, directory, apache=apache, fsync=options.fsync)
        bench = Bench(stage, options, console)
        try:
            await bench.run()
        finally:
            broker = "Apache Kafka, 12 partitions" if apache else "the in-process cluster"
            _print(console, bench.figures, broker)
        if options.json:
            print(json.dumps([{n: getattr(f, n) for n in Figure.__slots__} for f in bench.figures]))


if __name__ == "__main__":
    asyncio.run(_main(_options()))
