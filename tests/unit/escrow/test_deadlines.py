"""The clock: reminders, ends, pauses, extensions."""

from datetime import timedelta
from typing import Any

import pytest

from bloxtr8.escrow import Verdict, next_wakeup
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from tests.unit.escrow.paths import PATHS, delivered, disputed, held
from tests.unit.escrow.trade import BUYER, SELLER, START, STRANGER, Trade

MANUAL = commands.PlaceHold(kind=types.HOLD_KIND_MANUAL)


def wake(trade: Trade) -> Any:
    """Let time pass to the next wake-up, send its command and return its body."""
    wakeup = next_wakeup(trade.escrow)
    assert wakeup is not None
    trade.now, body = wakeup
    name = "expire_deadline" if isinstance(body, commands.ExpireDeadline) else "remind_deadline"
    assert trade.put(early(trade, name, body)).verdict is Verdict.IGNORED
    trade.give("system", name, body)
    return body


def early(trade: Trade, name: str, body: Any) -> commands.EscrowCommand:
    """Return the command of an older deadline: the same kind, another version."""
    older = type(body)()
    older.CopyFrom(body)
    older.version += 1
    return trade.command("system", name, older)


@pytest.mark.parametrize(
    ("start", "days", "end"),
    [
        ("AWAIT_FUNDS", 3, "CANCELLING"),
        ("FUNDS_HELD", 7, "REFUNDING"),
        ("DELIVERED", 7, "RELEASING"),
        ("DISPUTED", 30, "DISPUTED"),
    ],
)
def test_reminded_twice_then_over(start: str, days: int, end: str) -> None:
    trade = PATHS[start]()
    assert wake(trade).percent == 50
    assert trade.now == START + timedelta(days=days / 2)
    assert wake(trade).percent == 90
    assert trade.now == START + timedelta(days=days * 0.9)
    wake(trade)
    assert trade.now == START + timedelta(days=days)
    assert trade.state == end
    assert next_wakeup(trade.escrow) is None


def test_an_overdue_dispute_stays_for_staff() -> None:
    trade = disputed()
    for _ in range(3):
        wake(trade)
    assert trade.escrow.dispute.overdue
    trade.give("buyer", "withdraw_dispute")
    assert trade.state == "DELIVERED"


def test_nothing_ends_early_and_nothing_is_said_twice() -> None:
    trade = held()
    deadline = trade.escrow.deadline
    expire = commands.ExpireDeadline(kind=deadline.kind, version=deadline.version)
    remind = commands.RemindDeadline(kind=deadline.kind, version=deadline.version, percent=50)
    trade.later(days=3.5, seconds=-1)
    assert trade.put(trade.command("system", "remind_deadline", remind)).verdict is Verdict.IGNORED
    trade.later(seconds=1)
    trade.give("system", "remind_deadline", remind)
    assert trade.put(trade.command("system", "remind_deadline", remind)).verdict is Verdict.IGNORED
    remind.percent = 60
    assert trade.put(trade.command("system", "remind_deadline", remind)).verdict is Verdict.IGNORED
    trade.later(days=3.5, microseconds=-1)
    assert trade.put(trade.command("system", "expire_deadline", expire)).verdict is Verdict.IGNORED
    expire.kind = types.DEADLINE_KIND_FUNDING
    trade.later(seconds=1)
    assert trade.put(trade.command("system", "expire_deadline", expire)).verdict is Verdict.IGNORED
    expire.kind = types.DEADLINE_KIND_DELIVERY
    trade.give("system", "expire_deadline", expire)


def test_a_hold_stops_the_clock_and_gives_back_what_was_left() -> None:
    trade = held()
    trade.later(days=4)
    reminder = next_wakeup(trade.escrow)
    assert reminder is not None
    trade.give("system", "remind_deadline", reminder[1])
    deadline = trade.escrow.deadline
    expire = commands.ExpireDeadline(kind=deadline.kind, version=deadline.version)
    trade.give("moderator", "place_hold", MANUAL)
    assert trade.escrow.deadline.remaining_seconds == 3 * 86_400
    assert next_wakeup(trade.escrow) is None
    trade.later(days=20)
    assert trade.put(trade.command("system", "expire_deadline", expire)).verdict is Verdict.IGNORED
    trade.give("moderator", "lift_hold")
    assert trade.put(trade.command("system", "expire_deadline", expire)).verdict is Verdict.IGNORED
    lifted = trade.now
    assert wake(trade).percent == 90
    wake(trade)
    assert trade.now == lifted + timedelta(days=3)
    assert trade.state == "REFUNDING"


