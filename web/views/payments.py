"""What a buyer needs to pay, and what moved."""

from datetime import datetime

from aiohttp import web
from eth_utils.address import to_checksum_address

from bloxtr8.errors import InvalidState, PaymentNotReady
from bloxtr8.money import currency_code
from bloxtr8.payments.usdc.deposits import Account
from bloxtr8.payments.usdc.networks import Network
from bloxtr8.payments.usdc.payment_link import payment_link, qr_svg
from bloxtr8.payments.usdc.pg_accounts import find_account
from bloxtr8.payments.usdc.policy import DepthPolicy
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from web import answers, present
from web.call import Call
from web.fields import money
from web.limits import RateClass
from web.routes import Reply, Route, Who

_PAYABLE = frozenset({types.ESCROW_STATE_AWAIT_FUNDS, types.ESCROW_STATE_FUNDS_REVIEW})
_CHAIN, _USDC = "BASE", "USDC"


async def payment(call: Call) -> Reply:
    """The rail's data: for the buyer only, and nothing of it stored."""
    _check_payable(call)
    if call.trade.escrow.rail == common.RAIL_STRIPE:
        return await _stripe(call)
    return Reply(_usdc(call, await _account(call)))


async def qr_code(call: Call) -> Reply:
    """The payment link of a deposit address as a picture."""
    _check_payable(call)
    if call.trade.escrow.rail != common.RAIL_USDC_BASE:
        raise InvalidState(current_status=_status(call))
    picture = qr_svg(_link(call, await _account(call)))
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return Reply(web.Response(text=picture, content_type="image/svg+xml", headers=headers))


async def receipt(call: Call) -> Reply:
    """What was paid, is held and was released; nothing before money has come."""
    if call.trade.escrow.received_minor == 0:
        raise InvalidState(current_status=_status(call))
    return Reply(present.receipt(call.trade, staff=False))


async def _stripe(call: Call) -> Reply:
    escrow = call.trade.escrow
    if not escrow.intent.provider_ref:
        raise PaymentNotReady(retry_after_s=1)
    try:
        data = await call.deps.payment_pages.payment_data(escrow.escrow_id)
    except PaymentNotReady:
        raise PaymentNotReady(retry_after_s=1) from None
    return Reply(
        answers.StripePayment(
            rail="STRIPE",
            amount=money(data.amount_minor, currency_code(escrow.price.currency)),
            publishable_key=data.publishable_key,
            payment_intent_id=escrow.intent.provider_ref,
            client_secret=data.client_secret,
            status=data.status,
            fund_by=_fund_by(call),
        )
    )


async def _account(call: Call) -> Account:
    account = await find_account(call.trade.escrow.escrow_id)
    if account is None or not call.deps.settings.base.rpc_urls:
        raise PaymentNotReady(retry_after_s=1)
    return account


def _usdc(call: Call, account: Account) -> answers.UsdcPayment:
    base = call.deps.settings.base
    network = Network.of(base)
    return answers.UsdcPayment(
        rail="USDC_BASE",
        amount=money(account.due_minor, _USDC),
        chain=_CHAIN,
        chain_id=network.chain_id,
        token_address=to_checksum_address(network.usdc),
        deposit_address=to_checksum_address(account.address),
        uri=_link(call, account),
        qr_svg=f"/api/v1/escrows/{account.escrow_id}/payment/qr.svg",
        seen=money(account.received_minor + account.pending_minor, _USDC),
        confirmed=money(account.received_minor, _USDC),
        left=money(_left_minor(account), _USDC),
        confirmations_needed=DepthPolicy.of(base).blocks(account.due_minor),
        fund_by=_fund_by(call),
    )


def _link(call: Call, account: Account) -> str:
    # Whoever follows it pays what is missing; once all is on its way, it names the whole again.
    wanted = _left_minor(account) or account.due_minor
    return payment_link(Network.of(call.deps.settings.base), account.address, wanted)


def _left_minor(account: Account) -> int:
    return max(0, account.due_minor - account.received_minor - account.pending_minor)


def _check_payable(call: Call) -> None:
    if call.trade.escrow.state not in _PAYABLE:
        raise InvalidState(current_status=_status(call))


def _fund_by(call: Call) -> datetime | None:
    escrow = call.trade.escrow
    waits = escrow.state == types.ESCROW_STATE_AWAIT_FUNDS
    return present.time_of(escrow.deadline, "at") if waits else None


def _status(call: Call) -> str:
    return present.name(types.EscrowState, call.trade.escrow.state)


_PAYMENT = "/api/v1/escrows/{escrow_id}/payment"
ROUTES = (
    Route(
        "GET",
        _PAYMENT,
        payment,
        Who.BUYER,
        "What the buyer needs to pay",
        RateClass.MONEY,
        answer=answers.PaymentOut,
    ),
    Route(
        "GET",
        f"{_PAYMENT}/qr.svg",
        qr_code,
        Who.BUYER,
        "The payment link of a deposit address as a QR code",
        RateClass.MONEY,
        content="image/svg+xml",
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
