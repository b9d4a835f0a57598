"""Faults on demand for the providers' stand-ins: which request fails, how, how often."""

from collections import deque
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase

_RULES_MAX = 1000
_TAKEN_MAX = 1000


class Fault(StrEnum):
    """What happens to a request. BEFORE: the effect never comes about; AFTER: it did."""

    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    DISCONNECT_BEFORE = "disconnect_before"
    DISCONNECT_AFTER = "disconnect_after"
    ERROR_BEFORE = "error_before"  # 500 from the edge; the idempotency key stays free
    ERROR_AFTER = "error_after"  # 500 that the idempotency key keeps on answering
    ERROR_STICKY = "error_sticky"  # the same, without any effect
    GARBAGE = "garbage"  # the effect, and an answer that nobody can read
    DELAY = "delay"
    RATE_LIMIT = "rate_limit"
    REFUSE = "refuse"  # the provider says no, in its own words


@dataclass(frozen=True, slots=True)
class FaultRule:
    """`route` is a pattern over "METHOD /path"; `times` requests are hit, then it is gone."""

    route: str
    fault: Fault
    times: int = 1
    seconds: float = 15.0  # how long a time-out or a delay lasts, or Retry-After
    code: str = ""  # REFUSE only


class FaultPlan:
    """The rules in force, first match first; bounded."""

    def __init__(self) -> None:
        self._rules: list[FaultRule] = []
        self.taken: deque[tuple[str, Fault]] = deque(maxlen=_TAKEN_MAX)

    def add(self, rule: FaultRule) -> None:
        """Raises ValueError when there are too many rules or the rule makes no sense."""
        if len(self._rules) >= _RULES_MAX:
            raise ValueError("too many faults are planned")
        if rule.times < 1 or not 0 <= rule.seconds <= 60:
            raise ValueError("times is at least 1 and seconds are 0 to 60")
        self._rules.append(rule)

    def take(self, method: str, path: str) -> FaultRule | None:
        """Return the rule that hits this request and count it down."""
        route = f"{method} {path}"
        for index, rule in enumerate(self._rules):
            if not fnmatchcase(route, rule.route):
                continue
            if rule.times == 1:
                del self._rules[index]
            else:
                self._rules[index] = replace(rule, times=rule.times - 1)
            self.taken.append((route, rule.fault))
            return rule
        return None

    def clear(self) -> None:
        self._rules.clear()

    @property
    def rules(self) -> tuple[FaultRule, ...]:
        return tuple(self._rules)
