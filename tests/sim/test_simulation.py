"""Seeded runs of all agents with everything going wrong, and proof that the runs can fail."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from agents.escrow import EscrowAgent
from bloxtr8.payments.book import Book
from tests.sim.escrow_worker import Table
from tests.sim.run import quiet, run_seed, run_seeds

CI_SEEDS, CI_PARTS = 2_000, 8
LONG_SEEDS, LONG_PARTS = 100_000, 100
# Of one run in a part the figures of which are looked at: what every part must have met.
_ALWAYS = {"handle", "rebalance", "wake", "webhook", "dispute", "days", "send again", "relay"}
_SABOTAGE_SEEDS = 150


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = structlog.get_config()
    quiet()
    yield
    structlog.configure(**before)


def _run_part(part: int, seeds: int, parts: int) -> Counter[str]:
    size = seeds // parts
    first = int(os.environ.get("BLOXTR8_SIM_FIRST_SEED", "0")) + part * size
    happened = run_seeds(range(first, first + size))
    assert set(happened) >= _ALWAYS, "a part in which not everything went wrong proves little"
    return happened


@pytest.mark.parametrize("part", range(CI_PARTS))
def test_invariants_hold_whatever_goes_wrong(part: int) -> None:
    _run_part(part, CI_SEEDS, CI_PARTS)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(LONG_PARTS))
def test_invariants_hold_in_the_long_run(part: int) -> None:
    happened = _run_part(part, LONG_SEEDS, LONG_PARTS)
    print(f"{LONG_SEEDS // LONG_PARTS} seeds, {happened.total()} steps, 0 violations")


def test_a_seed_repeats_itself() -> None:
    first, second = run_seed(42), run_seed(42)
    assert first.happened == second.happened
    assert first.mirror.rows.keys() == second.mirror.rows.keys()
    assert [len(log) for log in first.broker.logs.values()] == [
        len(log) for log in second.broker.logs.values()
    ]
    assert first.mirror.balances == second.mirror.balances


# --- sabotage: each of these takes one guarantee away, and the runs must notice -----------------


def _forgets_to_say_again(monkeypatch: pytest.MonkeyPatch) -> None:
    say = EscrowAgent._say

    async def only_at_once(self: EscrowAgent, outputs: list[Any]) -> None:
        if len(outputs) == 1 and not self._app.rebalancing:
            await say(self, outputs)

    async def recovered(self: EscrowAgent, partitions: set[int]) -> None:
        self._app.rebalancing = True
        try:
            await original(self, partitions)
        finally:
            self._app.rebalancing = False

    original = EscrowAgent.recovered
    monkeypatch.setattr(EscrowAgent, "_say", only_at_once)
    monkeypatch.setattr(EscrowAgent, "recovered", recovered)


def _forgets_what_it_absorbed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["bloxtr8.escrow.decide"], "ABSORBED_MAX", 0)


def _lets_the_newest_write_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.sim.escrow_worker.version", lambda _value: (0, 0))


def _keeps_memory_across_assignments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Table, "recover", lambda *_: None)


def _pays_more_than_it_received(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Book, "covers", lambda *_: True)
    monkeypatch.setattr("bloxtr8.escrow.fees.refund", _twice_the_refund())


def _twice_the_refund() -> Callable[[Any], Any]:
    from bloxtr8.escrow import fees

    def refund(terms: Any) -> fees.Plan:
        return fees.Plan(0, 2 * terms.received_minor, 0)

    return refund


@pytest.mark.parametrize(
    "sabotage",
    [
        _forgets_to_say_again,
        _forgets_what_it_absorbed,
        _lets_the_newest_write_win,
        _keeps_memory_across_assignments,
        _pays_more_than_it_received,
    ],
)
def test_the_runs_notice(
    sabotage: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    sabotage(monkeypatch)
    with pytest.raises(AssertionError, match=r"seed \d+"):
        run_seeds(range(_SABOTAGE_SEEDS))
