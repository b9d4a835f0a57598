"""Reading: lists and their cursors, one trade, its history, its money, from mirror and stream."""

import itertools
from datetime import timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bloxtr8 import ids
from bloxtr8.access import StaffRole
from bloxtr8.store import database
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from tests.integration.web.world import World, problem
from web import make_web
from web.deps import DEPS
from web.peers import HEADER, proof


async def test_a_list_is_walked_without_gaps_or_repeats(world: World) -> None:
    buyer = await world.person()
    made = []
    for _ in range(5):
        world.clock.advance(timedelta(seconds=1))
        made.append((await world.trade(buyer=buyer)).escrow_id)
    seen: list[str] = []
    path: str | None = "/api/v1/escrows?limit=2"
    while path:
        answer = await world.get(path, buyer)
        page = await answer.json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        assert (cursor is None) == ("Link" not in answer.headers)
        path = f"/api/v1/escrows?limit=2&cursor={cursor}" if cursor else None
    assert seen == made[::-1]


async def test_filters_and_whose_trades_are_shown(world: World) -> None:
    person, other = await world.person(), await world.person()
    bought = await world.held(buyer=person)
    sold = await world.trade(seller=person)
    await world.trade(buyer=other)

    async def ids(query: str) -> set[str]:
        page = await (await world.get(f"/api/v1/escrows?{query}", person)).json()
        return {item["id"] for item in page["items"]}

    assert await ids("") == {bought.escrow_id, sold.escrow_id}
    assert await ids("role=BUYER") == {bought.escrow_id}
    assert await ids("role=SELLER") == {sold.escrow_id}
    assert await ids("status=FUNDS_HELD") == {bought.escrow_id}
    assert await ids("rail=USDC_BASE") == set()
    assert await ids("open=true") == {bought.escrow_id, sold.escrow_id}
    assert await ids("open=false") == set()


async def test_a_cursor_is_ours_recent_and_of_the_same_filters(world: World) -> None:
    buyer = await world.person()
    for _ in range(2):
        await world.trade(buyer=buyer)
    page = await (await world.get("/api/v1/escrows?limit=1", buyer)).json()
    cursor = page["next_cursor"]
    # A cursor begins with its MAC, so with any letter.
    forged = ("B" if cursor[0] == "A" else "A") + cursor[1:]
    for bad in ("x", "!!!!", cursor[:-2], forged, "A" * 2000):
        answer = await world.get(f"/api/v1/escrows?limit=1&cursor={bad}", buyer)
        assert (await answer.json())["code"] in ("bad_cursor", "validation_failed")
    other = await world.get(f"/api/v1/escrows?limit=1&role=BUYER&cursor={cursor}", buyer)
    await problem(other, 400, "bad_cursor")
    world.clock.advance(timedelta(hours=25))
    later = await world.again(buyer)
    await problem(
        await world.get(f"/api/v1/escrows?limit=1&cursor={cursor}", later), 400, "bad_cursor"
    )


async def test_a_trade_as_each_side_sees_it(world: World) -> None:
    trade = await world.delivered()
    buyer = await (await world.get(trade.path, trade.buyer_person)).json()
    seller = await (await world.get(trade.path, trade.seller_person)).json()
    assert buyer["price"] == {"minor": 100_000, "currency": "USD", "decimal": "1000.00"}
    assert buyer["status"] == "DELIVERED"
    assert buyer["version"] == trade.escrow.sequence
    assert buyer["ref"].startswith("T-")
    assert buyer["ref"][2:] == buyer["contract_ref"][2:]
    assert buyer["received"]["minor"] == buyer["costs"]["buyer_pays"]["minor"]
    assert "release" in buyer["allowed_actions"]
    assert "release" not in seller["allowed_actions"]
    assert "refund" in seller["allowed_actions"]
    assert "dispute" in seller["allowed_actions"]


