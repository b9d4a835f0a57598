"""A local chain with everything of the USDC rail on it, and the moves that tests make."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from pydantic import SecretStr

from bloxtr8 import ids
from bloxtr8.clock import ManualClock
from bloxtr8.config import BaseChainSettings, CustodianSettings, ScreeningSettings
from bloxtr8.crypto import DataKeys
from bloxtr8.payments.http_json import Limits
from bloxtr8.payments.operations import Kind, Operation
from bloxtr8.payments.screening.chainalysis import ChainalysisScreener
from bloxtr8.payments.screening.service import MemoryScreenings, WalletScreening
from bloxtr8.payments.screening.trm import TrmScreener
from bloxtr8.payments.usdc.chain import Chain
from bloxtr8.payments.usdc.custody import Custody
from bloxtr8.payments.usdc.deposits import Account, Fact
from bloxtr8.payments.usdc.http_custodian import HttpCustodian
from bloxtr8.payments.usdc.networks import Network
from bloxtr8.payments.usdc.onchain import OnchainCustodian
from bloxtr8.payments.usdc.outgoing import MemoryNumbers, MemoryOutgoing
from bloxtr8.payments.usdc.policy import DepthPolicy
from bloxtr8.payments.usdc.proofs import Prover
from bloxtr8.payments.usdc.rail import Parts, UsdcRail
from bloxtr8.payments.usdc.sending import Sender
from bloxtr8.payments.usdc.store import MemoryAccounts
from bloxtr8.payments.usdc.sweeps import Alarms, Sweeper
from bloxtr8.payments.usdc.wallets import Wallets
from bloxtr8.payments.usdc.watcher import Watcher
from bloxtr8.sandbox.chain import LocalChain
from bloxtr8.sandbox.chain import wallets as people
from bloxtr8.sandbox.chain.token import Token
from bloxtr8.sandbox.custodian import CustodianStandIn
from bloxtr8.sandbox.screening import ScreeningStandIn

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
USDC = 1_000_000
DUE = 20_000 * USDC
QUICK = Limits(total_s=1.0, tries=2, pause_first_s=0.01, pause_max_s=0.02)


@dataclass
class Wallet:
    """What people have proven and staff have decided."""

    refund: dict[str, str] = field(default_factory=dict)
    approved: set[tuple[str, str]] = field(default_factory=set)

    async def refund_wallet(self, user_id: str) -> str | None:
        return self.refund.get(user_id)

    async def is_approved(self, operation_id: str, address: str) -> bool:
        return (operation_id, address) in self.approved


class Screens:
    """TRM and Chainalysis, both asked at the stand-in."""

    def __init__(self, stand_in: ScreeningStandIn, clock: ManualClock, limits: Limits) -> None:
        settings = ScreeningSettings(
            trm_base=stand_in.base_url,
            trm_api_key=SecretStr(stand_in.trm_key),
            chainalysis_base=stand_in.base_url,
            chainalysis_api_key=SecretStr(stand_in.chainalysis_key),
        )
        self.trm = TrmScreener(settings, clock, limits)
        self.chainalysis = ChainalysisScreener(settings, clock, limits)
        self.store = MemoryScreenings()
        self.keys = DataKeys.generate()
        self.service = WalletScreening(
            [self.trm, self.chainalysis],
            self.store,
            self.keys,
            clock,
            kept_for=timedelta(hours=24),
            limit_s=5.0,
        )

    async def close(self) -> None:
        await self.trm.close()
        await self.chainalysis.close()


class World:
    """`local` is the node that is read; `witnesses` are asked for every proof as well."""

    def __init__(
        self,
        local: LocalChain,
        *,
        witnesses: tuple[LocalChain, ...] = (),
        depths: list[str] | None = None,
        log_blocks: int = 200,
    ) -> None:
        self.local = local
        self.clock = ManualClock(NOW)
        self.settings = BaseChainSettings(
            rpc_urls=[SecretStr(local.rpc_url)],
            chain_id=local.chain.chain_id,
            usdc_address=people.USDC.hex,
            depths=depths or [],
            timeout_s=1.5,
        )
        self.network = Network.of(self.settings)
        nodes = [Chain(node.rpc_url, self.settings, self.clock) for node in (local, *witnesses)]
        self.nodes = nodes
        self.chain = nodes[0]
        self.prover = Prover(nodes, self.network, DepthPolicy.of(self.settings))
        self.accounts = MemoryAccounts()
        self.outgoing = MemoryOutgoing()
        self.numbers = MemoryNumbers()
        self.keys = Wallets(bytes(range(32)))
        self.sender = self.new_sender()
        self.onchain = OnchainCustodian(self.numbers, self.sender, self.network)
        self.sweeper = Sweeper(self.sender, self.numbers, self.network, Alarms(10**15, 0))
        self.log_blocks = log_blocks
        self.custody: Custody = self.onchain
        self.watcher = self.new_watcher()
        self.wallet = Wallet()

    def new_sender(self) -> Sender:
        return Sender(self.outgoing, self.keys, self.prover, self.network, fee_max_wei=5 * 10**9)

    def new_watcher(self) -> Watcher:
        """Return a watcher that remembers nothing but what is stored, as after a restart."""
        return Watcher(
            self.accounts, self.prover, self.network, self.custody, log_blocks=self.log_blocks
        )

    def use(self, custody: Custody) -> None:
        self.custody = custody
        self.watcher = self.new_watcher()

    def http_custodian(self, stand_in: CustodianStandIn, limits: Limits = QUICK) -> HttpCustodian:
        settings = CustodianSettings(
            api_base=stand_in.base_url, api_key=SecretStr(stand_in.api_key)
        )
        return HttpCustodian(settings, self.settings, self.prover, self.clock, limits)

    def rail(self, screens: Screens) -> UsdcRail:
        parts = Parts(
            custody=self.custody,
            accounts=self.accounts,
            watcher=self.watcher,
            prover=self.prover,
            screens=screens.service,
            wallets=self.wallet,
        )
        return UsdcRail(parts, livemode=False)

    @property
    def hot(self) -> str:
        return str(self.keys.hot.address).lower()

    async def close(self) -> None:
        for node in self.nodes:
            await node.close()

    # Moves.

    async def account(self, due: int = DUE, escrow_id: str = "") -> Account:
        """Open a deposit address as the rail does."""
        escrow_id = escrow_id or str(uuid4())
        made = await self.custody.deposit_address(escrow_id)
        address = getattr(made, "address", None)
        assert isinstance(address, str), made
        return await self.accounts.open(
            Account(
                address=address,
                escrow_id=escrow_id,
                operation_id=str(uuid4()),
                contract_id="",
                due_minor=due,
                first_block=self.local.chain.head.number,
            )
        )

    def pay(
        self, to: str, amount: int, *, token: Token = people.USDC, wallet: str = "buyer"
    ) -> str:
        """Pay from a wallet of the local chain; return the transaction's hash."""
        return "0x" + self.local.bank.pay(wallet, token, to, amount).hex()

    def fund_hot(self, amount: int = 0) -> None:
        self.local.bank.give_gas(self.hot, 10**18)
        if amount:
            self.local.bank.give(self.hot, people.USDC, amount)

    def mine(self, blocks: int) -> None:
        self.local.chain.mine(blocks)

    def finalize(self) -> None:
        """Mine until everything so far is final."""
        self.mine(self.local.chain.finality_depth + 1)

    async def state(self, address: str) -> Account:
        found = await self.accounts.find(address)
        assert found is not None
        return found

    def facts(self, kind: type[Fact] | None = None) -> list[Fact]:
        told = [entry.fact for entry in self.accounts.told]
        return told if kind is None else [fact for fact in told if isinstance(fact, kind)]

    async def balance(self, address: str) -> int:
        return await self.chain.token_balance(people.USDC.hex, address)


def operation(kind: Kind, escrow_id: str, amount: int = DUE, **fields: object) -> Operation:
    values: dict[str, object] = {
        "operation_id": ids.operation_id_for(escrow_id, kind.value, 1),
        "escrow_id": escrow_id,
        "kind": kind,
        "generation": 1,
        "rail": "USDC_BASE",
        "provider": "BASE",
        "amount_minor": amount,
        "currency": "USDC",
        "command_id": str(uuid4()),
        "requested_at": NOW,
        "not_before": NOW,
        **fields,
    }
    return Operation(**values)  # type: ignore[arg-type]
