"""What the books of places on the chain share: no calls, and one final block for a whole run."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from bloxtr8.payments.reconciliation.chain_reader import ChainReader
from bloxtr8.payments.reconciliation.provider import Call

CURRENCY = "USDC"


class OnChain:
    # A deposit counts, and is booked, at its policy's depth; a line has to be final.
    settled_after = timedelta(hours=1)
    # Sweeps and payouts from the hot wallet, which no event tells of.
    hourly = True

    def __init__(self, reader: ChainReader) -> None:
        self._reader = reader
        self._final: int | None = None

    async def calls(self, since: datetime, until: datetime) -> AsyncIterator[list[Call]]:
        # A chain makes no calls, and a custodian's say nothing that a look does not.
        none: tuple[list[Call], ...] = ()
        for page in none:
            yield page

    async def _next_final(self) -> int:
        """Return the newest final block, and keep it for the balance after the statement."""
        self._final = (await self._reader.final()).number
        return self._final

    async def _last_final(self) -> int:
        """Return the block of the last statement, the newest final one before any."""
        return (await self._reader.final()).number if self._final is None else self._final
