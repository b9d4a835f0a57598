"""What is known of a wallet's risk, and how several opinions make one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Risk(StrEnum):
    """As in `FundsUnderReview.risk`."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    UNKNOWN = "UNKNOWN"
    HIGH = "HIGH"
    SANCTIONED = "SANCTIONED"


# From the mildest to the strictest. Not to know is worse than MEDIUM, and must not hide HIGH.
STRICTNESS = (Risk.LOW, Risk.MEDIUM, Risk.UNKNOWN, Risk.HIGH, Risk.SANCTIONED)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one provider says. `score` 0 to 100, None where it gives none.

    `raw` is its answer as it came, b"" when there was none; `reason` says why it is UNKNOWN.
    """

    provider: str
    risk: Risk
    score: int | None
    raw: bytes
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Screening:
    """What all providers together say of `address` (lower case).

    `complete`: all of them have answered. If not, they have to be asked again, even where the
    strictest answer is known already.
    """

    address: str
    risk: Risk
    score: int | None
    complete: bool
    asked_at: datetime

    @property
    def clear(self) -> bool:
        """Whether money may move without a person having looked."""
        return self.complete and self.risk is Risk.LOW


def strictest(risks: Sequence[Risk]) -> Risk:
    """Return the strictest of `risks`; UNKNOWN when there are none."""
    return max(risks, key=STRICTNESS.index, default=Risk.UNKNOWN)


def combine(address: str, opinions: Sequence[Opinion], now: datetime) -> Screening:
    """Return what `opinions` say together: the strictest counts, silence is never good news."""
    scores = [opinion.score for opinion in opinions if opinion.score is not None]
    return Screening(
        address=address,
        risk=strictest([opinion.risk for opinion in opinions]),
        score=max(scores, default=None),
        complete=bool(opinions) and all(entry.risk is not Risk.UNKNOWN for entry in opinions),
        asked_at=now,
    )
