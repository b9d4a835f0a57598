"""Faults by chance: any request may be hit, as often as a seed says."""

import re
from collections import Counter
from random import Random

from bloxtr8.sandbox.faults import Fault, FaultPlan, FaultRule
from tests.integration.faults.modes import Mode

# What is an id in a path: Stripe's, a UUID, an address.
_IDS = re.compile(r"\b(?:pi|ch|tr|re|acct|txn)_\w+|[0-9a-f]{8}-[0-9a-f-]{27}|0x[0-9a-fA-F]{40}")

# An effect is one request; a question about the chain takes many.
_PART_OF = {"POST": 1.0, "RPC": 0.2}


class Chance(FaultPlan):
    """The mode's share of the requests with an effect fail, and less of the questions.

    `hits` counts them by "METHOD /path". A time-out hangs for longer than the client waits.
    """

    def __init__(self, random: Random, mode: Mode) -> None:
        super().__init__()
        self._random = random
        self._share = mode.share
        # Too many requests are over when the client comes again.
        pause = 0.0 if mode.fault is Fault.RATE_LIMIT else 2 * mode.client_wait_s
        self._rule = FaultRule("*", mode.fault, seconds=pause)
        self.hits: Counter[str] = Counter()

    def take(self, method: str, path: str) -> FaultRule | None:
        share = self._share * _PART_OF.get(method, 0.5)
        if self._random.random() >= share:
            return None
        self.hits[f"{method} {_IDS.sub('*', path)}"] += 1
        return self._rule

    def calm(self) -> None:
        """From now on nothing fails."""
        self._share = 0.0
