"""Asking Roblox: fixed hosts, its rate limits, few repetitions, and leaving it alone when ill."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import structlog

from bloxtr8 import telemetry
from bloxtr8.clock import Clock
from bloxtr8.config import RobloxSettings
from bloxtr8.outbound import Answer, Ask, Outbound, Unreachable
from bloxtr8.payments.breaker import Breaker
from bloxtr8.roblox.limits import Bucket

ACTION_S = 8.0
BACKGROUND_S = 60.0
_IN_FLIGHT_MAX = 10
_WAITING_MAX = 200
_WAIT_S_MAX = 3.0
_PAUSES_S = (0.5, 2.0)
_PAUSE_ASKED_S_MAX = 300.0
_GATEWAY = frozenset({502, 503, 504})

_log = structlog.get_logger(__name__)


class Host(Enum):
    """Name and calls a minute of what has a limit of its own."""

    UNIVERSES = ("apis", 80)
    APIS = ("apis", 120)
    GAMES = ("games", 60)
    GROUPS = ("groups", 60)
    USERS = ("users", 60)
    THUMBNAILS = ("thumbnails", 60)

    def __init__(self, host: str, per_minute: int) -> None:
        self.host = host
        self.per_minute = per_minute


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `keyed`: with our Open Cloud key; `token`: with a person's own instead.

    `name` is a label of bounded values.
    """

    name: str
    host: Host
    path: str
    params: dict[str, str] = field(default_factory=dict)
    keyed: bool = False
    token: str = field(default="", repr=False)
    document: Any = None

    @property
    def identity(self) -> tuple[Any, ...]:
        """What two calls with the same answer have in common."""
        params = tuple(sorted(self.params.items()))
        return (self.host.host, self.path, params, str(self.document), self.token)


class RobloxUnknown(Exception):
    """Roblox did not say: no answer, too busy, an error, or something that makes no sense."""

    def __init__(self, reason: str, retry_after_s: float = 30.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s


class RobloxClient:
    """Makes the calls. `sleep` and `monotonic` are the event loop's own outside of tests."""

    def __init__(
        self,
        settings: RobloxSettings,
        http: Outbound,
        clock: Clock,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._http = http
        self._sleep = sleep
        self._api_key = settings.api_key.get_secret_value()
        self._bases = {
            "apis": settings.apis_base.rstrip("/"),
            "games": settings.games_base.rstrip("/"),
            "groups": settings.groups_base.rstrip("/"),
            "users": settings.users_base.rstrip("/"),
            "thumbnails": settings.thumbnails_base.rstrip("/"),
        }
        self._buckets = {
            host: Bucket(host.per_minute / settings.processes, monotonic) for host in Host
        }
        self._breakers = {name: Breaker(f"roblox_{name}", clock) for name in self._bases}
        self._slots = asyncio.Semaphore(_IN_FLIGHT_MAX)
        self._shared: dict[tuple[Any, ...], asyncio.Task[Answer]] = {}

    @property
    def has_key(self) -> bool:
        """Whether Open Cloud can be asked at all."""
        return bool(self._api_key)

    async def ask(self, call: Call) -> Answer:
        """Return Roblox's answer: status 200 or a refusal (400, 401, 403, 404).

        Identical calls under way share one answer. Raises RobloxUnknown for anything else.
        """
        key = call.identity
        task = self._shared.get(key)
        if task is None:
            if len(self._shared) >= _WAITING_MAX:
                raise RobloxUnknown("busy")
            task = asyncio.create_task(self._asked(call), name=f"roblox {call.name}")
            self._shared[key] = task
            task.add_done_callback(lambda _: self._shared.pop(key, None))
            task.add_done_callback(_retrieve)
        # Whoever stops waiting does not take the answer from the others.
        return await asyncio.shield(task)

    async def _asked(self, call: Call) -> Answer:
        repeats = 0 if call.document is not None else len(_PAUSES_S)
        for attempt in range(repeats + 1):
            last = attempt == repeats
            wait_s = await self._once(call, last=last)
            if isinstance(wait_s, Answer):
                return wait_s
            await self._sleep(wait_s or random.uniform(0, _PAUSES_S[attempt]))  # noqa: S311
        raise AssertionError("the last attempt returns or raises")

    async def _once(self, call: Call, *, last: bool) -> Answer | float:
        """Return the answer, or the seconds to wait before trying again; 0: any short time."""
        breaker = self._breakers[call.host.host]
        if not breaker.allows():
            raise RobloxUnknown("circuit_open")
        async with self._slots:
            await self._turn(call.host)
            started = time.monotonic()
            try:
                answer = await self._http.ask(self._request(call))
            except Unreachable as error:
                self._observe(call, started, "unreachable")
                breaker.failed()
                if last:
                    raise RobloxUnknown(str(error)) from None
                return 0.0
        self._observe(call, started, str(answer.status))
        return self._judged(call, answer, breaker, last=last)

    def _judged(
        self, call: Call, answer: Answer, breaker: Breaker, *, last: bool
    ) -> Answer | float:
        if answer.status == 429:
            breaker.succeeded()
            asked_s = _asked_pause(answer)
            self._buckets[call.host].pause(asked_s)
            if last or asked_s > _WAIT_S_MAX:
                raise RobloxUnknown("rate_limited", asked_s)
            return asked_s
        if answer.status >= 500:
            breaker.failed()
            if last or answer.status not in _GATEWAY:
                raise RobloxUnknown(f"status_{answer.status}")
            return 0.0
        breaker.succeeded()
        if answer.status not in (200, 400, 401, 403, 404):
            raise RobloxUnknown(f"status_{answer.status}")
        return answer

    async def _turn(self, host: Host) -> None:
        """Wait for the host's next turn; raises RobloxUnknown when it is too far away."""
        waited_s = 0.0
        while (wait_s := self._buckets[host].wait_s()) > 0:
            waited_s += wait_s
            if waited_s > _WAIT_S_MAX:
                raise RobloxUnknown("rate_limited", wait_s)
            await self._sleep(wait_s)

    def _request(self, call: Call) -> Ask:
        headers: dict[str, str] = {}
        if call.token:
            headers["Authorization"] = f"Bearer {call.token}"
        elif call.keyed:
            headers["x-api-key"] = self._api_key
        return Ask(
            "GET" if call.document is None else "POST",
            self._bases[call.host.host] + call.path,
            params=call.params,
            headers=headers,
            document=call.document,
        )

    def _observe(self, call: Call, started: float, result: str) -> None:
        seconds = time.monotonic() - started
        telemetry.PROVIDER_CALL.labels("roblox", call.name, result).observe(seconds)


def _asked_pause(answer: Answer) -> float:
    """Return how long Roblox wants to be left alone: `retry-after`, else `x-ratelimit-reset`."""
    for name in ("retry-after", "x-ratelimit-reset"):
        # The latter may list several windows; the first is the shortest.
        text = answer.headers.get(name, "").split(",")[0].split(";")[0].strip()
        if text.isascii() and text.isdigit() and len(text) <= 6:
            return min(float(text), _PAUSE_ASKED_S_MAX)
    return _WAIT_S_MAX


def _retrieve(task: "asyncio.Task[Answer]") -> None:
    # Nobody may be waiting any more; the error is then nobody's.
    if not task.cancelled():
        task.exception()
