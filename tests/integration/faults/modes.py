"""The ways in which providers fail, each tried by itself against every call and webhook."""

import os
from dataclasses import dataclass

from bloxtr8.sandbox.faults import Fault
from tests.integration.faults.post import Way

# Of all runs.
SEED = int(os.environ.get("BLOXTR8_FAULTS_SEED", "1"))
LONG_RUNS = 5_000
_RUNS = int(os.environ.get("BLOXTR8_FAULTS_RUNS", "200"))
_SHARE = 0.3
_SILENT = frozenset({Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER})


@dataclass(frozen=True, slots=True)
class Mode:
    """`share` of the requests meet `fault` (see Chance); calls travel in `way`."""

    name: str
    fault: Fault = Fault.ERROR_BEFORE
    share: float = 0.0
    way: Way = Way.PROMPT
    runs: int = _RUNS

    @property
    def client_wait_s(self) -> float:
        """How long clients wait for an answer: only where answers do not come is it short."""
        return 0.5 if self.fault in _SILENT and self.share else 10.0

    def __str__(self) -> str:
        return self.name


MODES = (
    Mode("timeout_before", Fault.TIMEOUT_BEFORE, _SHARE),
    Mode("timeout_after", Fault.TIMEOUT_AFTER, _SHARE),
    Mode("error_after", Fault.ERROR_AFTER, _SHARE),
    Mode("duplicates", way=Way.DUPLICATES),
    Mode("any_order", way=Way.ANY_ORDER),
    Mode("late", way=Way.LATE),
    Mode("never", way=Way.NEVER),
    # Relatives of the ones above; a few runs each.
    Mode("error_before", Fault.ERROR_BEFORE, _SHARE, runs=_RUNS // 5),
    Mode("disconnect_before", Fault.DISCONNECT_BEFORE, _SHARE, runs=_RUNS // 5),
    Mode("disconnect_after", Fault.DISCONNECT_AFTER, _SHARE, runs=_RUNS // 5),
    Mode("garbage", Fault.GARBAGE, _SHARE, runs=_RUNS // 5),
    Mode("rate_limit", Fault.RATE_LIMIT, _SHARE, runs=_RUNS // 5),
)
