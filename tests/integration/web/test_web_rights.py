"""What staff may do: as long as session and account stand, and not in matters of their own."""

from typing import Any
from uuid import UUID

import pytest

from bloxtr8 import ids
from bloxtr8.access import StaffRole
from bloxtr8.access.sessions import revoke_session
from bloxtr8.store import database
from bloxtr8.store.staff_tasks import Task, open_tasks
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from tests.integration.web.test_web_disputes import TEXT, send
from tests.integration.web.world import REASON, VERDICT, Someone, World, accepted, problem


async def end_session(world: World, someone: Someone) -> None:
    async with database.transaction() as tx:
        await revoke_session(tx, someone.session.id, world.clock.now(), "stolen")


async def freeze(someone: Someone) -> None:
    async with database.transaction() as tx:
        await tx.execute("UPDATE users SET status = 'FROZEN' WHERE id = $1", UUID(someone.id))


async def operation_of(world: World) -> str:
    trade = await world.delivered()
    answer = await world.post(f"{trade.path}/release", trade.buyer_person, {"confirm": True})
    return f"/api/v1/operations/{(await accepted(answer))['id']}"


async def test_staff_read_trades_while_their_session_lives(world: World) -> None:
    trade, path = await world.held(), await operation_of(world)
    for end in (lambda staff: end_session(world, staff), freeze):
        staff = await world.person(StaffRole.ADMIN)
        contract = f"/api/v1/contracts/{trade.contract_id}"
        for readable in (trade.path, path):
            assert (await world.get(readable, staff)).status == 200
        await end(staff)
        for readable in (trade.path, path, contract):
            await problem(await world.get(readable, staff), 404, "not_found")


async def test_frozen_staff_see_nothing_of_the_console(world: World) -> None:
    staff = await world.person(StaffRole.ADMIN)
    await freeze(staff)
    for path in ("/api/v1/staff/queue", "/api/v1/staff/audit", "/api/v1/staff/users"):
        await problem(await world.get(path, staff), 403, "forbidden")


async def test_what_staff_look_at_is_told_as_staffs(world: World) -> None:
    trade = await world.disputed()
    answer = await send(world, trade, trade.buyer_person, TEXT)
    (file,) = await answer.json()
    path = f"{trade.path}/evidence/{file['id']}"
    for someone in (trade.seller_person, await world.person(StaffRole.SUPPORT)):
        assert (await world.get(path, someone, allow_redirects=False)).status == 302
    rows = await database.fetch(
        "SELECT actor_type FROM audit_log WHERE action = 'evidence.downloaded' ORDER BY id"
    )
    assert [row["actor_type"] for row in rows] == ["USER", "STAFF"]


async def task_of(kind: str, subject_id: str) -> dict[str, Any]:
    row = await database.fetchrow(
        "SELECT * FROM staff_tasks WHERE kind = $1 AND subject_id = $2 ORDER BY id DESC",
        kind,
        subject_id,
    )
    assert row is not None
    return row


async def test_a_dispute_given_back_is_anybodys_to_decide(world: World) -> None:
    trade = await world.disputed()
    first, second = [await world.person(StaffRole.MODERATOR) for _ in range(2)]
    dispute = await database.fetchrow("SELECT id FROM disputes")
    assert dispute is not None
    claim = f"/api/v1/staff/disputes/{dispute['id']}/claim"
    assert (await world.post(claim, first, key=None)).status == 204
    await problem(await world.post(claim, second, key=None), 409, "already_decided")

    task = await task_of("DISPUTE", trade.escrow_id)
    path = f"/api/v1/staff/tasks/{task['id']}"
    body = {"version": task["version"]}
    await problem(await world.post(f"{path}/release", second, body), 403, "forbidden")
    # Whoever has it may be gone: an admin gives it back for them.
    admin = await world.person(StaffRole.ADMIN)
    given = await world.post(f"{path}/release", admin, body)
    assert given.status == 200, await given.text()
    seen = await (await world.get(f"{trade.path}/dispute", trade.buyer_person)).json()
    assert seen["claimed"] is False

    decided = {"outcome": "RELEASE", "verdict": VERDICT, "reason": REASON}
    await accepted(await world.post(f"{trade.staff_path}/resolve", second, decided))


async def test_taking_a_disputes_task_takes_the_dispute(world: World) -> None:
    trade = await world.disputed()
    first, second = [await world.person(StaffRole.MODERATOR) for _ in range(2)]
    task = await task_of("DISPUTE", trade.escrow_id)
    taken = await world.post(
        f"/api/v1/staff/tasks/{task['id']}/claim", first, {"version": task["version"]}
    )
    assert taken.status == 200, await taken.text()
    decided = {"outcome": "RELEASE", "verdict": VERDICT, "reason": REASON}
    answer = await world.post(f"{trade.staff_path}/resolve", second, decided)
    await problem(answer, 409, "already_decided")


@pytest.mark.parametrize("kind", ["contract", "roblox_account", "operation"])
async def test_nobody_takes_a_task_about_themselves(world: World, kind: str) -> None:
    staff = await world.person(StaffRole.ADMIN)
    other = await world.person()
    trade = await world.delivered(buyer=staff, seller=other)
    subject = {
        "contract": trade.contract_id,
        "roblox_account": f"{staff.id}:4711",
        "operation": str(ids.uuid7()),
    }[kind]
    if kind == "operation":
        release = await world.post(f"{trade.path}/release", staff, {"confirm": True})
        subject = (await accepted(release))["id"]
    async with database.transaction() as tx:
        task = Task("REPORT", kind, subject, None)
        await open_tasks(tx, [task], world.clock.now())
    path = f"/api/v1/staff/tasks/{(await task_of('REPORT', subject))['id']}"
    answer = await world.post(f"{path}/claim", staff, {"version": 1})
    await problem(answer, 403, "conflict_of_interest")
    closing = {"version": 1, "outcome": "NOTHING", "reason": REASON}
    await problem(await world.post(f"{path}/close", staff, closing), 403, "conflict_of_interest")
    someone = await world.person(StaffRole.MODERATOR)
    assert (await world.post(f"{path}/claim", someone, {"version": 1})).status == 200


