"""Random trades against the rules: whatever is said in whatever order, the books hold."""

import os
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from bloxtr8.escrow import Verdict, allowed_actions, evolve, next_wakeup, states
from bloxtr8.escrow.actions import ACTIONS
from bloxtr8.escrow.lookup import COMMANDS
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import record_pb2 as records
from tests.property.bodies import body_for
from tests.property.provider import Operation, Provider
from tests.unit.escrow.paths import PATHS
from tests.unit.escrow.trade import ACTORS, Trade, create_body, two, usdc

MACHINES = int(os.environ.get("BLOXTR8_MACHINES", "500"))
PEOPLE = ("buyer", "seller", "moderator", "admin")
PRICES: dict[str, dict[str, Any]] = {
    "stripe": {},
    "usdc": usdc(50 * 10**6),
    "large": usdc(20_000 * 10**6),
}
# Not those whose money has left: the provider below must know of all that does.
STARTS = [name for name in PATHS if name not in ("RELEASED", "REFUNDED", "SPLIT", "CANCELLED")]
FACTS_ABOUT_MONEY = ("payment_succeeded", "funds_under_review")


class RandomTrade(RuleBasedStateMachine):
    """One escrow, its parties, staff, clock, and a provider that tells the truth, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.trade = Trade()
        self.provider = Provider()
        self.said: list[Any] = []
        self.receipts = 0

    @initialize(kind=st.sampled_from(sorted(PRICES)), start=st.sampled_from(STARTS))
    def begin(self, kind: str, start: str) -> None:
        changes = PRICES[kind]
        if start in ("AWAIT_FUNDS", "FUNDS_HELD") and kind == "usdc":
            changes = changes | {"payee": None}
        self.trade = PATHS[start](**changes)
        self.provider.take(self.trade.orders)

    def put(self, cause: Any) -> Verdict:
        ended = self.trade.record is not None and self.trade.escrow.state in states.TERMINAL
        before = self.trade.escrow.state if self.trade.record is not None else states.NONE
        decision = self.trade.put(cause)
        self.said.append(cause)
        assert not ended or self.trade.escrow.state == before, "an end is an end"
        self.provider.take(self.trade.orders)
        return decision.verdict

    @rule(data=st.data(), who=st.sampled_from(PEOPLE), approved=st.booleans())
    def do_what_is_offered(self, data: st.DataObject, who: str, approved: bool) -> None:
        actor = ACTORS[who]
        offered = allowed_actions(
            self.trade.escrow, self.trade.now, user_id=actor.user_id, staff_role=actor.staff_role
        )
        if not offered:
            return
        name = ACTIONS[data.draw(st.sampled_from(offered))][0]
        body = data.draw(body_for(self.trade, name))
        self.put(self.trade.command(who, name, body, two() if approved else ()))

    @rule(
        data=st.data(), who=st.sampled_from(sorted(ACTORS)), name=st.sampled_from(sorted(COMMANDS))
    )
    def say_anything(self, data: st.DataObject, who: str, name: str) -> None:
        body = create_body() if name == "create_escrow" else data.draw(body_for(self.trade, name))
        self.put(self.trade.command(who, name, body))

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def say_it_again(self, data: st.DataObject) -> None:
        cause = data.draw(st.sampled_from(self.said))
        before = self.trade.record
        body = cause.WhichOneof("body")
        first = self.trade.record is not None and self._absorbed(cause)
        verdict = self.put(cause)
        if first:
            assert verdict is Verdict.DUPLICATE, body
            assert self.trade.record is before

    def _absorbed(self, cause: Any) -> bool:
        record = self.trade.record
        assert record is not None
        message_id = bytes.fromhex(cause.metadata.message_id.replace("-", ""))
        return message_id in record.absorbed or message_id in record.refused

    @rule(hours=st.integers(1, 60))
    def time_passes(self, hours: int) -> None:
        self.trade.now += timedelta(hours=hours)

    @rule()
    def a_deadline_wakes(self) -> None:
        wakeup = next_wakeup(self.trade.escrow)
        if wakeup is None:
            return
        self.trade.now = max(self.trade.now, wakeup[0])
        expires = isinstance(wakeup[1], commands.ExpireDeadline)
        name = "expire_deadline" if expires else "remind_deadline"
        assert self.put(self.trade.command("system", name, wakeup[1])) is Verdict.ACCEPTED

    @rule(
        name=st.sampled_from(FACTS_ABOUT_MONEY),
        part=st.sampled_from(["exact", "exact", "exact", "less", "more", "foreign"]),
        risk=st.sampled_from(["", "MEDIUM", "HIGH", "SANCTIONED"]),
    )
    def money_arrives(self, name: str, part: str, risk: str) -> None:
        self.receipts += 1
        due = self.trade.due
        minor = {"less": due // 2, "more": due + due // 200}.get(part, due)
        amount = self.trade.money(minor)
        if part == "foreign":
            other = {common.CURRENCY_USD: common.CURRENCY_USDC}
            amount.currency = other.get(amount.currency, common.CURRENCY_USD)
        fields: dict[str, Any] = {"payment_ref": f"receipt_{self.receipts}", "amount": amount}
        fields["operation_id"] = self.trade.escrow.intent.operation_id
        if name == "funds_under_review":
            fields |= {"risk": risk}
        self.put(self.trade.fact(name, **fields))

    @rule(
        name=st.sampled_from(
            ["payment_intent_created", "payment_processing", "payment_failed", "payment_cancelled"]
        ),
        dead=st.booleans(),
    )
    def the_instrument_changes(self, name: str, dead: bool) -> None:
        fields: dict[str, Any] = {"operation_id": self.trade.escrow.intent.operation_id}
        if name == "payment_failed":
            fields["intent_dead"] = dead
        self.put(self.trade.fact(name, **fields))

    def _open(self) -> list[str]:
        operations = self.provider.operations
        return sorted(key for key, one in operations.items() if not (one.done or one.ended))

    def _fact(self, operation_id: str, one: Operation, outcome: str, **fields: Any) -> None:
        name = f"transfer_{outcome}" if one.kind == "payout" else f"refund_{outcome}"
        self.put(self.trade.fact(name, operation_id=operation_id, **fields))

    @precondition(lambda self: self._open())
    @rule(data=st.data())
    def the_provider_confirms(self, data: st.DataObject) -> None:
        operation_id = data.draw(st.sampled_from(self._open()))
        one = self.provider.operations[operation_id]
        one.done = True
        amount = common.Money(minor=one.amount_minor, currency=one.currency)  # type: ignore[arg-type]
        self._fact(operation_id, one, "succeeded", amount=amount, provider_ref="ref")

    @precondition(lambda self: self._open())
    @rule(data=st.data(), proven=st.booleans())
    def the_provider_fails(self, data: st.DataObject, proven: bool) -> None:
        operation_id = data.draw(st.sampled_from(self._open()))
        one = self.provider.operations[operation_id]
        if one.attempt in one.failed_attempts:
            return
        one.failed_attempts.add(one.attempt)
        one.ended = proven
        self._fact(operation_id, one, "failed", code="no", nothing_happened=proven)

    @rule(
        ref=st.sampled_from(["dp_1", "dp_2"]),
        closes=st.booleans(),
        won=st.booleans(),
        part=st.booleans(),
        seldom=st.integers(0, 5),
    )
    def the_bank_speaks(self, ref: str, closes: bool, won: bool, part: bool, seldom: int) -> None:
        if seldom:
            return
        amount = self.trade.money(self.trade.due // 3 if part else self.trade.due * 2)
        fields: dict[str, Any] = {"dispute_ref": ref, "amount": amount}
        if closes:
            fields["won"] = won
        name = "chargeback_closed" if closes else "chargeback_opened"
        self.put(self.trade.fact(name, **fields))

    @invariant()
    def no_more_leaves_than_came_in(self) -> None:
        if self.trade.record is None:
            return
        escrow = self.trade.escrow
        left = self.provider.moved("payout", "refund")
        assert left <= escrow.received_minor
        assert escrow.released_minor == self.provider.moved("payout")
        stray = sum(one.amount_minor for one in escrow.stray if one.refunded)
        assert self.provider.moved("stray") == stray

    @invariant()
    def sequences_have_no_gaps(self) -> None:
        assert [event.sequence for event in self.trade.events] == list(
            range(1, len(self.trade.events) + 1)
        )

    def teardown(self) -> None:
        folded: records.Escrow | None = None
        for event in self.trade.events:
            folded = evolve(folded, event)
        if self.trade.record is not None:
            assert folded == self.trade.escrow


TestRandomTrade = RandomTrade.TestCase
TestRandomTrade.settings = settings(
    max_examples=MACHINES,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
