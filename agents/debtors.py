"""The debtors agent: whose trade is charged back after the payout is frozen, as staff freeze."""

from typing import Any

from bloxtr8.access.tokens import TokenKeys
from bloxtr8.market.asking import Trading
from bloxtr8.market.debtors import freeze_seller, is_owed
from bloxtr8.market.freezing import Freezing
from bloxtr8.market.market import make_market
from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.messaging.handling import Delivery, Transient
from bloxtr8.messaging.topics import ESCROW_EVENTS
from bloxtr8.store.database import Transaction, run_in_transaction
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowEvent


def register(app: BloxtrApp) -> None:
    freezing = _freezing(app)

    async def handle(message: Any, _delivery: Delivery) -> None:
        assert isinstance(message, EscrowEvent)
        if not is_owed(message):
            return

        async def work(tx: Transaction) -> None:
            await freeze_seller(tx, freezing, message, app.clock.now())

        try:
            await run_in_transaction(work)
        except LookupError as error:
            # The mirror reads the same topic and is a little behind.
            raise Transient(str(error)) from None

    app.handle(ESCROW_EVENTS, handle, name="debtors")


def _freezing(app: BloxtrApp) -> Freezing:
    """Return freezing as the market has it, with holds ordered by Bloxtr8 itself."""
    settings, trading = app.settings, Trading()
    keys = TokenKeys.load(settings.keys.directory, create=settings.keys.create)
    signer = app.keyring.signer(common.PRODUCER_WEB)
    market = make_market(settings, app.clock, keys, signer, trading.effects)
    app.on_close(market.close)
    trading.open(market, app.keyring)
    operator = app.keyring.signer(common.PRODUCER_OPERATOR)
    return Freezing(market.events, operator, trading.effects.frozen)
