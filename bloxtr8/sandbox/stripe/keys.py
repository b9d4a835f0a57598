"""Idempotency keys as Stripe keeps them: the first answer again, parameters compared.

Source: docs.stripe.com/api/idempotent_requests. Answers are kept 24 hours, whatever they were,
once the request had begun to execute.
"""

from collections import OrderedDict
from dataclasses import dataclass

from bloxtr8.sandbox.stripe.wire import ApiError

KEPT_SECONDS = 24 * 3600
_KEYS_MAX = 100_000
_KEY_CHARACTERS_MAX = 255


@dataclass(slots=True)
class Kept:
    """`body` is None while the first request is still executing."""

    fingerprint: str
    since: int
    status: int = 0
    body: bytes | None = None


class IdempotencyKeys:
    def __init__(self) -> None:
        self._keys: OrderedDict[str, Kept] = OrderedDict()

    def begin(self, key: str, fingerprint: str, now: int) -> Kept | None:
        """Return the answer to repeat, or None and hold the key; raises ApiError."""
        if len(key) > _KEY_CHARACTERS_MAX:
            raise ApiError(400, "Idempotency keys are limited to 255 characters.")
        kept = self._keys.get(key)
        if kept is None or now - kept.since >= KEPT_SECONDS:
            self._keys[key] = Kept(fingerprint, now)
            self._trim()
            return None
        if kept.fingerprint != fingerprint:
            raise ApiError(
                400,
                "Keys for idempotent requests can only be used with the same parameters they "
                f"were first used with. Try using a key other than '{key}'.",
                type_="idempotency_error",
            )
        if kept.body is None:
            raise ApiError(
                409,
                "There is currently another in-progress request using this idempotency key.",
                type_="idempotency_error",
                code="idempotency_key_in_use",
            )
        return kept

    def finish(self, key: str, status: int, body: bytes) -> None:
        kept = self._keys[key]
        kept.status, kept.body = status, body

    def release(self, key: str) -> None:
        """The request did not begin to execute; the key is free again."""
        self._keys.pop(key, None)

    def clear(self) -> None:
        self._keys.clear()

    def _trim(self) -> None:
        while len(self._keys) > _KEYS_MAX:
            self._keys.popitem(last=False)
