"""The port to where accounts and the watcher's place are kept, and one in memory.

What is told (facts) is stored with what it follows from, in one transaction, so that a crash
neither loses nor repeats it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bloxtr8.payments.usdc.deposits import Account, Change, Fact, Status

WATCHED_PAGE = 2_000


class AccountStore(Protocol):
    async def open(self, account: Account) -> Account:
        """Keep a new account, or return the one that its address has already.

        The first account of all is where the watcher begins, however late it has its first look.
        """
        ...

    async def find(self, address: str) -> Account | None: ...

    async def find_by_escrow(self, escrow_id: str) -> Account | None: ...

    async def change(self, address: str, change: Change) -> tuple[Account, list[Fact]]:
        """Replace an account by what `change` makes of it, alone, and keep the facts to tell."""
        ...

    async def watched(self, after: str) -> Sequence[str]:
        """Return the addresses that money may come to, those of ended accounts too, in order.

        The first WATCHED_PAGE of those after `after`.
        """
        ...

    async def waiting(self) -> Sequence[Account]:
        """Return the accounts with deposits that are seen and not accepted.

        Where they are too many for once, each has the same chance to be among them.
        """
        ...

    async def settled(self, first_block: int) -> Sequence[Account]:
        """Return the accounts with accepted deposits in blocks from `first_block` on."""
        ...

    async def cursor(self) -> int | None:
        """Return the last block that was read; None before the first account and look."""
        ...

    async def set_cursor(self, block_number: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Told:
    escrow_id: str
    fact: Fact


class MemoryAccounts:
    """`told` has every fact, in order."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.told: list[Told] = []
        self._cursor: int | None = None
        self._lock = asyncio.Lock()

    async def open(self, account: Account) -> Account:
        if self._cursor is None:
            self._cursor = account.first_block
        return self.accounts.setdefault(account.address, account)

    async def find(self, address: str) -> Account | None:
        return self.accounts.get(address)

    async def find_by_escrow(self, escrow_id: str) -> Account | None:
        found = (entry for entry in self.accounts.values() if entry.escrow_id == escrow_id)
        return next(found, None)

    async def change(self, address: str, change: Change) -> tuple[Account, list[Fact]]:
        async with self._lock:
            account, facts = change(self.accounts[address])
            self.accounts[address] = account
            self.told += [Told(account.escrow_id, fact) for fact in facts]
            return account, facts

    async def watched(self, after: str) -> Sequence[str]:
        return sorted(address for address in self.accounts if address > after)[:WATCHED_PAGE]

    async def waiting(self) -> Sequence[Account]:
        return [entry for entry in self.accounts.values() if entry.with_status(Status.SEEN)]

    async def settled(self, first_block: int) -> Sequence[Account]:
        return [
            account
            for account in self.accounts.values()
            if any(
                entry.transfer.block_number >= first_block
                for entry in account.with_status(Status.ACCEPTED)
            )
        ]

    async def cursor(self) -> int | None:
        return self._cursor

    async def set_cursor(self, block_number: int) -> None:
        self._cursor = block_number
