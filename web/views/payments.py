"""What a buyer needs to pay, and what moved."""

from bloxtr8.errors import InvalidState, PaymentNotReady
from bloxtr8.money import currency_code
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from web import answers, present
from web.call import Call
from web.fields import money
from web.limits import RateClass
from web.routes import Reply, Route, Who

_PAYABLE = frozenset({types.ESCROW_STATE_AWAIT_FUNDS, types.ESCROW_STATE_FUNDS_REVIEW})


async def payment(call: Call) -> Reply:
    """The rail's data, with the client secret: for the buyer only, and never stored."""
    escrow = call.trade.escrow
    status = present.name(types.EscrowState, escrow.state)
    if escrow.state not in _PAYABLE:
        raise InvalidState(current_status=status)
    if escrow.rail != common.RAIL_STRIPE or not escrow.intent.provider_ref:
        raise PaymentNotReady(retry_after_s=1)
    try:
        data = await call.deps.payment_pages.payment_data(escrow.escrow_id)
    except PaymentNotReady:
        raise PaymentNotReady(retry_after_s=1) from None
    fund_by = present.time_of(escrow.deadline, "at")
    return Reply(
        answers.StripePayment(
            rail="STRIPE",
            amount=money(data.amount_minor, currency_code(escrow.price.currency)),
            publishable_key=data.publishable_key,
            payment_intent_id=escrow.intent.provider_ref,
            client_secret=data.client_secret,
            status=data.status,
            fund_by=fund_by if escrow.state == types.ESCROW_STATE_AWAIT_FUNDS else None,
        )
    )


async def receipt(call: Call) -> Reply:
    """What was paid, is held and was released; nothing before money has come."""
    escrow = call.trade.escrow
    if escrow.received_minor == 0:
        raise InvalidState(current_status=present.name(types.EscrowState, escrow.state))
    return Reply(present.receipt(call.trade, staff=False))


ROUTES = (
    Route(
        "GET",
        "/api/v1/escrows/{escrow_id}/payment",
        payment,
        Who.BUYER,
        "What the buyer needs to pay",
        RateClass.MONEY,
        answer=answers.StripePayment,
    ),
    Route(
        "GET",
        "/api/v1/escrows/{escrow_id}/receipt",
        receipt,
        Who.PARTY,
        "What was paid and where it went",
        answer=answers.Receipt,
    ),
)
