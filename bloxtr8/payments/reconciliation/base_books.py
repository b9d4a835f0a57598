"""USDC's side of reconciliation: the chain, and whoever holds the keys, about deposit addresses.

Nobody's word counts alone. A deposit or a payout is one when the chain shows it; what custody says
beyond that, and what the chain shows that custody does not, is a difference.
"""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

from bloxtr8 import ids
from bloxtr8.clock import Clock
from bloxtr8.payments.operations import Kind, Operation
from bloxtr8.payments.rails import LookUpOutcome, Unknown
from bloxtr8.payments.reconciliation.chain_reader import ChainReader
from bloxtr8.payments.reconciliation.custody_words import CONFIRMED, FAILED, CustodyWords, Left
from bloxtr8.payments.reconciliation.model import ProviderSilent
from bloxtr8.payments.reconciliation.on_chain import CURRENCY, OnChain
from bloxtr8.payments.reconciliation.provider import Call, Line, Movements, Received, Sent
from bloxtr8.payments.usdc.chain import ChainUnavailable, TransferLog
from bloxtr8.payments.usdc.deposits import DUST_MINOR, Account, Deposit, State, Status
from bloxtr8.payments.usdc.pg_accounts import PAGE, PostgresAccounts
from bloxtr8.payments.usdc.rail import UsdcRail
from bloxtr8.payments.usdc.watcher import Watcher
from bloxtr8.payments.webhook_signatures import WebhookName
from bloxtr8.store import database

_OUT = """
SELECT operation_id::text AS id, kind, destination FROM payment_operations
WHERE escrow_id = $1 AND provider = 'BASE' AND kind IN ('PAYOUT', 'REFUND', 'STRAY_REFUND')
  AND status <> 'REQUESTED'
ORDER BY requested_at, operation_id
"""
_LISTED = """
SELECT escrow_id::text AS escrow_id, sum(amount_minor)::bigint AS minor FROM statement_lines
WHERE provider = 'BASE' AND escrow_id IS NOT NULL GROUP BY escrow_id
"""


