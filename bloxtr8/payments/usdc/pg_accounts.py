"""Deposit accounts in PostgreSQL; what is told of them goes into the escrow's book with them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from bloxtr8.clock import Clock
from bloxtr8.payments.pg_store import PostgresStore
from bloxtr8.payments.usdc.chain import TransferLog
from bloxtr8.payments.usdc.deposits import Account, Change, Deposit, Fact, State, Status
from bloxtr8.payments.usdc.store import WATCHED_PAGE
from bloxtr8.payments.usdc.telling import tell
from bloxtr8.store import database
from bloxtr8.store.database import Transaction, to_json, transaction

_LISTED_MAX = 1_000
PAGE = 500
_PAGE = """
SELECT * FROM deposit_accounts
WHERE ($1::timestamptz IS NULL OR updated_at >= $1) AND address > $2
ORDER BY address LIMIT $3
"""
_INSERT = """
INSERT INTO deposit_accounts (address, escrow_id, operation_id, contract_id, due_minor,
  first_block, state, payment_ref, deposits, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING
"""
_FIRST_CURSOR = """
INSERT INTO chain_cursors (chain_id, block_number, updated_at) VALUES ($1, $2, $3)
ON CONFLICT (chain_id) DO NOTHING
"""
_UPDATE = """
UPDATE deposit_accounts SET state = $2, payment_ref = $3, deposits = $4, overfull = $5,
  waiting = $6, newest_block = $7, accepted_minor = $8, updated_at = $9
WHERE address = $1
"""
# Others each time, where there are more than are taken at once: those that are stuck must not keep
# the others waiting.
_WAITING = "SELECT * FROM deposit_accounts WHERE waiting ORDER BY random() LIMIT $1"
# Money that may be frozen stays where it came to; also what came after the escrow's end, whose
# hold is gone by then. A sender whom nobody has screened yet may be listed. A sweep is found by its
# signer, the address that it empties: there are too many transactions to read them all for each.
_UNSWEPT = """
SELECT a.* FROM deposit_accounts a JOIN escrows e ON e.id = a.escrow_id
WHERE e.state NOT IN ('AWAIT_FUNDS', 'FUNDS_REVIEW')
  AND e.hold_kind IS DISTINCT FROM 'COMPLIANCE'
  AND a.accepted_minor > (
    SELECT coalesce(sum(t.amount_minor), 0) FROM chain_transactions t
    WHERE t.signer = a.address AND starts_with(t.key, 'sweep:') AND t.stage <> 'REVERTED'
  )
  AND NOT EXISTS (
    SELECT FROM jsonb_array_elements(a.deposits) AS d
    WHERE d ->> 'status' = 'ACCEPTED' AND coalesce((
      SELECT s.risk FROM wallet_screenings s WHERE s.address = d -> 'transfer' ->> 'sender'
      ORDER BY s.asked_at DESC, s.id DESC LIMIT 1), 'SANCTIONED') = 'SANCTIONED'
  )
ORDER BY random() LIMIT $1
"""


class PostgresAccounts:
    """`on_work` is called after each change that may have made an operation due."""

    def __init__(
        self, store: PostgresStore, chain_id: int, clock: Clock, on_work: Callable[[], None]
    ) -> None:
        self._store = store
        self._chain_id = chain_id
        self._clock = clock
        self._on_work = on_work

    async def open(self, account: Account) -> Account:
        async with transaction() as tx:
            now = self._clock.now()
            await tx.execute(_INSERT, *_new_values(account, now))
            await tx.execute(_FIRST_CURSOR, self._chain_id, account.first_block, now)
            row = await tx.fetchrow(
                "SELECT * FROM deposit_accounts WHERE address = $1", account.address
            )
        assert row is not None, "an escrow has one address, and an address one escrow"
        return _account(row)

    async def find(self, address: str) -> Account | None:
        row = await database.fetchrow("SELECT * FROM deposit_accounts WHERE address = $1", address)
        return None if row is None else _account(row)

    async def find_by_escrow(self, escrow_id: str) -> Account | None:
        row = await database.fetchrow(
            "SELECT * FROM deposit_accounts WHERE escrow_id = $1", escrow_id
        )
        return None if row is None else _account(row)

    async def change(self, address: str, change: Change) -> tuple[Account, list[Fact]]:
        """Raises KeyError for an unknown address."""
        known = await self.find(address)
        if known is None:
            raise KeyError(address)
        now = self._clock.now()
        # The book's lock first, as everywhere: it is what serialises the escrow.
        async with self._store.open_with(known.escrow_id) as (tx, book):
            row = await tx.fetchrow(
                "SELECT * FROM deposit_accounts WHERE address = $1 FOR UPDATE", address
            )
            assert row is not None, "accounts are never deleted"
            before = _account(row)
            account, facts = change(before)
            if account != before:
                await _save(tx, account, now)
            for fact in facts:
                tell(book, account, fact, now)
        if facts:
            self._on_work()
        return account, facts

    async def watched(self, after: str) -> Sequence[str]:
        rows = await database.fetch(
            "SELECT address FROM deposit_accounts WHERE address > $1 ORDER BY address LIMIT $2",
            after,
            WATCHED_PAGE,
        )
        return [row["address"] for row in rows]

    async def waiting(self) -> Sequence[Account]:
        return [_account(row) for row in await database.fetch(_WAITING, _LISTED_MAX)]

    async def settled(self, first_block: int) -> Sequence[Account]:
        rows = await database.fetch(
            "SELECT * FROM deposit_accounts WHERE newest_block >= $1"
            " ORDER BY newest_block DESC LIMIT $2",
            first_block,
            _LISTED_MAX,
        )
        return [_account(row) for row in rows]

    async def unswept(self) -> Sequence[Account]:
        """Return accounts with accepted money that was not moved to the hot wallet yet."""
        return [_account(row) for row in await database.fetch(_UNSWEPT, _LISTED_MAX)]

    async def page(self, since: datetime | None, after: str) -> Sequence[Account]:
        """Return accounts that changed since then (None: all), by address, those after `after`."""
        rows = await database.fetch(_PAGE, since, after, PAGE)
        return [_account(row) for row in rows]

    async def cursor(self) -> int | None:
        row = await database.fetchrow(
            "SELECT block_number FROM chain_cursors WHERE chain_id = $1", self._chain_id
        )
        return None if row is None else int(row["block_number"])

    async def set_cursor(self, block_number: int) -> None:
        async with transaction() as tx:
            await tx.execute(
                "INSERT INTO chain_cursors (chain_id, block_number) VALUES ($1, $2)"
                " ON CONFLICT (chain_id) DO UPDATE SET block_number ="
                " greatest(chain_cursors.block_number, $2), updated_at = $3",
                self._chain_id,
                block_number,
                self._clock.now(),
            )


async def find_account(escrow_id: str) -> Account | None:
    """Return the deposit account of an escrow, to be shown."""
    row = await database.fetchrow("SELECT * FROM deposit_accounts WHERE escrow_id = $1", escrow_id)
    return None if row is None else _account(row)


async def _save(tx: Transaction, account: Account, now: datetime) -> None:
    blocks = [entry.transfer.block_number for entry in account.with_status(Status.ACCEPTED)]
    await tx.execute(
        _UPDATE,
        account.address,
        account.state.value,
        account.payment_ref,
        _deposits_json(account),
        account.overfull,
        bool(account.with_status(Status.SEEN)),
        max(blocks, default=None),
        account.accepted_minor,
        now,
    )


def _new_values(account: Account, now: datetime) -> tuple[Any, ...]:
    return (
        account.address,
        account.escrow_id,
        account.operation_id,
        account.contract_id,
        account.due_minor,
        account.first_block,
        account.state.value,
        account.payment_ref,
        _deposits_json(account),
        now,
    )


def _deposits_json(account: Account) -> str:
    return to_json([asdict(entry) for entry in account.deposits])


def _account(row: dict[str, Any]) -> Account:
    return Account(
        address=row["address"],
        escrow_id=str(row["escrow_id"]),
        operation_id=str(row["operation_id"]),
        contract_id=row["contract_id"],
        due_minor=row["due_minor"],
        first_block=row["first_block"],
        state=State(row["state"]),
        payment_ref=row["payment_ref"],
        deposits=tuple(_deposit(entry) for entry in json.loads(row["deposits"])),
        overfull=row["overfull"],
    )


def _deposit(entry: dict[str, Any]) -> Deposit:
    transfer = TransferLog(**entry["transfer"])
    return Deposit(transfer, Status(entry["status"]), entry["stray"], entry["reason"])
