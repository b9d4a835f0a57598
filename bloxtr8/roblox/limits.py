"""How much of Roblox's patience is left: calls a minute for each kind, and pauses it asks for."""

from collections.abc import Callable

_MINUTE_S = 60.0


class Bucket:
    """Calls of one kind. `monotonic`: seconds that never run backwards."""

    def __init__(self, per_minute: float, monotonic: Callable[[], float]) -> None:
        assert per_minute > 0, "a kind that may never be called is not one"
        self._per_second = per_minute / _MINUTE_S
        # A burst of ten seconds' worth; at least one call.
        self._most = max(1.0, per_minute / 6)
        self._tokens = self._most
        self._monotonic = monotonic
        self._at = monotonic()
        self._paused_until = 0.0

    def wait_s(self) -> float:
        """Return how long the next call has to wait; 0: it may go now, and is counted."""
        now = self._monotonic()
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if now < self._paused_until:
            return self._paused_until - now
        if self._tokens < 1:
            return (1 - self._tokens) / self._per_second
        self._tokens -= 1
        return 0.0

    def pause(self, seconds: float) -> None:
        """Let nobody call for `seconds`: the provider asked for it."""
        self._paused_until = max(self._paused_until, self._monotonic() + seconds)