async def test_the_timeline_is_paged_and_names_no_staff(world: World) -> None:
    trade, staff = await world.disputed(), await world.person(StaffRole.MODERATOR)
    await world.post(
        f"{trade.staff_path}/hold", staff, {"kind": "MANUAL", "reason": "While this is looked at."}
    )
    await trade.answer()
    items = []
    path: str | None = f"{trade.path}/timeline?limit=3"
    while path:
        page = await (await world.get(path, trade.buyer_person)).json()
        items += page["items"]
        cursor = page["next_cursor"]
        path = f"{trade.path}/timeline?limit=3&cursor={cursor}" if cursor else None
    assert [item["sequence"] for item in items] == list(range(1, len(items) + 1))
    for earlier, later in itertools.pairwise(items):
        assert later["from"] == earlier["to"]
    kinds = [item["kind"] for item in items]
    assert kinds[0] == "EscrowCreated"
    assert "EscrowDisputed" in kinds
    assert (kinds[-1], items[-1]["actor"]) == ("EscrowHeldByStaff", "STAFF")
    assert staff.id not in str(items)
    for_staff = await (await world.get(f"{trade.path}/timeline?limit=100", staff)).json()
    assert for_staff["items"][-1]["data"]["actor_id"] == staff.id


async def test_the_ledger_shows_a_party_its_own_lines(world: World) -> None:
    trade, staff = await world.trade(), await world.person(StaffRole.SUPPORT)
    trade.pay(fee_minor=320)
    await world.mirror.apply(trade.facts)
    await trade.mirror()
    everything = await (await world.get(f"{trade.path}/ledger", staff)).json()
    assert everything["items"]
    assert sum(item["amount"]["minor"] for item in everything["items"]) == 0
    own = await (await world.get(f"{trade.path}/ledger", trade.seller_person)).json()
    assert {item["account"] for item in own["items"]} <= {"escrow_held", "seller"}


async def test_a_receipt_tells_each_side_its_part(world: World) -> None:
    trade = await world.trade()
    early = await world.get(f"{trade.path}/receipt", trade.buyer_person)
    await problem(early, 409, "invalid_state")
    trade.pay()
    trade.deliver().release().paid_out()
    await trade.mirror()
    buyer = await (await world.get(f"{trade.path}/receipt", trade.buyer_person)).json()
    seller = await (await world.get(f"{trade.path}/receipt", trade.seller_person)).json()
    assert buyer["references"] == ["pi_1"]
    assert buyer["released"] is None
    assert seller["references"] == ["tr_1"]
    assert (seller["paid"], seller["status"]) == (None, "RELEASED")
    total = buyer["refunded"]["minor"] + seller["released"]["minor"] + seller["fees"]["minor"]
    assert total == buyer["paid"]["minor"]


async def test_operations_are_listed_for_their_requester_and_read_by_both_sides(
    world: World,
) -> None:
    trade, stranger = await world.delivered(), await world.person()
    body = {"confirm": True}
    answer = await world.post(f"{trade.path}/release", trade.buyer_person, body)
    operation = await answer.json()
    path = f"/api/v1/operations/{operation['id']}"
    for reader in (trade.buyer_person, trade.seller_person, await world.person(StaffRole.SUPPORT)):
        assert (await world.get(path, reader)).status == 200
    await problem(await world.get(path, stranger), 404, "not_found")
    mine = await (
        await world.get(f"/api/v1/operations?escrow_id={trade.escrow_id}", trade.buyer_person)
    ).json()
    assert [item["id"] for item in mine["items"]] == [operation["id"]]
    theirs = await (await world.get("/api/v1/operations", trade.seller_person)).json()
    assert theirs["items"] == []


async def test_staff_find_trades(world: World) -> None:
    staff = await world.person(StaffRole.SUPPORT)
    trade = await world.disputed()
    await world.trade()
    for query in ("status=DISPUTED", f"party={trade.buyer_id}", "min_amount=100000"):
        page = await (await world.get(f"/api/v1/staff/escrows?{query}", staff)).json()
        assert trade.escrow_id in {item["id"] for item in page["items"]}
    none = await (await world.get("/api/v1/staff/escrows?stuck_for_h=1", staff)).json()
    assert none["items"] == []


