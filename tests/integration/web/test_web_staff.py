"""What staff decide, alone and in pairs."""

import asyncio
import hashlib
from datetime import timedelta
from typing import Any

import pytest

from bloxtr8.access import StaffRole
from bloxtr8.messaging.topics import ESCROW_COMMANDS
from bloxtr8.store import database
from bloxtr8.store.database import to_json
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.payments.v1 import payments_pb2 as payments
from tests.integration.web.world import REASON, VERDICT, Someone, World, accepted, problem

pytestmark = pytest.mark.usefixtures("patient_database")
RELEASE = {"outcome": "RELEASE", "verdict": VERDICT, "reason": REASON}


def split(minor: int, currency: str = "USD") -> dict[str, Any]:
    amount = {"minor": minor, "currency": currency}
    return RELEASE | {"outcome": "SPLIT", "seller_amount": amount}


async def test_a_moderator_splits_and_sees_it_first(world: World) -> None:
    trade, staff = await world.disputed(), await world.person(StaffRole.MODERATOR)
    path = f"{trade.staff_path}/resolve"
    preview = await world.post(path, staff, split(40_000) | {"preview": True})
    moves = await preview.json()
    assert preview.status == 200
    total = sum(moves[name]["minor"] for name in ("payout", "refund", "fees"))
    assert total == trade.escrow.received_minor
    assert world.commands == []

    await accepted(await world.post(path, staff, split(40_000)))
    command = world.commands[-1]
    assert command.resolve_dispute.refund_minor == 60_000
    assert [approval.user_id for approval in command.approvals] == [staff.id]
    assert command.actor.staff_role == common.STAFF_ROLE_MODERATOR
    await trade.answer()
    assert trade.escrow.state == types.ESCROW_STATE_SPLITTING
    assert trade.escrow.payout.amount_minor == moves["payout"]["minor"]

    seen = await (await world.get(f"{trade.path}/dispute", trade.buyer_person)).json()
    assert (seen["status"], seen["outcome"]) == ("RESOLVED", "SPLIT")
    assert VERDICT in [said["text"] for said in seen["statements"]]
    audited = await database.fetchrow(
        "SELECT reason, actor_id FROM audit_log WHERE action = 'escrow.resolve_dispute'"
        " AND channel = 'WEB'"
    )
    assert audited is not None
    assert (audited["reason"], str(audited["actor_id"])) == (REASON, staff.id)


async def test_verdicts_that_make_no_sense(world: World) -> None:
    trade, staff = await world.disputed(), await world.person(StaffRole.MODERATOR)
    path = f"{trade.staff_path}/resolve"
    for body, code in (
        (RELEASE | {"outcome": "SPLIT"}, "validation_failed"),
        (split(1) | {"outcome": "REFUND"}, "validation_failed"),
        (split(0), "amount_out_of_range"),
        (split(100_000), "amount_out_of_range"),
        (split(1, "USDC"), "amount_out_of_range"),
        (RELEASE | {"reason": "short"}, "validation_failed"),
        ({"outcome": "RELEASE", "verdict": VERDICT}, "validation_failed"),
    ):
        await problem(await world.post(path, staff, body), 422, code)
    held = await world.held()
    answer = await world.post(f"{held.staff_path}/resolve", staff, RELEASE)
    await problem(answer, 409, "invalid_state")


async def test_staff_do_not_decide_their_own_trade(world: World) -> None:
    staff = await world.person(StaffRole.ADMIN)
    trade = await world.disputed(seller=staff)
    for path, body in (("resolve", RELEASE), ("hold", {"kind": "MANUAL", "reason": REASON})):
        answer = await world.post(f"{trade.staff_path}/{path}", staff, body)
        await problem(answer, 403, "conflict_of_interest")


async def test_staff_write_only_after_a_recent_sign_in(world: World) -> None:
    trade, staff = await world.disputed(), await world.person(StaffRole.ADMIN)
    world.clock.advance(timedelta(minutes=16))
    renewed = Someone(staff.id, staff.session, world.tokens.mint(staff.session))
    assert (await world.get(trade.staff_path, renewed)).status == 200
    answer = await world.post(f"{trade.staff_path}/resolve", renewed, RELEASE)
    await problem(answer, 403, "step_up_required")


async def test_holds_deadlines_and_forced_moves(world: World) -> None:
    admin = await world.person(StaffRole.ADMIN)
    trade = await world.delivered()
    reason = {"reason": REASON}
    staff_path = trade.staff_path
    answer = await world.post(f"{staff_path}/hold", admin, {"kind": "MANUAL"} | reason)
    await accepted(answer)
    await trade.answer()
    seen = await (await world.get(trade.path, trade.buyer_person)).json()
    assert seen["hold"]["active"]
    assert seen["hold"]["kind"] is None
    assert (await (await world.get(staff_path, admin)).json())["hold"]["kind"] == "MANUAL"
    await problem(await world.post(f"{staff_path}/release", admin, reason), 409, "on_hold")
    await accepted(await world.post(f"{staff_path}/unhold", admin, reason))
    await trade.answer()
    until = (world.clock.now() + timedelta(days=20)).isoformat()
    await accepted(await world.post(f"{staff_path}/extension", admin, {"until": until} | reason))
    await trade.answer()
    for path in ("retry-payout", "retry-refund", "cancel", "funds-review"):
        body = reason | ({"decision": "APPROVE"} if path == "funds-review" else {})
        answer = await world.post(f"{staff_path}/{path}", admin, body)
        assert answer.status == 409, path
    await accepted(await world.post(f"{staff_path}/release", admin, reason))
    await trade.answer()
    assert trade.escrow.state == types.ESCROW_STATE_RELEASING


