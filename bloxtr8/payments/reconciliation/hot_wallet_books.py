"""The hot wallet's side of reconciliation: every transfer of USDC from and to it.

Sweeps fill it, payouts and refunds empty it, and people put money in from our own account. What
leaves it and was not signed for an operation is a line of no trade: an alarm.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from bloxtr8.payments.reconciliation.custody_words import LINES
from bloxtr8.payments.reconciliation.on_chain import CURRENCY, OnChain
from bloxtr8.payments.reconciliation.provider import Line, Movements
from bloxtr8.payments.usdc.chain import TransferLog
from bloxtr8.store import database

# Every hot wallet that ever signed or was swept to: a rotated one may still hold money.
_WALLETS = """
SELECT DISTINCT address FROM (
  SELECT signer AS address FROM chain_transactions WHERE signer_number IS NULL
  UNION ALL
  SELECT recipient FROM chain_transactions WHERE starts_with(key, 'sweep:')
) AS hot ORDER BY address
"""
_OPENING = "opening:"
_OPENED = "SELECT source FROM statement_lines WHERE provider = 'BASE_HOT' AND starts_with(ref, $1)"
_FIRST_BLOCK = "SELECT min(sent_block) AS number FROM chain_transactions WHERE sent_block > 0"
_ORDERED = """
SELECT h.tx_hash, o.kind, o.escrow_id::text AS escrow_id
FROM chain_transactions t CROSS JOIN LATERAL jsonb_array_elements_text(t.hashes) AS h (tx_hash)
JOIN payment_operations o ON t.key = 'payout:' || o.operation_id::text
WHERE h.tx_hash = ANY($1::text[]) AND t.signer_number IS NULL
"""
_SWEPT = """
SELECT address, escrow_id::text AS escrow_id FROM deposit_accounts WHERE address = ANY($1::text[])
"""


class HotWalletBooks(OnChain):
    """A place of ours, without operations of its own: it has a statement and a balance only."""

    name = "BASE_HOT"
    place = "base_hot"

    async def catch_up(self, escrow_id: str) -> list[str]:
        return []

    async def movements(self, escrow_id: str, instruments: Sequence[str]) -> Movements:
        return Movements()

    async def statement(self, since: datetime | None, until: datetime) -> AsyncIterator[list[Line]]:
        wallets = await _wallets()
        final = await self._next_final()
        if not wallets:
            return
        fresh = await _without_opening(wallets)
        if since is None or fresh:
            first = min(await _first_block(), final)
            yield await self._opening(fresh, first)
        else:
            first = await self._reader.first_block_at(since, final)
        async for transfers in self._reader.moved_by(wallets, first, final):
            yield await self._lines(transfers, set(wallets))

    async def balance(self) -> dict[str, int]:
        """Return what the wallets hold as of the block of the last statement."""
        wallets = await _wallets()
        final = await self._last_final()
        return {CURRENCY: sum((await self._reader.balances(wallets, final)).values())}

    async def _opening(self, wallets: Sequence[str], first: int) -> list[Line]:
        """Return what people had put in before anything was sent; perhaps nothing."""
        before = max(first - 1, 0)
        at = await self._reader.moment(before)
        found = await self._reader.balances(wallets, before)
        return [
            Line(f"{_OPENING}{address}", "topup", address, "", "", CURRENCY, minor, 0, at)
            for address, minor in found.items()
        ]

    async def _lines(self, transfers: list[TransferLog], wallets: set[str]) -> list[Line]:
        hashes = list({entry.tx_hash for entry in transfers})
        senders = list({entry.sender for entry in transfers})
        ordered = {row["tx_hash"]: row for row in await database.fetch(_ORDERED, hashes)}
        swept = {row["address"]: row for row in await database.fetch(_SWEPT, senders)}
        lines: list[Line] = []
        for entry in transfers:
            at = await self._reader.moment(entry.block_number)
            inside = entry.sender in wallets and entry.recipient in wallets
            if entry.sender in wallets:
                row = ordered.get(entry.tx_hash)
                kind = "between" if inside else "withdrawal" if row is None else LINES[row["kind"]]
                lines.append(_line(entry, "out", kind, "" if row is None else row["escrow_id"], at))
            if entry.recipient in wallets:
                row = swept.get(entry.sender)
                kind = "between" if inside else "topup" if row is None else "sweep"
                lines.append(_line(entry, "in", kind, "" if row is None else row["escrow_id"], at))
        return lines


def _line(transfer: TransferLog, way: str, kind: str, escrow_id: str, at: datetime) -> Line:
    sign = 1 if way == "in" else -1
    return Line(
        ref=f"{transfer.ref}:{way}",
        kind=kind,
        source=transfer.tx_hash,
        about="",
        escrow_id=escrow_id,
        currency=CURRENCY,
        amount_minor=sign * transfer.amount_minor,
        fee_minor=0,
        at=at,
    )


async def _wallets() -> list[str]:
    return [row["address"] for row in await database.fetch(_WALLETS)]


async def _without_opening(wallets: Sequence[str]) -> list[str]:
    opened = {row["source"] for row in await database.fetch(_OPENED, _OPENING)}
    return [address for address in wallets if address not in opened]


async def _first_block() -> int:
    row = await database.fetchrow(_FIRST_BLOCK)
    return int(row["number"] or 0) if row is not None else 0
