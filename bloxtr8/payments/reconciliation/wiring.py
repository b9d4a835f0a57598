"""Reconciliation for given settings, as a worker and the command line use it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bloxtr8.clock import Clock
from bloxtr8.config import Settings
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.payments.pg_store import PostgresStore
from bloxtr8.payments.reconciliation.base_books import BaseBooks, LookingAgain
from bloxtr8.payments.reconciliation.chain_reader import ChainReader
from bloxtr8.payments.reconciliation.custody_words import (
    CustodianWords,
    CustodyWords,
    OnchainWords,
)
from bloxtr8.payments.reconciliation.hot_wallet_books import HotWalletBooks
from bloxtr8.payments.reconciliation.missed import Asked, Missed
from bloxtr8.payments.reconciliation.model import Report
from bloxtr8.payments.reconciliation.provider import ProviderBooks
from bloxtr8.payments.reconciliation.run import Parts, Reconciler
from bloxtr8.payments.reconciliation.schedule import Scheduler
from bloxtr8.payments.reconciliation.stripe_books import StripeBooks
from bloxtr8.payments.service import PaymentService
from bloxtr8.payments.stripe_calls import StripeCalls
from bloxtr8.payments.stripe_rail import StripeRail
from bloxtr8.payments.usdc import wiring as usdc
from bloxtr8.payments.usdc.http_custodian import HttpCustodian
from bloxtr8.payments.usdc.pg_outgoing import PostgresOutgoing
from bloxtr8.payments.usdc.wiring import UsdcParts
from proto.bloxtr8.common.v1 import common_pb2 as common

Close = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Reconciliation:
    reconciler: Reconciler
    scheduler: Scheduler
    missed: Missed
    _closing: tuple[Close, ...]

    async def run(self, escrow_id: str | None = None) -> Report:
        """Reconcile one escrow, or everything, now.

        Raises AlreadyRunning, ProviderSilent and DatabaseUnavailable.
        """
        if escrow_id is None:
            return await self.scheduler.now()
        report = Report()
        await self.reconciler.escrow(escrow_id, report)
        return report

    async def close(self) -> None:
        for close in self._closing:
            await close()


def make(
    settings: Settings, clock: Clock, keyring: Keyring, on_work: Callable[[], None] = lambda: None
) -> Reconciliation:
    """Return reconciliation with the providers that the settings have keys of.

    `on_work` is called when something has become due for the executor.
    """
    signer = keyring.signer(common.PRODUCER_PAYMENTS)
    store = PostgresStore(signer, clock)
    rails: dict[str, Asked] = {}
    providers: list[ProviderBooks] = []
    closing: list[Close] = []
    if settings.stripe.api_key.get_secret_value():
        stripe = StripeRail(settings.stripe, clock)
        books = StripeBooks(StripeCalls(settings.stripe, clock))
        rails["STRIPE"] = stripe
        providers.append(books)
        closing += [stripe.close, books.close]
    if usdc.is_set_up(settings):
        made = usdc.put_together(settings, store, clock, on_work, keys=False)
        base = _base_books(made, settings, clock)
        rails["USDC_BASE"] = LookingAgain(made.rail, base[0])
        providers += base
        closing.append(made.close)
    parts = Parts(
        store=store,
        service=PaymentService(store, clock, on_work),
        rails=rails,
        providers=providers,
        clock=clock,
        signer=signer,
        livemode=settings.stripe.livemode,
        look_again_after_s=settings.reconciliation.look_again_s,
    )
    reconciler = Reconciler(parts)
    missed = Missed(store, parts.service, rails, clock, parts.livemode)
    return Reconciliation(reconciler, Scheduler(reconciler, clock), missed, tuple(closing))


def _base_books(
    made: UsdcParts, settings: Settings, clock: Clock
) -> tuple[BaseBooks] | tuple[BaseBooks, HotWalletBooks]:
    """Return the books of the deposit addresses and, in self-custody, of the hot wallet."""
    reader = ChainReader(made.prover, made.network, settings.base.log_blocks)
    custody = made.custody
    if isinstance(custody, HttpCustodian):
        words: CustodyWords = CustodianWords(custody, reader)
        return (BaseBooks(made.accounts, made.watcher, reader, words, clock),)
    words = OnchainWords(PostgresOutgoing(clock), reader)
    return (
        BaseBooks(made.accounts, made.watcher, reader, words, clock),
        HotWalletBooks(reader),
    )
