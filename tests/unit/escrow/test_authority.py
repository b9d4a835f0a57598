"""Which producer may say what."""

import pytest

from bloxtr8.escrow import permits
from bloxtr8.escrow.lookup import COMMANDS
from proto.bloxtr8.common.v1 import common_pb2 as common
from tests.unit.escrow.trade import ACTORS, Trade

ONLY_SYSTEM = {"create_escrow", "expire_deadline", "remind_deadline", "archive_escrow"}
STAFF_ONLY = {"resolve_dispute", "place_hold", "lift_hold", "approve_funds", "reject_funds"}
STAFF_ONLY |= {"retry_payout", "retry_refund"}
BOTH = {"cancel_escrow", "release_funds", "refund_buyer", "extend_deadline"}
OPERATOR = {"place_hold", "lift_hold", "extend_deadline"}


def expected(producer: int, name: str, who: str) -> bool:
    if producer in (common.PRODUCER_BOT, common.PRODUCER_WEB):
        if who == "buyer":
            return name not in ONLY_SYSTEM | STAFF_ONLY
        return who == "admin" and name in STAFF_ONLY | BOTH
    if producer == common.PRODUCER_DEADLINES:
        return who == "system" and name in ONLY_SYSTEM - {"create_escrow"}
    if producer == common.PRODUCER_CONTRACTS:
        return who == "system" and name == "create_escrow"
    return producer == common.PRODUCER_OPERATOR and who != "buyer" and name in OPERATOR


@pytest.mark.parametrize("producer", common.Producer.values())
def test_every_producer_command_and_kind_of_actor(producer: int) -> None:
    trade = Trade()
    for name in COMMANDS:
        for who in ("buyer", "admin", "system"):
            command = trade.command(who, name)
            assert permits(producer, command) == expected(producer, name, who), (name, who)


def test_nobody_may_say_nothing_or_be_nobody() -> None:
    command = Trade().command("buyer", "release_funds")
    command.actor.Clear()
    assert not permits(common.PRODUCER_WEB, command)
    command = Trade().command("buyer", "release_funds")
    command.ClearField("release_funds")
    assert not permits(common.PRODUCER_WEB, command)
    assert not permits(99, Trade().command("buyer", "release_funds"))
    assert ACTORS
