"""One trade's messages, made by the real rules, for tests of whoever reads them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from bloxtr8 import ids
from bloxtr8.clock import ManualClock
from bloxtr8.escrow import Context, Decision, Verdict, decide
from bloxtr8.messaging import metadata
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import record_pb2 as records
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowEvent
from proto.bloxtr8.payments.v1 import payments_pb2 as payments

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
PRICE_MINOR = 100_000
SYSTEM = common.Actor(kind=common.ACTOR_KIND_SYSTEM)


class Story:
    """Decides commands and facts about one escrow and keeps every event that comes of them.

    What the rules ignore is a mistake of the test, unless `lenient`.
    """

    def __init__(self, *, fencing_token: int = 1, lenient: bool = False) -> None:
        self.lenient = lenient
        self.clock = ManualClock(START)
        self.contract_id = str(uuid4())
        self.escrow_id = ids.escrow_id_for(self.contract_id)
        self.buyer_id, self.seller_id = str(uuid4()), str(uuid4())
        self.fencing_token = fencing_token
        self.record: records.EscrowRecord | None = None
        self.events: list[EscrowEvent] = []
        self.facts: list[payments.PaymentEvent] = []
        self.orders: list[payments.PaymentCommand] = []

    @property
    def escrow(self) -> records.Escrow:
        assert self.record is not None
        return self.record.escrow

    @property
    def due_minor(self) -> int:
        return self.escrow.price.minor + self.escrow.buyer_fee_minor

    @property
    def buyer(self) -> common.Actor:
        return common.Actor(kind=common.ACTOR_KIND_USER, user_id=self.buyer_id)

    @property
    def seller(self) -> common.Actor:
        return common.Actor(kind=common.ACTOR_KIND_USER, user_id=self.seller_id)

    def tell(self, actor: common.Actor, command_id: str = "", **body: Any) -> list[EscrowEvent]:
        """Give a command; return its events."""
        producer = common.PRODUCER_WEB
        if actor.kind == common.ACTOR_KIND_SYSTEM:
            producer = common.PRODUCER_CONTRACTS
        command = commands.EscrowCommand(
            metadata=metadata.new(producer, self.clock.now(), message_id=command_id),
            escrow_id=self.escrow_id,
            actor=actor,
            **body,
        )
        return self._take(decide(self.record, command, self._context()))

    def fact(self, **body: Any) -> list[EscrowEvent]:
        """Report a payment fact; return the escrow's events."""
        event = payments.PaymentEvent(
            metadata=metadata.new(common.PRODUCER_PAYMENTS, self.clock.now()),
            escrow_id=self.escrow_id,
            **body,
        )
        self.facts.append(event)
        return self._take(decide(self.record, event, self._context()))

    def create(self) -> "Story":
        self.tell(
            SYSTEM,
            create_escrow=commands.CreateEscrow(
                contract_id=self.contract_id,
                contract_sha256="ab" * 32,
                buyer=commands.Party(user_id=self.buyer_id, tier=1),
                seller=commands.Party(user_id=self.seller_id, tier=1),
                price=usd(PRICE_MINOR),
                rail=common.RAIL_STRIPE,
                delivery_days=7,
                fee_schedule="v1",
                payee=types.Payee(payout_method_id=str(uuid4()), destination="acct_1"),
            ),
        )
        return self

    def pay(self, *, reference: str = "pi_1", fee_minor: int = 0) -> "Story":
        self.fact(
            payment_succeeded=payments.PaymentSucceeded(
                operation_id=self.escrow.intent.operation_id,
                payment_ref=reference,
                amount=usd(self.due_minor),
                provider_fee=usd(fee_minor),
            )
        )
        return self

    def deliver(self) -> "Story":
        self.tell(
            self.seller,
            mark_delivered=commands.MarkDelivered(method=types.DELIVERY_METHOD_GROUP_TRANSFER),
        )
        return self

    def release(self) -> "Story":
        self.tell(self.buyer, release_funds=commands.ReleaseFunds())
        return self

    def refund(self) -> "Story":
        self.tell(self.seller, refund_buyer=commands.RefundBuyer())
        return self

    def dispute(self) -> "Story":
        self.tell(
            self.buyer,
            raise_dispute=commands.RaiseDispute(
                reason=types.DISPUTE_REASON_NOT_AS_DESCRIBED,
                wanted=types.OUTCOME_REFUND,
                statement=types.EvidenceRef(id=str(uuid4()), sha256="cd" * 32),
            ),
        )
        return self

    def settle(self, refund_minor: int) -> "Story":
        """Propose and accept a settlement."""
        self.tell(
            self.buyer, propose_settlement=commands.ProposeSettlement(refund_minor=refund_minor)
        )
        proposal = self.escrow.settlement.proposal_id
        self.tell(self.seller, accept_settlement=commands.AcceptSettlement(proposal_id=proposal))
        return self

    def paid_out(self) -> "Story":
        leg = self.escrow.payout
        self.fact(
            transfer_succeeded=payments.TransferSucceeded(
                operation_id=leg.operation_id,
                generation=leg.generation,
                amount=usd(leg.amount_minor),
                provider_ref="tr_1",
            )
        )
        return self

    def repaid(self) -> "Story":
        leg = self.escrow.refund
        self.fact(
            refund_succeeded=payments.RefundSucceeded(
                operation_id=leg.operation_id,
                generation=leg.generation,
                amount=usd(leg.amount_minor),
                provider_ref="re_1",
                kind=payments.OPERATION_KIND_REFUND,
            )
        )
        return self

    def stray(self, minor: int, *, reference: str = "pi_stray") -> "Story":
        """The buyer pays once more."""
        self.fact(
            payment_succeeded=payments.PaymentSucceeded(payment_ref=reference, amount=usd(minor))
        )
        return self

    def stray_returned(self) -> "Story":
        stray = self.escrow.stray[-1]
        self.fact(
            refund_succeeded=payments.RefundSucceeded(
                operation_id=stray.operation_id,
                generation=stray.generation,
                amount=usd(stray.amount_minor),
                provider_ref="re_2",
                kind=payments.OPERATION_KIND_STRAY_REFUND,
            )
        )
        return self

    def charge_back(self, minor: int, *, reference: str = "dp_1") -> "Story":
        self.fact(
            chargeback_opened=payments.ChargebackOpened(
                dispute_ref=reference, amount=usd(minor), payment_ref="pi_1", reason="fraudulent"
            )
        )
        return self

    def chargeback_closed(self, minor: int, *, won: bool, reference: str = "dp_1") -> "Story":
        self.fact(
            chargeback_closed=payments.ChargebackClosed(
                dispute_ref=reference, amount=usd(minor), won=won
            )
        )
        return self

    def _context(self) -> Context:
        self.clock.advance(timedelta(seconds=1))
        return Context(
            now=self.clock.now(), fencing_token=self.fencing_token, origin=records.Origin()
        )

    def _take(self, decision: Decision) -> list[EscrowEvent]:
        assert self.lenient or decision.verdict is not Verdict.IGNORED, decision.message
        self.record = decision.record or self.record
        self.events += decision.events
        self.orders += decision.orders
        return list(decision.events)


def usd(minor: int) -> common.Money:
    return common.Money(minor=minor, currency=common.CURRENCY_USD)
