"""One side that says, sends or asks for much: what others said stays in sight, limits hold."""

import asyncio
from datetime import timedelta

import pytest

from bloxtr8.access import StaffRole
from bloxtr8.disputes import files
from bloxtr8.store import database
from tests.integration.web.test_web_disputes import PNG, send
from tests.integration.web.world import REASON, STATEMENT, Trade, World, accepted

_MANY = 250


async def _argue(world: World, trade: Trade) -> None:
    """Let the buyer open the dispute, once and as if many times before."""
    body = {"reason": "OTHER", "statement": STATEMENT, "wanted": "REFUND"}
    path, buyer = f"{trade.path}/dispute", trade.buyer_person
    await accepted(await world.post(path, buyer, body))
    await trade.answer()
    await accepted(await world.post(f"{path}/withdraw", buyer))
    await trade.answer()
    await accepted(await world.post(path, buyer, body))
    await trade.answer()
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO dispute_evidence (id, escrow_id, side, kind, text, sha256, created_by,"
            " created_at) SELECT gen_random_uuid(), escrow_id, side, kind, text, sha256,"
            " created_by, created_at FROM dispute_evidence, generate_series(1, $1)",
            _MANY,
        )
    world.clock.advance(timedelta(seconds=1))


async def test_what_one_side_says_hides_nothing_of_others(world: World) -> None:
    trade = await world.delivered()
    await _argue(world, trade)
    staff = await world.person(StaffRole.MODERATOR)
    path = f"{trade.path}/dispute"
    answer = f"The answer of the other side. {STATEMENT}"
    said = await world.post(f"{path}/statements", trade.seller_person, {"text": answer})
    assert said.status == 201, await said.text()
    dispute_id = (await (await world.get(path, staff)).json())["id"]
    question = {"side": "BUYER", "text": "What exactly was missing?", "reason": REASON}
    asked = await world.post(f"/api/v1/staff/disputes/{dispute_id}/question", staff, question)
    assert asked.status == 201, await asked.text()
    for reader, where in ((trade.buyer_person, path), (staff, trade.staff_path)):
        seen = await (await world.get(where, reader)).json()
        texts = [statement["text"] for statement in seen["statements"]]
        assert texts[-2:] == [answer, question["text"]]
        assert texts.count(STATEMENT) == 200


async def test_staff_see_the_last_of_many_commands(world: World) -> None:
    trade = await world.delivered()
    await _argue(world, trade)
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO operations (id, kind, escrow_id, requested_by, channel, status, command,"
            " traceparent, not_after, created_at, updated_at)"
            " SELECT ('00000000' || substr(gen_random_uuid()::text, 9))::uuid, kind, escrow_id,"
            " requested_by, channel, 'REJECTED', command, traceparent, not_after, created_at,"
            " updated_at FROM operations, generate_series(1, $1)",
            _MANY,
        )
    staff = await world.person(StaffRole.SUPPORT)
    seen = await (await world.get(trade.staff_path, staff)).json()
    assert len(seen["commands"]) == 200
    assert seen["commands"][-1]["id"] == world.commands[-1].metadata.message_id


async def test_a_days_bytes_are_counted_over_all_trades_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "DAY_BYTES_MAX", len(PNG))
    buyer = await world.person()
    trades = [await world.held(buyer=buyer) for _ in range(4)]
    sent = await asyncio.gather(*(send(world, trade, buyer, PNG) for trade in trades))
    assert sorted(answer.status for answer in sent) == [201] + [413] * 3