class BaseBooks(OnChain):
    """`watcher` takes in what a look at an address shows."""

    name = "BASE"
    place = "base"

    def __init__(
        self,
        accounts: PostgresAccounts,
        watcher: Watcher,
        reader: ChainReader,
        words: CustodyWords,
        clock: Clock,
    ) -> None:
        super().__init__(reader)
        self._accounts = accounts
        self._watcher = watcher
        self._words = words
        self._clock = clock

    async def catch_up(self, escrow_id: str) -> list[str]:
        account = await self._accounts.find_by_escrow(escrow_id)
        if account is None or not await self._has_news(account):
            return []
        try:
            now, _ = await self._watcher.reread(account.address)
        except ChainUnavailable as error:
            raise ProviderSilent(f"Base: {error}") from None
        return [
            f"{entry.status.value} {entry.ref}"
            for entry in now.deposits
            if (known := account.find(entry.ref)) is None or known.status is not entry.status
        ]

    async def movements(self, escrow_id: str, instruments: Sequence[str]) -> Movements:
        account = await self._accounts.find_by_escrow(escrow_id)
        received = [] if account is None else await self._received(account)
        payouts: list[Sent] = []
        refunds: list[Sent] = []
        for row in await database.fetch(_OUT, escrow_id):
            sent = await self._sent(row)
            (payouts if row["kind"] == "PAYOUT" else refunds).extend(sent)
        return Movements(tuple(received), payouts=tuple(payouts), refunds=tuple(refunds))

    async def statement(self, since: datetime | None, until: datetime) -> AsyncIterator[list[Line]]:
        final = await self._next_final()
        after = ""
        while True:
            accounts = await self._accounts.page(since, after)
            for account in accounts:
                yield await self._deposited(account, final)
            if len(accounts) < PAGE:
                break
            after = accounts[-1].address
        for left in await self._words.left(since):
            yield await self._left(left, final)

    async def balance(self) -> dict[str, int]:
        """Return what is on the addresses as of the block of the last statement."""
        final = await self._last_final()
        addresses: dict[str, str] = {}
        after = ""
        while True:
            page = await self._accounts.page(None, after)
            addresses |= {account.escrow_id: account.address for account in page}
            if len(page) < PAGE:
                break
            after = page[-1].address
        found = await self._words.balances(addresses, final)
        listed = {row["escrow_id"]: row["minor"] for row in await database.fetch(_LISTED)}
        return {CURRENCY: sum(_without_dust(found[one], listed.get(one, 0)) for one in found)}

    # Deposits.

    async def _has_news(self, account: Account) -> bool:
        """Tell whether more lies there, or is credited, than is known of, or something waits."""
        known = [entry for entry in account.deposits if entry.reason == ""]
        explained = sum(e.amount_minor for e in known if e.status is not Status.WITHDRAWN)
        left = await self._words.swept_minor(account.address)
        balance = await self._reader.balance(account.address)
        if account.pending_minor or balance >= explained - left + DUST_MINOR:
            return True
        hashes = {entry.transfer.tx_hash for entry in account.deposits}
        return any(tx not in hashes for tx in await self._words.credited(account.address))

    async def _received(self, account: Account) -> list[Received]:
        found = []
        if account.state is State.PAID:
            there = [entry for entry in account.payments if await self._is_there(entry)]
            minor = sum(entry.amount_minor for entry in there)
            found.append(self._receipt(account, account.payment_ref, minor or None))
        for stray in account.with_status(Status.ACCEPTED, Status.VANISHED):
            if stray.stray:
                minor = stray.amount_minor if await self._is_there(stray) else 0
                found.append(self._receipt(account, stray.ref, minor or None))
        hashes = {entry.transfer.tx_hash for entry in account.deposits}
        for tx_hash, minor in (await self._words.credited(account.address)).items():
            if tx_hash not in hashes:
                found.append(self._receipt(account, tx_hash, minor))
        return found

    async def _is_there(self, deposit: Deposit) -> bool:
        return await self._reader.is_there(deposit.transfer)

    def _receipt(self, account: Account, ref: str, minor: int | None) -> Received:
        call = self._call("deposit.confirmed", ref, {"address": account.address})
        return Received(ref, minor, CURRENCY, call)

    async def _deposited(self, account: Account, final: int) -> list[Line]:
        lines = []
        for entry in account.with_status(Status.ACCEPTED, Status.VANISHED):
            for transfer in await self._reader.transfers(entry.transfer.tx_hash, final):
                if transfer.ref == entry.ref and transfer.recipient == account.address:
                    lines.append(await self._line("deposit", transfer, account.escrow_id, 1))
        return lines

    # What went out.

    async def _sent(self, row: dict[str, Any]) -> list[Sent]:
        payout = row["kind"] == "PAYOUT"
        ordered = str(row["destination"] or "")
        found = []
        for moved in await self._words.sent(row["id"]):
            status = moved.status
            if status == CONFIRMED and not await self._reader.paid(
                moved.ref, moved.to, moved.amount_minor
            ):
                # Whoever says that it was sent has nothing to show for it.
                status = FAILED
            same = moved.to == ordered.lower()
            call = self._call("transfer.completed", moved.ref, {"reference": row["id"]})
            found.append(
                Sent(
                    ref=moved.ref,
                    operation_id=row["id"],
                    amount_minor=moved.amount_minor,
                    currency=CURRENCY,
                    status=status,
                    call=call,
                    destination=(ordered if same else moved.to) if payout else "",
                )
            )
        return found

    async def _left(self, left: Left, final: int) -> list[Line]:
        return [
            await self._line(left.kind, transfer, left.escrow_id, -1)
            for transfer in await self._reader.transfers(left.tx_hash, final)
            if transfer.amount_minor == left.amount_minor
            and left.recipient in ("", transfer.recipient)
        ][:1]

    async def _line(self, kind: str, transfer: TransferLog, escrow_id: str, sign: int) -> Line:
        return Line(
            ref=transfer.ref,
            kind=kind,
            source=transfer.tx_hash,
            about="",
            escrow_id=escrow_id,
            currency=CURRENCY,
            amount_minor=sign * transfer.amount_minor,
            fee_minor=0,
            at=await self._reader.moment(transfer.block_number),
        )

    def _call(self, kind: str, ref: str, data: dict[str, str]) -> Call:
        """Return the call that would have told of it, under a name of our own."""
        event_id = f"reconciliation:{ids.derived('reconciliation', kind, ref)}"
        body = json.dumps({"id": event_id, "type": kind, "data": data}).encode()
        return Call(WebhookName(event_id, "", kind), body, self._clock.now(), "CUSTODIAN")


class LookingAgain:
    """The rail, which looks at the address itself before it answers for an instrument."""

    def __init__(self, rail: UsdcRail, books: BaseBooks) -> None:
        self._rail = rail
        self._books = books

    async def look_up(self, operation: Operation) -> LookUpOutcome:
        if operation.kind in (Kind.INTENT, Kind.CANCEL):
            try:
                await self._books.catch_up(operation.escrow_id)
            except ProviderSilent as error:
                return Unknown(str(error))
        return await self._rail.look_up(operation)


def _without_dust(there_minor: int, listed_minor: int) -> int:
    """Return what is there but for dust: anybody can leave it, and it is nobody's money."""
    return listed_minor if 0 < there_minor - listed_minor < DUST_MINOR else there_minor
