"""A trade to play through in tests; every step checks what must hold after any step."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bloxtr8 import ids
from bloxtr8.escrow import Context, Decision, Verdict, decide, evolve, states
from bloxtr8.escrow.lookup import EVENTS, row_of
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import record_pb2 as records
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowEvent
from proto.bloxtr8.payments.v1.payments_pb2 import PaymentCommand, PaymentEvent

BUYER = "01890000-0000-7000-8000-00000000000b"
SELLER = "01890000-0000-7000-8000-00000000000c"
STRANGER = "01890000-0000-7000-8000-00000000000d"
ADMIN_ONE = "01890000-0000-7000-8000-0000000000a1"
ADMIN_TWO = "01890000-0000-7000-8000-0000000000a2"
MODERATOR_ONE = "01890000-0000-7000-8000-0000000000e1"
SUPPORT_ONE = "01890000-0000-7000-8000-0000000000f1"
CONTRACT = "01890000-0000-7000-8000-0000000000cc"
ESCROW = ids.escrow_id_for(CONTRACT)
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PAYEE = types.Payee(payout_method_id="method-1", destination="acct_1")
EVIDENCE = types.EvidenceRef(id="statement-1", sha256="e" * 64)

ACTORS: dict[str, common.Actor] = {
    "buyer": common.Actor(kind=common.ACTOR_KIND_USER, user_id=BUYER),
    "seller": common.Actor(kind=common.ACTOR_KIND_USER, user_id=SELLER),
    "stranger": common.Actor(kind=common.ACTOR_KIND_USER, user_id=STRANGER),
    "support": common.Actor(
        kind=common.ACTOR_KIND_STAFF, user_id=SUPPORT_ONE, staff_role=common.STAFF_ROLE_SUPPORT
    ),
    "moderator": common.Actor(
        kind=common.ACTOR_KIND_STAFF, user_id=MODERATOR_ONE, staff_role=common.STAFF_ROLE_MODERATOR
    ),
    "admin": common.Actor(
        kind=common.ACTOR_KIND_STAFF, user_id=ADMIN_ONE, staff_role=common.STAFF_ROLE_ADMIN
    ),
    "system": common.Actor(kind=common.ACTOR_KIND_SYSTEM),
}


def two(first: str = ADMIN_ONE, second: str = ADMIN_TWO) -> list[common.Approval]:
    """Return the approvals of two admins."""
    role = common.STAFF_ROLE_ADMIN
    return [common.Approval(user_id=user_id, staff_role=role) for user_id in (first, second)]


def create_body(**changes: Any) -> commands.CreateEscrow:
    """Return a CreateEscrow of 1,250.00 USD by Stripe, with `changes`."""
    fields: dict[str, Any] = {
        "contract_id": CONTRACT,
        "contract_sha256": "a" * 64,
        "buyer": commands.Party(user_id=BUYER, tier=1),
        "seller": commands.Party(user_id=SELLER, tier=1),
        "price": common.Money(minor=125_000, currency=common.CURRENCY_USD),
        "rail": common.RAIL_STRIPE,
        "network": common.NETWORK_UNSPECIFIED,
        "delivery_days": 7,
        "fee_schedule": "v1",
        "payee": PAYEE,
    }
    return commands.CreateEscrow(**(fields | changes))


def usdc(price_minor: int) -> dict[str, Any]:
    """Return the changes of `create_body` for a trade in USDC."""
    return {
        "price": common.Money(minor=price_minor, currency=common.CURRENCY_USDC),
        "rail": common.RAIL_USDC_BASE,
        "network": common.NETWORK_BASE,
    }


WITH_DEADLINE = {states.AWAIT_FUNDS, states.FUNDS_HELD, states.DELIVERED, states.DISPUTED}


@dataclass
class Trade:
    """One escrow and the messages it said; `give` and `hear` put causes to the rules."""

    now: datetime = START
    record: records.EscrowRecord | None = None
    events: list[EscrowEvent] = field(default_factory=list)
    orders: list[PaymentCommand] = field(default_factory=list)
    messages: int = 0
    fencing_token: int = 7

    @property
    def escrow(self) -> records.Escrow:
        assert self.record is not None
        return self.record.escrow

    @property
    def state(self) -> str:
        return states.name(self.escrow.state)

    @property
    def due(self) -> int:
        return self.escrow.price.minor + self.escrow.buyer_fee_minor

    def money(self, minor: int) -> common.Money:
        return common.Money(minor=minor, currency=self.escrow.price.currency)

    def metadata(self, producer: "common.Producer.ValueType") -> common.Metadata:
        self.messages += 1
        return common.Metadata(
            message_id=str(ids.derived("test", self.messages)),
            traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01",
            correlation_id=str(ids.derived("correlation", self.messages)),
            producer=producer,
        )

    def command(
        self, who: str, name: str, body: Any = None, approvals: Any = ()
    ) -> commands.EscrowCommand:
        """Return a command of `who` (key of ACTORS); `name` is the field of its body."""
        message = commands.EscrowCommand(
            metadata=self.metadata(common.PRODUCER_WEB),
            escrow_id=ESCROW,
            actor=ACTORS[who],
            approvals=approvals,
        )
        target = getattr(message, name)
        target.SetInParent()
        if body is not None:
            target.CopyFrom(body)
        return message

    def fact(self, name: str, **fields: Any) -> PaymentEvent:
        """Return a payment fact; `name` is the field of its body."""
        message = PaymentEvent(metadata=self.metadata(common.PRODUCER_PAYMENTS), escrow_id=ESCROW)
        target = getattr(message, name)
        target.SetInParent()
        target.CopyFrom(type(target)(**fields))
        return message

    def put(self, cause: commands.EscrowCommand | PaymentEvent) -> Decision:
        """Decide, check what must always hold, and take the result over."""
        context = Context(
            self.now, self.fencing_token, records.Origin(topic="t", partition=1, offset=5)
        )
        before = records.EscrowRecord()
        before.CopyFrom(self.record or records.EscrowRecord())
        cause_before = cause.SerializeToString(deterministic=True)
        decision = decide(self.record, cause, context)
        assert (self.record or records.EscrowRecord()) == before, "decide mutates nothing"
        assert cause.SerializeToString(deterministic=True) == cause_before
        self._check(before, cause, decision)
        if decision.record is not None:
            self.record = decision.record
            self.events += decision.events
            self.orders += decision.orders
        return decision

    def give(self, who: str, name: str, body: Any = None, *, approvals: Any = ()) -> Decision:
        """Put a command that is accepted."""
        decision = self.put(self.command(who, name, body, approvals))
        assert decision.verdict is Verdict.ACCEPTED, decision.message
        return decision

    def refused(self, who: str, name: str, body: Any = None, *, approvals: Any = ()) -> str:
        """Put a command that is refused and return the code's name."""
        decision = self.put(self.command(who, name, body, approvals))
        assert decision.verdict is Verdict.REFUSED, decision
        return types.RefusalCode.Name(decision.code).removeprefix("REFUSAL_CODE_")

    def hear(self, name: str, **fields: Any) -> Decision:
        """Put a fact that is accepted."""
        decision = self.put(self.fact(name, **fields))
        assert decision.verdict is Verdict.ACCEPTED, decision.message
        return decision

    def ignored(self, name: str, **fields: Any) -> None:
        """Put a fact that is ignored."""
        assert self.put(self.fact(name, **fields)).verdict is Verdict.IGNORED

    def later(self, **duration: float) -> None:
        self.now += timedelta(**duration)

    def _check(
        self,
        before: records.EscrowRecord,
        cause: commands.EscrowCommand | PaymentEvent,
        decision: Decision,
    ) -> None:
        if decision.record is None:
            assert not decision.orders
            assert decision.verdict is not Verdict.ACCEPTED
            return
        after = decision.record
        assert list(after.events) == list(decision.events)
        assert list(after.orders) == list(decision.orders)
        assert after.origin.offset == 5
        folded: records.Escrow | None = before.escrow if before.escrow.sequence else None
        for event in decision.events:
            folded = evolve(folded, event)
            assert event.state == folded.state
            assert event.metadata.causation_id == cause.metadata.message_id
            assert event.fencing_token == after.fencing_token == self.fencing_token
        assert folded == after.escrow, "the record is the fold of its events"
        check_money(after.escrow)
        if decision.verdict is Verdict.REFUSED:
            _check_refusal(before, decision)
        else:
            _check_listed(before, cause, decision)


