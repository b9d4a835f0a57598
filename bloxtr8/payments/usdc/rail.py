"""The USDC rail: a deposit address is the instrument, the chain is the word that counts.

Nothing is credited here: the watcher takes deposits in, and this tells what the account says.
Before money leaves, the wallet that it goes to is screened afresh.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from bloxtr8 import telemetry
from bloxtr8.payments import operations
from bloxtr8.payments.operations import REFUNDS, Kind, Operation
from bloxtr8.payments.rails import (
    Absent,
    Confirmed,
    Failed,
    Instrument,
    InstrumentOutcome,
    InstrumentStatus,
    LookUpOutcome,
    MovementOutcome,
    Receipt,
    Unknown,
)
from bloxtr8.payments.screening.risk import Risk, Screening, strictest
from bloxtr8.payments.usdc import deposits
from bloxtr8.payments.usdc.chain import ChainUnavailable
from bloxtr8.payments.usdc.custody import Custody, Transfer
from bloxtr8.payments.usdc.deposits import Account, State, Status
from bloxtr8.payments.usdc.networks import lower
from bloxtr8.payments.usdc.proofs import Prover
from bloxtr8.payments.usdc.store import AccountStore
from bloxtr8.payments.usdc.watcher import Watcher

CURRENCY = "USDC"
# Why a refund waits: nobody knows a wallet of the buyer's that may have it.
REFUND_WALLET_NEEDED = "REFUND_WALLET_NEEDED"
WALLET_IS_CONTRACT = "WALLET_IS_CONTRACT"

_log = telemetry.get_logger(__name__)


class Screens(Protocol):
    async def screen(self, address: str, *, fresh: bool = False) -> Screening: ...


class WalletBook(Protocol):
    """What people have proven about their wallets, and what staff have decided about them."""

    async def refund_wallet(self, user_id: str) -> str | None:
        """Return the wallet (lower case) that a user has proven for refunds."""
        ...

    async def is_approved(self, operation_id: str, address: str) -> bool:
        """Tell whether staff let this operation pay this wallet although it is not LOW.

        Never true for a sanctioned one.
        """
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What the rail works with."""

    custody: Custody
    accounts: AccountStore
    watcher: Watcher
    prover: Prover
    screens: Screens
    wallets: WalletBook


