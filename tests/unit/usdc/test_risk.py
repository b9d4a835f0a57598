import itertools
from datetime import UTC, datetime

import pytest

from bloxtr8.payments.screening.risk import STRICTNESS, Opinion, Risk, combine, strictest
from bloxtr8.payments.screening.trm import risk_of

NOW = datetime(2026, 7, 1, tzinfo=UTC)


def opinion(risk: Risk) -> Opinion:
    return Opinion("X", risk, None if risk is Risk.UNKNOWN else 1, b"")


@pytest.mark.parametrize(("one", "other"), list(itertools.product(Risk, Risk)))
def test_the_stricter_of_two_counts_and_silence_never_clears(one: Risk, other: Risk) -> None:
    found = combine("0x", [opinion(one), opinion(other)], NOW)
    assert found.risk is max(one, other, key=STRICTNESS.index)
    assert found.complete is (Risk.UNKNOWN not in (one, other))
    assert found.clear is (one is other is Risk.LOW)


def test_nobody_asked_is_nothing_known() -> None:
    found = combine("0x", [], NOW)
    assert (found.risk, found.complete, found.clear) == (Risk.UNKNOWN, False, False)
    assert strictest([]) is Risk.UNKNOWN


@pytest.mark.parametrize(
    ("level", "risk"),
    [(0, Risk.LOW), (1, Risk.LOW), (5, Risk.MEDIUM), (10, Risk.HIGH), (15, Risk.HIGH)],
)
def test_trms_levels(level: int, risk: Risk) -> None:
    assert risk_of(level) is risk
