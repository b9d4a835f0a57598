"""Every state × command × actor, and every state × payment fact."""

from datetime import timedelta
from typing import Any

import pytest

from bloxtr8.escrow import Verdict, allowed_actions
from bloxtr8.escrow.actions import ACTIONS
from bloxtr8.escrow.lookup import COMMANDS, FACTS
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from tests.unit.escrow.paths import PATHS, dispute_body
from tests.unit.escrow.trade import ACTORS, BUYER, PAYEE, SELLER, Trade, create_body


def each(keys: tuple[str, ...], value: set[str]) -> dict[str, set[str]]:
    return dict.fromkeys(keys, value)


ENDS = {"RELEASED", "REFUNDED", "SPLIT", "CANCELLED"}
OPEN = set(PATHS) - ENDS
TALKING = {"FUNDS_HELD", "DELIVERED", "DISPUTED"}
STAFF_HOLD = each(("moderator", "admin", "system"), OPEN)

# command → actor → states in which the table of escrow.md lists it. Written out by hand.
LISTED: dict[str, dict[str, set[str]]] = {
    "create_escrow": {"system": set()},
    "cancel_escrow": each(("buyer", "seller", "admin"), {"AWAIT_FUNDS"}),
    "mark_delivered": {"seller": {"FUNDS_HELD"}},
    "release_funds": each(("buyer", "admin"), {"DELIVERED"}),
    "refund_buyer": each(("seller", "admin"), {"FUNDS_HELD", "DELIVERED"}),
    "raise_dispute": each(("buyer", "seller", "system"), {"FUNDS_HELD", "DELIVERED"}),
    "withdraw_dispute": each(("buyer", "seller"), {"DISPUTED"}),
    "resolve_dispute": each(("moderator", "admin"), {"DISPUTED"}),
    "propose_settlement": each(("buyer", "seller"), TALKING),
    "accept_settlement": each(("buyer", "seller"), TALKING),
    "reject_settlement": each(("buyer", "seller"), TALKING),
    "withdraw_settlement": each(("buyer", "seller"), TALKING),
    "place_hold": STAFF_HOLD,
    "lift_hold": STAFF_HOLD,
    "extend_deadline": STAFF_HOLD | each(("buyer", "seller"), OPEN),
    "set_payee": {"seller": {"AWAIT_FUNDS", "FUNDS_HELD", "DISPUTED"}},
    "approve_funds": {"admin": {"FUNDS_REVIEW"}},
    "reject_funds": {"admin": {"FUNDS_REVIEW"}},
    "retry_payout": {"admin": {"RELEASING", "SPLITTING"}},
    "retry_refund": {"admin": set(PATHS)},
    "expire_deadline": {"system": {"AWAIT_FUNDS", *TALKING}},
    "remind_deadline": {"system": {"AWAIT_FUNDS", *TALKING}},
    "archive_escrow": {"system": set()},
}
TIMERS = ("expire_deadline", "remind_deadline", "archive_escrow")
# What a listed command meets in the trades of PATHS that is no plain acceptance.
NO_DEADLINE = OPEN - {"AWAIT_FUNDS", *TALKING}
EXCEPTIONS: dict[tuple[str, str, str], str] = {
    ("withdraw_dispute", "seller", "DISPUTED"): "NOT_ALLOWED",
    ("set_payee", "seller", "DISPUTED"): "WRONG_STATE",
    **{("lift_hold", who, at): "WRONG_STATE" for who in STAFF_HOLD for at in OPEN},
    **{
        (name, who, at): "STALE_PROPOSAL"
        for name in ("accept_settlement", "reject_settlement", "withdraw_settlement")
        for who in ("buyer", "seller")
        for at in TALKING
    },
    **{
        ("extend_deadline", who, at): "DEADLINE_CHANGED"
        for who in LISTED["extend_deadline"]
        for at in NO_DEADLINE
    },
    **{("retry_payout", "admin", at): "WRONG_STATE" for at in ("RELEASING", "SPLITTING")},
    **{("retry_refund", "admin", at): "WRONG_STATE" for at in PATHS},
}


