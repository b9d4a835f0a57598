"""Moving accepted deposits to the hot wallet, and wei to where it is needed for that."""

from collections.abc import Sequence
from dataclasses import dataclass

from bloxtr8 import telemetry
from bloxtr8.payments.usdc.chain import ChainUnavailable
from bloxtr8.payments.usdc.deposits import Account
from bloxtr8.payments.usdc.networks import Network
from bloxtr8.payments.usdc.onchain import GAS, SWEEP, TRANSFER_GAS, transfer_call
from bloxtr8.payments.usdc.outgoing import NumberStore, Outgoing, OutgoingStore, Stage
from bloxtr8.payments.usdc.sending import Sender

ETHER_GAS = 21_000
TOP_UPS_MAX = 10
_UNFINISHED_MAX = 200
# The deposit wallet's own offer may be higher than the one that the top-up was counted with, and
# on Base the price of the data on Ethereum comes on top.
_GAS_MARGIN = 2

_log = telemetry.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Balances:
    """Of the hot wallet. `unfinished` transactions are reserved and not mined for good."""

    wei: int
    usdc_minor: int
    unfinished: int


@dataclass(frozen=True, slots=True)
class Alarms:
    """Below `gas_wei` there is too little for fees; above `float_minor` (0: never) too much money
    lies where a key is warm."""

    gas_wei: int
    float_minor: int


class Sweeper:
    """`step` is repeated for ever; it may be broken off anywhere."""

    def __init__(
        self, sender: Sender, numbers: NumberStore, network: Network, alarms: Alarms
    ) -> None:
        self._sender = sender
        self._numbers = numbers
        self._usdc = network.usdc
        self._alarms = alarms

    @property
    def _store(self) -> OutgoingStore:
        return self._sender.store

    async def step(self, accounts: Sequence[Account]) -> None:
        """Go on with all that is reserved, then sweep `accounts`.

        Raises ChainUnavailable, after it has done what could be done: one that cannot go on must
        not keep the others from it.
        """
        silence: ChainUnavailable | None = None
        for outgoing in await self._store.unfinished(_UNFINISHED_MAX):
            try:
                await self._sender.advance(outgoing)
            except ChainUnavailable as error:
                silence = error
        for account in accounts:
            try:
                await self._sweep(account)
            except ChainUnavailable as error:
                silence = error
        if silence is not None:
            raise silence

    async def balances(self) -> Balances:
        """Return what the hot wallet has, and say so where that is alarming."""
        chain, hot = self._sender.chain, await self._sender.address(None)
        found = Balances(
            await chain.balance_wei(hot),
            await chain.token_balance(self._usdc, hot),
            len(await self._store.unfinished(_UNFINISHED_MAX)),
        )
        low = found.wei < self._alarms.gas_wei
        rich = 0 < self._alarms.float_minor < found.usdc_minor
        if low:
            _log.error("hot_wallet_needs_gas", wei=found.wei)
        if rich:
            _log.error("hot_wallet_holds_too_much", usdc_minor=found.usdc_minor)
        telemetry.HOT_WALLET_WEI.set(found.wei)
        telemetry.HOT_WALLET_USDC.set(found.usdc_minor)
        telemetry.HOT_WALLET_UNFINISHED.set(found.unfinished)
        telemetry.HOT_WALLET_GAS_LOW.set(low)
        telemetry.HOT_WALLET_OVER_FLOAT.set(rich)
        telemetry.NONCES_USED_ELSEWHERE.set(len(self._sender.foreign))
        return found

    def forget(self) -> None:
        """Stop telling of the hot wallet: somebody else looks at it now."""
        telemetry.HOT_WALLET_UNFINISHED.set(0)
        telemetry.HOT_WALLET_GAS_LOW.set(False)
        telemetry.HOT_WALLET_OVER_FLOAT.set(False)
        telemetry.NONCES_USED_ELSEWHERE.set(0)

    async def _sweep(self, account: Account) -> None:
        number = await self._numbers.number_of(account.address)
        done = await self._store.starting_with(f"{SWEEP}:{account.address}:")
        swept = sum(entry.amount_minor for entry in done if entry.stage is not Stage.REVERTED)
        amount = account.accepted_minor - swept
        waiting = any(entry.stage is Stage.RESERVED for entry in done)
        if number is None or amount <= 0 or waiting:
            return
        if not await self._has_gas(account.address):
            await self._top_up(account.address)
            return
        hot = await self._sender.address(None)
        await self._sender.send(
            Outgoing(
                key=f"{SWEEP}:{account.address}:{len(done)}",
                signer=account.address,
                signer_number=number,
                nonce=0,
                to=self._usdc,
                data=transfer_call(hot, amount),
                value_wei=0,
                gas=TRANSFER_GAS,
                fee_max_wei=0,
                tip_wei=0,
                amount_minor=amount,
                recipient=hot,
            )
        )

    async def _needed_wei(self) -> int:
        price = self._sender.offer(await self._sender.chain.fees()).fee_max_wei
        return price * TRANSFER_GAS

    async def _has_gas(self, address: str) -> bool:
        return await self._sender.chain.balance_wei(address) >= await self._needed_wei()

    async def _top_up(self, address: str) -> None:
        sent = await self._store.starting_with(f"{GAS}:{address}:")
        if any(entry.stage is Stage.RESERVED for entry in sent):
            return
        if len(sent) >= TOP_UPS_MAX:
            _log.error("too_many_top_ups", address=address)
            return
        needed = await self._needed_wei() * _GAS_MARGIN
        hot = await self._sender.address(None)
        if await self._sender.chain.balance_wei(hot) < needed * _GAS_MARGIN:
            _log.error("hot_wallet_needs_gas", wei=needed)
            return
        await self._sender.send(
            Outgoing(
                key=f"{GAS}:{address}:{len(sent)}",
                signer=hot,
                signer_number=None,
                nonce=0,
                to=address,
                data="0x",
                value_wei=needed,
                gas=ETHER_GAS,
                fee_max_wei=0,
                tip_wei=0,
            )
        )
