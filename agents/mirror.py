"""The mirror agent: events of escrows and payments into PostgreSQL, in groups."""

import asyncio
from typing import Any

from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.messaging.handling import Delivery, Transient
from bloxtr8.messaging.topics import ESCROW_EVENTS, PAYMENTS_EVENTS
from bloxtr8.store.mirror import Mirror
from bloxtr8.store.mirror_fold import MirrorGap

# Who catches up reads payments' events sooner than escrows', of which there are more: what an
# event of money rests on is then still on its way. Below the grace that a worker has to stop.
PATIENCE_S = 60.0


class _Payments:
    """Events of payments, which wait for their escrow's without an order between the topics."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        # Of each partition the offset that waits, and since when (seconds of the loop).
        self._waiting: dict[int, tuple[int, float]] = {}

    async def handle(self, message: Any, delivery: Delivery) -> None:
        try:
            await self._mirror.write(message)
        except MirrorGap as gap:
            if self._waited_s(delivery) < PATIENCE_S:
                raise Transient(str(gap)) from None
            raise
        self._waiting.pop(delivery.partition, None)

    def _waited_s(self, delivery: Delivery) -> float:
        now = asyncio.get_running_loop().time()
        offset, since = self._waiting.get(delivery.partition, (delivery.offset, now))
        if offset != delivery.offset:
            since = now
        self._waiting[delivery.partition] = (delivery.offset, since)
        return now - since


def register(app: BloxtrApp) -> Mirror:
    mirror = Mirror(app.clock)

    async def handle(message: Any, _delivery: Delivery) -> None:
        await mirror.write(message)

    app.handle(ESCROW_EVENTS, handle, name="mirror_escrow")
    app.handle(PAYMENTS_EVENTS, _Payments(mirror).handle, name="mirror_payments")
    return mirror
