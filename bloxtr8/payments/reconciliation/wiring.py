"""Reconciliation for given settings, as a worker and the command line use it."""

from collections.abc import Callable
from dataclasses import dataclass

from bloxtr8.clock import Clock
from bloxtr8.config import Settings
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.payments.pg_store import PostgresStore
from bloxtr8.payments.reconciliation.missed import Missed
from bloxtr8.payments.reconciliation.model import Report
from bloxtr8.payments.reconciliation.run import Parts, Reconciler
from bloxtr8.payments.reconciliation.schedule import Scheduler
from bloxtr8.payments.reconciliation.stripe_books import StripeBooks
from bloxtr8.payments.service import PaymentService
from bloxtr8.payments.stripe_calls import StripeCalls
from bloxtr8.payments.stripe_rail import StripeRail
from proto.bloxtr8.common.v1 import common_pb2 as common


@dataclass(frozen=True, slots=True)
class Reconciliation:
    reconciler: Reconciler
    scheduler: Scheduler
    missed: Missed
    _stripe: StripeRail
    _books: StripeBooks

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
        await self._stripe.close()
        await self._books.close()


def make(
    settings: Settings, clock: Clock, keyring: Keyring, on_work: Callable[[], None] = lambda: None
) -> Reconciliation:
    """Return reconciliation with the providers that the settings have keys of.

    `on_work` is called when something has become due for the executor.
    """
    signer = keyring.signer(common.PRODUCER_PAYMENTS)
    store = PostgresStore(signer, clock)
    stripe = StripeRail(settings.stripe, clock)
    books = StripeBooks(StripeCalls(settings.stripe, clock))
    known = bool(settings.stripe.api_key.get_secret_value())
    parts = Parts(
        store=store,
        service=PaymentService(store, clock, on_work),
        rails={"STRIPE": stripe} if known else {},
        providers=[books] if known else [],
        clock=clock,
        signer=signer,
        livemode=settings.stripe.livemode,
        look_again_after_s=settings.reconciliation.look_again_s,
    )
    reconciler = Reconciler(parts)
    missed = Missed(store, parts.service, parts.rails, clock, parts.livemode)
    return Reconciliation(reconciler, Scheduler(reconciler, clock), missed, stripe, books)
