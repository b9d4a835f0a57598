"""Watching the deposit addresses: what comes, what disappears, what has come to stay.

A step reads the blocks since the last one and the last 64 before it again, so that neither a
reorganisation nor a query that found nothing by mistake is missed. It may be repeated and broken
off anywhere: all that it must remember is in the store.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Protocol

from bloxtr8 import telemetry
from bloxtr8.payments.usdc import deposits
from bloxtr8.payments.usdc.chain import (
    Chain,
    ChainUnavailable,
    Receipt,
    TooMuch,
    TransferLog,
    in_parts,
)
from bloxtr8.payments.usdc.deposits import SHORT_BALANCE, Account, Deposit, Status
from bloxtr8.payments.usdc.networks import Network
from bloxtr8.payments.usdc.policy import View
from bloxtr8.payments.usdc.proofs import Prover, Verdict
from bloxtr8.payments.usdc.store import AccountStore

REREAD_BLOCKS = 64
_CHUNKS_MAX = 500
_CONCURRENT = 8

_log = telemetry.get_logger(__name__)


class Arrival(StrEnum):
    """What whoever holds the address says about deposits that are proven on the chain."""

    COMPLETE = "COMPLETE"
    SHORT = "SHORT"  # less arrived than the events promise
    UNKNOWN = "UNKNOWN"  # no answer, or not yet


class Arrivals(Protocol):
    async def arrived(self, account: Account, proven: list[Deposit]) -> Arrival: ...


@dataclass(slots=True)
class _Reading:
    """`places`: (transaction, block) as logs name them; `transfers` as receipts confirm them.

    `listed_to`: the last block whose logs were read, `read_to` whose receipts all were too. Less
    than was asked for when there was `silence`.
    """

    listed_to: int
    read_to: int
    places: set[tuple[str, int]] = field(default_factory=set)
    transfers: list[TransferLog] = field(default_factory=list)
    silence: ChainUnavailable | None = None


class Watcher:
    """`log_blocks`: so many blocks are asked for at once."""

    def __init__(
        self,
        store: AccountStore,
        prover: Prover,
        network: Network,
        arrivals: Arrivals,
        *,
        log_blocks: int,
    ) -> None:
        assert log_blocks >= REREAD_BLOCKS, "what is read again fits in one query"
        self._store = store
        self._prover = prover
        self._usdc = network.usdc
        self._arrivals = arrivals
        self._log_blocks = log_blocks
        self._slots = asyncio.Semaphore(_CONCURRENT)
        # Deposits that were missing at the last look.
        self._suspects: set[str] = set()

    @property
    def _chain(self) -> Chain:
        return self._prover.first

    async def run(self, pause_s: float) -> None:
        """Step until cancelled; a node that does not answer is asked again after the pause."""
        while True:
            try:
                await self.step()
            except ChainUnavailable as error:
                _log.warning("chain_unavailable", reason=str(error))
            await asyncio.sleep(pause_s)

    async def step(self) -> None:
        """Read what is new, then accept what is proven.

        Raises ChainUnavailable, after it has done what could be done.
        """
        view = await self._prover.view()
        cursor = await self._store.cursor()
        if cursor is None:
            cursor = view.latest
            await self._store.set_cursor(cursor)
        # A node that has fallen behind is read as far as it goes; the cursor never goes back.
        first = max(0, min(cursor, view.latest) - REREAD_BLOCKS + 1)
        last = min(view.latest, first + self._log_blocks * _CHUNKS_MAX - 1)
        read = await self._read_all(first, last)
        await self._check_missing(read.places, first, read.listed_to)
        if read.read_to > cursor:
            await self._store.set_cursor(read.read_to)
        await self._accept_ready(view, await self._store.waiting())
        if read.silence is not None:
            raise read.silence

    async def reread(self, address: str) -> tuple[Account, bool]:
        """Read everything that ever came to one address again; before an account is closed.

        Return the account, and whether that explains its balance: if not, there is money that the
        node does not report. Raises ChainUnavailable, and KeyError for an unknown address.
        """
        account = await self._found(address)
        view = await self._prover.view()
        balance = await self._chain.token_balance(self._usdc, address)
        read = await self._read([address], account.first_block, view.latest)
        if read.silence is not None:
            raise read.silence
        await self._accept_ready(view, [await self._found(address)])
        reported = sum(
            entry.amount_minor
            for entry in read.transfers
            if (entry.recipient, entry.token) == (address, self._usdc)
        )
        return await self._found(address), balance <= reported

    async def _found(self, address: str) -> Account:
        account = await self._store.find(address)
        if account is None:
            raise KeyError(address)
        return account

    # What came.

    async def _read_all(self, first: int, last: int) -> "_Reading":
        """Take in the transfers to all addresses, so many at once; what one page lacks, all do."""
        whole, after = _Reading(last, last), ""
        while page := await self._store.watched(after):
            part = await self._read(page, first, last)
            whole.listed_to = min(whole.listed_to, part.listed_to)
            whole.read_to = min(whole.read_to, part.read_to)
            whole.places |= part.places
            whole.silence = whole.silence or part.silence
            after = page[-1]
        return whole

    async def _read(self, addresses: Iterable[str], first: int, last: int) -> "_Reading":
        """Take in the transfers of some blocks; return what was there."""
        watched = sorted(addresses)
        reading = _Reading(first - 1, first - 1)
        for start in range(first, last + 1, self._log_blocks) if watched else ():
            try:
                await self._read_part(
                    watched, start, min(last, start + self._log_blocks - 1), reading
                )
            except ChainUnavailable as error:
                reading.silence = error
                return reading
        reading.listed_to = reading.read_to = last
        return reading

    async def _read_part(
        self, watched: list[str], first: int, last: int, reading: "_Reading"
    ) -> None:
        """Raises ChainUnavailable when something is missing, with what is there taken in: a node
        that fails now and then must not hold up all payments for one."""
        places = await self._places(watched, first, last)
        reading.places.update(places)
        reading.listed_to = last
        receipts = await asyncio.gather(
            *(self._receipt(*place) for place in places), return_exceptions=True
        )
        # A log without a receipt that says the same is not believed.
        found = [entry for entry in receipts if isinstance(entry, Receipt)]
        await self._take(set(watched), found)
        reading.transfers += [entry for receipt in found for entry in receipt.transfers]
        for missing in receipts:
            if isinstance(missing, BaseException):
                raise missing
        reading.read_to = last

    async def _places(self, watched: list[str], first: int, last: int) -> list[tuple[str, int]]:
        """Return where the transfers are: of every token, or of USDC where those are too many.

        Tokens that are worth nothing cost nothing to send; who floods one address with them must
        not keep everybody's payments from being seen.
        """
        try:
            return await self._chain.transfers_to(watched, first, last)
        except TooMuch as error:
            _log.warning("too_many_transfers", first=first, last=last, reason=str(error))
        of_usdc = partial(self._chain.transfers_to, watched, token=self._usdc)
        return await in_parts(of_usdc, first, last)

    async def _receipt(self, tx_hash: str, block_number: int) -> Receipt | None:
        async with self._slots:
            receipt = await self._chain.receipt(tx_hash)
        if receipt is None or not receipt.succeeded or receipt.block_number != block_number:
            return None
        return receipt

    async def _take(self, watched: set[str], receipts: list[Receipt]) -> None:
        came: dict[str, list[TransferLog]] = defaultdict(list)
        for receipt in receipts:
            for transfer in receipt.transfers:
                if transfer.recipient in watched:
                    came[transfer.recipient].append(transfer)
        for address, transfers in came.items():
            change = partial(deposits.observe, transfers=transfers, usdc=self._usdc)
            await self._store.change(address, change)

    # What disappeared.

    async def _check_missing(self, places: set[tuple[str, int]], first: int, last: int) -> None:
        """Look again at the deposits that should have been read just now, and were not."""
        accounts = {entry.address: entry for entry in await self._store.waiting()}
        accounts |= {entry.address: entry for entry in await self._store.settled(first)}
        for account in accounts.values():
            for deposit in account.with_status(Status.SEEN, Status.ACCEPTED):
                transfer = deposit.transfer
                here = first <= transfer.block_number <= last
                if here and (transfer.tx_hash, transfer.block_number) not in places:
                    await self._verdict(account, deposit)

    async def _verdict(self, account: Account, deposit: Deposit) -> Verdict:
        """Prove a deposit, and take the consequences when it has moved or is gone.

        Gone is believed at the second look: the nodes behind one address are not equally far.
        """
        stake = max(account.due_minor, deposit.amount_minor)
        verdict = await self._prover.prove(deposit.transfer, stake)
        if verdict is Verdict.MOVED:
            receipt = await self._chain.receipt(deposit.transfer.tx_hash)
            if receipt is not None and receipt.succeeded:
                await self._take({account.address}, [receipt])
        elif verdict is Verdict.GONE and deposit.ref in self._suspects:
            self._suspects.discard(deposit.ref)
            await self._store.change(account.address, partial(deposits.lose, refs={deposit.ref}))
        elif verdict is Verdict.GONE:
            self._suspects.add(deposit.ref)
        if verdict in (Verdict.PROVEN, Verdict.SHALLOW, Verdict.MOVED):
            self._suspects.discard(deposit.ref)
        return verdict

    # What has come to stay.

    async def _accept_ready(self, view: View, accounts: Iterable[Account]) -> None:
        for account in accounts:
            proven = [
                entry
                for entry in account.with_status(Status.SEEN)
                if self._looks_deep(account, entry, view)
                and await self._verdict(account, entry) is Verdict.PROVEN
            ]
            if proven:
                await self._accept(account, proven)

    def _looks_deep(self, account: Account, deposit: Deposit, view: View) -> bool:
        stake = max(account.due_minor, deposit.amount_minor)
        return self._prover.policy.is_deep(deposit.transfer.block_number, stake, view)

    async def _accept(self, account: Account, proven: list[Deposit]) -> None:
        arrival = await self._arrivals.arrived(account, proven)
        if arrival is Arrival.COMPLETE:
            refs = [entry.ref for entry in proven]
            await self._store.change(account.address, partial(deposits.accept, refs=refs))
        elif arrival is Arrival.SHORT:
            for deposit in proven:
                # Unless it was just reorganised away, which is another matter.
                if await self._verdict(account, deposit) is Verdict.PROVEN:
                    aside = partial(deposits.quarantine, ref=deposit.ref, reason=SHORT_BALANCE)
                    await self._store.change(account.address, aside)
