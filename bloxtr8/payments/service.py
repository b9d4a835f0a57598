"""The payments agent's work: orders of escrows in, facts of providers in, events out."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from bloxtr8 import telemetry
from bloxtr8.clock import Clock
from bloxtr8.errors import NotFound, PaymentNotReady, UpstreamUnavailable
from bloxtr8.messaging import metadata
from bloxtr8.payments.book import StaffTask
from bloxtr8.payments.facts import Fact, facts_of
from bloxtr8.payments.incoming import take_fact
from bloxtr8.payments.operations import Operation, Status
from bloxtr8.payments.ordering import BadOrder, take_order
from bloxtr8.payments.rails import Failed, Unknown
from bloxtr8.payments.store import PaymentStore, ProviderEvent
from bloxtr8.payments.stripe_objects import BadObject
from bloxtr8.payments.usdc.custodian_facts import facts_of_call
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.payments.v1 import payments_pb2 as payments

SECRETS_MAX = 10_000
SECRET_KEPT = timedelta(seconds=60)
_READERS = {"STRIPE": facts_of, "CUSTODIAN": facts_of_call}
_PROVIDERS = {common.PROVIDER_STRIPE: "STRIPE", common.PROVIDER_CUSTODIAN: "CUSTODIAN"}


class BadCommand(Exception):
    """The message can never be carried out; it is poison."""


class PaymentService:
    """`on_work` is called after each transaction that may have made an operation due."""

    def __init__(self, store: PaymentStore, clock: Clock, on_work: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._on_work = on_work

    async def handle(self, command: payments.PaymentCommand) -> None:
        """Take in an order or a provider's fact, durably. Raises BadCommand."""
        if command.HasField("record_provider_event"):
            await self._record(command)
        else:
            await self._order(command)
        self._on_work()

    async def _order(self, command: payments.PaymentCommand) -> None:
        try:
            async with self._store.open(command.escrow_id) as book:
                take_order(book, command, self._clock.now())
        except BadOrder as error:
            raise BadCommand(str(error)) from None

    async def _record(self, command: payments.PaymentCommand) -> None:
        said = command.record_provider_event
        provider = _PROVIDERS.get(said.provider)
        if provider is None:
            raise BadCommand("the provider is unknown")
        try:
            facts = _READERS[provider](said.body)
        except BadObject as error:
            raise BadCommand(str(error)) from None
        await self._take_facts(command, ProviderEvent(provider, said.provider_event_id), facts)

    async def _take_facts(
        self, command: payments.PaymentCommand, event: ProviderEvent, facts: list[Fact]
    ) -> None:
        async with self._store.open(command.escrow_id, event) as book:
            if book.knows_event:
                telemetry.DUPLICATES.labels(consumer="provider_events").inc()
                return
            if book.funds is None:
                telemetry.UNMATCHED_WEBHOOKS.labels(provider=event.provider).inc()
                book.tasks.append(StaffTask("RECONCILIATION", event.event_id[:64]))
                return
            now = self._clock.now()
            if command.record_provider_event.HasField("received_at"):
                book.called_at = metadata.moment(command.record_provider_event.received_at)
            for fact in facts:
                take_fact(book, fact, event.event_id, command.metadata, now)


class IntentSource(Protocol):
    """Who knows which instrument an escrow is paid with."""

    async def current_intent(self, escrow_id: str) -> Operation | None: ...


class SecretSource(Protocol):
    """Who can give a buyer the secret that the pay page needs."""

    async def client_secret(self, intent_ref: str) -> tuple[str, str] | Failed | Unknown: ...


@dataclass(frozen=True, slots=True)
class PaymentData:
    """What the pay page needs; the secret is for the buyer's browser, never stored or logged."""

    client_secret: str
    publishable_key: str
    status: str
    amount_minor: int
    currency: str

    def __repr__(self) -> str:
        return f"PaymentData(status={self.status!r})"


class PaymentPages:
    """Client secrets for pay pages, asked of Stripe and kept for 60 s in memory."""

    def __init__(
        self, intents: IntentSource, stripe: SecretSource, publishable_key: str, clock: Clock
    ) -> None:
        self._intents = intents
        self._stripe = stripe
        self._publishable_key = publishable_key
        self._clock = clock
        self._kept: OrderedDict[str, tuple[datetime, PaymentData]] = OrderedDict()

    async def payment_data(self, escrow_id: str) -> PaymentData:
        """Return what the buyer needs to pay. The caller has checked that it is the buyer.

        Raises NotFound, PaymentNotReady (the instrument is being made, or is gone) and
        UpstreamUnavailable.
        """
        now = self._clock.now()
        kept = self._kept.get(escrow_id)
        if kept is not None and now - kept[0] < SECRET_KEPT:
            return kept[1]
        data = await self._ask(escrow_id)
        self._kept[escrow_id] = (now, data)
        self._kept.move_to_end(escrow_id)
        self._forget(now)
        return data

    def _forget(self, now: datetime) -> None:
        """Drop what is past its time, and the oldest beyond the limit."""
        while self._kept:
            since, _ = next(iter(self._kept.values()))
            if now - since < SECRET_KEPT and len(self._kept) <= SECRETS_MAX:
                return
            self._kept.popitem(last=False)

    async def _ask(self, escrow_id: str) -> PaymentData:
        intent = await self._intents.current_intent(escrow_id)
        if intent is None:
            raise NotFound
        if intent.status is not Status.CONFIRMED or intent.provider_ref is None:
            raise PaymentNotReady
        answer = await self._stripe.client_secret(intent.provider_ref)
        if isinstance(answer, Failed):
            raise PaymentNotReady
        if isinstance(answer, Unknown):
            raise UpstreamUnavailable
        secret, status = answer
        return PaymentData(
            client_secret=secret,
            publishable_key=self._publishable_key,
            status=status,
            amount_minor=intent.amount_minor,
            currency=intent.currency,
        )
