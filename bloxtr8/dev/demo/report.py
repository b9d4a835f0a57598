"""What the demo found: a row for each trade, and whether everything holds."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from bloxtr8.dev.demo.observer import Figures, Observer, percentile
from bloxtr8.dev.demo.scenes import Scene
from bloxtr8.dev.play import Trade
from bloxtr8.dev.stand_ins import StandIns
from bloxtr8.sandbox.chain import wallets
from bloxtr8.sandbox.custodian.vault import minor as vault_minor
from bloxtr8.sandbox.stripe.world import World
from bloxtr8.store import database


@dataclass(frozen=True, slots=True)
class Row:
    """One trade. Money in minor units of `currency`, as it really moved; `to_bank` by chargebacks.

    `disturbed`: a worker was killed meanwhile, so its latencies are those of a recovery.
    """

    scene: str
    state: str
    currency: str
    money_in: int
    to_seller: int
    to_buyer: int
    to_bank: int
    figures: Figures
    disturbed: bool


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

    def percentile(self, percent: int, *, disturbed: bool) -> int:
        """Return a percentile of command-to-event in ms over the trades (not) disturbed."""
        rows = [row for row in self.rows if row.disturbed == disturbed]
        return percentile([ms for row in rows for ms in row.figures.latencies_ms], percent)

    def to_json(self) -> dict[str, Any]:
        """Return the figures for machines."""
        return {
            "trades": len(self.rows),
            "balanced": self.balanced,
            "lost": self.total.lost,
            "doubled": self.total.doubled,
            "p50_ms": self.percentile(50, disturbed=False),
            "p95_ms": self.percentile(95, disturbed=False),
            "p95_while_killed_ms": self.percentile(95, disturbed=True),
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


def row_of(scene: Scene, trade: Trade, observer: Observer, stand_ins: StandIns) -> Row:
    """Return the row of one trade."""
    if trade.terms.rail == "STRIPE":
        moved = at_stripe(trade, stand_ins.stripe.world)
    else:
        moved = _on_chain(trade, stand_ins)
    return Row(
        scene=scene.name,
        state=trade.state,
        currency=trade.terms.currency,
        money_in=moved[0],
        to_seller=moved[1],
        to_buyer=moved[2],
        to_bank=moved[3],
        figures=observer.figures({trade.escrow_id}),
        disturbed=scene.disturbs,
    )


def _on_chain(trade: Trade, stand_ins: StandIns) -> tuple[int, int, int, int]:
    """Return (in, to the seller, to the buyer, 0); each wallet is of one trade only."""
    vault, bank = stand_ins.custodian.vault, stand_ins.chain.bank
    address = vault.find_reference(trade.escrow_id)
    deposits = vault.deposits_of(address.hex) if address is not None else []
    came = sum(vault_minor(entry["amount"]) for entry in deposits if entry["status"] != "failed")
    buyer, seller = (
        bank.balance(wallets.USDC, str(wallets.named(person.wallet).address))
        for person in (trade.buyer, trade.seller)
    )
    return came, seller, buyer, 0


def at_stripe(trade: Trade, provider: World) -> tuple[int, int, int, int]:
    """Return what Stripe moved for a trade: (in, to the seller, to the buyer, to the bank)."""
    group = trade.escrow_id
    charges = provider.all("charge", transfer_group=group)
    refs = {charge["id"] for charge in charges}
    disputes = [d for d in provider.all("dispute") if d["charge"] in refs]
    refunds = [r for r in provider.all("refund") if r["charge"] in refs]
    transfers = provider.all("transfer", transfer_group=group)
    return (
        sum(int(charge["amount_captured"]) for charge in charges),
        sum(int(t["amount"]) - int(t["amount_reversed"]) for t in transfers),
        sum(int(r["amount"]) for r in refunds if r["status"] != "failed"),
        sum(int(d["amount"]) for d in disputes if d["status"] != "won"),
    )


async def record_differences(trades: list[Trade]) -> list[str]:
    """Return where the mirror does not show what the owning worker's table holds."""
    found = []
    for trade in trades:
        record, mirrored = await trade.read_record(), await trade.read()
        if record != mirrored:
            names = [name for name in mirrored if record.get(name) != mirrored[name]]
            found.append(f"{trade.escrow_id}: table and mirror differ in {names}")
    return found


async def provider_differences(trades: list[Trade], rows: list[Row]) -> list[str]:
    """Return where the mirror's amounts are not what the provider moved."""
    found = []
    for trade, row in zip(trades, rows, strict=True):
        mirrored = await database.fetchrow(
            "SELECT received_minor, released_minor, refunded_minor FROM escrows WHERE id = $1",
            UUID(trade.escrow_id),
        )
        moved = (row.money_in, row.to_seller, row.to_buyer)
        if mirrored is None or tuple(mirrored.values()) != moved:
            found.append(f"{trade.escrow_id}: the provider moved {moved}, the mirror: {mirrored}")
    return found
