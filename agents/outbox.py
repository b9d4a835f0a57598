"""What leaves PostgreSQL for the stream: the outbox, and commands that did not get out."""

from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.store.operations import Sweeper
from bloxtr8.store.outbox import Relay


def register(app: BloxtrApp) -> None:
    app.background("outbox", Relay(app.publisher, app.clock).run)
    app.background("operations", Sweeper(app.publisher, app.clock).run)
