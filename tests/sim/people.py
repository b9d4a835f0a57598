"""Buyers, sellers, staff and strangers, who do what fits, and sometimes what does not."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.clock import Clock
from bloxtr8.escrow import permits, states
from bloxtr8.messaging import metadata
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.escrow.v1.record_pb2 import Escrow

_PAYEE = types.Payee(payout_method_id="method", destination="acct_seller")
_CREATED = "create_escrow"


@dataclass(frozen=True, slots=True)
class Trade:
    """Who trades what. `price_minor` in cents."""

    escrow_id: str
    contract_id: str
    buyer_id: str
    seller_id: str
    price_minor: int


class People:
    """Makes commands. Ids come from the seed, so that a run can be repeated."""

    def __init__(self, random: Random, clock: Clock) -> None:
        self._random = random
        self._clock = clock

    def trade(self) -> Trade:
        contract_id = self._id()
        price = self._random.choice((100, 2_500, 99_999, 900_000))
        return Trade(ids.escrow_id_for(contract_id), contract_id, self._id(), self._id(), price)

    def create(self, trade: Trade) -> commands.EscrowCommand:
        body = commands.CreateEscrow(
            contract_id=trade.contract_id,
            contract_sha256="0" * 64,
            buyer=commands.Party(user_id=trade.buyer_id, tier=1),
            seller=commands.Party(user_id=trade.seller_id, tier=1),
            price=common.Money(minor=trade.price_minor, currency=common.CURRENCY_USD),
            rail=common.RAIL_STRIPE,
            delivery_days=7,
            fee_schedule="v1",
            payee=_PAYEE if self._random.random() < 0.8 else None,
        )
        message_id = str(ids.derived("create", trade.contract_id))
        return self._command(
            trade,
            common.Actor(kind=common.ACTOR_KIND_SYSTEM),
            common.PRODUCER_CONTRACTS,
            message_id,
            create_escrow=body,
        )

    def act(self, trade: Trade, seen: Escrow | None) -> commands.EscrowCommand:
        """Return what somebody does who saw the escrow as `seen`, which may be old."""
        fitting = _FITTING.get(0 if seen is None else seen.state, ())
        anything = self._random.random() < 0.15 or not fitting
        who, name = self._random.choice(_ANYTHING if anything else fitting)
        if anything and who != "admin" and self._random.random() < 0.2:
            who = "stranger"
        body = _BODIES[name](self._random, trade, seen)
        actor = self._actor(trade, who)
        return self._command(
            trade,
            actor,
            common.PRODUCER_WEB,
            self._id(),
            approvals=self._approvals(actor) if who in ("admin", "moderator") else (),
            **{name: body},
        )

    def _command(
        self, trade: Trade, actor: common.Actor, producer: Any, message_id: str, **body: Any
    ) -> commands.EscrowCommand:
        about = metadata.new(producer, self._clock.now(), traceparent="-", message_id=message_id)
        return commands.EscrowCommand(
            metadata=about, escrow_id=trade.escrow_id, actor=actor, **body
        )

    def _actor(self, trade: Trade, who: str) -> common.Actor:
        if who in ("admin", "moderator"):
            return common.Actor(
                kind=common.ACTOR_KIND_STAFF,
                user_id=str(UUID(int=7 if who == "admin" else 8)),
                staff_role=common.STAFF_ROLE_ADMIN
                if who == "admin"
                else common.STAFF_ROLE_MODERATOR,
            )
        known = {"buyer": trade.buyer_id, "seller": trade.seller_id}
        user_id = known.get(who) or self._id()
        return common.Actor(kind=common.ACTOR_KIND_USER, user_id=user_id)

    def _approvals(self, actor: common.Actor) -> list[common.Approval]:
        second = common.Approval(user_id=str(UUID(int=9)), staff_role=common.STAFF_ROLE_ADMIN)
        first = common.Approval(user_id=actor.user_id, staff_role=actor.staff_role)
        return [first, second] if self._random.random() < 0.7 else [first]

    def _id(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))


def _resolve(random: Random, trade: Trade, _: Escrow | None) -> commands.ResolveDispute:
    outcome = random.choice((types.OUTCOME_RELEASE, types.OUTCOME_REFUND, types.OUTCOME_SPLIT))
    part = random.randint(1, trade.price_minor - 1) if outcome == types.OUTCOME_SPLIT else 0
    return commands.ResolveDispute(outcome=outcome, refund_minor=part)


def _propose(random: Random, trade: Trade, _: Escrow | None) -> commands.ProposeSettlement:
    share = random.choice((0, trade.price_minor, random.randint(0, trade.price_minor)))
    return commands.ProposeSettlement(refund_minor=share)


def _proposal(seen: Escrow | None) -> str:
    return "" if seen is None else seen.settlement.proposal_id


def _extend(random: Random, trade: Trade, seen: Escrow | None) -> commands.ExtendDeadline:
    body = commands.ExtendDeadline(agreed_by=[trade.buyer_id, trade.seller_id])
    if seen is not None:
        body.version = seen.deadline.version
        body.until.seconds = seen.deadline.at.seconds + random.randint(-3_600, 86_400)
    return body


_Body = Callable[[Random, Trade, Escrow | None], Any]
_BODIES: dict[str, _Body] = {
    "cancel_escrow": lambda *_: commands.CancelEscrow(reason=types.CANCEL_REASON_CHANGED_MIND),
    "mark_delivered": lambda *_: commands.MarkDelivered(
        method=types.DELIVERY_METHOD_GROUP_TRANSFER
    ),
    "release_funds": lambda *_: commands.ReleaseFunds(),
    "refund_buyer": lambda *_: commands.RefundBuyer(),
    "raise_dispute": lambda *_: commands.RaiseDispute(
        reason=types.DISPUTE_REASON_NOT_DELIVERED, wanted=types.OUTCOME_REFUND
    ),
    "withdraw_dispute": lambda *_: commands.WithdrawDispute(),
    "resolve_dispute": _resolve,
    "propose_settlement": _propose,
    "accept_settlement": lambda _r, _t, seen: commands.AcceptSettlement(
        proposal_id=_proposal(seen)
    ),
    "reject_settlement": lambda _r, _t, seen: commands.RejectSettlement(
        proposal_id=_proposal(seen)
    ),
    "withdraw_settlement": lambda _r, _t, seen: commands.WithdrawSettlement(
        proposal_id=_proposal(seen)
    ),
    "place_hold": lambda *_: commands.PlaceHold(kind=types.HOLD_KIND_MANUAL),
    "lift_hold": lambda *_: commands.LiftHold(),
    "extend_deadline": _extend,
    "set_payee": lambda *_: commands.SetPayee(payee=_PAYEE),
    "approve_funds": lambda *_: commands.ApproveFunds(),
    "reject_funds": lambda *_: commands.RejectFunds(),
    "retry_payout": lambda *_: commands.RetryPayout(),
    "retry_refund": lambda *_: commands.RetryRefund(),
}

_TALK = tuple(
    (who, name)
    for who in ("buyer", "seller")
    for name in (
        *("propose_settlement", "accept_settlement", "reject_settlement"),
        *("withdraw_settlement", "raise_dispute", "extend_deadline"),
    )
)
_STAFF = (("moderator", "place_hold"), ("admin", "lift_hold"), ("moderator", "lift_hold"))
_KINDS = {"buyer": common.ACTOR_KIND_USER, "seller": common.ACTOR_KIND_USER}
_KINDS["admin"] = common.ACTOR_KIND_STAFF


def _may_be_sent(who: str, name: str) -> bool:
    """The web sends nothing that nobody of that kind may ever do."""
    body = _BODIES[name](Random(0), _NOBODY, None)
    command = commands.EscrowCommand(actor=common.Actor(kind=_KINDS[who]))
    getattr(command, name).MergeFrom(body)
    getattr(command, name).SetInParent()
    return permits(common.PRODUCER_WEB, command)


_NOBODY = Trade("", "", "", "", 2)
_ANYTHING = tuple((who, name) for who in _KINDS for name in _BODIES if _may_be_sent(who, name))
# Who does what in which state; what is listed more often is done more often.
_FITTING: dict[int, tuple[tuple[str, str], ...]] = {
    states.AWAIT_FUNDS: (("buyer", "cancel_escrow"), ("seller", "set_payee"), *_STAFF),
    states.FUNDS_REVIEW: (("admin", "approve_funds"), ("admin", "reject_funds"), *_STAFF),
    states.FUNDS_HELD: (
        *(("seller", "mark_delivered"),) * 12,
        ("seller", "set_payee"),
        ("seller", "refund_buyer"),
        *_TALK,
        *_STAFF,
    ),
    states.DELIVERED: (
        *(("buyer", "release_funds"),) * 10,
        ("seller", "refund_buyer"),
        *_TALK,
        *_STAFF,
    ),
    states.DISPUTED: (
        *(("moderator", "resolve_dispute"),) * 6,
        ("buyer", "withdraw_dispute"),
        ("seller", "withdraw_dispute"),
        ("seller", "set_payee"),
        *_TALK,
        *_STAFF,
    ),
    states.RELEASING: (("admin", "retry_payout"), *_STAFF),
    states.REFUNDING: (("admin", "retry_refund"), *_STAFF),
    states.SPLITTING: (("admin", "retry_payout"), ("admin", "retry_refund"), *_STAFF),
}
