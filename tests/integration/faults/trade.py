"""One trade of a crowd: the real rules, and people who want it to end in a certain way."""

from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.clock import Clock
from bloxtr8.escrow import Context, Decision, decide, states
from bloxtr8.messaging import metadata
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import record_pb2 as records
from proto.bloxtr8.escrow.v1 import types_pb2 as types

SYSTEM = common.Actor(kind=common.ACTOR_KIND_SYSTEM)
_ADMIN = common.Actor(
    kind=common.ACTOR_KIND_STAFF,
    user_id=str(UUID(int=7)),
    staff_role=common.STAFF_ROLE_ADMIN,
)
_APPROVALS = [
    common.Approval(user_id=str(UUID(int=number)), staff_role=common.STAFF_ROLE_ADMIN)
    for number in (7, 9)
]
_LEG_FAILED = {
    types.HOLD_KIND_PAYOUT_FAILED: commands.RetryPayout(),
    types.HOLD_KIND_REFUND_FAILED: commands.RetryRefund(),
}
_RETRIES_MAX = 3
_NAMES = {commands.RetryPayout: "retry_payout", commands.RetryRefund: "retry_refund"}


class Wish(StrEnum):
    """How the people of a trade want it to go."""

    RELEASE = "release"
    REFUND = "refund"
    SPLIT = "split"
    CANCEL = "cancel"
    RACE = "race"  # one cancels while the other pays
    DECLINED = "declined"  # the first card says no
    CHARGEBACK_WON = "chargeback_won"
    CHARGEBACK_LOST = "chargeback_lost"
    PARTS = "parts"  # the money comes in two deposits
    TOO_LITTLE = "too_little"  # only a part comes, and it is called off
    TOO_MUCH = "too_much"
    RISKY = "risky"  # from a wallet that screening does not like
    LATE = "late"  # more money after the end


@dataclass
class Trade:
    """`price` in minor units of the rail's currency. `record` is the escrow agent's."""

    wish: Wish
    rail: "common.Rail.ValueType"
    price: common.Money
    payee: str
    random: Random
    record: records.EscrowRecord | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    contract_id: str = ""
    buyer_id: str = ""
    seller_id: str = ""

    def __post_init__(self) -> None:
        self.contract_id, self.buyer_id, self.seller_id = (
            str(UUID(int=self.random.getrandbits(128), version=4)) for _ in range(3)
        )

    @property
    def escrow_id(self) -> str:
        return ids.escrow_id_for(self.contract_id)

    @property
    def escrow(self) -> records.Escrow:
        return records.Escrow() if self.record is None else self.record.escrow

    @property
    def state(self) -> str:
        return states.name(self.escrow.state) if self.record else "NONE"

    @property
    def has_ended(self) -> bool:
        stray = [entry for entry in self.escrow.stray if not entry.refunded]
        return self.escrow.state in states.TERMINAL and not stray

    @property
    def rests(self) -> bool:
        """Whether it has ended, or people have given up and somebody has to look."""
        return self.has_ended or self.notes.get("retries", 0) >= _RETRIES_MAX

    def decide(self, cause: Any, clock: Clock) -> Decision:
        """Let the rules take in a command or a payment event, as the escrow agent does."""
        decision = decide(self.record, cause, Context(clock.now(), 1, records.Origin()))
        self.record = decision.record or self.record
        return decision

    def creation(self, clock: Clock) -> commands.EscrowCommand:
        usdc = self.rail == common.RAIL_USDC_BASE
        body = commands.CreateEscrow(
            contract_id=self.contract_id,
            contract_sha256="ab" * 32,
            buyer=commands.Party(user_id=self.buyer_id, tier=1),
            seller=commands.Party(user_id=self.seller_id, tier=1),
            price=self.price,
            rail=self.rail,
            network=common.NETWORK_BASE if usdc else common.NETWORK_UNSPECIFIED,
            delivery_days=7,
            fee_schedule="v1",
            payee=types.Payee(payout_method_id=self.seller_id, destination=self.payee),
        )
        return self._command(SYSTEM, clock, create_escrow=body)

    def next_command(self, clock: Clock) -> commands.EscrowCommand | None:
        """Return what somebody does now, None when everybody waits."""
        body: dict[str, Any] = {}
        actor = common.Actor(kind=common.ACTOR_KIND_USER, user_id=self.seller_id)
        state, buyer = (
            self.escrow.state,
            common.Actor(kind=common.ACTOR_KIND_USER, user_id=self.buyer_id),
        )
        if self.escrow.hold.kind in _LEG_FAILED:
            retry = _LEG_FAILED[self.escrow.hold.kind]
            self.notes["retries"] = self.notes.get("retries", 0) + 1
            return self._command(_ADMIN, clock, **{_NAMES[type(retry)]: retry})
        if self.escrow.hold.kind:
            return None
        if state == states.AWAIT_FUNDS and self.notes.get("calls_off"):
            actor = buyer
            body = {"cancel_escrow": commands.CancelEscrow(reason=types.CANCEL_REASON_CHANGED_MIND)}
        elif state == states.FUNDS_REVIEW:
            actor = _ADMIN
            rejected = self.wish is Wish.RISKY and self.random.random() < 0.3
            body = {"reject_funds": commands.RejectFunds()} if rejected else {}
            body = body or {"approve_funds": commands.ApproveFunds()}
        elif state == states.FUNDS_HELD and self.wish is Wish.REFUND:
            body = {"refund_buyer": commands.RefundBuyer()}
        elif state == states.FUNDS_HELD:
            delivered = commands.MarkDelivered(method=types.DELIVERY_METHOD_GROUP_TRANSFER)
            body = {"mark_delivered": delivered}
        elif state == states.DELIVERED:
            actor, body = buyer, self._after_delivery()
        elif state == states.DISPUTED:
            actor, body = _ADMIN, self._verdict()
        return self._command(actor, clock, **body) if body else None

    def _after_delivery(self) -> dict[str, Any]:
        if self.wish in (Wish.CHARGEBACK_WON, Wish.CHARGEBACK_LOST) and not self.notes.get("bank"):
            return {}
        if self.wish is not Wish.SPLIT:
            return {"release_funds": commands.ReleaseFunds()}
        dispute = commands.RaiseDispute(
            reason=types.DISPUTE_REASON_NOT_AS_DESCRIBED, wanted=types.OUTCOME_REFUND
        )
        return {"raise_dispute": dispute}

    def _verdict(self) -> dict[str, Any]:
        part = self.random.randint(1, self.price.minor - 1) if self.wish is Wish.SPLIT else 0
        outcome = types.OUTCOME_SPLIT if part else types.OUTCOME_RELEASE
        return {"resolve_dispute": commands.ResolveDispute(outcome=outcome, refund_minor=part)}

    def _command(self, actor: common.Actor, clock: Clock, **body: Any) -> commands.EscrowCommand:
        producer = common.PRODUCER_WEB
        if actor.kind == common.ACTOR_KIND_SYSTEM:
            producer = common.PRODUCER_CONTRACTS
        return commands.EscrowCommand(
            metadata=metadata.new(producer, clock.now()),
            escrow_id=self.escrow_id,
            actor=actor,
            approvals=_APPROVALS if actor.kind == common.ACTOR_KIND_STAFF else (),
            **body,
        )
