"""Delivery of the stand-in's events: signed, repeated until answered, and unruly on demand."""

import asyncio
import json
import random
from collections import deque
from dataclasses import dataclass

import aiohttp
from stripe import WebhookSignature

from bloxtr8.sandbox.stripe.wire import JSON

_IN_FLIGHT_MAX = 16
_WAITING_MAX = 20_000
_TRIES_MAX = 12
_BACK_OFF_S = 0.2
_BACK_OFF_MAX_S = 5.0
_TIMEOUT = aiohttp.ClientTimeout(total=10, connect=3)


@dataclass(slots=True)
class Unruliness:
    """How deliveries misbehave; all of it at once if wanted."""

    copies: int = 1
    shuffle: bool = False  # each delivery waits a random while, so order is lost
    hold: bool = False  # nothing leaves until `release`
    drop: bool = False  # nothing is delivered; the events API still knows them


class WebhookSender:
    """Delivers events to one endpoint, oldest first unless told to misbehave."""

    def __init__(self, url: str, secret: str, *, seed: int = 0) -> None:
        self._url = url
        self._secret = secret
        self._random = random.Random(seed)  # noqa: S311 - order, not secrets
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(_IN_FLIGHT_MAX)
        self._session: aiohttp.ClientSession | None = None
        self.unruly = Unruliness()
        self.held: deque[JSON] = deque(maxlen=_WAITING_MAX)
        self.delivered = 0
        self.refused = 0

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def send(self, event: JSON) -> None:
        """Deliver `event` in the background, as the present unruliness says."""
        if not self._url or self.unruly.drop:
            return
        if self.unruly.hold:
            self.held.append(event)
            return
        self._spawn(event)

    def release(self, order: list[str] | None = None) -> int:
        """Send what is held, in the order of the ids given (default: as it came)."""
        waiting = {event["id"]: event for event in self.held}
        self.held.clear()
        chosen = [waiting[ref] for ref in order or list(waiting) if ref in waiting]
        for event in chosen:
            self._spawn(event)
        return len(chosen)

    async def idle(self) -> None:
        """Wait until every delivery so far has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _spawn(self, event: JSON) -> None:
        for _ in range(self.unruly.copies):
            if len(self._tasks) >= _WAITING_MAX:
                self.refused += 1
                return
            delay = self._random.random() * 0.3 if self.unruly.shuffle else 0.0
            task = asyncio.create_task(self._deliver(event, delay))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, event: JSON, delay: float) -> None:
        await asyncio.sleep(delay)
        body = json.dumps(event, indent=2)
        pause = _BACK_OFF_S
        for _ in range(_TRIES_MAX):
            async with self._slots:
                if await self._post(body):
                    self.delivered += 1
                    return
            await asyncio.sleep(pause)
            pause = min(pause * 2, _BACK_OFF_MAX_S)
        self.refused += 1

    async def _post(self, body: str) -> bool:
        assert self._session is not None, "the sender was started"
        # Signed afresh each time, with the real time: the signature's age is about transport.
        header = WebhookSignature.generate_signature_header(body, self._secret)
        headers = {"Stripe-Signature": header, "Content-Type": "application/json; charset=utf-8"}
        try:
            async with self._session.post(
                self._url, data=body.encode(), headers=headers
            ) as response:
                return 200 <= response.status < 300
        except (aiohttp.ClientError, TimeoutError):
            return False
