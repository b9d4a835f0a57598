"""JSON over HTTP to a provider: time-outs, a few repetitions, limits, the circuit breaker."""

import json
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import stamina

from bloxtr8 import telemetry
from bloxtr8.clock import Clock
from bloxtr8.payments.breaker import Breaker

_RETRY_AFTER_MAX_S = 5.0
_TOO_MANY = 429
_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class Limits:
    connect_s: float = 3.0
    total_s: float = 10.0
    tries: int = 3
    pause_first_s: float = 0.2
    pause_max_s: float = 2.0
    answer_bytes: int = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """`raw` is the body as it came, `body` what it means."""

    status: int
    body: Any
    raw: bytes


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Time-out, broken connection, 429, 5xx, or something that nobody can read."""

    reason: str


@dataclass(frozen=True, slots=True)
class Request:
    """`name` is a label of bounded values. `body` is sent as JSON."""

    name: str
    method: str
    path: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class _TryAgain(Exception):
    def __init__(self, reason: str, pause_s: float | None = None) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


class JsonClient:
    """One provider at one address. `headers` go with each request and are never logged."""

    def __init__(
        self,
        provider: str,
        base: str,
        headers: dict[str, str],
        clock: Clock,
        limits: Limits | None = None,
    ) -> None:
        self._provider = provider
        self._base = base.rstrip("/")
        self._headers = headers
        self._limits = limits or Limits()
        self._session: aiohttp.ClientSession | None = None
        self.breaker = Breaker(provider, clock)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(self, request: Request) -> Answer | NoAnswer:
        """Return the answer, whatever its status below 500; repeat what got none.

        A POST is only safe here because the provider compares its `Idempotency-Key`, or because
        it has no effect.
        """
        if not self.breaker.allows():
            return NoAnswer("CIRCUIT_OPEN")
        started = time.monotonic()
        answer = await self._repeated(request)
        if isinstance(answer, Answer):
            self.breaker.succeeded()
        else:
            self.breaker.failed()
        result = "ok" if isinstance(answer, Answer) else "unknown"
        telemetry.PROVIDER_CALL.labels(
            provider=self._provider, call=request.name, result=result
        ).observe(time.monotonic() - started)
        return answer

    async def _repeated(self, request: Request) -> Answer | NoAnswer:
        limits = self._limits
        try:
            async for attempt in stamina.retry_context(
                on=_pause,
                attempts=limits.tries,
                timeout=None,
                wait_initial=limits.pause_first_s,
                wait_max=limits.pause_max_s,
                wait_jitter=limits.pause_first_s,
            ):
                with attempt:
                    answer = await self._once(request)
        except _TryAgain as error:
            return NoAnswer(str(error))
        return answer

    async def _once(self, request: Request) -> Answer:
        try:
            async with self._open().request(
                request.method,
                self._base + request.path,
                json=request.body,
                headers={**self._headers, **request.headers},
                # A provider's answer comes from the provider.
                allow_redirects=False,
            ) as response:
                raw = await self._body(response)
                if response.status == _TOO_MANY:
                    raise _TryAgain("HTTP_429", _retry_after_s(response))
                if response.status >= _SERVER_ERROR:
                    raise _TryAgain(f"HTTP_{response.status}")
                return Answer(response.status, _parsed(raw), raw)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _TryAgain(f"CONNECTION: {type(error).__name__}") from None

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        raw = bytearray()
        async for part in response.content.iter_any():
            raw += part
            if len(raw) > self._limits.answer_bytes:
                raise _TryAgain("TOO_LONG")
        return bytes(raw)

    def _open(self) -> aiohttp.ClientSession:
        # Made with the first request: a session belongs to the loop that runs it.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(
                    total=self._limits.total_s, sock_connect=self._limits.connect_s
                )
            )
        return self._session


def _pause(error: Exception) -> bool | float:
    if not isinstance(error, _TryAgain):
        return False
    return True if error.pause_s is None else error.pause_s


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise _TryAgain("UNREADABLE") from None


def _retry_after_s(response: aiohttp.ClientResponse) -> float | None:
    text = response.headers.get("Retry-After", "")
    return min(float(text), _RETRY_AFTER_MAX_S) if text.isascii() and text.isdigit() else None
