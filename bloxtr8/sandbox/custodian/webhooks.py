"""The custodian's webhooks: signed, repeated until answered, and unruly on demand."""

import hmac
import json
import time
from hashlib import sha256

import aiohttp

from bloxtr8.sandbox.stripe.webhooks import WebhookSender


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """Return `X-Signature`: hex HMAC-SHA256 over the timestamp, a point and the raw body."""
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, sha256).hexdigest()


class CustodianWebhooks(WebhookSender):
    """Delivers like the other stand-ins; only the signature is the custodian's own."""

    async def _post(self, body: str) -> bool:
        assert self._session is not None, "the sender was started"
        raw = json.dumps(json.loads(body), separators=(",", ":")).encode()
        # Signed afresh each time, with the real time: the signature's age is about transport.
        timestamp = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "X-Timestamp": str(timestamp),
            "X-Signature": sign(self._secret, timestamp, raw),
        }
        try:
            async with self._session.post(self._url, data=raw, headers=headers) as response:
                return 200 <= response.status < 300
        except (aiohttp.ClientError, TimeoutError):
            return False
