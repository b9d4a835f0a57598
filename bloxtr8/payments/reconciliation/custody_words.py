"""What whoever holds the keys says to have received and sent: a custodian, or our own records.

It is a claim like any other: the chain is asked about each of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from bloxtr8.payments.rails import Unknown
from bloxtr8.payments.reconciliation.chain_reader import ChainReader
from bloxtr8.payments.reconciliation.model import ProviderSilent
from bloxtr8.payments.usdc.deposits import DUST_MINOR
from bloxtr8.payments.usdc.http_custodian import CustodianTransfer, HttpCustodian
from bloxtr8.payments.usdc.onchain import PAYOUT, SWEEP
from bloxtr8.payments.usdc.outgoing import Outgoing, OutgoingStore, Stage
from bloxtr8.store import database

CONFIRMED, PENDING, FAILED = "CONFIRMED", "PENDING", "FAILED"
_PAGE = 500
# What a line is called, by the operation's kind; "payout" is Stripe's word for something else.
LINES = {"PAYOUT": "paid_out", "REFUND": "refunded", "STRAY_REFUND": "refunded"}


@dataclass(frozen=True, slots=True)
class Moved:
    """Money sent for an operation; `ref` is the transaction once there is one."""

    ref: str
    to: str
    amount_minor: int
    status: str


@dataclass(frozen=True, slots=True)
class Left:
    """Money that left the deposit addresses: `kind` of the line that it is in the statement."""

    kind: str
    escrow_id: str
    tx_hash: str
    recipient: str
    amount_minor: int


class CustodyWords(Protocol):
    """Every method raises ProviderSilent."""

    async def credited(self, address: str) -> dict[str, int]:
        """Return what came to an address, by transaction; {} where nobody but the chain says."""
        ...

    async def swept_minor(self, address: str) -> int:
        """Return what was taken from an address and not to pay anybody."""
        ...

    async def sent(self, operation_id: str) -> list[Moved]: ...

    async def left(self, since: datetime | None) -> list[Left]:
        """Return what left since then (None: ever), also what is not final yet."""
        ...

    async def balances(self, addresses: Mapping[str, str], final: int) -> dict[str, int]:
        """Return what is there of each escrow as of a block; `addresses` are by escrow."""
        ...


_PAID_OUT = """
SELECT operation_id::text AS id, escrow_id::text AS escrow_id, kind, provider_ref, destination,
  amount_minor
FROM payment_operations
WHERE provider = 'BASE' AND kind IN ('PAYOUT', 'REFUND', 'STRAY_REFUND') AND status = 'CONFIRMED'
  AND ($1::timestamptz IS NULL OR finished_at >= $1) AND operation_id > $2::uuid
ORDER BY operation_id LIMIT $3
"""
_FIRST = "00000000-0000-0000-0000-000000000000"


class CustodianWords:
    """A custodian pays from where the money came in."""

    def __init__(self, custodian: HttpCustodian, reader: ChainReader) -> None:
        self._custodian = custodian
        self._reader = reader

    async def credited(self, address: str) -> dict[str, int]:
        return await self._credited(address, None)

    async def swept_minor(self, address: str) -> int:
        return 0

    async def sent(self, operation_id: str) -> list[Moved]:
        return [_moved(entry) for entry in await self._transfers(operation_id)]

    async def left(self, since: datetime | None) -> list[Left]:
        return [
            Left(
                LINES[row["kind"]],
                row["escrow_id"],
                row["provider_ref"] or "",
                (row["destination"] or "").lower() if row["kind"] == "PAYOUT" else "",
                row["amount_minor"],
            )
            for row in await _paid_out(since)
        ]

    async def balances(self, addresses: Mapping[str, str], final: int) -> dict[str, int]:
        there = {
            escrow_id: sum((await self._credited(address, final)).values())
            for escrow_id, address in addresses.items()
        }
        for row in await _paid_out(None):
            for sent in await self._transfers(row["id"]):
                if sent.status == "completed" and await self._reader.transfers(sent.tx_hash, final):
                    there[row["escrow_id"]] = there.get(row["escrow_id"], 0) - sent.amount_minor
        return there

    async def _credited(self, address: str, final: int | None) -> dict[str, int]:
        credits = await self._custodian.credits(address)
        if isinstance(credits, Unknown):
            raise ProviderSilent(f"custodian: deposits: {credits.reason}")
        found: dict[str, int] = {}
        for credit in credits:
            # Below that nothing counts here either.
            counts = credit.amount_minor >= DUST_MINOR
            if counts and (final is None or credit.block_number <= final):
                found[credit.tx_hash] = found.get(credit.tx_hash, 0) + credit.amount_minor
        return found

    async def _transfers(self, operation_id: str) -> list[CustodianTransfer]:
        found = await self._custodian.transfers(operation_id)
        if isinstance(found, Unknown):
            raise ProviderSilent(f"custodian: transfers: {found.reason}")
        return found


_SWEPT = """
SELECT t.key, a.escrow_id::text AS escrow_id, t.hashes ->> -1 AS tx_hash, t.recipient,
  t.amount_minor
FROM chain_transactions t JOIN deposit_accounts a ON a.address = t.signer
WHERE starts_with(t.key, 'sweep:') AND t.stage = 'MINED'
  AND ($1::timestamptz IS NULL OR t.updated_at >= $1)
ORDER BY t.key
"""


class OnchainWords:
    """Our own records of what we signed."""

    def __init__(self, outgoing: OutgoingStore, reader: ChainReader) -> None:
        self._outgoing = outgoing
        self._reader = reader

    async def credited(self, address: str) -> dict[str, int]:
        return {}

    async def swept_minor(self, address: str) -> int:
        sweeps = await self._outgoing.starting_with(f"{SWEEP}:{address}:")
        return sum(entry.amount_minor for entry in sweeps if entry.stage is Stage.MINED)

    async def sent(self, operation_id: str) -> list[Moved]:
        known = await self._outgoing.find(f"{PAYOUT}:{operation_id}")
        return [] if known is None else [_signed(known)]

    async def left(self, since: datetime | None) -> list[Left]:
        rows = await database.fetch(_SWEPT, since)
        return [
            Left("sweep", row["escrow_id"], row["tx_hash"], row["recipient"], row["amount_minor"])
            for row in rows
        ]

    async def balances(self, addresses: Mapping[str, str], final: int) -> dict[str, int]:
        found = await self._reader.balances(list(addresses.values()), final)
        return {escrow_id: found[address] for escrow_id, address in addresses.items()}


def _moved(sent: CustodianTransfer) -> Moved:
    status = {"completed": CONFIRMED, "failed": FAILED}.get(sent.status, PENDING)
    ref = sent.tx_hash if status == CONFIRMED else sent.ref
    return Moved(ref, sent.to, sent.amount_minor, status)


def _signed(outgoing: Outgoing) -> Moved:
    status = {Stage.MINED: CONFIRMED, Stage.REVERTED: FAILED}.get(outgoing.stage, PENDING)
    ref = outgoing.hashes[-1] if outgoing.hashes else outgoing.key
    return Moved(ref, outgoing.recipient, outgoing.amount_minor, status)


async def _paid_out(since: datetime | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = _FIRST
    while True:
        rows = await database.fetch(_PAID_OUT, since, after, _PAGE)
        found += rows
        if len(rows) < _PAGE:
            return found
        after = rows[-1]["id"]