def body_of(trade: Trade, name: str, who: str) -> Any:
    """Return a proper body for the command in the state the trade is in."""
    deadline = trade.escrow.deadline
    bodies: dict[str, Any] = {
        "create_escrow": create_body(),
        "cancel_escrow": commands.CancelEscrow(reason=types.CANCEL_REASON_TERMS),
        "mark_delivered": commands.MarkDelivered(method=types.DELIVERY_METHOD_OTHER),
        "raise_dispute": dispute_body(),
        "resolve_dispute": commands.ResolveDispute(outcome=types.OUTCOME_RELEASE),
        "propose_settlement": commands.ProposeSettlement(refund_minor=1),
        "accept_settlement": commands.AcceptSettlement(proposal_id="none"),
        "reject_settlement": commands.RejectSettlement(proposal_id="none"),
        "withdraw_settlement": commands.WithdrawSettlement(proposal_id="none"),
        "place_hold": commands.PlaceHold(kind=types.HOLD_KIND_MANUAL),
        "set_payee": commands.SetPayee(payee=PAYEE),
        "expire_deadline": commands.ExpireDeadline(kind=deadline.kind, version=deadline.version),
        "remind_deadline": commands.RemindDeadline(
            kind=deadline.kind, version=deadline.version, percent=50
        ),
    }
    if name == "raise_dispute" and who == "system":
        return commands.RaiseDispute(reason=types.DISPUTE_REASON_COMPLIANCE)
    if name == "extend_deadline":
        body = commands.ExtendDeadline(version=deadline.version, agreed_by=[BUYER, SELLER])
        body.until.FromDatetime(trade.now + timedelta(days=30))
        return body
    return bodies.get(name)


def expected(name: str, who: str, state: str) -> str:
    listed = LISTED[name]
    if who == "stranger":
        return "NOT_A_PARTY"
    if who not in listed:
        return "NOT_ALLOWED"
    if name == "create_escrow":
        return "ALREADY_EXISTS"
    if state not in set().union(*listed.values()):
        return "IGNORED" if name in TIMERS else "WRONG_STATE"
    if state not in listed[who]:
        return "NOT_ALLOWED"
    return EXCEPTIONS.get((name, who, state), "ACCEPTED")


@pytest.mark.parametrize("state", PATHS)
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_every_actor_in_every_state(name: str, state: str) -> None:
    for who in ACTORS:
        trade = PATHS[state]()
        want = expected(name, who, state)
        trade.later(days=31 if name in ("expire_deadline", "remind_deadline") else 1)
        body = body_of(trade, name, who)
        decision = trade.put(trade.command(who, name, body))
        got = decision.verdict.name
        if decision.verdict is Verdict.REFUSED:
            got = types.RefusalCode.Name(decision.code).removeprefix("REFUSAL_CODE_")
        assert got == want, f"{name} by {who} in {state}: {decision.message}"


def facts_of(trade: Trade) -> dict[str, dict[str, Any]]:
    """Return the fields of each fact as it would be about what this trade has under way."""
    escrow = trade.escrow
    intent = escrow.intent.operation_id
    return {
        "payment_intent_created": {"operation_id": intent, "provider_ref": "pi_1"},
        "payment_processing": {"operation_id": intent, "provider_ref": "pi_1"},
        "payment_failed": {"operation_id": intent, "code": "card_declined"},
        "payment_succeeded": {
            "operation_id": intent,
            "payment_ref": "pi_9",
            "amount": trade.money(trade.due),
        },
        "funds_under_review": {
            "operation_id": intent,
            "payment_ref": "pi_9",
            "amount": trade.money(trade.due),
            "reason": "RISK",
            "risk": "HIGH",
        },
        "payment_cancelled": {"operation_id": intent},
        "transfer_succeeded": {"operation_id": escrow.payout.operation_id or "none"},
        "transfer_failed": {"operation_id": escrow.payout.operation_id or "none"},
        "refund_succeeded": {"operation_id": escrow.refund.operation_id or "none"},
        "refund_failed": {"operation_id": escrow.refund.operation_id or "none"},
        "chargeback_opened": {"dispute_ref": "dp_1", "amount": trade.money(trade.due)},
        "chargeback_closed": {"dispute_ref": "dp_1", "amount": trade.money(trade.due)},
        "transfer_reversed": {"provider_ref": "tr_1", "amount": trade.money(1)},
        "funds_screened": {"payment_ref": escrow.funding_ref, "risk": "LOW"},
        "discrepancy_found": {"subject": "tr_9"},
    }


