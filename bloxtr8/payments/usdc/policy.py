"""How deep a deposit has to lie before it counts."""

from dataclasses import dataclass

from bloxtr8.config import BaseChainSettings


@dataclass(frozen=True, slots=True)
class View:
    """What a node says of the chain at one moment: its newest and its newest finalized block."""

    latest: int
    finalized: int

    def __post_init__(self) -> None:
        assert self.finalized >= 0, "blocks count from 0"


@dataclass(frozen=True, slots=True)
class DepthPolicy:
    """`steps`: (escrows up to so many minor units, blocks); above the last, finalized counts.

    A block is one block deep when it is the newest.
    """

    steps: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        assert list(self.steps) == sorted(self.steps), "more money, more blocks"
        assert all(blocks >= 1 for _, blocks in self.steps), "a deposit is in a block"

    @classmethod
    def of(cls, settings: BaseChainSettings) -> "DepthPolicy":
        """Raises ValueError."""
        return cls(tuple(_step(text) for text in settings.depths))

    def blocks(self, amount_minor: int) -> int | None:
        """Return how many blocks `amount_minor` waits; None: until its block is finalized."""
        for up_to, blocks in self.steps:
            if amount_minor <= up_to:
                return blocks
        return None

    def is_deep(self, block_number: int, amount_minor: int, view: View) -> bool:
        # Final is final, however many blocks the policy would wait for.
        if block_number <= min(view.finalized, view.latest):
            return True
        blocks = self.blocks(amount_minor)
        return blocks is not None and view.latest - block_number + 1 >= blocks


def _step(text: str) -> tuple[int, int]:
    amount, _, blocks = text.partition(":")
    if not (amount.isdecimal() and blocks.isdecimal()):
        raise ValueError(f'a depth is "minor units:blocks", not {text[:60]!r}')
    return int(amount), int(blocks)
