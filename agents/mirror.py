"""The mirror agent: events of escrows and payments into PostgreSQL, in groups."""

from typing import Any

from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.messaging.handling import Delivery
from bloxtr8.messaging.topics import ESCROW_EVENTS, PAYMENTS_EVENTS
from bloxtr8.store.mirror import Mirror


def register(app: BloxtrApp) -> Mirror:
    mirror = Mirror(app.clock)

    async def handle(message: Any, _delivery: Delivery) -> None:
        await mirror.write(message)

    app.handle(ESCROW_EVENTS, handle, name="mirror_escrow")
    app.handle(PAYMENTS_EVENTS, handle, name="mirror_payments")
    return mirror
