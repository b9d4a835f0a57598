"""What a trade must meet before an escrow exists, and how the first event looks."""

from typing import Any

import pytest

from bloxtr8 import ids
from bloxtr8.escrow import Context, Verdict, decide, refuse
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import record_pb2 as records
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from tests.unit.escrow.paths import created
from tests.unit.escrow.trade import (
    BUYER,
    CONTRACT,
    ESCROW,
    PAYEE,
    SELLER,
    START,
    Trade,
    create_body,
    usdc,
)


def party(user_id: str = BUYER, tier: int = 1, *, frozen: bool = False) -> commands.Party:
    return commands.Party(user_id=user_id, tier=tier, frozen=frozen)


def usd(minor: int) -> common.Money:
    return common.Money(minor=minor, currency=common.CURRENCY_USD)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "same person": ({"buyer": party(SELLER)}, "NOT_ALLOWED"),
    "buyer not linked": ({"buyer": party(tier=0)}, "NOT_ALLOWED"),
    "seller not linked": ({"seller": party(SELLER, tier=0)}, "NOT_ALLOWED"),
    "buyer frozen": ({"buyer": party(frozen=True)}, "NOT_ALLOWED"),
    "seller frozen": ({"seller": party(SELLER, frozen=True)}, "NOT_ALLOWED"),
    "buyer not named": ({"buyer": party("")}, "MALFORMED"),
    "other contract": ({"contract_id": BUYER}, "MALFORMED"),
    "contract is no id": ({"contract_id": "C-1"}, "MALFORMED"),
    "hash is none": ({"contract_sha256": "A" * 64}, "MALFORMED"),
    "no delivery time": ({"delivery_days": 0}, "MALFORMED"),
    "long delivery time": ({"delivery_days": 31}, "MALFORMED"),
    "no rail": ({"rail": common.RAIL_UNSPECIFIED}, "MALFORMED"),
    "unknown rail": ({"rail": 99}, "MALFORMED"),
    "currency of the other rail": (
        {"price": common.Money(minor=125_000, currency=common.CURRENCY_USDC)},
        "MALFORMED",
    ),
    "network without one": ({"network": common.NETWORK_BASE}, "MALFORMED"),
    "USDC without network": (usdc(5_000_000) | {"network": 0}, "MALFORMED"),
    "unknown schedule": ({"fee_schedule": "v0"}, "MALFORMED"),
    "payee without destination": ({"payee": types.Payee(payout_method_id="m")}, "MALFORMED"),
    "0.99 USD": ({"price": usd(99)}, "AMOUNT_OUT_OF_RANGE"),
    "negative": ({"price": usd(-100)}, "AMOUNT_OUT_OF_RANGE"),
    "total of 10,000.01 USD": ({"price": usd(971_789)}, "AMOUNT_OUT_OF_RANGE"),
    "0.999999 USDC": (usdc(999_999), "AMOUNT_OUT_OF_RANGE"),
    "1,000,000.000001 USDC": (usdc(1_000_000_000_001), "AMOUNT_OUT_OF_RANGE"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    changes, code = REFUSED[case]
    trade = Trade()
    command = trade.command("system", "create_escrow", create_body(**changes))
    decision = trade.put(command)
    assert decision.verdict is Verdict.REFUSED
    assert types.RefusalCode.Name(decision.code) == f"REFUSAL_CODE_{code}"
    assert trade.record is None
    assert decision.events[0].sequence == 0
    assert decision.events[0].metadata.message_id == str(
        ids.derived("refusal", command.metadata.message_id)
    )
    assert trade.put(command).events == decision.events, "told again in the same words"


@pytest.mark.parametrize(
    "changes",
    [
        {"price": usd(100)},
        {"price": usd(971_788)},
        usdc(1_000_000),
        usdc(1_000_000_000_000),
        {"delivery_days": 1},
        {"delivery_days": 30},
        {"payee": None},
    ],
)
def test_accepted_at_the_edges(changes: dict[str, Any]) -> None:
    assert created(**changes).state == "AWAIT_FUNDS"


def test_fees_are_computed_and_the_instrument_is_ordered() -> None:
    trade = created()
    escrow = trade.escrow
    assert (escrow.buyer_fee_minor, escrow.seller_fee_minor) == (3_655, 50)
    assert escrow.payee == PAYEE
    (order,) = trade.orders
    intent = order.create_payment_intent
    assert intent.amount == usd(128_655)
    assert intent.operation_id == ids.operation_id_for(ESCROW, "INTENT", 1)
    assert (intent.contract_id, intent.buyer_id) == (CONTRACT, BUYER)
    assert order.metadata.message_id == str(ids.derived("order", intent.operation_id, 1))
    assert order.metadata.producer == common.PRODUCER_ESCROW
    assert (order.fencing_token, order.escrow_sequence) == (7, 2)


def test_events_have_derived_ids() -> None:
    trade = created()
    assert [event.metadata.message_id for event in trade.events] == [
        str(ids.derived("event", ESCROW, sequence)) for sequence in (1, 2)
    ]


def test_only_a_system_creates() -> None:
    trade = Trade()
    assert trade.refused("buyer", "create_escrow", create_body()) == "NOT_ALLOWED"
    assert trade.refused("admin", "create_escrow", create_body()) == "NOT_ALLOWED"


def test_created_once() -> None:
    trade = Trade()
    command = trade.command("system", "create_escrow", create_body())
    assert trade.put(command).verdict is Verdict.ACCEPTED
    assert trade.put(command).verdict is Verdict.DUPLICATE
    assert trade.refused("system", "create_escrow", create_body()) == "ALREADY_EXISTS"


def test_commands_and_facts_about_nothing() -> None:
    trade = Trade()
    assert trade.refused("buyer", "release_funds") == "ESCROW_NOT_FOUND"
    assert trade.put(trade.fact("payment_cancelled")).verdict is Verdict.IGNORED


def test_a_refused_command_gets_its_verdict_once() -> None:
    trade = created()
    command = trade.command("buyer", "release_funds")
    assert trade.put(command).verdict is Verdict.REFUSED
    assert trade.put(command).verdict is Verdict.DUPLICATE


def test_the_last_64_refusals_are_remembered() -> None:
    trade = created()
    for _ in range(70):
        trade.refused("buyer", "release_funds")
    assert trade.record is not None
    assert len(trade.record.refused) == 64


def test_refusing_what_may_not_be_said() -> None:
    trade = created()
    context = Context(START, 9, records.Origin())
    command = trade.command("buyer", "release_funds")
    decision = refuse(trade.record, command, context, types.REFUSAL_CODE_SIGNATURE_INVALID, "No.")
    rejected = decision.events[0].escrow_command_rejected
    assert (rejected.command, rejected.code) == (
        "ReleaseFunds",
        types.REFUSAL_CODE_SIGNATURE_INVALID,
    )
    assert decide(decision.record, command, context).verdict is Verdict.DUPLICATE


def test_a_command_without_actor_or_body_is_malformed() -> None:
    trade = created()
    for broken in (
        common.Actor(),
        common.Actor(kind=common.ACTOR_KIND_USER),
        common.Actor(kind=common.ACTOR_KIND_STAFF, user_id=BUYER),
        common.Actor(kind=17, user_id=BUYER),  # type: ignore[arg-type]
    ):
        command = trade.command("buyer", "release_funds")
        command.actor.CopyFrom(broken)
        assert trade.put(command).code == types.REFUSAL_CODE_MALFORMED
    command = trade.command("buyer", "release_funds")
    command.ClearField("release_funds")
    assert trade.put(command).code == types.REFUSAL_CODE_MALFORMED


def test_people_run_out_of_changes_but_facts_do_not() -> None:
    trade = created()
    assert trade.record is not None
    trade.record.absorbed.extend(number.to_bytes(16, "big") for number in range(3_072))
    body = commands.CancelEscrow(reason=types.CANCEL_REASON_TERMS)
    assert trade.refused("buyer", "cancel_escrow", body) == "NOT_ALLOWED"
    trade.record.absorbed.extend(number.to_bytes(16, "big") for number in range(4_000, 5_023))
    trade.hear("payment_processing", operation_id=trade.escrow.intent.operation_id)
    assert len(trade.record.absorbed) == 4_096
    oldest = trade.record.absorbed[1]
    trade.hear("payment_failed", operation_id=trade.escrow.intent.operation_id)
    assert (len(trade.record.absorbed), trade.record.absorbed[0]) == (4_096, oldest)
