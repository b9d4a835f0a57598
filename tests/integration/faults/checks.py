"""What must hold when a crowd has gone through: I1 to I3, an end for everybody, and no more."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bloxtr8.escrow import states
from bloxtr8.ledger.check import check
from tests.integration.faults.crowd import Crowd, waiting_for_staff
from tests.integration.faults.trade import Trade

_UNDECIDED = frozenset({states.FUNDS_REVIEW, states.DISPUTED})


@dataclass(frozen=True, slots=True)
class Movement:
    """Money that really left by the provider: `operation_id` as the provider was told."""

    escrow_id: str
    operation_id: str
    is_payout: bool
    amount_minor: int


async def check_all(
    crowd: Crowd, moved: Sequence[Movement], received: Mapping[str, int]
) -> Counter[str]:
    """Return how many trades ended in which state. `received`: by escrow, at the provider."""
    await i1_ledger_is_whole()
    by_escrow: dict[str, list[Movement]] = defaultdict(list)
    for movement in moved:
        by_escrow[movement.escrow_id].append(movement)
    waiting = await waiting_for_staff()
    for trade in crowd.trades.values():
        i2_money_adds_up(trade)
        i3_each_effect_once(trade, by_escrow[trade.escrow_id], received.get(trade.escrow_id, 0))
        _has_an_end(trade, trade.escrow_id in waiting)
    return Counter(trade.state for trade in crowd.trades.values())


async def i1_ledger_is_whole() -> None:
    """Each transaction sums to zero, no account is below its floor, held is what is held."""
    assert await check() == []


def i2_money_adds_up(trade: Trade) -> None:
    escrow = trade.escrow
    out = escrow.released_minor + escrow.refunded_minor + escrow.fees_minor
    assert escrow.held_minor == escrow.received_minor - out >= 0, _about(trade, "held")


def i3_each_effect_once(trade: Trade, moved: Sequence[Movement], received_minor: int) -> None:
    """One effect an operation, one payout a trade, and never more than came in."""
    effects = Counter(entry.operation_id for entry in moved)
    assert all(times == 1 for times in effects.values()), _about(trade, f"twice: {effects}")
    payouts = [entry for entry in moved if entry.is_payout]
    assert len(payouts) <= 1, _about(trade, "paid out twice")
    total = sum(entry.amount_minor for entry in moved)
    assert total <= received_minor, _about(trade, f"{total} of {received_minor} left")
    escrow = trade.escrow
    if escrow.state in states.TERMINAL:
        paid = sum(entry.amount_minor for entry in payouts)
        assert paid == escrow.released_minor, _about(trade, f"{paid} paid out")


def _has_an_end(trade: Trade, has_task: bool) -> None:
    escrow = trade.escrow
    for_a_person = escrow.HasField("hold") or escrow.state in _UNDECIDED or has_task
    assert trade.has_ended or for_a_person, _about(trade, "it never ends")


def _about(trade: Trade, what: str) -> str:
    return f"{what}: {trade.wish} {trade.escrow_id} in {trade.state}: {trade.notes}"
