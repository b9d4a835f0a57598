"""The listings agent: a trade's end, or that it cannot begin, reaches its listing.

Time reaches listings and offers.
"""

from functools import partial
from typing import Any

from bloxtr8.access.tokens import TokenKeys
from bloxtr8.contracts import voiding
from bloxtr8.market import handovers, reservations
from bloxtr8.market.actors import Actor
from bloxtr8.market.asking import Trading
from bloxtr8.market.clockwork import Sweep, Sweeper, forever
from bloxtr8.market.handovers import HandoverChecks
from bloxtr8.market.market import make_market
from bloxtr8.market.place import Change, Marketplace
from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.messaging.handling import Delivery
from bloxtr8.messaging.topics import ESCROW_EVENTS
from bloxtr8.store.database import Transaction, run_in_transaction
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowEvent

_HANDOVERS_EVERY_S = 15.0


def register(app: BloxtrApp) -> Marketplace:
    """Register the agent; return the marketplace of this process for the other parts."""
    place = _marketplace(app)

    async def handle(message: Any, _delivery: Delivery) -> None:
        assert isinstance(message, EscrowEvent)
        ended = reservations.outcome_of(message) is not None
        refused = voiding.is_refused_beginning(message)
        if not (ended or refused or handovers.concerns(message)):
            return

        async def work(tx: Transaction) -> None:
            change = Change(tx, Actor.system(), place, app.clock.now())
            await voiding.for_refused_escrow(change, message)
            await reservations.apply(change, message)
            if handovers.concerns(message):
                await handovers.apply(tx, message, change.now)

        await run_in_transaction(work)

    checks = Sweep(
        "handovers", _HANDOVERS_EVERY_S, HandoverChecks(place).check, handovers.BATCH_MAX
    )
    app.handle(ESCROW_EVENTS, handle, name="listings")
    app.background("marketplace", Sweeper(place).run)
    app.background("handovers", partial(forever, checks))
    return place


def _marketplace(app: BloxtrApp) -> Marketplace:
    settings, trading = app.settings, Trading()
    keys = TokenKeys.load(settings.keys.directory, create=settings.keys.create)
    signer = app.keyring.signer(common.PRODUCER_WEB)
    market = make_market(settings, app.clock, keys, signer, trading.effects)
    app.on_close(market.close)
    return trading.open(market, app.keyring)
