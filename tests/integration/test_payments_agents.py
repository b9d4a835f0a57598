"""The payments and webhooks agents in a real worker: Kafka, PostgreSQL and the stand-in."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from agents import outbox, payments, webhooks
from bloxtr8 import ids
from bloxtr8.config import Settings, StripeSettings
from bloxtr8.messaging import metadata
from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.messaging.topics import PAYMENTS_COMMANDS, PAYMENTS_EVENTS, WEBHOOK_EVENTS
from bloxtr8.payments.webhook_signatures import name_stripe
from bloxtr8.sandbox.stripe.control import add_account
from bloxtr8.sandbox.stripe.server import StripeStandIn
from bloxtr8.store import database
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.payments.v1 import payments_pb2 as messages
from proto.bloxtr8.webhook.v1 import webhook_pb2 as webhook
from tables import provider_refs
from tests.integration.payments_bench import SELLER, TOTAL
from tests.integration.streams.worker import messages as messages_of
from tests.integration.streams.worker import running, until_true


@dataclass
class Payments:
    app: BloxtrApp
    stripe: StripeStandIn
    settings: Settings
    escrow_id: str
    calls: list[dict[str, Any]]

    async def order(self, **body: Any) -> None:
        now = self.app.clock.now()
        command = messages.PaymentCommand(
            metadata=metadata.new(common.PRODUCER_ESCROW, now),
            escrow_id=self.escrow_id,
            fencing_token=1,
            rail=common.RAIL_STRIPE,
            **body,
        )
        await self.app.publisher.publish(PAYMENTS_COMMANDS, command)

    async def order_intent(self) -> None:
        await self.order(
            create_payment_intent=messages.CreatePaymentIntent(
                operation_id=ids.operation_id_for(self.escrow_id, "INTENT", 1),
                generation=1,
                amount=common.Money(minor=TOTAL, currency=common.CURRENCY_USD),
                contract_id=str(ids.uuid7()),
                buyer_id=str(ids.uuid7()),
            )
        )

    async def call(self, event: dict[str, Any]) -> None:
        """Do what the web does with a call whose signature is good."""
        body = json.dumps(event).encode()
        name, now = name_stripe(body), self.app.clock.now()
        message = webhook.WebhookEvent(
            metadata=metadata.new(common.PRODUCER_WEB, now),
            provider=common.PROVIDER_STRIPE,
            provider_payment_id=name.provider_payment_id,
            call=webhook.ProviderCall(
                provider_event_id=name.provider_event_id,
                type=name.type,
                raw=body,
                received_at=metadata.timestamp(now),
            ),
        )
        await self.app.publisher.publish(WEBHOOK_EVENTS, message)

    async def said(self, *words: str) -> bool:
        found = await messages_of(self.settings, PAYMENTS_EVENTS)
        return sorted(words) == sorted(event.WhichOneof("body") for event in found)

    async def statuses(self) -> dict[str, str]:
        rows = await database.fetch("SELECT provider_event_id, status FROM webhook_events")
        return {row["provider_event_id"]: row["status"] for row in rows}


@asynccontextmanager
async def started(settings: Settings) -> AsyncIterator[Payments]:
    calls: list[dict[str, Any]] = []
    stripe = StripeStandIn()
    await stripe.start()
    stripe.world.on_event = calls.append
    settings.stripe = StripeSettings(
        api_base=stripe.base_url, api_key=SecretStr(stripe.api_key), publishable_key="pk_test_x"
    )
    app = BloxtrApp(settings)
    app.is_transient = database.is_transient
    app.on_open(lambda: database.open_database(settings))
    app.on_close(database.close_database)
    payments.register(app)
    webhooks.register(app, provider_refs.register(app))
    outbox.register(app)
    try:
        async with running(app):
            escrow_id = ids.escrow_id_for(str(ids.uuid7()))
            yield Payments(app, stripe, settings, escrow_id, calls)
    finally:
        await stripe.stop()


async def test_from_an_order_to_money_and_a_chargeback(settings: Settings) -> None:
    async with started(settings) as agents:
        world = agents.stripe.world
        await agents.order_intent()
        await until_true(lambda: agents.said("payment_intent_created"))
        (intent,) = world.all("payment_intent", transfer_group=agents.escrow_id)
        reference = intent["id"].encode()

        async def learned() -> bool:
            known = agents.app.table_of[provider_refs.NAME].value_of(reference)
            return provider_refs.escrow_of(known) == agents.escrow_id

        await until_true(learned)

        world.pay(intent["id"])
        # A dispute names no escrow: only what was learned about the payment leads to it.
        dispute = world.open_dispute(world.all("charge")[0]["id"], "fraudulent")
        world.close_dispute(dispute["id"], won=True)
        for event in (*agents.calls, *reversed(agents.calls)):
            await agents.call(event)
        await until_true(
            lambda: agents.said(
                "payment_intent_created",
                "payment_succeeded",
                "chargeback_opened",
                "chargeback_closed",
            )
        )

        async def all_ended() -> bool:
            statuses = await agents.statuses()
            return len(statuses) == len(agents.calls) and set(statuses.values()) <= {
                "HANDLED",
                "IGNORED",
            }

        await until_true(all_ended)


async def test_calls_without_an_escrow_accounts_and_nonsense(settings: Settings) -> None:
    async with started(settings) as agents:
        await _insert_seller(SELLER)
        add_account(agents.stripe, SELLER)
        stray = _event("payment_intent.succeeded", {"id": "pi_x", "object": "payment_intent"})
        odd = _event("refund.updated", {"id": 7, "object": "refund"})
        for event in (stray, _event("some.thing", {"id": "x_1"}), *agents.calls):
            await agents.call(event)

        async def verified() -> bool:
            row = await database.fetchrow("SELECT status FROM payout_methods")
            return row is not None and row["status"] == "VERIFIED"

        await until_true(verified)

        async def sorted_out() -> bool:
            statuses = await agents.statuses()
            return sorted(statuses.values()) == ["IGNORED", "IGNORED", "UNMATCHED"]

        await until_true(sorted_out)
        tasks = await database.fetch("SELECT kind, subject_id FROM staff_tasks")
        assert [(task["kind"], task["subject_id"]) for task in tasks] == [
            ("RECONCILIATION", stray["id"])
        ]
        body = json.dumps(odd).encode()
        message = webhook.WebhookEvent(
            metadata=metadata.new(common.PRODUCER_WEB, agents.app.clock.now()),
            provider=common.PROVIDER_STRIPE,
            provider_payment_id="re_1",
            call=webhook.ProviderCall(
                provider_event_id=odd["id"], type=odd["type"], raw=body, received_at=None
            ),
        )
        await agents.app.publisher.publish(WEBHOOK_EVENTS, message)

        async def dead_lettered() -> bool:
            found = await messages_of(settings, _dlq())
            return [letter.error_type for letter in found] == [common.DEAD_LETTER_KIND_POISON]

        await until_true(dead_lettered)


def _event(kind: str, subject: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"evt_{kind}",
        "object": "event",
        "type": kind,
        "data": {"object": subject},
    }


def _dlq() -> Any:
    from dataclasses import replace

    return replace(WEBHOOK_EVENTS, name=WEBHOOK_EVENTS.dlq, message=common.DeadLetter)


async def _insert_seller(account: str) -> None:
    async with database.transaction() as tx:
        user_id = await tx.fetchval(
            "INSERT INTO users (id, display_name) VALUES (gen_random_uuid(), 'Sam') RETURNING id"
        )
        await tx.execute(
            "INSERT INTO payout_methods (id, user_id, kind, external_ref, status) "
            "VALUES (gen_random_uuid(), $1, 'STRIPE_ACCOUNT', $2, 'PENDING')",
            user_id,
            account,
        )
