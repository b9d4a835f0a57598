"""Self-custody: deposit addresses of our own, a hot wallet that pays out, sweeps in between."""

from bloxtr8 import telemetry
from bloxtr8.payments.rails import Absent, Confirmed, Failed, MovementOutcome, Pending, Unknown
from bloxtr8.payments.usdc.chain import ChainUnavailable
from bloxtr8.payments.usdc.custody import DepositAddress, Transfer
from bloxtr8.payments.usdc.deposits import Account, Deposit
from bloxtr8.payments.usdc.networks import Network
from bloxtr8.payments.usdc.outgoing import NumberStore, Outgoing, OutgoingStore, Stage
from bloxtr8.payments.usdc.proofs import Prover
from bloxtr8.payments.usdc.sending import Sender
from bloxtr8.payments.usdc.watcher import Arrival

# USDC is a proxy; a transfer to an address that never had any needs about 65,000.
TRANSFER_GAS = 100_000
PAYOUT, SWEEP, GAS = "payout", "sweep", "gas"
_TRANSFER = "0xa9059cbb"
_UNFINISHED_MAX = 1_000

_log = telemetry.get_logger(__name__)


def transfer_call(to: str, amount_minor: int) -> str:
    """Return the call data of `transfer(to, amount)`."""
    return f"{_TRANSFER}{to.removeprefix('0x').rjust(64, '0')}{amount_minor:064x}"


class OnchainRecords:
    """Self-custody without its keys: what our records and the chain say; nothing is sent."""

    def __init__(self, store: OutgoingStore, prover: Prover, network: Network) -> None:
        self._store = store
        self._prover = prover
        self._usdc = network.usdc

    async def deposit_address(self, reference: str) -> DepositAddress | Failed | Unknown:
        return Unknown("NO_KEYS")

    async def transfer(self, order: Transfer) -> MovementOutcome:
        return Unknown("NO_KEYS")

    async def look_up(self, operation_id: str) -> Confirmed | Pending | Failed | Absent | Unknown:
        known = await self._store.find(f"{PAYOUT}:{operation_id}")
        return Absent() if known is None else _outcome(known)

    async def arrived(self, account: Account, proven: list[Deposit]) -> Arrival:
        """Compare the balance with what has to lie there: accepted, not swept, and new."""
        try:
            # The balance first: a sweep in between then makes it seem too high, never too low.
            balance = await self._prover.first.token_balance(self._usdc, account.address)
        except ChainUnavailable:
            return Arrival.UNKNOWN
        kept = max(0, account.accepted_minor - await self.swept_minor(account.address))
        if balance >= kept + account.pending_minor:
            return Arrival.COMPLETE
        # Something that was only seen may just have been reorganised away; later that is clear.
        enough = balance >= kept + sum(entry.amount_minor for entry in proven)
        return Arrival.UNKNOWN if enough else Arrival.SHORT

    async def swept_minor(self, address: str) -> int:
        """Return what was or is being moved from a deposit address to the hot wallet."""
        sweeps = await self._store.starting_with(f"{SWEEP}:{address}:")
        return sum(entry.amount_minor for entry in sweeps if entry.stage is not Stage.REVERTED)


class OnchainCustodian(OnchainRecords):
    def __init__(self, numbers: NumberStore, sender: Sender, network: Network) -> None:
        super().__init__(sender.store, sender.prover, network)
        self._numbers = numbers
        self._sender = sender

    async def deposit_address(self, reference: str) -> DepositAddress | Failed | Unknown:
        number = await self._numbers.number(reference)
        try:
            address = await self._sender.address(number)
        except ChainUnavailable as error:
            return Unknown(f"CHAIN: {error}")
        await self._numbers.keep_address(number, address)
        return DepositAddress(address)

    async def transfer(self, order: Transfer) -> MovementOutcome:
        try:
            hot = await self._sender.address(None)
            wanted = self._payout(order, hot)
            known = await self._store.find(wanted.key)
            if known is None:
                short = await self._shortage(order, hot)
                if short:
                    # Nothing is reserved yet: a sweep or a person brings what is missing.
                    return Unknown(short, asked=False)
            elif known.terms() != wanted.terms():
                _log.error("transfer_with_other_terms", operation_id=order.operation_id)
                return Unknown("TERMS_DIFFER")
            sent = await self._sender.send(wanted)
        except ChainUnavailable as error:
            return Unknown(f"CHAIN: {error}")
        return _outcome(sent)

    async def look_up(self, operation_id: str) -> Confirmed | Pending | Failed | Absent | Unknown:
        known = await self._store.find(f"{PAYOUT}:{operation_id}")
        if known is None:
            return Absent()
        try:
            return _outcome(await self._sender.advance(known))
        except ChainUnavailable as error:
            return Unknown(f"CHAIN: {error}")

    def _payout(self, order: Transfer, hot: str) -> Outgoing:
        return Outgoing(
            key=f"{PAYOUT}:{order.operation_id}",
            signer=hot,
            signer_number=None,
            nonce=0,
            to=self._usdc,
            data=transfer_call(order.to, order.amount_minor),
            value_wei=0,
            gas=TRANSFER_GAS,
            fee_max_wei=0,
            tip_wei=0,
            amount_minor=order.amount_minor,
            recipient=order.to,
        )

    async def _shortage(self, order: Transfer, hot: str) -> str:
        """Return what the hot wallet lacks for one more payout; "" when nothing."""
        chain = self._sender.chain
        # What is mined has left already, final or not. The nonce first: what is mined in between
        # is counted twice then, which only makes this payout wait.
        mined = await chain.next_nonce(hot)
        promised = sum(
            entry.amount_minor
            for entry in await self._store.unfinished(_UNFINISHED_MAX)
            if entry.key.startswith(f"{PAYOUT}:") and entry.nonce >= mined
        )
        if await chain.token_balance(self._usdc, hot) < promised + order.amount_minor:
            return "HOT_WALLET_SHORT"
        price = self._sender.offer(await chain.fees()).fee_max_wei
        enough = await chain.balance_wei(hot) >= price * TRANSFER_GAS
        return "" if enough else "NO_GAS"


def _outcome(outgoing: Outgoing) -> MovementOutcome:
    ref = outgoing.hashes[-1] if outgoing.hashes else outgoing.key
    if outgoing.stage is Stage.MINED:
        return Confirmed(ref, outgoing.amount_minor, "USDC", outgoing.recipient)
    if outgoing.stage is Stage.REVERTED:
        return Failed("REVERTED", nothing_happened=True)
    return Pending(ref)
