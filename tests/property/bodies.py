"""Bodies of commands for random trades: mostly sensible, sometimes not."""

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from tests.unit.escrow.trade import BUYER, EVIDENCE, PAYEE, SELLER, Trade

_PAYEES = st.sampled_from([PAYEE, types.Payee(payout_method_id="m2", destination="acct_2")])


def _amounts(trade: Trade) -> st.SearchStrategy[int]:
    price = trade.escrow.price.minor
    return st.one_of(st.sampled_from([0, 1, price - 1, price]), st.integers(-1, price + 1))


def _extension(trade: Trade, days: float) -> commands.ExtendDeadline:
    body = commands.ExtendDeadline(version=trade.escrow.deadline.version, agreed_by=[BUYER, SELLER])
    body.until.FromDatetime(trade.now + timedelta(days=days))
    return body


def _proposal(kind: Any, trade: Trade) -> st.SearchStrategy[Any]:
    standing = trade.escrow.settlement.proposal_id
    return st.sampled_from([standing, standing, "stale"]).map(lambda name: kind(proposal_id=name))


def body_for(trade: Trade, name: str) -> st.SearchStrategy[Any]:
    """Return bodies for the command (field name) about the trade as it is."""
    deadline = trade.escrow.deadline
    outcome = st.sampled_from([1, 2, 3])
    builders: dict[str, Any] = {
        "cancel_escrow": lambda: st.builds(commands.CancelEscrow, reason=st.integers(0, 5)),
        "mark_delivered": lambda: st.builds(commands.MarkDelivered, method=st.integers(0, 3)),
        "raise_dispute": lambda: st.builds(
            commands.RaiseDispute,
            reason=st.integers(1, 9),
            wanted=outcome,
            statement=st.sampled_from([None, EVIDENCE]),
        ),
        "resolve_dispute": lambda: st.builds(
            commands.ResolveDispute, outcome=outcome, refund_minor=_amounts(trade)
        ),
        "propose_settlement": lambda: st.builds(
            commands.ProposeSettlement, refund_minor=_amounts(trade)
        ),
        "accept_settlement": lambda: _proposal(commands.AcceptSettlement, trade),
        "reject_settlement": lambda: _proposal(commands.RejectSettlement, trade),
        "withdraw_settlement": lambda: _proposal(commands.WithdrawSettlement, trade),
        "place_hold": lambda: st.builds(commands.PlaceHold, kind=st.integers(0, 6)),
        "set_payee": lambda: st.builds(commands.SetPayee, payee=_PAYEES),
        "retry_payout": lambda: st.one_of(
            st.none(), st.builds(commands.RetryPayout, payee=_PAYEES)
        ),
        "extend_deadline": lambda: st.integers(-1, 40).map(lambda days: _extension(trade, days)),
        "expire_deadline": lambda: st.just(
            commands.ExpireDeadline(kind=deadline.kind, version=deadline.version)
        ),
        "remind_deadline": lambda: st.just(
            commands.RemindDeadline(kind=deadline.kind, version=deadline.version, percent=90)
        ),
    }
    build = builders.get(name)
    result: st.SearchStrategy[Any] = build() if build else st.none()
    return result
