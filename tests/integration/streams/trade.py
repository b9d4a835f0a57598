"""The escrow agent of a real worker, and a trade to put before it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bloxtr8 import ids
from bloxtr8.config import Settings
from bloxtr8.messaging import metadata
from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.store import database
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.payments.v1 import payments_pb2 as payments
from tests.unit.escrow.trade import create_body

PRICE_MINOR = 125_000


def escrow_app(settings: Settings) -> BloxtrApp:
    """Return an app with table, escrow agent and deadline service, and nothing else."""
    from agents import deadlines, escrow
    from tables import escrows

    app = BloxtrApp(settings)
    app.is_transient = database.is_transient
    app.on_open(lambda: database.open_database(settings))
    app.on_close(database.close_database)
    escrow.register(app, escrows.register(app), deadlines.register(app))
    return app


@dataclass(frozen=True)
class Trade:
    """One escrow's ids and messages."""

    contract_id: str = field(default_factory=lambda: str(ids.uuid7()))
    buyer: str = field(default_factory=lambda: str(ids.uuid7()))
    seller: str = field(default_factory=lambda: str(ids.uuid7()))

    @property
    def escrow_id(self) -> str:
        return ids.escrow_id_for(self.contract_id)

    @property
    def key(self) -> bytes:
        return self.escrow_id.encode()

    def create(self) -> commands.EscrowCommand:
        body = create_body(
            contract_id=self.contract_id,
            buyer=commands.Party(user_id=self.buyer, tier=1),
            seller=commands.Party(user_id=self.seller, tier=1),
            price=common.Money(minor=PRICE_MINOR, currency=common.CURRENCY_USD),
        )
        return commands.EscrowCommand(
            metadata=metadata.new(common.PRODUCER_CONTRACTS, datetime.now(UTC)),
            escrow_id=self.escrow_id,
            actor=common.Actor(kind=common.ACTOR_KIND_SYSTEM),
            create_escrow=body,
        )

    def says(self, who: str, **body: Any) -> commands.EscrowCommand:
        """Return a command of buyer, seller or a stranger, as the web sends it."""
        user_id = {"buyer": self.buyer, "seller": self.seller}.get(who) or str(ids.uuid7())
        return commands.EscrowCommand(
            metadata=metadata.new(common.PRODUCER_WEB, datetime.now(UTC)),
            escrow_id=self.escrow_id,
            actor=common.Actor(kind=common.ACTOR_KIND_USER, user_id=user_id),
            **body,
        )

    def cancel(self) -> commands.EscrowCommand:
        return self.says(
            "buyer", cancel_escrow=commands.CancelEscrow(reason=types.CANCEL_REASON_CHANGED_MIND)
        )

    def paid(self, amount_minor: int) -> payments.PaymentEvent:
        return payments.PaymentEvent(
            metadata=metadata.new(common.PRODUCER_PAYMENTS, datetime.now(UTC)),
            escrow_id=self.escrow_id,
            payment_succeeded=payments.PaymentSucceeded(
                operation_id=ids.operation_id_for(self.escrow_id, "INTENT", 1),
                payment_ref="pi_1",
                amount=common.Money(minor=amount_minor, currency=common.CURRENCY_USD),
            ),
        )