def test_a_dispute_gives_back_what_was_left() -> None:
    trade = delivered()
    trade.later(days=2)
    trade.give("buyer", "raise_dispute", commands.RaiseDispute(reason=1, wanted=1))  # type: ignore[arg-type]
    trade.later(days=10)
    trade.give("moderator", "place_hold", MANUAL)
    trade.give("buyer", "withdraw_dispute")
    assert trade.escrow.deadline.kind == types.DEADLINE_KIND_CONFIRMATION
    assert trade.escrow.deadline.remaining_seconds == 5 * 86_400
    trade.later(days=1)
    trade.give("moderator", "lift_hold")
    assert trade.escrow.deadline.at.ToDatetime(tzinfo=START.tzinfo) == trade.now + timedelta(days=5)


def test_a_dispute_that_began_on_hold_gives_back_what_was_left() -> None:
    trade = delivered()
    trade.later(days=2)
    trade.give("moderator", "place_hold", MANUAL)
    trade.later(days=2)
    trade.give("buyer", "raise_dispute", commands.RaiseDispute(reason=1, wanted=1))  # type: ignore[arg-type]
    trade.give("moderator", "lift_hold")
    trade.give("buyer", "withdraw_dispute")
    assert trade.escrow.deadline.at.ToDatetime(tzinfo=START.tzinfo) == trade.now + timedelta(days=5)


def extension(trade: Trade, agreed: tuple[str, ...] = (), **ahead: float) -> Any:
    body = commands.ExtendDeadline(version=trade.escrow.deadline.version, agreed_by=agreed)
    body.until.FromDatetime(trade.now + timedelta(**ahead))
    return body


def test_both_parties_extend_by_at_most_30_days() -> None:
    trade = held()
    both = (SELLER, BUYER)
    for agreed in ((), (BUYER,), (BUYER, BUYER), (BUYER, SELLER, STRANGER)):
        body = extension(trade, agreed, days=8)
        assert trade.refused("buyer", "extend_deadline", body) == "NOT_ALLOWED"
    for days in (-1, 0, 6, 7, 30.01):
        body = extension(trade, both, days=days)
        assert trade.refused("buyer", "extend_deadline", body) == "AMOUNT_OUT_OF_RANGE"
    body = extension(trade, both, days=30)
    trade.give("buyer", "extend_deadline", body)
    assert trade.refused("seller", "extend_deadline", body) == "DEADLINE_CHANGED"
    assert wake(trade).percent == 50
    assert trade.now == START + timedelta(days=15)


def test_staff_and_outages_extend_further() -> None:
    trade = held()
    trade.give("moderator", "extend_deadline", extension(trade, days=90))
    trade.give("system", "extend_deadline", extension(trade, days=365))
    body = extension(trade, days=366)
    assert trade.refused("system", "extend_deadline", body) == "AMOUNT_OUT_OF_RANGE"


def test_a_paused_deadline_is_extended_too() -> None:
    trade = held()
    trade.later(days=2)
    trade.give("moderator", "place_hold", MANUAL)
    trade.give("moderator", "extend_deadline", extension(trade, days=10))
    assert trade.escrow.deadline.remaining_seconds == 10 * 86_400
    trade.give("moderator", "lift_hold")
    trade.later(days=4)
    wakeup = next_wakeup(trade.escrow)
    assert wakeup is not None
    assert wakeup[0] == trade.now, "half of the twelve days since it began have gone"


def test_at_most_twenty_extensions() -> None:
    trade = held()
    for count in range(20):
        trade.give("moderator", "extend_deadline", extension(trade, days=8 + count))
    body = extension(trade, days=40)
    assert trade.refused("moderator", "extend_deadline", body) == "NOT_ALLOWED"