async def test_the_stream_is_ahead_of_the_mirror(world: World) -> None:
    trade = await world.held()
    trade.deliver()  # decided, not mirrored
    assert trade.record is not None
    world.process.records[trade.escrow_id] = trade.record
    mirrored = await (await world.get(trade.path, trade.buyer_person)).json()
    streamed = await (
        await world.get(f"{trade.path}?consistency=stream", trade.buyer_person)
    ).json()
    assert (mirrored["status"], streamed["status"]) == ("FUNDS_HELD", "DELIVERED")

    world.process.facts["recovery"] = False
    answer = await world.get(f"{trade.path}?consistency=stream", trade.buyer_person)
    await problem(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "1"


async def test_another_worker_is_asked_for_what_it_owns(world: World) -> None:
    trade = await world.held()
    trade.deliver()
    assert trade.record is not None
    world.process.records[trade.escrow_id] = trade.record
    owner = TestServer(make_web(world.process))
    await owner.start_server()
    origin = f"http://{owner.host}:{owner.port}"
    inner = f"{origin}/internal/escrows/{trade.escrow_id}"
    keys = world.client.server.app[DEPS].tokens.keys  # type: ignore[attr-defined]
    now = world.clock.now()
    for header in (
        "",
        "x",
        proof(keys, "another", now),
        proof(keys, trade.escrow_id, now - timedelta(minutes=2)),
        f"{int(now.timestamp())}.00",
    ):
        answer = await world.client.session.get(inner, headers={HEADER: header})
        assert answer.status == 404

    world.process.owner = origin
    path = f"{trade.path}?consistency=stream"
    streamed = await (await world.get(path, trade.buyer_person)).json()
    assert streamed["status"] == "DELIVERED"
    stranger = await world.person()
    await problem(await world.get(path, stranger), 404, "not_found")

    del world.process.records[trade.escrow_id]
    await problem(await world.get(path, trade.buyer_person), 404, "not_found")
    await owner.close()
    await problem(await world.get(path, trade.buyer_person), 503, "unavailable")


@pytest.mark.parametrize("body", [b"\xff" * 10, b""])
async def test_a_worker_that_talks_nonsense_is_not_believed(world: World, body: bytes) -> None:
    async def nonsense(_request: web.Request) -> web.Response:
        return web.Response(body=body, status=200 if body else 500)

    application = web.Application()
    application.router.add_get("/{any:.*}", nonsense)
    server = TestServer(application)
    await server.start_server()
    trade = await world.held()
    world.process.owner = f"http://{server.host}:{server.port}"
    answer = await world.get(f"{trade.path}?consistency=stream", trade.buyer_person)
    await problem(answer, 503, "unavailable")
    await server.close()


async def test_the_pay_page_has_nothing_before_the_intent_and_after_the_money(
    world: World,
) -> None:
    trade = await world.trade()
    path = f"{trade.path}/payment"
    await problem(await world.get(path, trade.buyer_person), 409, "payment_not_ready")
    trade.pay()
    await trade.mirror()
    document = await problem(await world.get(path, trade.buyer_person), 409, "invalid_state")
    assert document["current_status"] == "FUNDS_HELD"
    assert trade.escrow.state == types.ESCROW_STATE_FUNDS_HELD


async def test_who_owns_the_game_now_is_shown_before_the_buyer_confirms(world: World) -> None:
    trade = await world.delivered()
    before = await (await world.get(trade.path, trade.buyer_person)).json()
    assert before["ownership_seen"] is None
    snapshot_id = str(ids.uuid7())
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO handovers (escrow_id, buyer_id, seller_id, universe_id, delivered_at,"
            " checked_at, ownership, owner_type, owner_id, owner_name, snapshot_id)"
            " VALUES ($1, $2, $3, 1, $4, $4, 'NONE', 'GROUP', 77, 'Skyline Studio', $5)",
            trade.escrow_id,
            trade.buyer_id,
            trade.seller_id,
            world.clock.now(),
            snapshot_id,
        )
    seen = await (await world.get(trade.path, trade.buyer_person)).json()
    assert "release" in seen["allowed_actions"]
    assert seen["ownership_seen"] == {
        "buyer": "NONE",
        "at": seen["ownership_seen"]["at"],
        "owner": {"type": "GROUP", "id": "77", "name": "Skyline Studio", "expected": False},
        "snapshot_id": snapshot_id,
    }
