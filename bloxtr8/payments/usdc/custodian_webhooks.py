"""The custodian's calls: who sent them, and what they are called. What they say is asked back."""

import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from pydantic import SecretStr

from bloxtr8.errors import WebhookSignatureInvalid

BODY_BYTES_MAX = 256 * 1024
TOLERANCE_SECONDS = 300
SECRETS_MAX = 2
_TIMESTAMP_DIGITS_MAX = 12
_SIGNATURE_CHARACTERS = 64
_NAME_CHARACTERS_MAX = 100
DEPOSIT_TYPES = frozenset({"deposit.detected", "deposit.confirmed", "deposit.failed"})
TRANSFER_TYPES = frozenset({"transfer.completed", "transfer.failed"})


class BadCall(Exception):
    """The signature is good and the body is not an event."""


@dataclass(frozen=True, slots=True)
class CustodianCall:
    """`about` is the deposit address, or the operation id of a transfer: calls about one thing
    share it and stay in order."""

    event_id: str
    type: str
    about: str


def verify_custodian(
    body: bytes, timestamp: str, signature: str, secrets: Sequence[SecretStr], now: datetime
) -> None:
    """Check `X-Timestamp` and `X-Signature` over the raw body; raises WebhookSignatureInvalid."""
    assert len(secrets) <= SECRETS_MAX, "two secrets during rotation, else one"
    shaped = (
        len(body) <= BODY_BYTES_MAX
        and timestamp.isascii()
        and timestamp.isdigit()
        and len(timestamp) <= _TIMESTAMP_DIGITS_MAX
        and signature.isascii()
        and len(signature) == _SIGNATURE_CHARACTERS
    )
    if not shaped or abs(now.timestamp() - int(timestamp)) > TOLERANCE_SECONDS:
        raise WebhookSignatureInvalid
    signed = timestamp.encode() + b"." + body
    # Every secret is tried, whichever fits, so that time tells nothing.
    fits = [
        hmac.compare_digest(_signature(secret, signed), signature.lower()) for secret in secrets
    ]
    if not any(fits):
        raise WebhookSignatureInvalid


def name_custodian(body: bytes) -> CustodianCall:
    """Return what a verified call is called; raises BadCall."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        raise BadCall("not JSON") from None
    kind = _text(event, "type")
    data = event.get("data")
    field = "address" if kind in DEPOSIT_TYPES else "reference" if kind in TRANSFER_TYPES else ""
    about = _text(data, field) if field else _text(event, "id")
    return CustodianCall(_text(event, "id"), kind, about)


def _signature(secret: SecretStr, signed: bytes) -> str:
    return hmac.new(secret.get_secret_value().encode(), signed, sha256).hexdigest()


def _text(body: Any, name: str) -> str:
    found = body.get(name) if isinstance(body, dict) else None
    if not isinstance(found, str) or not 0 < len(found) <= _NAME_CHARACTERS_MAX:
        raise BadCall(f"{name} is missing")
    if not (found.isascii() and found.isprintable()):
        raise BadCall(f"{name} is printable ASCII")
    return found
