"""Transactions that this service signs, kept before they leave.

What is sent is fixed when it is reserved: signer, nonce, target, data. From then on it can only be
signed again with a higher fee, so that of all versions exactly one is ever mined, whichever crash
comes in between.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

HASHES_MAX = 50


class Stage(StrEnum):
    RESERVED = "RESERVED"  # it has its nonce; perhaps it has been sent
    MINED = "MINED"  # for good, and it did what it was for
    REVERTED = "REVERTED"  # for good, and it did nothing


@dataclass(frozen=True, slots=True)
class Outgoing:
    """`key` names what it is for; `address` whose money it moves, where that is a deposit address.

    `signer_number`: of the deposit wallet that signs; None: the hot wallet. `hashes` are those of
    all signed versions, the newest last; `raw` is the newest one as it is sent, in hexadecimal;
    `sent_block` is the newest block when that was signed.
    """

    key: str
    signer: str
    signer_number: int | None
    nonce: int
    to: str
    data: str
    value_wei: int
    gas: int
    fee_max_wei: int
    tip_wei: int
    amount_minor: int = 0
    recipient: str = ""
    stage: Stage = Stage.RESERVED
    hashes: tuple[str, ...] = ()
    sent_block: int = 0
    raw: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        assert len(self.hashes) <= HASHES_MAX, "a transaction is not replaced for ever"

    def terms(self) -> tuple[object, ...]:
        """Return what must not change once it is reserved."""
        return (self.signer, self.to, self.data, self.value_wei, self.amount_minor, self.recipient)


class OutgoingStore(Protocol):
    async def reserve(self, wanted: Outgoing, mined_nonce: int) -> Outgoing:
        """Keep `wanted` with the signer's next nonce, or return what its key has already.

        The next nonce is one above the highest kept, and at least `mined_nonce`. One transaction,
        alone per signer.
        """
        ...

    async def find(self, key: str) -> Outgoing | None: ...

    async def put(self, outgoing: Outgoing, was: Outgoing) -> bool:
        """Replace one that is kept as `was`; its terms and nonce stay.

        False, and nothing is written, when it has changed since it was read: executor and sweeper
        may go on with the same transaction at the same moment.
        """
        ...

    async def unfinished(self, limit: int) -> Sequence[Outgoing]:
        """Return those that are RESERVED, lowest nonce first."""
        ...

    async def starting_with(self, prefix: str) -> Sequence[Outgoing]:
        """Return those whose key starts with `prefix`."""
        ...

    async def report_foreign(self, outgoing: Outgoing) -> None:
        """Tell people that its nonce was used for something that we did not send; once."""
        ...


class NumberStore(Protocol):
    async def number(self, reference: str) -> int:
        """Return the number of `reference`, the next free one when it is new. For ever its own."""
        ...

    async def number_of(self, address: str) -> int | None:
        """Return the number that was kept with an address."""
        ...

    async def keep_address(self, number: int, address: str) -> None: ...


class MemoryOutgoing:
    def __init__(self) -> None:
        self.kept: dict[str, Outgoing] = {}
        self.foreign: set[str] = set()
        self._lock = asyncio.Lock()

    async def reserve(self, wanted: Outgoing, mined_nonce: int) -> Outgoing:
        async with self._lock:
            known = self.kept.get(wanted.key)
            if known is not None:
                return known
            used = [entry.nonce for entry in self.kept.values() if entry.signer == wanted.signer]
            reserved = replace(wanted, nonce=max([*(nonce + 1 for nonce in used), mined_nonce]))
            self.kept[wanted.key] = reserved
            return reserved

    async def find(self, key: str) -> Outgoing | None:
        return self.kept.get(key)

    async def put(self, outgoing: Outgoing, was: Outgoing) -> bool:
        known = self.kept[outgoing.key]
        assert known.terms() == outgoing.terms(), "what is reserved is fixed"
        assert known.nonce == outgoing.nonce, "what is reserved is fixed"
        if (known.stage, known.hashes) != (was.stage, was.hashes):
            return False
        self.kept[outgoing.key] = outgoing
        return True

    async def unfinished(self, limit: int) -> Sequence[Outgoing]:
        open_ones = [entry for entry in self.kept.values() if entry.stage is Stage.RESERVED]
        return sorted(open_ones, key=lambda entry: (entry.signer, entry.nonce))[:limit]

    async def starting_with(self, prefix: str) -> Sequence[Outgoing]:
        return [entry for entry in self.kept.values() if entry.key.startswith(prefix)]

    async def report_foreign(self, outgoing: Outgoing) -> None:
        self.foreign.add(outgoing.key)


class MemoryNumbers:
    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._addresses: dict[str, int] = {}

    async def number(self, reference: str) -> int:
        return self._numbers.setdefault(reference, len(self._numbers))

    async def number_of(self, address: str) -> int | None:
        return self._addresses.get(address)

    async def keep_address(self, number: int, address: str) -> None:
        self._addresses[address] = number
