"""Is this call Stripe's, and what is it about: over the raw bytes, before anything else.

Both functions are pure and quick, so that the web view needs neither the database nor Stripe.
Source: docs.stripe.com/webhooks, "Verify webhook signatures manually".
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import stripe
from pydantic import SecretStr

from bloxtr8.errors import WebhookSignatureInvalid
from bloxtr8.payments import stripe_objects as objects
from bloxtr8.payments.facts import read_event
from bloxtr8.payments.stripe_objects import BadObject

BODY_BYTES_MAX = 256 * 1024
TOLERANCE_SECONDS = 300
# Two endpoints, each with two secrets during rotation.
SECRETS_MAX = 4
_HEADER_CHARACTERS_MAX = 4096
_TYPE_CHARACTERS_MAX = 100
_UNSAID = "client_secret"

# Objects that name, in this field, the payment that they are about. All calls about one payment
# share its key, so they stay in order.
_ABOUT = {
    "charge": "payment_intent",
    "refund": "payment_intent",
    "dispute": "payment_intent",
}


class BadWebhook(Exception):
    """The signature is good and the body is not an event."""


@dataclass(frozen=True, slots=True)
class WebhookName:
    """What a call is called: its id, its type, and the key of `webhook.events.v1`."""

    provider_event_id: str
    provider_payment_id: str
    type: str


def verify_stripe(body: bytes, header: str, secrets: Sequence[SecretStr]) -> None:
    """Check `Stripe-Signature` over the raw body with each secret; raises WebhookSignatureInvalid.

    The age is measured with the machine's clock: it is about the call's way here.
    """
    assert len(secrets) <= SECRETS_MAX, "two endpoints with two secrets each during rotation"
    if len(body) > BODY_BYTES_MAX or len(header) > _HEADER_CHARACTERS_MAX or not header.isascii():
        raise WebhookSignatureInvalid
    # Every secret is tried, whichever fits, so that time tells nothing.
    fits = [_fits(body, header, secret.get_secret_value()) for secret in secrets]
    if not any(fits):
        raise WebhookSignatureInvalid


def name_stripe(body: bytes) -> WebhookName:
    """Return what the event `body` is called; raises BadWebhook."""
    try:
        event = read_event(body)
        kind = objects.text(event, "type")
        event_id = objects.text(event, "id")
        subject = objects.table(objects.table(event, "data"), "object")
        about = _ABOUT.get(objects.text(subject, "object", required=False), "")
        payment = objects.reference(subject, about) if about else ""
        key = payment or objects.text(subject, "id", required=False) or event_id
    except BadObject as error:
        raise BadWebhook(str(error)) from None
    if not (event_id + key + kind).isascii() or len(kind) > _TYPE_CHARACTERS_MAX:
        raise BadWebhook("ids and types are short and ASCII")
    return WebhookName(event_id, key, kind)


def without_secrets(body: bytes) -> bytes:
    """Return the event without the client secrets that Stripe writes into its intents.

    For after the signature was verified: what goes on a topic or into a table holds none.
    Raises BadWebhook.
    """
    if _UNSAID.encode() not in body:
        return body
    try:
        event = read_event(body)
        return json.dumps(_stripped(event), separators=(",", ":")).encode()
    except (BadObject, RecursionError) as error:
        raise BadWebhook(str(error)) from None


def _stripped(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _stripped(inner) for name, inner in value.items() if name != _UNSAID}
    if isinstance(value, list):
        return [_stripped(inner) for inner in value]
    return value


def _fits(body: bytes, header: str, secret: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(body, header, secret, TOLERANCE_SECONDS)
        return _signed_at(header) - time.time() <= TOLERANCE_SECONDS
    except (stripe.SignatureVerificationError, ValueError, OverflowError):
        # ValueError: a body that is not UTF-8 cannot have been signed by Stripe.
        return False


def _signed_at(header: str) -> int:
    """Return the time of a header that was verified, in seconds.

    The library refuses what is too old only: what is signed for next year would be good till then.
    """
    pairs = (part.partition("=") for part in header.split(","))
    return max(int(value) for name, _, value in pairs if name == "t")