def check_money(escrow: records.Escrow) -> None:
    """What came in is held or went out; nothing is held at the end."""
    out = escrow.released_minor + escrow.refunded_minor + escrow.fees_minor
    assert escrow.received_minor == escrow.held_minor + out
    parts = (escrow.held_minor, escrow.released_minor, escrow.refunded_minor, escrow.fees_minor)
    assert min(parts) >= 0
    if escrow.state in states.TERMINAL:
        assert escrow.held_minor == 0
        assert not escrow.HasField("hold")
        assert not escrow.HasField("deadline")
    if escrow.state in (states.AWAIT_FUNDS, states.CANCELLING, states.CANCELLED):
        assert escrow.received_minor == 0
    if escrow.state not in WITH_DEADLINE:
        assert not escrow.HasField("deadline")
    if escrow.HasField("hold"):
        assert escrow.hold.by.kind
        assert escrow.hold.since.seconds
        assert not escrow.deadline.HasField("at"), "no deadline runs during a hold"


def _check_refusal(before: records.EscrowRecord, decision: Decision) -> None:
    assert decision.record is not None
    assert not decision.orders
    assert [event.WhichOneof("body") for event in decision.events] == ["escrow_command_rejected"]
    expected = records.Escrow()
    expected.CopyFrom(before.escrow)
    expected.sequence += 1
    assert decision.record.escrow == expected, "a refusal changes nothing but the sequence"
    assert list(decision.record.absorbed) == list(before.absorbed)
    assert decision.events[0].escrow_command_rejected.code == decision.code


def _check_listed(
    before: records.EscrowRecord,
    cause: commands.EscrowCommand | PaymentEvent,
    decision: Decision,
) -> None:
    """What an accepted cause does is what its row of the table says."""
    assert decision.record is not None
    body = cause.WhichOneof("body")
    assert body is not None
    assert decision.events, "what is accepted says so"
    assert len(decision.record.absorbed) == min(4096, len(before.absorbed) + 1)
    if body == "create_escrow":
        return
    row = row_of(before.escrow.state, body)
    assert row is not None
    assert decision.record.escrow.state in (*row.to, before.escrow.state)
    said = {EVENTS[event.WhichOneof("body") or ""] for event in decision.events}
    assert said <= set(row.events), f"row {row.number}: {said}"
    ordered = {type(getattr(o, o.WhichOneof("body") or "")).__name__ for o in decision.orders}
    assert ordered <= set(row.orders), f"row {row.number}: {ordered}"
    for order in decision.orders:
        assert order.escrow_sequence == decision.record.escrow.sequence
        assert order.metadata.causation_id == cause.metadata.message_id
        assert order.rail == decision.record.escrow.rail


def fields_of(order: PaymentCommand) -> Any:
    """Return the body of an order."""
    return getattr(order, order.WhichOneof("body") or "")