async def test_funds_under_review_are_approved_or_sent_back(world: World) -> None:
    admin = await world.person(StaffRole.ADMIN)
    for decision, state in (
        ("APPROVE", types.ESCROW_STATE_FUNDS_HELD),
        ("REJECT", types.ESCROW_STATE_REFUNDING),
    ):
        trade = await world.reviewed()
        body = {"decision": decision, "reason": REASON}
        await accepted(await world.post(f"{trade.staff_path}/funds-review", admin, body))
        await trade.answer()
        assert trade.escrow.state == state


async def _asked(world: World, staff: Someone) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Return a large trade with a verdict that waits, its operation and its approval."""
    trade = await world.large_disputed()
    body = split(5_000_000_000, "USDC")
    operation = await accepted(await world.post(f"{trade.staff_path}/resolve", staff, body))
    assert operation["status"] == "PENDING_APPROVAL"
    listed = await (await world.get("/api/v1/staff/approvals?status=PENDING", staff)).json()
    approval = next(item for item in listed["items"] if item["id"] == operation["approval_id"])
    return trade, operation, approval


async def test_a_large_verdict_needs_two(world: World) -> None:
    first, second = [await world.person(StaffRole.MODERATOR) for _ in range(2)]
    trade, operation, approval = await _asked(world, first)
    assert world.commands == []
    payload = to_json(approval["payload"]).encode()
    assert hashlib.sha256(payload).hexdigest() == approval["payload_sha256"]
    assert approval["amount_usd_minor"] == 2_000_000

    path = f"/api/v1/staff/approvals/{approval['id']}"
    agree = {"payload_sha256": approval["payload_sha256"], "reason": REASON}
    await problem(await world.post(f"{path}/approve", first, agree), 403, "conflict_of_interest")
    support = await world.person(StaffRole.SUPPORT)
    await problem(await world.post(f"{path}/approve", support, agree), 403, "forbidden")
    unread = agree | {"payload_sha256": "00" * 32}
    await problem(await world.post(f"{path}/approve", second, unread), 409, "approval_stale")

    sent = await accepted(await world.post(f"{path}/approve", second, agree))
    assert (sent["id"], sent["status"]) == (operation["id"], "SENT")
    command = world.commands[-1]
    assert [one.user_id for one in command.approvals] == [first.id, second.id]
    await trade.answer()
    assert trade.escrow.state == types.ESCROW_STATE_SPLITTING
    await problem(await world.post(f"{path}/approve", second, agree), 409, "already_decided")


async def test_a_second_request_does_not_stack_up(world: World) -> None:
    staff = await world.person(StaffRole.MODERATOR)
    trade, _, _ = await _asked(world, staff)
    answer = await world.post(f"{trade.staff_path}/resolve", staff, RELEASE)
    await problem(answer, 409, "operation_conflict")


async def test_an_approval_is_rejected_or_becomes_stale(world: World) -> None:
    first, second = [await world.person(StaffRole.ADMIN) for _ in range(2)]
    _, operation, approval = await _asked(world, first)
    path = f"/api/v1/staff/approvals/{approval['id']}"
    body = {"payload_sha256": approval["payload_sha256"], "reason": REASON}
    rejected = await world.post(f"{path}/reject", second, body)
    assert (rejected.status, (await rejected.json())["status"]) == (200, "REJECTED")
    ended = await (await world.get(f"/api/v1/operations/{operation['id']}", first)).json()
    assert (ended["status"], ended["error"]["code"]) == ("REJECTED", "approval_rejected")

    trade, _, approval = await _asked(world, first)
    path = f"/api/v1/staff/approvals/{approval['id']}"
    body = {"payload_sha256": approval["payload_sha256"], "reason": REASON}
    hold = {"kind": "MANUAL", "reason": REASON}
    await accepted(await world.post(f"{trade.staff_path}/hold", second, hold))
    await trade.answer()
    await problem(await world.post(f"{path}/approve", second, body), 409, "approval_stale")

    _, _, approval = await _asked(world, first)
    path = f"/api/v1/staff/approvals/{approval['id']}"
    body = {"payload_sha256": approval["payload_sha256"], "reason": REASON}
    world.clock.advance(timedelta(hours=73))
    later = await world.again(second)
    await problem(await world.post(f"{path}/approve", later, body), 409, "approval_stale")


async def test_two_approve_at_once_and_one_command_is_sent(world: World) -> None:
    first, *others = [await world.person(StaffRole.ADMIN) for _ in range(5)]
    _, _, approval = await _asked(world, first)
    path = f"/api/v1/staff/approvals/{approval['id']}/approve"
    body = {"payload_sha256": approval["payload_sha256"], "reason": REASON}
    answers = await asyncio.gather(*(world.post(path, other, body) for other in others))
    assert sorted(answer.status for answer in answers) == [202, 409, 409, 409]
    assert len(world.commands) == 1


async def test_taking_a_request_back_makes_room_for_another(world: World) -> None:
    first, second = [await world.person(StaffRole.MODERATOR) for _ in range(2)]
    trade, operation, approval = await _asked(world, first)
    taken = await world.client.delete(f"/api/v1/operations/{operation['id']}", headers=first.bearer)
    assert taken.status == 200
    path = f"/api/v1/staff/approvals/{approval['id']}/approve"
    body = {"payload_sha256": approval["payload_sha256"], "reason": REASON}
    await problem(await world.post(path, second, body), 409, "already_decided")
    again = await accepted(await world.post(f"{trade.staff_path}/resolve", first, RELEASE))
    assert again["status"] == "PENDING_APPROVAL"


async def test_a_stale_request_makes_room_for_another(world: World) -> None:
    staff = await world.person(StaffRole.ADMIN)
    trade, operation, _ = await _asked(world, staff)
    hold = {"kind": "MANUAL", "reason": REASON}
    for path, body in (("hold", hold), ("unhold", {"reason": REASON})):
        await accepted(await world.post(f"{trade.staff_path}/{path}", staff, body))
        await trade.answer()
    again = await accepted(await world.post(f"{trade.staff_path}/resolve", staff, RELEASE))
    assert again["status"] == "PENDING_APPROVAL"
    ended = await (await world.get(f"/api/v1/operations/{operation['id']}", staff)).json()
    assert (ended["status"], ended["error"]["code"]) == ("REJECTED", "approval_expired")


async def test_a_repeated_rejection_gets_the_same_answer(world: World) -> None:
    first, second = [await world.person(StaffRole.MODERATOR) for _ in range(2)]
    _, _, approval = await _asked(world, first)
    path = f"/api/v1/staff/approvals/{approval['id']}/reject"
    body = {"payload_sha256": approval["payload_sha256"], "reason": REASON}
    told = [await world.post(path, second, body, key="the-same-key-twice") for _ in range(2)]
    assert await told[0].json() == await told[1].json()
    assert [answer.status for answer in told] == [200, 200]
    await problem(await world.post(path, second, body), 409, "already_decided")


async def test_a_repeated_approval_gets_the_same_answer_and_one_command(world: World) -> None:
    first, second = [await world.person(StaffRole.MODERATOR) for _ in range(2)]
    _, _, approval = await _asked(world, first)
    path = f"/api/v1/staff/approvals/{approval['id']}/approve"
    body = {"payload_sha256": approval["payload_sha256"], "reason": REASON}
    told = [await world.post(path, second, body, key="the-same-key-twice") for _ in range(2)]
    assert await told[0].json() == await told[1].json()
    assert len(world.commands) == 1


async def test_who_may_not_do_it_alone_does_not_decide_about_it(world: World) -> None:
    first, second = [await world.person(StaffRole.ADMIN) for _ in range(2)]
    moderator = await world.person(StaffRole.MODERATOR)
    price = common.Money(minor=20_000_000_000, currency=common.CURRENCY_USDC)
    trade = await world.trade(price=price, rail=common.RAIL_USDC_BASE)
    due = common.Money(minor=trade.due_minor, currency=common.CURRENCY_USDC)
    intent = trade.escrow.intent.operation_id
    trade.fact(
        payment_succeeded=payments.PaymentSucceeded(
            operation_id=intent, payment_ref="0xabc:1", amount=due
        )
    )
    trade.deliver()
    await trade.mirror()
    asked = await accepted(
        await world.post(f"{trade.staff_path}/release", first, {"reason": REASON})
    )
    assert asked["status"] == "PENDING_APPROVAL"
    path = f"/api/v1/staff/approvals/{asked['approval_id']}"
    listed = await (await world.get("/api/v1/staff/approvals?status=PENDING", moderator)).json()
    (approval,) = [item for item in listed["items"] if item["id"] == asked["approval_id"]]
    body = {"payload_sha256": approval["payload_sha256"], "reason": REASON}
    for decision in ("approve", "reject"):
        await problem(await world.post(f"{path}/{decision}", moderator, body), 403, "forbidden")
    rejected = await world.post(f"{path}/reject", second, body)
    assert (await rejected.json())["status"] == "REJECTED"


async def test_freezing_holds_a_sale_that_the_mirror_does_not_know_yet(world: World) -> None:
    admin, seller = await world.person(StaffRole.ADMIN), await world.person()
    trade = await world.trade(seller=seller, mirrored=False)
    path = f"/api/v1/staff/users/{seller.id}/freeze"
    assert (await world.post(path, admin, {"reason": REASON})).status == 200
    held = await database.fetch("SELECT key FROM outbox WHERE topic = $1", ESCROW_COMMANDS.name)
    assert [row["key"] for row in held] == [trade.escrow_id]
