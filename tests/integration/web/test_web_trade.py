"""What the parties of a trade do over HTTP, and what they are refused."""

import asyncio
import hashlib
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import ClientResponse

from bloxtr8.store import database
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from tests.integration.web.world import STATEMENT, Someone, World, accepted, problem

# How many requests wait for the table of operations.
_WAITING = """
SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'operations'::regclass
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
pytestmark = pytest.mark.usefixtures("patient_database")
DISPUTE = {"reason": "NOT_AS_DESCRIBED", "wanted": "REFUND", "statement": STATEMENT}


async def test_a_release_is_published_answered_and_followed(world: World) -> None:
    trade = await world.delivered()
    operation = await accepted(
        await world.post(f"{trade.path}/release", trade.buyer_person, {"confirm": True})
    )
    assert (operation["kind"], operation["status"]) == ("RELEASE", "SENT")
    command = world.commands[-1]
    assert command.metadata.message_id == operation["id"]
    assert command.actor.user_id == trade.buyer_id

    await trade.answer()
    answer = await world.get(f"/api/v1/operations/{operation['id']}?wait=5", trade.buyer_person)
    followed = await answer.json()
    assert followed["status"] == "SUCCEEDED"
    assert followed["result"]["escrow_status"] == "RELEASING"
    escrow = await (await world.get(trade.path, trade.seller_person)).json()
    assert escrow["status"] == "RELEASING"


async def test_a_delivery_with_its_note(world: World) -> None:
    trade = await world.held()
    body = {"method": "GROUP_TRANSFER", "note": "It is in group 77 now."}
    await accepted(await world.post(f"{trade.path}/mark-delivered", trade.seller_person, body))
    sent = world.commands[-1].mark_delivered
    assert sent.method == types.DELIVERY_METHOD_GROUP_TRANSFER
    assert sent.note.sha256 == hashlib.sha256(body["note"].encode()).hexdigest()
    row = await database.fetchrow("SELECT * FROM dispute_evidence WHERE id = $1", sent.note.id)
    assert row is not None
    assert (row["text"], row["side"], row["kind"]) == (body["note"], "SELLER", "NOTE")

    await trade.answer()
    escrow = await (await world.get(trade.path, trade.buyer_person)).json()
    assert escrow["delivery"]["method"] == "GROUP_TRANSFER"
    assert escrow["deadlines"]["confirm_by"] is not None
    assert "release" in escrow["allowed_actions"]


async def test_the_seller_gives_the_money_back(world: World) -> None:
    trade = await world.delivered()
    body = {"confirm": True, "note": "I changed my mind, sorry."}
    await accepted(await world.post(f"{trade.path}/refund", trade.seller_person, body))
    assert world.commands[-1].WhichOneof("body") == "refund_buyer"


async def test_either_side_cancels_before_money_has_come(world: World) -> None:
    for side in ("buyer_person", "seller_person"):
        trade = await world.trade()
        body = {"reason": "TERMS"}
        await accepted(await world.post(f"{trade.path}/cancel", getattr(trade, side), body))
        assert world.commands[-1].cancel_escrow.reason == types.CANCEL_REASON_TERMS


async def test_who_is_not_asked_may_not(world: World) -> None:
    trade, stranger = await world.delivered(), await world.person()
    confirm = {"confirm": True}
    for path, who, body, status, code in (
        ("release", trade.seller_person, confirm, 403, "forbidden"),
        ("refund", trade.buyer_person, confirm, 403, "forbidden"),
        ("mark-delivered", trade.buyer_person, {"method": "OTHER"}, 403, "forbidden"),
        ("release", stranger, confirm, 404, "not_found"),
        ("dispute", stranger, DISPUTE, 404, "not_found"),
    ):
        await problem(await world.post(f"{trade.path}/{path}", who, body), status, code)
    assert world.commands == []
    rows = await database.fetch("SELECT 1 FROM operations")
    assert rows == []


async def test_the_wrong_state_is_told_at_once(world: World) -> None:
    trade = await world.trade()
    for path, who, body in (
        ("release", trade.buyer_person, {"confirm": True}),
        ("refund", trade.seller_person, {"confirm": True}),
        ("mark-delivered", trade.seller_person, {"method": "OTHER"}),
        ("dispute", trade.buyer_person, DISPUTE),
        ("dispute/withdraw", trade.buyer_person, {}),
        ("settlements", trade.buyer_person, {"seller_amount": {"minor": 1, "currency": "USD"}}),
    ):
        answer = await world.post(f"{trade.path}/{path}", who, body)
        document = await problem(answer, 409, "invalid_state")
        assert document["current_status"] == "AWAIT_FUNDS"
    assert world.commands == []


async def test_a_hold_stops_the_money(world: World) -> None:
    trade = await world.delivered()
    trade.charge_back(1_000)
    await trade.mirror()
    body = {"confirm": True}
    answer = await world.post(f"{trade.path}/release", trade.buyer_person, body)
    assert (await answer.json())["code"] in ("on_hold", "invalid_state")
    assert answer.status == 409


async def test_a_refusal_by_the_agent_shows_in_the_operation(world: World) -> None:
    trade = await world.delivered()
    answer = await world.post(f"{trade.path}/release", trade.buyer_person, {"confirm": True})
    operation = await accepted(answer)
    # The refund overtakes it on the stream.
    trade.refund()
    await trade.answer()
    path = f"/api/v1/operations/{operation['id']}"
    followed = await (await world.get(path, trade.buyer_person)).json()
    assert followed["status"] == "REJECTED"
    told = followed["error"]
    assert (told["code"], told["type"], told["status"]) == (
        "invalid_state",
        "/problems/invalid_state",
        409,
    )
    assert told["instance"] == f"/api/v1/operations/{followed['id']}"
    assert told["trace_id"] in world.commands[-1].metadata.traceparent


async def test_a_dispute_is_opened_read_and_withdrawn(world: World) -> None:
    trade = await world.delivered()
    buyer, seller = trade.buyer_person, trade.seller_person
    await problem(await world.get(f"{trade.path}/dispute", buyer), 404, "not_found")
    await accepted(await world.post(f"{trade.path}/dispute", buyer, DISPUTE))
    assert STATEMENT.encode() not in world.commands[-1].SerializeToString()
    await trade.answer()

    seen = await (await world.get(f"{trade.path}/dispute", seller)).json()
    assert (seen["status"], seen["reason"], seen["opened_by"]) == (
        "OPEN",
        "NOT_AS_DESCRIBED",
        "BUYER",
    )
    assert [(s["side"], s["text"]) for s in seen["statements"]] == [("BUYER", STATEMENT)]
    assert seen["case_code"].startswith("K-")
    again = await world.post(f"{trade.path}/dispute", buyer, DISPUTE)
    await problem(again, 409, "dispute_exists")
    await problem(await world.post(f"{trade.path}/dispute/withdraw", seller), 403, "forbidden")
    await accepted(await world.post(f"{trade.path}/dispute/withdraw", buyer))
    await trade.answer()
    escrow = await (await world.get(trade.path, buyer)).json()
    assert escrow["status"] == "DELIVERED"


async def test_a_settlement_is_proposed_and_accepted_by_the_other_side(world: World) -> None:
    trade = await world.disputed()
    buyer, seller = trade.buyer_person, trade.seller_person
    amount = {"seller_amount": {"minor": 40_000, "currency": "USD"}}
    await accepted(await world.post(f"{trade.path}/settlements", buyer, amount))
    assert world.commands[-1].propose_settlement.refund_minor == 60_000
    await trade.answer()
    shown = (await (await world.get(trade.path, seller)).json())["settlement"]
    assert shown["seller_amount"]["minor"] == 40_000

    proposal = f"{trade.path}/settlements/{shown['id']}"
    await problem(await world.post(f"{proposal}/accept", buyer), 409, "settlement_turn")
    again = await world.post(f"{trade.path}/settlements", buyer, amount)
    await problem(again, 409, "settlement_turn")
    stale = f"{trade.path}/settlements/{uuid4()}/accept"
    await problem(await world.post(stale, seller), 409, "proposal_stale")
    await problem(
        await world.post(f"{trade.path}/settlements/x/accept", seller), 409, "proposal_stale"
    )
    await accepted(await world.post(f"{proposal}/accept", seller))
    await trade.answer()
    assert trade.escrow.state == types.ESCROW_STATE_SPLITTING


async def test_a_settlement_is_within_the_price_and_in_its_currency(world: World) -> None:
    trade = await world.disputed()
    for amount in ({"minor": 100_001, "currency": "USD"}, {"minor": 1, "currency": "USDC"}):
        body = {"seller_amount": amount}
        answer = await world.post(f"{trade.path}/settlements", trade.buyer_person, body)
        await problem(answer, 422, "amount_out_of_range")


async def test_both_sides_extend_a_deadline(world: World) -> None:
    trade = await world.held()
    until = {"until": (world.clock.now() + timedelta(days=10)).isoformat()}
    first = await accepted(await world.post(f"{trade.path}/extension", trade.buyer_person, until))
    assert first["status"] == "PENDING_APPROVAL"
    assert world.commands == []
    other = {"until": (world.clock.now() + timedelta(days=11)).isoformat()}
    different = await accepted(
        await world.post(f"{trade.path}/extension", trade.seller_person, other)
    )
    assert different["status"] == "PENDING_APPROVAL"
    second = await accepted(await world.post(f"{trade.path}/extension", trade.seller_person, until))
    assert (second["id"], second["status"]) == (first["id"], "SENT")
    decision = await trade.answer()
    assert decision.message == ""
    assert trade.escrow.extensions == 1
    timeline = await (
        await world.get(f"{trade.path}/timeline?limit=100", trade.buyer_person)
    ).json()
    shown = await (await world.get(trade.path, trade.buyer_person)).json()
    moved = timeline["items"][-1]
    assert (moved["kind"], moved["data"]["at"]) == (
        "DeadlineExtended",
        shown["deadlines"]["deliver_by"],
    )


async def _while_none_can_store(
    *requests: Coroutine[Any, Any, ClientResponse],
) -> list[dict[str, Any]]:
    """Let all requests have looked around before any of them can store an operation."""
    async with database.transaction() as tx:
        await tx.execute("LOCK TABLE operations IN EXCLUSIVE MODE")
        tasks = [asyncio.create_task(request) for request in requests]
        async with asyncio.timeout(50):
            while True:
                if await tx.fetchval(_WAITING) == len(tasks):
                    break
                await asyncio.sleep(0.01)
    return [await accepted(await task) for task in tasks]


async def test_of_two_sides_that_extend_at_once_one_completes_it(world: World) -> None:
    trade = await world.held()
    until = {"until": (world.clock.now() + timedelta(days=10)).isoformat()}
    answers = await _while_none_can_store(
        world.post(f"{trade.path}/extension", trade.buyer_person, until),
        world.post(f"{trade.path}/extension", trade.seller_person, until),
    )
    assert sorted(answer["status"] for answer in answers) == ["PENDING_APPROVAL", "SENT"]
    assert answers[0]["id"] == answers[1]["id"]
    assert (await trade.answer()).message == ""
    assert trade.escrow.extensions == 1


async def test_of_two_extensions_of_one_side_at_once_one_waits(world: World) -> None:
    trade = await world.held()
    ends = [(world.clock.now() + timedelta(days=days)).isoformat() for days in (9, 10)]
    await _while_none_can_store(
        *(world.post(f"{trade.path}/extension", trade.buyer_person, {"until": end}) for end in ends)
    )
    rows = await database.fetch("SELECT status FROM operations ORDER BY status")
    assert [row["status"] for row in rows] == ["PENDING_APPROVAL", "REJECTED"]


async def test_a_repeated_extension_replaces_the_earlier_one(world: World) -> None:
    trade = await world.held()
    ends = []
    for days in (9, 10):
        until = {"until": (world.clock.now() + timedelta(days=days)).isoformat()}
        ends.append(
            await accepted(await world.post(f"{trade.path}/extension", trade.buyer_person, until))
        )
    path = f"/api/v1/operations/{ends[0]['id']}"
    replaced = await (await world.get(path, trade.buyer_person)).json()
    assert (replaced["status"], replaced["error"]["code"]) == ("REJECTED", "superseded")


async def test_an_extension_too_far_ahead_is_refused(world: World) -> None:
    trade = await world.held()
    until = {"until": (world.clock.now() + timedelta(days=60)).isoformat()}
    answer = await world.post(f"{trade.path}/extension", trade.buyer_person, until)
    await problem(answer, 422, "amount_out_of_range")


async def test_a_payee_is_ones_own_verified_method(world: World) -> None:
    trade = await world.held()
    seller, method_id, others = trade.seller_person, uuid4(), uuid4()
    async with database.transaction() as tx:
        for row_id, owner, ref in (
            (method_id, seller.id, "acct_2"),
            (others, trade.buyer_id, "a3"),
        ):
            await tx.execute(
                "INSERT INTO payout_methods (id, user_id, kind, external_ref, status, usable_from)"
                " VALUES ($1, $2, 'STRIPE_ACCOUNT', $3, 'VERIFIED', $4)",
                row_id,
                owner,
                ref,
                world.clock.now(),
            )
    path = f"{trade.path}/payee"
    foreign = await world.post(path, seller, {"payout_method_id": str(others)})
    await problem(foreign, 409, "payout_method_missing")
    await accepted(await world.post(path, seller, {"payout_method_id": str(method_id)}))
    payee = world.commands[-1].set_payee.payee
    assert (payee.payout_method_id, payee.destination) == (str(method_id), "acct_2")


async def test_an_operation_that_is_not_sent_is_taken_back(world: World) -> None:
    trade, stranger = await world.held(), await world.person()
    until = {"until": (world.clock.now() + timedelta(days=10)).isoformat()}
    operation = await accepted(
        await world.post(f"{trade.path}/extension", trade.buyer_person, until)
    )
    path = f"/api/v1/operations/{operation['id']}"
    for other in (stranger, trade.seller_person):
        refused = await world.client.delete(path, headers=other.bearer)
        await problem(refused, 404, "not_found")
    answer = await world.client.delete(path, headers=trade.buyer_person.bearer)
    assert answer.status == 200
    assert (await answer.json())["error"]["code"] == "taken_back"
    again = await world.client.delete(path, headers=trade.buyer_person.bearer)
    await problem(again, 409, "already_decided")
    assert not [c for c in world.commands if isinstance(c, commands.ExtendDeadline)]


async def test_what_no_side_opened_no_side_takes_back(world: World) -> None:
    trade = await world.delivered()
    trade.charge_back(100_000)
    await trade.mirror()
    path = f"{trade.path}/dispute/withdraw"
    refused = await problem(await world.post(path, trade.buyer_person), 409, "invalid_state")
    assert refused["current_status"] == "DISPUTED"
    theirs = await world.disputed()
    path = f"{theirs.path}/dispute/withdraw"
    await problem(await world.post(path, theirs.seller_person), 403, "forbidden")
    await accepted(await world.post(path, theirs.buyer_person))


async def test_the_dispute_shows_every_proposal_and_its_end(world: World) -> None:
    trade = await world.disputed()
    buyer, seller = trade.buyer_person, trade.seller_person

    async def say(path: str, who: Someone, body: Any = None) -> None:
        await accepted(await world.post(f"{trade.path}/settlements{path}", who, body))
        await trade.answer()

    def amount(minor: int) -> dict[str, Any]:
        return {"seller_amount": {"minor": minor, "currency": "USD"}}

    await say("", buyer, amount(40_000))
    await say(f"/{trade.escrow.settlement.proposal_id}/reject", seller)
    await say("", seller, amount(70_000))
    await say("", buyer, amount(50_000))
    await say(f"/{trade.escrow.settlement.proposal_id}/withdraw", buyer)
    await say("", seller, amount(60_000))
    await say(f"/{trade.escrow.settlement.proposal_id}/accept", buyer)
    seen = await (await world.get(f"{trade.path}/dispute", buyer)).json()
    assert [
        (one["by"], one["seller_amount"]["minor"], one["end"]) for one in seen["settlements"]
    ] == [
        ("BUYER", 40_000, "REJECTED"),
        ("SELLER", 70_000, "SUPERSEDED"),
        ("BUYER", 50_000, "WITHDRAWN"),
        ("SELLER", 60_000, "ACCEPTED"),
    ]
    assert all(one["at"] <= one["ended_at"] for one in seen["settlements"])
    assert seen["settlement"] is None
