"""A circuit breaker: a provider that fails is left alone for a while, then asked once."""

from collections import deque
from datetime import datetime, timedelta
from enum import IntEnum
from weakref import WeakSet

from bloxtr8 import telemetry
from bloxtr8.clock import Clock

FAILURES_MAX = 5
WINDOW = timedelta(seconds=60)
PAUSE = timedelta(seconds=30)


class BreakerState(IntEnum):
    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Breaker:
    """Opens after 5 failures within 60 s, for 30 s; then one probe decides.

    `name` is the provider, a label of bounded values.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self._clock = clock
        self._failures: deque[datetime] = deque(maxlen=FAILURES_MAX)
        self._opened_at: datetime | None = None
        self._probe_since: datetime | None = None
        _watch(name, self)

    @property
    def state(self) -> BreakerState:
        if self._opened_at is None:
            return BreakerState.CLOSED
        if self._clock.now() - self._opened_at < PAUSE:
            return BreakerState.OPEN
        return BreakerState.HALF_OPEN

    def allows(self) -> bool:
        """Tell whether a call may go out now; half open, only one at a time may."""
        state = self.state
        if state is not BreakerState.HALF_OPEN:
            return state is BreakerState.CLOSED
        now = self._clock.now()
        # A probe that never came back does not close the way for ever.
        if self._probe_since is not None and now - self._probe_since < PAUSE:
            return False
        self._probe_since = now
        return True

    def succeeded(self) -> None:
        self._failures.clear()
        self._opened_at = self._probe_since = None

    def failed(self) -> None:
        now = self._clock.now()
        self._failures.append(now)
        probing = self._probe_since is not None
        full = len(self._failures) == FAILURES_MAX and now - self._failures[0] < WINDOW
        if probing or full:
            self._opened_at = now
            self._probe_since = None


# A provider has several clients in a process; what is told of it is its worst.
_BREAKERS: dict[str, "WeakSet[Breaker]"] = {}


def _watch(name: str, breaker: Breaker) -> None:
    """Let the metric of a provider be its state when somebody looks, not when it was last used."""
    if name not in _BREAKERS:
        _BREAKERS[name] = WeakSet()
        telemetry.BREAKER_STATE.labels(provider=name).set_function(lambda: _worst(name))
    _BREAKERS[name].add(breaker)


def _worst(name: str) -> float:
    return float(max((one.state for one in _BREAKERS[name]), default=BreakerState.CLOSED))
