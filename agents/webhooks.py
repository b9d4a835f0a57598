"""The webhooks agent: keep a provider's call, find its escrow, pass it on to the payments agent."""

from typing import Any

from bloxtr8 import ids, telemetry
from bloxtr8.messaging import metadata
from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.messaging.handling import Delivery, Refused
from bloxtr8.messaging.topics import PAYMENTS_COMMANDS, WEBHOOK_EVENTS
from bloxtr8.payments import webhook_inbox as inbox
from bloxtr8.payments.facts import ACCOUNT_UPDATED, Fact, facts_of
from bloxtr8.payments.stripe_objects import BadObject
from bloxtr8.payments.usdc.custodian_facts import escrow_of_call, facts_of_call
from bloxtr8.payments.webhook_signatures import WebhookName
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.payments.v1 import payments_pb2 as payments
from proto.bloxtr8.webhook.v1 import webhook_pb2 as webhook
from tables import provider_refs
from tables.durable import DurableTable

_PROVIDERS = {
    common.PROVIDER_STRIPE: inbox.STRIPE,
    common.PROVIDER_CUSTODIAN: inbox.CUSTODIAN,
}
_RAILS = {
    common.PROVIDER_STRIPE: common.RAIL_STRIPE,
    common.PROVIDER_CUSTODIAN: common.RAIL_USDC_BASE,
}


class WebhooksAgent:
    """Writes the table `provider_refs` and matches calls to escrows by it."""

    def __init__(self, app: BloxtrApp, table: DurableTable) -> None:
        self._app = app
        self._table = table

    async def handle(self, message: webhook.WebhookEvent, delivery: Delivery) -> None:
        if message.HasField("reference"):
            await self._learn(message, delivery)
            return
        if message.provider not in _PROVIDERS:
            raise Refused(common.DEAD_LETTER_KIND_POISON, "the provider is unknown")
        try:
            await self._call(message)
        except BadObject as error:
            raise Refused(common.DEAD_LETTER_KIND_POISON, str(error)) from None

    async def _learn(self, message: webhook.WebhookEvent, delivery: Delivery) -> None:
        if message.metadata.producer != common.PRODUCER_PAYMENTS:
            raise Refused(common.DEAD_LETTER_KIND_UNAUTHENTIC, "only payments knows references")
        known = self._table.value_of(delivery.key)
        if known is not None and provider_refs.escrow_of(known) == message.reference.escrow_id:
            return
        value, timeout_s = message.SerializeToString(), self._app.settings.kafka.publish_timeout_s
        try:
            await self._table.put(delivery.key, value, delivery.partition, timeout_s)
        except Exception as error:
            # What the changelog holds is not known any more.
            self._app.stop_process("changelog_unreachable", repr(error))
            raise

    async def _call(self, message: webhook.WebhookEvent) -> None:
        call, now = message.call, self._app.clock.now()
        name = WebhookName(call.provider_event_id, message.provider_payment_id, call.type)
        provider = _PROVIDERS[message.provider]
        received_at = metadata.moment(call.received_at)
        status, escrow_id = _at_first_sight(message)
        fresh = await inbox.record(
            name, call.raw, received_at, provider=provider, status=status, escrow_id=escrow_id
        )
        if not fresh:
            telemetry.DUPLICATES.labels(consumer="webhooks").inc()
            return
        if status == inbox.IGNORED:
            return
        if message.provider == common.PROVIDER_STRIPE and call.type == ACCOUNT_UPDATED:
            await inbox.update_account(call.raw, now)
        if not _facts(message):
            await inbox.mark(name, inbox.IGNORED, now, provider=provider)
            return
        if not escrow_id:
            escrow_id = await self._escrow_of(message)
            if not escrow_id:
                telemetry.UNMATCHED_WEBHOOKS.labels(provider=provider).inc()
                await inbox.mark(name, inbox.UNMATCHED, now, provider=provider)
                return
            await inbox.mark(name, inbox.MATCHED, now, escrow_id=escrow_id, provider=provider)
        await self._app.publisher.publish(PAYMENTS_COMMANDS, self._fact(message, escrow_id))

    async def _escrow_of(self, message: webhook.WebhookEvent) -> str:
        """Ask the table, then PostgreSQL; the signed body names none."""
        ref = message.provider_payment_id
        if message.provider == common.PROVIDER_CUSTODIAN:
            return await escrow_of_call(message.call.raw)
        return provider_refs.escrow_of(
            self._table.value_of(ref.encode())
        ) or await inbox.escrow_of_artifact(ref)

    def _fact(self, message: webhook.WebhookEvent, escrow_id: str) -> payments.PaymentCommand:
        call = message.call
        provider = _PROVIDERS[message.provider]
        message_id = str(ids.derived("provider-event", provider, call.provider_event_id))
        return payments.PaymentCommand(
            metadata=metadata.caused_by(
                message.metadata, common.PRODUCER_WEBHOOKS, self._app.clock.now(), message_id
            ),
            escrow_id=escrow_id,
            rail=_RAILS[message.provider],
            record_provider_event=payments.RecordProviderEvent(
                provider=message.provider,
                provider_event_id=call.provider_event_id,
                provider_payment_id=message.provider_payment_id,
                type=call.type,
                body=call.raw,
                received_at=call.received_at,
            ),
        )


def _at_first_sight(message: webhook.WebhookEvent) -> tuple[str, str | None]:
    """Return how far a call has come before anybody is asked, and the escrow that it names.

    What nobody can read is kept, and refused after that.
    """
    try:
        facts = _facts(message)
    except BadObject:
        return inbox.RECEIVED, None
    if not facts:
        # An account's call has its effect first.
        return inbox.RECEIVED if message.call.type == ACCOUNT_UPDATED else inbox.IGNORED, None
    named = ""
    if message.provider == common.PROVIDER_STRIPE:
        named = inbox.escrow_named_in(message.call.raw)
    return (inbox.MATCHED, named) if named else (inbox.RECEIVED, None)


def _facts(message: webhook.WebhookEvent) -> list[Fact]:
    raw = message.call.raw
    if message.provider == common.PROVIDER_CUSTODIAN:
        return facts_of_call(raw)
    return facts_of(raw)


def register(app: BloxtrApp, table: DurableTable) -> None:
    agent = WebhooksAgent(app, table)

    async def handle(message: Any, delivery: Delivery) -> None:
        await agent.handle(message, delivery)

    app.handle(WEBHOOK_EVENTS, handle, name="webhooks")