ALL = set(PATHS)
# fact → state → state after it; what is not named is ignored.
STAY = {state: state for state in ALL}
LED: dict[str, dict[str, str]] = {
    "payment_intent_created": {"AWAIT_FUNDS": "AWAIT_FUNDS"},
    "payment_processing": {"AWAIT_FUNDS": "AWAIT_FUNDS"},
    "payment_failed": {"AWAIT_FUNDS": "AWAIT_FUNDS"},
    "payment_succeeded": STAY | {"AWAIT_FUNDS": "FUNDS_HELD", "CANCELLING": "REFUNDING"},
    "funds_under_review": STAY | {"AWAIT_FUNDS": "FUNDS_REVIEW", "CANCELLING": "FUNDS_REVIEW"},
    "payment_cancelled": {"CANCELLING": "CANCELLED"},
    "transfer_succeeded": {"RELEASING": "RELEASED", "SPLITTING": "SPLITTING"},
    "transfer_failed": {"RELEASING": "RELEASING", "SPLITTING": "SPLITTING"},
    "refund_succeeded": {"REFUNDING": "REFUNDED", "SPLITTING": "SPLITTING"},
    "refund_failed": {"REFUNDING": "REFUNDING", "SPLITTING": "SPLITTING"},
    "chargeback_opened": STAY
    | dict.fromkeys(("FUNDS_REVIEW", "FUNDS_HELD", "DELIVERED"), "DISPUTED"),
    "chargeback_closed": STAY | dict.fromkeys(("FUNDS_REVIEW", *TALKING), "REFUNDED"),
    "transfer_reversed": {},
    # The funds of PATHS are under review for a risk that is known.
    "funds_screened": {},
    "discrepancy_found": {},
}


@pytest.mark.parametrize("state", PATHS)
@pytest.mark.parametrize("name", FACTS)
def test_every_fact_in_every_state(name: str, state: str) -> None:
    trade = PATHS[state]()
    before = trade.escrow
    decision = trade.put(trade.fact(name, **facts_of(trade)[name]))
    if state in LED[name]:
        assert decision.verdict is Verdict.ACCEPTED, decision.message
        assert trade.state == LED[name][state]
    else:
        assert decision.verdict is Verdict.IGNORED
        assert trade.escrow == before


@pytest.mark.parametrize("state", PATHS)
@pytest.mark.parametrize("name", FACTS)
def test_a_repeated_fact_has_no_second_effect(name: str, state: str) -> None:
    trade = PATHS[state]()
    fact = trade.fact(name, **facts_of(trade)[name])
    first = trade.put(fact)
    second = trade.put(fact)
    if first.verdict is Verdict.ACCEPTED:
        assert second.verdict is Verdict.DUPLICATE
    else:
        assert second.verdict is Verdict.IGNORED


@pytest.mark.parametrize("state", PATHS)
def test_actions_are_what_would_be_accepted(state: str) -> None:
    roles = {
        "buyer": common.STAFF_ROLE_UNSPECIFIED,
        "seller": common.STAFF_ROLE_UNSPECIFIED,
        "stranger": common.STAFF_ROLE_UNSPECIFIED,
        "support": common.STAFF_ROLE_SUPPORT,
        "moderator": common.STAFF_ROLE_MODERATOR,
        "admin": common.STAFF_ROLE_ADMIN,
    }
    for who, role in roles.items():
        trade = PATHS[state]()
        offered = allowed_actions(
            trade.escrow, trade.now, user_id=ACTORS[who].user_id, staff_role=role
        )
        possible = {
            action
            for action, (name, _) in ACTIONS.items()
            if expected(name, who, state) == "ACCEPTED"
        }
        assert set(offered) == possible, f"{who} in {state}"
