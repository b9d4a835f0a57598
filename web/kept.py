"""Answers that are the same for everybody for a while, remembered in the process."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")

_ANSWERS_MAX = 500


class KeptAnswers:
    """Answers by name; `monotonic` does not travel with the business clock."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._kept: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()

    async def get(self, name: Hashable, seconds: float, make: Callable[[], Awaitable[T]]) -> T:
        """Return what `make` returned under that name within so many seconds, or returns now."""
        found = self._kept.get(name)
        now = self._monotonic()
        if found is not None and now - found[0] < seconds:
            kept: T = found[1]
            return kept
        made = await make()
        self._kept[name] = (now, made)
        self._kept.move_to_end(name)
        if len(self._kept) > _ANSWERS_MAX:
            self._kept.popitem(last=False)
        return made
