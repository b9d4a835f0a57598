"""Ways into each state, for tests that need a trade there."""

from collections.abc import Callable
from typing import Any

from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from tests.unit.escrow.trade import Trade, create_body


def created(**changes: Any) -> Trade:
    trade = Trade()
    trade.give("system", "create_escrow", create_body(**changes))
    return trade


def pay(trade: Trade, *, minor: int | None = None, ref: str = "pi_1") -> None:
    trade.hear(
        "payment_succeeded",
        operation_id=trade.escrow.intent.operation_id,
        payment_ref=ref,
        amount=trade.money(trade.due if minor is None else minor),
    )


def reviewed(risk: str = "MEDIUM", minor: int | None = None, **changes: Any) -> Trade:
    trade = created(**changes)
    trade.hear(
        "funds_under_review",
        operation_id=trade.escrow.intent.operation_id,
        payment_ref="pi_1",
        amount=trade.money(trade.due if minor is None else minor),
        reason="RISK",
        risk=risk,
    )
    return trade


def held(**changes: Any) -> Trade:
    trade = created(**changes)
    pay(trade)
    return trade


def delivered(**changes: Any) -> Trade:
    trade = held(**changes)
    body = commands.MarkDelivered(method=types.DELIVERY_METHOD_GROUP_TRANSFER)
    trade.give("seller", "mark_delivered", body)
    return trade


def dispute_body() -> commands.RaiseDispute:
    return commands.RaiseDispute(
        reason=types.DISPUTE_REASON_NOT_AS_DESCRIBED, wanted=types.OUTCOME_REFUND
    )


def disputed(who: str = "buyer", **changes: Any) -> Trade:
    trade = delivered(**changes)
    trade.give(who, "raise_dispute", dispute_body())
    return trade


def cancelling(**changes: Any) -> Trade:
    trade = created(**changes)
    body = commands.CancelEscrow(reason=types.CANCEL_REASON_CHANGED_MIND)
    trade.give("buyer", "cancel_escrow", body)
    return trade


def releasing(**changes: Any) -> Trade:
    trade = delivered(**changes)
    trade.give("buyer", "release_funds")
    return trade


def refunding(**changes: Any) -> Trade:
    trade = held(**changes)
    trade.give("seller", "refund_buyer")
    return trade


def splitting(refund_minor: int = 25_000, **changes: Any) -> Trade:
    trade = disputed(**changes)
    body = commands.ProposeSettlement(refund_minor=refund_minor)
    trade.give("buyer", "propose_settlement", body)
    accept = commands.AcceptSettlement(proposal_id=trade.escrow.settlement.proposal_id)
    trade.give("seller", "accept_settlement", accept)
    return trade


def confirm_payout(trade: Trade) -> None:
    leg = trade.escrow.payout
    trade.hear(
        "transfer_succeeded",
        operation_id=leg.operation_id,
        generation=leg.generation,
        amount=trade.money(leg.amount_minor),
        provider_ref="tr_1",
    )


def confirm_refund(trade: Trade) -> None:
    leg = trade.escrow.refund
    trade.hear(
        "refund_succeeded",
        operation_id=leg.operation_id,
        generation=leg.generation,
        amount=trade.money(leg.amount_minor),
        provider_ref="re_1",
    )


def released(**changes: Any) -> Trade:
    trade = releasing(**changes)
    confirm_payout(trade)
    return trade


def refunded(**changes: Any) -> Trade:
    trade = refunding(**changes)
    confirm_refund(trade)
    return trade


def split(**changes: Any) -> Trade:
    trade = splitting(**changes)
    confirm_payout(trade)
    confirm_refund(trade)
    return trade


def cancelled(**changes: Any) -> Trade:
    trade = cancelling(**changes)
    trade.hear("payment_cancelled", operation_id=trade.escrow.intent.operation_id)
    return trade


PATHS: dict[str, Callable[..., Trade]] = {
    "AWAIT_FUNDS": created,
    "FUNDS_REVIEW": reviewed,
    "FUNDS_HELD": held,
    "DELIVERED": delivered,
    "DISPUTED": disputed,
    "CANCELLING": cancelling,
    "RELEASING": releasing,
    "REFUNDING": refunding,
    "SPLITTING": splitting,
    "RELEASED": released,
    "REFUNDED": refunded,
    "SPLIT": split,
    "CANCELLED": cancelled,
}
