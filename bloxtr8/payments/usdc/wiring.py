"""The USDC rail put together from settings: nodes, custody, screening, watcher, sweeper."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from bloxtr8 import telemetry
from bloxtr8.clock import Clock
from bloxtr8.config import Settings
from bloxtr8.crypto import DataKeys
from bloxtr8.payments.pg_store import PostgresStore
from bloxtr8.payments.screening.chainalysis import ChainalysisScreener
from bloxtr8.payments.screening.pg_store import PostgresScreenings
from bloxtr8.payments.screening.service import WalletScreening
from bloxtr8.payments.screening.trm import TrmScreener
from bloxtr8.payments.usdc.chain import Chain, ChainUnavailable
from bloxtr8.payments.usdc.custody import Custody
from bloxtr8.payments.usdc.http_custodian import HttpCustodian
from bloxtr8.payments.usdc.kms import KmsKeys
from bloxtr8.payments.usdc.networks import Network
from bloxtr8.payments.usdc.onchain import OnchainCustodian, OnchainRecords
from bloxtr8.payments.usdc.pg_accounts import PostgresAccounts
from bloxtr8.payments.usdc.pg_outgoing import PostgresNumbers, PostgresOutgoing
from bloxtr8.payments.usdc.pg_wallets import PostgresWallets
from bloxtr8.payments.usdc.policy import DepthPolicy
from bloxtr8.payments.usdc.proofs import Prover
from bloxtr8.payments.usdc.rail import Parts, UsdcRail
from bloxtr8.payments.usdc.sending import Sender
from bloxtr8.payments.usdc.sweeps import Alarms, Sweeper
from bloxtr8.payments.usdc.wallets import Keys, Wallets
from bloxtr8.payments.usdc.watcher import Watcher
from bloxtr8.store import leadership

ONCHAIN = "onchain"
# Advisory locks: one worker watches, one sweeps.
_WATCH, _SWEEP = 0x626C_6F78_0021, 0x626C_6F78_0022
_SWEEP_PAUSE_S = 15.0

_log = telemetry.get_logger(__name__)

Close = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class UsdcParts:
    """`loops`: what has to run from start to stop, by name."""

    rail: UsdcRail
    watcher: Watcher
    accounts: PostgresAccounts
    prover: Prover
    network: Network
    custody: Custody
    sweeper: Sweeper | None
    loops: dict[str, Callable[[], Awaitable[None]]]
    closing: tuple[Close, ...]

    async def close(self) -> None:
        for close in self.closing:
            await close()


def is_set_up(settings: Settings) -> bool:
    """Tell whether this deployment takes USDC."""
    return bool(settings.base.rpc_urls)


def put_together(
    settings: Settings,
    store: PostgresStore,
    clock: Clock,
    on_work: Callable[[], None],
    *,
    keys: bool = True,
) -> UsdcParts:
    """Return the rail of `settings`; nothing is asked of anybody yet.

    `keys` False: for who only asks; in self-custody the wallets are not opened and nothing can
    be sent. Raises ValueError and KeystoreError for settings that contradict themselves.
    """
    base = settings.base
    network = Network.of(base)
    nodes = [Chain(url.get_secret_value(), base, clock) for url in base.rpc_urls]
    prover = Prover(nodes, network, DepthPolicy.of(base))
    accounts = PostgresAccounts(store, base.chain_id, clock, on_work)
    closing: list[Close] = [node.close for node in nodes]
    loops: dict[str, Callable[[], Awaitable[None]]] = {}
    custody: Custody
    sweeper: Sweeper | None = None
    if base.custody == ONCHAIN and not keys:
        custody = OnchainRecords(PostgresOutgoing(clock), prover, network)
    elif base.custody == ONCHAIN:
        wallets = keys_of(settings)
        closing.append(wallets.close)
        custody, own = _onchain(settings, wallets, prover, network, clock)
        loops["usdc-sweeper"] = lambda: leadership.lead(_SWEEP, lambda: _sweep(own, accounts))
        sweeper = own
    else:
        custodian = HttpCustodian(settings.custodian, base, prover, clock)
        closing.append(custodian.close)
        custody = custodian
    watcher = Watcher(accounts, prover, network, custody, log_blocks=base.log_blocks)
    screening, screeners = _screening(settings, clock)
    closing += [screener.close for screener in screeners]
    loops["usdc-watcher"] = lambda: leadership.lead(_WATCH, lambda: watcher.run(base.poll_s))
    parts = Parts(custody, accounts, watcher, prover, screening, PostgresWallets(clock))
    rail = UsdcRail(parts, livemode=settings.stripe.livemode)
    return UsdcParts(
        rail, watcher, accounts, prover, network, custody, sweeper, loops, tuple(closing)
    )


def keys_of(settings: Settings) -> Keys:
    """Return the wallets of self-custody; raises KeystoreError."""
    path = Path(settings.base.keystore_file)
    if settings.kms.hot_key:
        return KmsKeys(settings.kms, path)
    return Wallets.load(path, settings.base.keystore_password.get_secret_value())


def _onchain(
    settings: Settings, wallets: Keys, prover: Prover, network: Network, clock: Clock
) -> tuple[OnchainCustodian, Sweeper]:
    base = settings.base
    numbers = PostgresNumbers()
    sender = Sender(PostgresOutgoing(clock), wallets, prover, network, fee_max_wei=base.fee_max_wei)
    custody = OnchainCustodian(numbers, sender, network)
    alarms = Alarms(base.gas_alert_wei, base.float_max_minor)
    return custody, Sweeper(sender, numbers, network, alarms)


def _screening(
    settings: Settings, clock: Clock
) -> tuple[WalletScreening, tuple[TrmScreener, ChainalysisScreener]]:
    screeners = (
        TrmScreener(settings.screening, clock),
        ChainalysisScreener(settings.screening, clock),
    )
    service = WalletScreening(
        screeners,
        PostgresScreenings(),
        DataKeys.load(settings.keys.directory, create=settings.keys.create),
        clock,
        kept_for=timedelta(hours=settings.screening.kept_hours),
        limit_s=settings.screening.timeout_s,
    )
    return service, screeners


async def _sweep(sweeper: Sweeper, accounts: PostgresAccounts) -> None:
    try:
        while True:
            try:
                await sweeper.step(await accounts.unswept())
            except ChainUnavailable as error:
                _log.warning("chain_unavailable", reason=str(error))
            try:
                # Also while a transaction is stuck: this is what calls somebody.
                await sweeper.balances()
            except ChainUnavailable as error:
                _log.warning("chain_unavailable", reason=str(error))
            await asyncio.sleep(_SWEEP_PAUSE_S)
    finally:
        # Who sweeps from now on tells of it.
        sweeper.forget()
