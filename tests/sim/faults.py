"""What goes wrong, when: all of it drawn from one seeded generator."""

from dataclasses import dataclass
from random import Random


class Crash(BaseException):
    """A process ends here, between two steps. No handler may catch it."""


@dataclass(slots=True)
class Faults:
    """Chances of each fault. `calm()` ends them all, for bringing a run to its end."""

    random: Random
    crash: float = 0.02  # at each step: before it, or after it with its acknowledgement lost
    repeat: float = 0.05  # of a message that is published twice
    unknown: float = 0.15  # a provider's answer that does not come, before or after the effect
    refusal: float = 0.06  # a provider's own no
    pending: float = 0.2  # a refund that takes its time
    pause: float = 0.01  # a worker that stops in the middle and wakes up too late

    def calm(self) -> None:
        self.crash = self.repeat = self.unknown = self.refusal = self.pending = self.pause = 0.0

    def strikes(self, chance: float) -> bool:
        return chance > 0 and self.random.random() < chance

    def step(self) -> None:
        """Raise Crash now and then: called before and after each effect of a process."""
        if self.strikes(self.crash):
            raise Crash