class UsdcRail:
    provider = "BASE"

    def __init__(self, parts: Parts, *, livemode: bool) -> None:
        self._custody = parts.custody
        self._accounts = parts.accounts
        self._watcher = parts.watcher
        self._prover = parts.prover
        self._screens = parts.screens
        self._wallets = parts.wallets
        self._livemode = livemode

    async def create_intent(self, operation: Operation) -> InstrumentOutcome:
        made = await self._custody.deposit_address(operation.escrow_id)
        if isinstance(made, Failed | Unknown):
            return made
        try:
            # From here on: nobody could know the address before.
            first = (await self._prover.first.latest()).number
        except ChainUnavailable as error:
            return Unknown(f"CHAIN: {error}")
        account = await self._accounts.open(
            Account(
                address=made.address,
                escrow_id=operation.escrow_id,
                operation_id=operation.operation_id,
                contract_id=operation.contract_id or "",
                due_minor=operation.amount_minor,
                first_block=first,
            )
        )
        if account.escrow_id != operation.escrow_id:
            _log.error("address_used_twice", escrow_id=operation.escrow_id)
            return Failed("ADDRESS_IN_USE")
        return await self._instrument(account)

    async def cancel(self, operation: Operation) -> InstrumentOutcome:
        """End the account unless money has come, or may just be coming."""
        address = operation.payment_ref or ""
        try:
            account, explained = await self._watcher.reread(address)
        except KeyError:
            return Failed("UNKNOWN_ADDRESS")
        except ChainUnavailable as error:
            return Unknown(f"CHAIN: {error}")
        if account.state is State.OPEN and not explained:
            # Something lies there that the node does not report: it may be the payment.
            return Instrument(address, InstrumentStatus.PROCESSING)
        if account.state is State.OPEN:
            account, _ = await self._accounts.change(address, _end)
        return await self._instrument(account)

    async def payout(self, operation: Operation) -> MovementOutcome:
        try:
            to = lower(operation.destination or "")
        except ValueError:
            return Failed("BAD_ADDRESS")
        sent = await self._move(operation, to)
        if isinstance(sent, Confirmed) and sent.destination == to:
            # As it was ordered: the case of its letters is a checksum.
            return replace(sent, destination=operation.destination or "")
        return sent

    async def refund(self, operation: Operation) -> MovementOutcome:
        account = await self._accounts.find_by_escrow(operation.escrow_id)
        if account is None:
            return Failed("UNKNOWN_ACCOUNT")
        try:
            to = await self._refund_wallet(operation, account)
        except ChainUnavailable as error:
            return Unknown(f"CHAIN: {error}", asked=False)
        return to if isinstance(to, Unknown) else await self._move(operation, to)

    async def look_up(self, operation: Operation) -> LookUpOutcome:
        if operation.kind in (Kind.INTENT, Kind.CANCEL):
            account = await self._accounts.find_by_escrow(operation.escrow_id)
            return Absent() if account is None else await self._instrument(account)
        found = await self._custody.look_up(operation.operation_id)
        if isinstance(found, Confirmed) and operation.kind is Kind.PAYOUT:
            ordered = operation.destination or ""
            if found.destination == ordered.lower():
                return replace(found, destination=ordered)
        return found

    # Money in.

    async def _instrument(self, account: Account) -> Instrument:
        strays = await self._strays(account)
        if account.state is State.PAID:
            receipt = await self._receipt(account)
            return Instrument(account.address, InstrumentStatus.PAID, receipt, strays)
        if account.state is State.CLOSED:
            return Instrument(account.address, InstrumentStatus.CANCELLED, strays=strays)
        coming = account.pending_minor > 0
        status = InstrumentStatus.PROCESSING if coming else InstrumentStatus.OPEN
        return Instrument(account.address, status)

    async def _receipt(self, account: Account) -> Receipt:
        """Return what came as one receipt."""
        risk = await self.risk_of(account.senders)
        return Receipt(
            payment_ref=account.payment_ref,
            charge_ref=f"deposit:{account.payment_ref}",
            amount_minor=account.received_minor,
            currency=CURRENCY,
            fee_minor=0,
            livemode=self._livemode,
            metadata=_metadata(account),
            risk=risk.value,
        )

    async def _strays(self, account: Account) -> tuple[Receipt, ...]:
        """Return what came after the end, each deposit by itself."""
        return tuple(
            [
                Receipt(
                    payment_ref=deposit.ref,
                    charge_ref="",
                    amount_minor=deposit.amount_minor,
                    currency=CURRENCY,
                    fee_minor=0,
                    livemode=self._livemode,
                    metadata=_metadata(account),
                    risk=(await self.risk_of([deposit.transfer.sender])).value,
                )
                for deposit in account.with_status(Status.ACCEPTED)
                if deposit.stray
            ]
        )

    async def risk_of(self, senders: Sequence[str]) -> Risk:
        """Return the strictest that is known of wallets that money came from."""
        screenings = [await self._screens.screen(sender) for sender in senders]
        complete = all(entry.complete for entry in screenings)
        # HIGH stays HIGH while somebody has not answered; LOW does not stay LOW.
        known = [entry.risk for entry in screenings]
        return strictest([*known, Risk.LOW if complete else Risk.UNKNOWN])

    # Money out.

    async def _refund_wallet(self, operation: Operation, account: Account) -> str | Unknown:
        """Return the wallet that money goes back to: the sender's own, else one proven since.

        Raises ChainUnavailable.
        """
        senders = _senders_of(account, operation)
        risks = [await self._risk_of_sender(operation, sender) for sender in senders]
        if Risk.SANCTIONED in risks:
            # Frozen: not to the sender, and to nobody else in their place.
            return Unknown(REFUND_WALLET_NEEDED, asked=False)
        if Risk.UNKNOWN in risks:
            # Who has not been screened may be listed.
            return Unknown("SCREENING_INCOMPLETE", asked=False)
        if risks == [Risk.LOW] and not await self._prover.first.is_contract(senders[0]):
            return senders[0]
        proven = await self._wallets.refund_wallet(operation.party_id or "")
        return proven or Unknown(REFUND_WALLET_NEEDED, asked=False)

    async def _risk_of_sender(self, operation: Operation, sender: str) -> Risk:
        """Screen a sender afresh: LOW also when staff have approved them, UNKNOWN also when
        somebody has not answered."""
        screening = await self._screens.screen(sender, fresh=True)
        if screening.risk is Risk.SANCTIONED:
            return Risk.SANCTIONED
        if await self._wallets.is_approved(operation.operation_id, sender):
            return Risk.LOW
        return screening.risk if screening.complete else Risk.UNKNOWN

    async def _move(self, operation: Operation, to: str) -> MovementOutcome:
        try:
            if await self._prover.first.is_contract(to):
                return _refused(operation, WALLET_IS_CONTRACT)
        except ChainUnavailable as error:
            return Unknown(f"CHAIN: {error}", asked=False)
        stopped = await self._stopped(operation, to)
        if stopped is not None:
            return stopped
        order = Transfer(operation.operation_id, operation.escrow_id, to, operation.amount_minor)
        return await self._custody.transfer(order)

    async def _stopped(self, operation: Operation, to: str) -> Failed | Unknown | None:
        """Screen the wallet afresh; None when it may be paid."""
        screening = await self._screens.screen(to, fresh=True)
        if screening.clear:
            return None
        if screening.risk is Risk.SANCTIONED:
            return _refused(operation, "WALLET_SANCTIONED")
        if await self._wallets.is_approved(operation.operation_id, to):
            return None
        if not screening.complete:
            # Asked again with the next try, until somebody knows.
            return Unknown("SCREENING_INCOMPLETE", asked=False)
        return _refused(operation, f"WALLET_RISK_{screening.risk.value}")


def _refused(operation: Operation, code: str) -> Failed:
    """Nothing has happened for certain only while custody was never asked."""
    return Failed(code, nothing_happened=operations.never_asked(operation))


def _end(account: Account) -> deposits.Step:
    """Close an account, or end it with the part that has come."""
    return deposits.settle_partial(account) if account.payments else deposits.close(account)


def _metadata(account: Account) -> dict[str, str]:
    return {
        "escrow_id": account.escrow_id,
        "operation_id": account.operation_id,
        "contract_id": account.contract_id,
    }


def _senders_of(account: Account, operation: Operation) -> list[str]:
    """Return who sent what `operation` gives back."""
    if operation.kind not in REFUNDS:
        return []
    stray = account.find(operation.payment_ref or "")
    if stray is not None and stray.stray:
        return [stray.transfer.sender]
    return account.senders
