"""What the demo found: a row for each trade, and whether everything holds."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bloxtr8.dev.demo.observer import Figures, Observer
from bloxtr8.dev.demo.scenes import Scene
from bloxtr8.dev.play import Trade
from bloxtr8.sandbox.stripe.world import World


@dataclass(frozen=True, slots=True)
class Row:
    """One trade. Money in cents, as the payment provider moved it."""

    scene: str
    state: str
    money_in: int
    to_seller: int
    to_buyer: int
    figures: Figures


@dataclass(frozen=True, slots=True)
class Report:
    """All trades; `differences` are what `verify` found."""

    rows: tuple[Row, ...]
    total: Figures
    failures: tuple[str, ...]
    differences: tuple[str, ...]
    dead_letters: tuple[str, ...]
    duplicates: int
    kafka: str
    seconds: float

    @property
    def balanced(self) -> bool:
        """Records, mirror, ledger and provider agree, and no trade paid out more than came in."""
        overpaid = any(row.to_seller + row.to_buyer > row.money_in for row in self.rows)
        return not self.differences and not overpaid

    @property
    def holds(self) -> bool:
        return all(holds for _, holds, _ in self.checks())

    def checks(self) -> Iterator[tuple[str, bool, str]]:
        """Give (what was checked, whether it holds, details)."""
        yield "every trade ended as it should", not self.failures, "; ".join(self.failures)
        yield (
            "records, mirror, ledger and provider agree",
            self.balanced,
            "; ".join(self.differences[:5]),
        )
        yield "nothing lost", self.total.lost == 0, f"{self.total.lost} of {self.total.commands}"
        yield (
            "nothing had its effect twice",
            self.total.doubled == 0,
            f"{self.total.doubled} of {self.total.events}, {self.duplicates} duplicates dropped",
        )
        yield "nothing dead-lettered", not self.dead_letters, "; ".join(self.dead_letters[:5])

    def to_json(self) -> dict[str, Any]:
        """Return the figures for machines."""
        return {
            "trades": len(self.rows),
            "balanced": self.balanced,
            "lost": self.total.lost,
            "doubled": self.total.doubled,
            "p50_ms": self.total.percentile(50),
            "p95_ms": self.total.percentile(95),
            "commands": self.total.commands,
            "events": self.total.events,
            "duplicates_dropped": self.duplicates,
            "dead_letters": len(self.dead_letters),
            "failures": list(self.failures),
            "differences": list(self.differences),
            "kafka": self.kafka,
            "seconds": round(self.seconds, 1),
            "ok": self.holds,
        }


def row_of(scene: Scene, trade: Trade, observer: Observer, provider: World) -> Row:
    """Return the row of one trade."""
    group = trade.escrow_id
    charges = provider.all("charge", transfer_group=group)
    refs = {charge["id"] for charge in charges}
    refunds = [r for r in provider.all("refund") if r["charge"] in refs]
    transfers = provider.all("transfer", transfer_group=group)
    return Row(
        scene=scene.name,
        state=trade.state,
        money_in=sum(int(charge["amount_captured"]) for charge in charges),
        to_seller=sum(int(t["amount"]) - int(t["amount_reversed"]) for t in transfers),
        to_buyer=sum(int(r["amount"]) for r in refunds if r["status"] != "failed"),
        figures=observer.figures({group}),
    )
