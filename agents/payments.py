"""The payments agent: orders become operations, operations are carried out beside it."""

from typing import Any

from bloxtr8 import ids
from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.messaging.handling import Delivery, Refused
from bloxtr8.messaging.topics import PAYMENTS_COMMANDS
from bloxtr8.payments import alarms
from bloxtr8.payments.executor import Executor
from bloxtr8.payments.pg_store import PostgresStore
from bloxtr8.payments.rails import Rail
from bloxtr8.payments.service import BadCommand, PaymentService
from bloxtr8.payments.stripe_rail import StripeRail
from bloxtr8.payments.usdc import wiring
from proto.bloxtr8.common.v1 import common_pb2 as common


def register(app: BloxtrApp) -> None:
    """Consume `payments.commands.v1`, and carry out what is due from start to stop."""
    store = PostgresStore(app.keyring.signer(common.PRODUCER_PAYMENTS), app.clock)
    stripe = StripeRail(app.settings.stripe, app.clock)
    rails: dict[str, Rail] = {"STRIPE": stripe}
    executor = Executor(
        store,
        rails,
        app.clock,
        owner=app.settings.kafka.instance_id or str(ids.uuid7()),
        livemode=app.settings.stripe.livemode,
    )
    service = PaymentService(store, app.clock, executor.wake)

    async def handle(message: Any, _: Delivery) -> None:
        try:
            await service.handle(message)
        except BadCommand as error:
            raise Refused(common.DEAD_LETTER_KIND_POISON, str(error)) from None

    app.handle(PAYMENTS_COMMANDS, handle, name="payments")
    app.background("payments-executor", executor.run)
    app.background("payments-alarms", lambda: alarms.watch(app.clock))
    app.on_close(stripe.close)
    if wiring.is_set_up(app.settings):
        usdc = wiring.put_together(app.settings, store, app.clock, executor.wake)
        rails["USDC_BASE"] = usdc.rail
        for name, loop in usdc.loops.items():
            app.background(name, loop)
        app.on_close(usdc.close)