async def test_a_report_that_was_handled_may_be_made_again(world: World) -> None:
    reporter, reported = await world.person(), await world.person()
    body = {"subject": "USER", "id": reported.id, "reason": "SCAM", "text": "It was not theirs."}
    assert (await world.post("/api/v1/reports", reporter, body)).status == 202
    assert (await world.post("/api/v1/reports", reporter, body)).status == 200
    staff = await world.person(StaffRole.MODERATOR)
    listed = await world.get(f"/api/v1/staff/reports?subject_id={reported.id}&status=OPEN", staff)
    (seen,) = (await listed.json())["items"]
    assert (seen["reporter_id"], seen["reason"], seen["text"]) == (
        reporter.id,
        "SCAM",
        "It was not theirs.",
    )
    for outcome, status in (("WARNED", "HANDLED"), ("DISMISSED", "DISMISSED")):
        task = await task_of("REPORT", reported.id)
        closing = {"version": task["version"], "outcome": outcome, "reason": REASON}
        closed = await world.post(f"/api/v1/staff/tasks/{task['id']}/close", staff, closing)
        assert closed.status == 200, await closed.text()
        row = await database.fetchrow("SELECT * FROM reports ORDER BY id DESC LIMIT 1")
        assert row is not None
        assert (row["status"], str(row["handled_by"])) == (status, staff.id)
        assert (await world.post("/api/v1/reports", reporter, body)).status == 202
    first = await (await world.get("/api/v1/staff/reports?limit=2", staff)).json()
    cursor = first["next_cursor"]
    rest = await (await world.get(f"/api/v1/staff/reports?limit=2&cursor={cursor}", staff)).json()
    shown = [item["status"] for item in (*first["items"], *rest["items"])]
    assert (sorted(shown), rest["next_cursor"]) == (["DISMISSED", "HANDLED", "OPEN"], None)


async def test_an_operation_taken_back_leaves_no_request_behind(world: World) -> None:
    trade = await world.large_disputed()
    asking = await world.person(StaffRole.MODERATOR)
    body = {"outcome": "RELEASE", "verdict": VERDICT, "reason": REASON}
    waiting = await accepted(await world.post(f"{trade.staff_path}/resolve", asking, body))
    path = f"/api/v1/operations/{waiting['id']}"
    headers = asking.bearer
    async with database.transaction() as tx:
        # Somebody is about to decide it.
        await tx.execute("SELECT 1 FROM approvals FOR UPDATE")
        answer = await world.client.delete(path, headers=headers, json={})
        assert answer.status == 503, await answer.text()
    seen = await (await world.get(path, asking)).json()
    assert seen["status"] == "PENDING_APPROVAL", "all of it or nothing"
    answer = await world.client.delete(path, headers=headers, json={})
    assert answer.status == 200, await answer.text()
    row = await database.fetchrow("SELECT status FROM approvals")
    assert row is not None
    assert row["status"] == "EXPIRED"


async def test_staff_search_by_amount_in_cents_of_either_currency(world: World) -> None:
    small = common.Money(minor=12_000_000_000, currency=common.CURRENCY_USDC)
    large = common.Money(minor=30_000_000_000, currency=common.CURRENCY_USDC)
    rail = common.RAIL_USDC_BASE
    await world.trade(price=small, rail=rail)
    wanted = await world.trade(price=large, rail=rail)
    await world.trade()
    staff = await world.person(StaffRole.SUPPORT)
    found = await (await world.get("/api/v1/staff/escrows?min_amount=2000000", staff)).json()
    assert [item["id"] for item in found["items"]] == [wanted.escrow_id]
    assert wanted.escrow.state == types.ESCROW_STATE_AWAIT_FUNDS


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00"])
async def test_times_at_the_ends_of_the_calendar(world: World, moment: str) -> None:
    staff = await world.person(StaffRole.ADMIN)
    answers = [
        await world.get(f"/api/v1/staff/audit?from={moment}", staff),
        await world.get(f"/api/v1/staff/audit?to={moment}", staff),
        await world.get(f"/api/v1/staff/stats?from={moment}", staff),
        await world.get(f"/api/v1/staff/stats?to={moment}", staff),
    ]
    plain = moment.replace("%2B", "+")
    trade = await world.held()
    until = {"until": plain, "reason": REASON}
    answers += [
        await world.post(f"{trade.staff_path}/extension", staff, until),
        await world.post(f"{trade.path}/extension", trade.buyer_person, {"until": plain}),
        await world.post(
            "/api/v1/staff/outages",
            staff,
            {"scope": "ALL", "started_at": plain, "ended_at": plain, "reason": REASON},
        ),
        await world.post(
            "/api/v1/staff/audit/exports", staff, {"from": plain, "to": plain, "reason": REASON}
        ),
    ]
    told = [(answer.status, str(answer.url)) for answer in answers]
    assert all(status < 500 for status, _ in told), told
