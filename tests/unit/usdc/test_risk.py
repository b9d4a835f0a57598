import itertools
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from bloxtr8.clock import ManualClock
from bloxtr8.config import ScreeningSettings
from bloxtr8.payments.screening.risk import STRICTNESS, Opinion, Risk, combine, strictest
from bloxtr8.payments.screening.trm import TrmScreener

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
async def test_trms_levels(level: int, risk: Risk) -> None:
    screener = TrmScreener(ScreeningSettings(), ManualClock(NOW))
    assert screener.risk_of(level) is risk


async def test_what_trms_levels_mean_is_a_setting() -> None:
    settings = ScreeningSettings(trm_medium_from=1, trm_high_from=5)
    screener = TrmScreener(settings, ManualClock(NOW))
    assert [screener.risk_of(level) for level in (0, 1, 5)] == [Risk.LOW, Risk.MEDIUM, Risk.HIGH]
    with pytest.raises(ValidationError, match="must not be above"):
        ScreeningSettings(trm_medium_from=10, trm_high_from=5)
