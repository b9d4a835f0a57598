"""The chain as reconciliation reads it: what is final, and as of one block.

Everything is read as of a block that is final, so that a line once read stays true and a balance
fits to the lines before it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from bloxtr8.payments.reconciliation.model import ProviderSilent
from bloxtr8.payments.usdc.chain import (
    Chain,
    ChainUnavailable,
    Head,
    Receipt,
    TransferLog,
    in_parts,
)
from bloxtr8.payments.usdc.networks import Network
from bloxtr8.payments.usdc.proofs import Prover, Verdict

_AT_ONCE = 8

T = TypeVar("T")


class ChainReader:
    """Every method raises ProviderSilent when the nodes give no usable answer."""

    def __init__(self, prover: Prover, network: Network, log_blocks: int) -> None:
        self._prover = prover
        self._usdc = network.usdc
        self._log_blocks = log_blocks

    @property
    def _chain(self) -> Chain:
        return self._prover.first

    async def final(self) -> Head:
        """Return the newest block that is final."""
        return await self._ask(self._chain.finalized())

    async def transfers(self, tx_hash: str, final: int) -> list[TransferLog]:
        """Return the transfers of USDC in a transaction that is final; [] while it is not."""
        receipt = await self._receipt(tx_hash)
        if receipt is None or not receipt.succeeded or receipt.block_number > final:
            return []
        return [entry for entry in receipt.transfers if entry.token == self._usdc]

    async def moment(self, block_number: int) -> datetime:
        return datetime.fromtimestamp((await self._block(block_number)).timestamp, UTC)

    async def is_there(self, transfer: TransferLog) -> bool:
        """Tell whether a transfer is on the chain, by all nodes, wherever it lies now."""
        verdict = await self._prover.prove(transfer, transfer.amount_minor)
        if verdict is Verdict.UNKNOWN:
            raise ProviderSilent(f"Base: the nodes do not agree about {transfer.tx_hash}")
        return verdict is not Verdict.GONE

    async def paid(self, tx_hash: str, to: str, amount_minor: int) -> bool:
        """Tell whether a transaction pays exactly that to that wallet."""
        verdict = await self._prover.prove_payout(tx_hash, to, amount_minor)
        if verdict is Verdict.UNKNOWN:
            raise ProviderSilent(f"Base: the nodes do not agree about {tx_hash}")
        return verdict is not Verdict.GONE

    async def balance(self, address: str, block_number: int | None = None) -> int:
        """Return the USDC of an address, as of a block (None: the newest)."""
        return await self._ask(self._chain.token_balance(self._usdc, address, block_number))

    async def balances(self, addresses: Sequence[str], block_number: int) -> dict[str, int]:
        """Return the USDC of each address as of a block."""
        found: dict[str, int] = {}
        for start in range(0, len(addresses), _AT_ONCE):
            some = addresses[start : start + _AT_ONCE]
            answers = await asyncio.gather(*(self.balance(one, block_number) for one in some))
            found |= dict(zip(some, answers, strict=True))
        return found

    async def moved_by(
        self, addresses: Sequence[str], first: int, last: int
    ) -> AsyncIterator[list[TransferLog]]:
        """Give the transfers of USDC from or to one of `addresses`, some blocks at a time."""
        moving = partial(self._chain.transfers_by, self._usdc, addresses)
        for start in range(first, last + 1, self._log_blocks):
            end = min(last, start + self._log_blocks - 1)
            # Anybody can send anybody dust.
            hashes = await self._ask(in_parts(moving, start, end))
            page: list[TransferLog] = []
            for tx_hash in hashes:
                page += [
                    entry
                    for entry in await self.transfers(tx_hash, last)
                    if entry.sender in addresses or entry.recipient in addresses
                ]
            yield page

    async def first_block_at(self, moment: datetime, last: int) -> int:
        """Return the first of the blocks up to `last` that is not older than `moment`."""
        low, high = 0, last
        while low < high:
            middle = (low + high) // 2
            if await self.moment(middle) < moment:
                low = middle + 1
            else:
                high = middle
        return low

    async def _receipt(self, tx_hash: str) -> Receipt | None:
        return await self._ask(self._chain.receipt(tx_hash))

    async def _block(self, number: int) -> Head:
        found = await self._ask(self._chain.block(number))
        if found is None:
            raise ProviderSilent(f"Base: the node does not know block {number}")
        return found

    async def _ask(self, call: Awaitable[T]) -> T:
        try:
            return await call
        except ChainUnavailable as error:
            raise ProviderSilent(f"Base: {error}") from None
