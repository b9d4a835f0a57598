"""Proving on the chain what somebody claims: that a transfer is there, deep enough, and real.

Every proof is read afresh from every node that is configured, and all of them have to agree. A
node that lags, lies or is silent can delay money, never invent it.
"""

import asyncio
from collections.abc import Sequence
from enum import StrEnum

from bloxtr8 import telemetry
from bloxtr8.payments.usdc.chain import Chain, ChainUnavailable, Receipt, TransferLog
from bloxtr8.payments.usdc.networks import Network
from bloxtr8.payments.usdc.policy import DepthPolicy, View

_log = telemetry.get_logger(__name__)


class Verdict(StrEnum):
    PROVEN = "PROVEN"
    SHALLOW = "SHALLOW"  # it is there, and not deep enough yet
    MOVED = "MOVED"  # it is in another block than it was
    GONE = "GONE"  # it is not on the chain, or it failed
    UNKNOWN = "UNKNOWN"  # no answer, or answers that contradict each other


class Prover:
    """`chains`: the first that answers is read, all have to agree."""

    def __init__(self, chains: Sequence[Chain], network: Network, policy: DepthPolicy) -> None:
        assert chains, "there is a node to ask"
        self._chains = chains
        self._network = network
        self._policy = policy
        self._checked: set[int] = set()

    @property
    def first(self) -> Chain:
        """The node to read: one that fails is passed over for a while, if another is there."""
        return next((chain for chain in self._chains if chain.answers), self._chains[0])

    @property
    def policy(self) -> DepthPolicy:
        return self._policy

    async def view(self) -> View:
        """Return what the node that is read sees. Raises ChainUnavailable."""
        return await _view(self.first)

    async def prove(self, transfer: TransferLog, stake_minor: int) -> Verdict:
        """Tell what all nodes say of `transfer`; `stake_minor` decides how deep it has to lie."""
        verdicts = await asyncio.gather(
            *(self._prove_at(chain, transfer, stake_minor) for chain in self._chains)
        )
        if len(set(verdicts)) == 1:
            return verdicts[0]
        known = {Verdict.PROVEN, Verdict.SHALLOW}
        if set(verdicts) <= known:
            return Verdict.SHALLOW
        _log.warning("nodes_disagree", tx_hash=transfer.tx_hash, verdicts=[*map(str, verdicts)])
        return Verdict.UNKNOWN

    async def prove_payout(self, tx_hash: str, to: str, amount_minor: int) -> Verdict:
        """Tell whether a transaction paid exactly `amount_minor` of USDC to `to`, for good."""
        try:
            receipt = await self.first.receipt(tx_hash)
        except ChainUnavailable:
            return Verdict.UNKNOWN
        if receipt is None:
            return Verdict.GONE
        for transfer in receipt.transfers if receipt.succeeded else ():
            paid = (transfer.token, transfer.recipient, transfer.amount_minor)
            if paid == (self._network.usdc, to.lower(), amount_minor):
                return await self.prove(transfer, amount_minor)
        return Verdict.GONE

    async def ended(self, tx_hash: str, stake_minor: int) -> bool | None:
        """Tell whether a transaction succeeded, for good; None: nobody can say that yet."""
        ends = await asyncio.gather(
            *(self._ended_at(chain, tx_hash, stake_minor) for chain in self._chains)
        )
        return ends[0] if len(set(ends)) == 1 else None

    async def _ended_at(self, chain: Chain, tx_hash: str, stake_minor: int) -> bool | None:
        try:
            await self._check_network(chain)
            receipt = await chain.receipt(tx_hash)
            if receipt is None:
                return None
            block = await chain.block(receipt.block_number)
            if block is None or block.hash != receipt.block_hash:
                return None
            view = await _view(chain)
        except ChainUnavailable:
            return None
        deep = self._policy.is_deep(block.number, stake_minor, view)
        return receipt.succeeded if deep else None

    async def _prove_at(self, chain: Chain, transfer: TransferLog, stake_minor: int) -> Verdict:
        try:
            await self._check_network(chain)
            receipt = await chain.receipt(transfer.tx_hash)
            if receipt is None or not receipt.succeeded:
                return Verdict.GONE
            return await self._compare(chain, transfer, receipt, stake_minor)
        except ChainUnavailable:
            return Verdict.UNKNOWN

    async def _compare(
        self, chain: Chain, transfer: TransferLog, receipt: Receipt, stake_minor: int
    ) -> Verdict:
        if not any(_same(entry, transfer) for entry in receipt.transfers):
            return Verdict.GONE
        if (receipt.block_number, receipt.block_hash) != (
            transfer.block_number,
            transfer.block_hash,
        ):
            return Verdict.MOVED
        block = await chain.block(receipt.block_number)
        if block is None or block.hash != receipt.block_hash:
            # The receipt and the chain contradict each other; later they will not.
            return Verdict.UNKNOWN
        view = await _view(chain)
        deep = self._policy.is_deep(block.number, stake_minor, view)
        return Verdict.PROVEN if deep else Verdict.SHALLOW

    async def _check_network(self, chain: Chain) -> None:
        if id(chain) in self._checked:
            return
        if await chain.chain_id() != self._network.chain_id:
            raise ChainUnavailable("the node is on another chain")
        self._checked.add(id(chain))


async def _view(chain: Chain) -> View:
    latest, finalized = await asyncio.gather(chain.latest(), chain.finalized())
    if finalized.number > latest.number:
        raise ChainUnavailable("the node says that the future is final")
    return View(latest.number, finalized.number)


def _same(found: TransferLog, wanted: TransferLog) -> bool:
    return (found.position, found.token, found.sender, found.recipient, found.amount_minor) == (
        wanted.position,
        wanted.token,
        wanted.sender,
        wanted.recipient,
        wanted.amount_minor,
    )
