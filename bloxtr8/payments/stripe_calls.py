"""Calls to Stripe: time-outs, a few repetitions with the same key, the circuit breaker."""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import stamina
import stripe

from bloxtr8 import telemetry
from bloxtr8.clock import Clock
from bloxtr8.config import StripeSettings
from bloxtr8.payments.breaker import Breaker
from bloxtr8.payments.rails import Failed, Unknown

API_VERSION = "2026-10-28.endive"
_RETRY_AFTER_MAX_S = 5.0
_CONNECTIONS_MAX = 100

# The library reads and decodes bodies outside of its own error handling, so the transport's
# errors and those of undecodable answers show.
_BROKEN = (stripe.APIConnectionError, aiohttp.ClientError, TimeoutError, ValueError)
# The library writes whole answers, client secrets included, at DEBUG.
logging.getLogger("stripe").setLevel(logging.WARNING)
JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CallLimits:
    connect_s: float = 3.0
    total_s: float = 10.0
    tries: int = 3
    pause_first_s: float = 0.2
    pause_max_s: float = 2.0


class StripeCalls:
    """A client with one pinned API version, and `ask`, the one way to use it."""

    def __init__(
        self, settings: StripeSettings, clock: Clock, limits: CallLimits | None = None
    ) -> None:
        self._limits = limits or CallLimits()
        self.breaker = Breaker("STRIPE", clock)
        timeout = aiohttp.ClientTimeout(
            total=self._limits.total_s, sock_connect=self._limits.connect_s
        )
        self._http = stripe.AIOHTTPClient(timeout=timeout)
        self.client = stripe.StripeClient(
            settings.api_key.get_secret_value() or "none",
            stripe_version=API_VERSION,
            base_addresses={"api": settings.api_base},
            http_client=self._http,
            max_network_retries=0,
        )
        self.v1 = self.client.v1

    async def close(self) -> None:
        await self._http.close_async()  # type: ignore[no-untyped-call]

    async def ask(self, name: str, call: Callable[[], Awaitable[Any]]) -> JSON | Failed | Unknown:
        """Return the object that `call` answers, as plain JSON; repeat what may be repeated.

        `call` must use the same idempotency key each time it is called.
        """
        started = time.monotonic()
        outcome = await self._guarded(call)
        result = {Failed: "failed", Unknown: "unknown"}.get(type(outcome), "ok")
        telemetry.PROVIDER_CALL.labels(provider="STRIPE", call=name, result=result).observe(
            time.monotonic() - started
        )
        return outcome

    async def _guarded(self, call: Callable[[], Awaitable[Any]]) -> JSON | Failed | Unknown:
        if not self.breaker.allows():
            return Unknown("CIRCUIT_OPEN")
        try:
            answer = await self._repeated(call)
        except _BROKEN as error:
            self.breaker.failed()
            return Unknown(f"CONNECTION: {type(error).__name__}")
        except stripe.StripeError as error:
            return self._refusal(error)
        self.breaker.succeeded()
        if not isinstance(answer.get("object"), str):
            return Unknown("UNREADABLE")
        return answer

    async def _repeated(self, call: Callable[[], Awaitable[Any]]) -> JSON:
        limits = self._limits
        async for attempt in stamina.retry_context(
            on=_pause_before_retry,
            attempts=limits.tries,
            timeout=None,
            wait_initial=limits.pause_first_s,
            wait_max=limits.pause_max_s,
            wait_jitter=limits.pause_first_s,
        ):
            with attempt:
                answer = await call()
                plain: JSON = answer.to_dict()
        return plain

    def _refusal(self, error: stripe.StripeError) -> Failed | Unknown:
        status = error.http_status or 0
        if _is_server_error(error):
            self.breaker.failed()
            return Unknown(f"HTTP_{status}")
        self.breaker.succeeded()
        code = error.code or (error.error.code if error.error is not None else None) or "refused"
        # 400, 402 and 404 are Stripe's no. A key used with other parameters, wrong credentials
        # or too many requests say nothing about the operation itself.
        final = isinstance(error, stripe.InvalidRequestError | stripe.CardError)
        return Failed(str(code)[:60]) if final else Unknown(f"HTTP_{status}: {str(code)[:60]}")


def _is_server_error(error: stripe.StripeError) -> bool:
    # An answer that is no JSON has a good status and an APIError.
    status = error.http_status or 0
    return status >= 500 or (type(error) is stripe.APIError and 200 <= status < 300)


def _pause_before_retry(error: Exception) -> bool | float:
    if isinstance(error, stripe.RateLimitError):
        return _retry_after_s(error)
    if isinstance(error, stripe.StripeError) and not isinstance(error, stripe.APIConnectionError):
        return _is_server_error(error) or error.http_status == 409
    return isinstance(error, _BROKEN)


def _retry_after_s(error: stripe.StripeError) -> bool | float:
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    text = headers.get("retry-after", "")
    if not (text.isascii() and text.isdigit()):
        return True
    return min(float(text), _RETRY_AFTER_MAX_S)
