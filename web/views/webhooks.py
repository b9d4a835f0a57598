"""Calls of payment providers: signature first, then the broker has it, then 200.

Needs no PostgreSQL, so that a database outage loses no call.
"""

from bloxtr8 import ids
from bloxtr8.errors import MalformedJson, RateLimited, Unavailable, WebhookSignatureInvalid
from bloxtr8.messaging import metadata
from bloxtr8.messaging.topics import WEBHOOK_EVENTS
from bloxtr8.payments.webhook_signatures import (
    BODY_BYTES_MAX,
    BadWebhook,
    WebhookName,
    name_stripe,
    verify_stripe,
    without_secrets,
)
from bloxtr8.telemetry import WEBHOOKS
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.webhook.v1 import webhook_pb2 as webhook
from web.addresses import client_address
from web.body import read_raw
from web.call import Call
from web.limits import RateClass
from web.routes import Reply, Route, Who

_STRIPE = "stripe"


async def stripe(call: Call) -> Reply:
    """Take a call of Stripe; a repetition is taken like any other and dropped by the agents."""
    raw = await read_raw(call.request, BODY_BYTES_MAX)
    _verify(call, raw)
    _count(call)
    try:
        name, raw = name_stripe(raw), without_secrets(raw)
    except BadWebhook as error:
        WEBHOOKS.labels(_STRIPE, "malformed").inc()
        raise MalformedJson from error
    try:
        await call.deps.process.publisher.publish(WEBHOOK_EVENTS, _event(call, name, raw))
    except Exception as error:
        # Whatever keeps it from the broker: Stripe must call again.
        WEBHOOKS.labels(_STRIPE, "unavailable").inc()
        raise Unavailable(retry_after_s=5) from error
    WEBHOOKS.labels(_STRIPE, "taken").inc()
    return Reply({"received": True})


def _verify(call: Call, raw: bytes) -> None:
    header = call.request.headers.get("Stripe-Signature", "")
    try:
        verify_stripe(raw, header, call.deps.settings.stripe.webhook_secrets)
    except WebhookSignatureInvalid:
        WEBHOOKS.labels(_STRIPE, "unsigned").inc()
        address = client_address(call.request, call.deps.proxies)
        call.deps.limiter.take_from(RateClass.HOOK_BAD, address)
        raise


def _count(call: Call) -> None:
    try:
        call.deps.limiter.take(RateClass.HOOK_IN, _STRIPE)
    except RateLimited:
        WEBHOOKS.labels(_STRIPE, "limited").inc()
        raise


def _event(call: Call, name: WebhookName, raw: bytes) -> webhook.WebhookEvent:
    # The same call has the same id, however often it comes.
    message_id = str(ids.derived("webhook", _STRIPE, name.provider_event_id))
    return webhook.WebhookEvent(
        metadata=metadata.new(
            common.PRODUCER_WEB, call.now, traceparent=call.traceparent, message_id=message_id
        ),
        provider=common.PROVIDER_STRIPE,
        provider_payment_id=name.provider_payment_id,
        call=webhook.ProviderCall(
            provider_event_id=name.provider_event_id,
            type=name.type,
            raw=raw,
            received_at=metadata.timestamp(call.now),
        ),
    )


ROUTES = (Route("POST", "/webhooks/stripe", stripe, Who.ANYONE, "Calls of Stripe", None),)
