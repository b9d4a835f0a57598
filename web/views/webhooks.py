"""Calls of payment providers: signature first, then the broker has it, then 200.

Needs no PostgreSQL, so that a database outage loses no call.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from bloxtr8 import ids
from bloxtr8.errors import MalformedJson, RateLimited, Unavailable, WebhookSignatureInvalid
from bloxtr8.messaging import metadata
from bloxtr8.messaging.topics import WEBHOOK_EVENTS
from bloxtr8.payments.usdc.custodian_webhooks import BadCall, name_custodian, verify_custodian
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
from web.headers import ALLOWANCE
from web.limits import RateClass
from web.routes import Handler, Reply, Route, Who
from web.system_answers import Received

_STRIPE, _CUSTODIAN = "stripe", "custodian"
_PROVIDERS = {_STRIPE: common.PROVIDER_STRIPE, _CUSTODIAN: common.PROVIDER_CUSTODIAN}


async def stripe(call: Call) -> Reply:
    """Take a call of Stripe; a repetition is taken like any other and dropped by the agents."""
    raw = await read_raw(call.request, BODY_BYTES_MAX)
    settings = call.deps.settings.stripe
    header = call.request.headers.get("Stripe-Signature", "")
    with _counted(call, _STRIPE):
        # The account's own endpoint and that of connected accounts, each with its secrets.
        verify_stripe(raw, header, settings.webhook_secrets + settings.connect_webhook_secrets)
    try:
        name, raw = name_stripe(raw), without_secrets(raw)
    except BadWebhook as error:
        WEBHOOKS.labels(_STRIPE, "malformed").inc()
        raise MalformedJson from error
    return await _take(call, _STRIPE, name, raw)


async def custodian(call: Call) -> Reply:
    """Take a call of the custodian."""
    raw = await read_raw(call.request, BODY_BYTES_MAX)
    headers, secrets = call.request.headers, call.deps.settings.custodian.webhook_secrets
    timestamp, signature = headers.get("X-Timestamp", ""), headers.get("X-Signature", "")
    with _counted(call, _CUSTODIAN):
        # The age is about the call's way here, so it is measured with the machine's clock.
        verify_custodian(raw, timestamp, signature, secrets, datetime.now(UTC))
    try:
        named = name_custodian(raw)
    except BadCall as error:
        WEBHOOKS.labels(_CUSTODIAN, "malformed").inc()
        raise MalformedJson from error
    return await _take(call, _CUSTODIAN, WebhookName(named.event_id, named.about, named.type), raw)


async def _take(call: Call, provider: str, name: WebhookName, raw: bytes) -> Reply:
    try:
        event = _event(call, provider, name, raw)
        await call.deps.process.publisher.publish(WEBHOOK_EVENTS, event)
    except Exception as error:
        # Whatever keeps it from the broker: the provider must call again.
        WEBHOOKS.labels(provider, "unavailable").inc()
        raise Unavailable(retry_after_s=5) from error
    WEBHOOKS.labels(provider, "taken").inc()
    return Reply({"received": True})


@contextmanager
def _counted(call: Call, provider: str) -> Iterator[None]:
    """Count a call against its provider's limit, or its address's when it is not signed."""
    try:
        yield
    except WebhookSignatureInvalid:
        WEBHOOKS.labels(provider, "unsigned").inc()
        address = client_address(call.request, call.deps.proxies)
        call.request[ALLOWANCE] = call.deps.limiter.take_from(RateClass.HOOK_BAD, address)
        raise
    try:
        call.request[ALLOWANCE] = call.deps.limiter.take(RateClass.HOOK_IN, provider)
    except RateLimited:
        WEBHOOKS.labels(provider, "limited").inc()
        raise


def _event(call: Call, provider: str, name: WebhookName, raw: bytes) -> webhook.WebhookEvent:
    # The same call has the same id, however often it comes.
    message_id = str(ids.derived("webhook", provider, name.provider_event_id))
    return webhook.WebhookEvent(
        metadata=metadata.new(
            common.PRODUCER_WEB, call.now, traceparent=call.traceparent, message_id=message_id
        ),
        provider=_PROVIDERS[provider],
        provider_payment_id=name.provider_payment_id,
        call=webhook.ProviderCall(
            provider_event_id=name.provider_event_id,
            type=name.type,
            raw=raw,
            received_at=metadata.timestamp(call.now),
        ),
    )


def _route(provider: str, handler: Handler, summary: str) -> Route:
    path = f"/webhooks/{provider}"
    return Route("POST", path, handler, Who.ANYONE, summary, None, answer=Received)


ROUTES = (
    _route(_STRIPE, stripe, "Calls of Stripe"),
    _route(_CUSTODIAN, custodian, "Calls of the custodian"),
)
