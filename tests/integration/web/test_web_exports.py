"""Taking data out, over HTTP with a real file store."""

import csv
import hashlib
import io
import json
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from bloxtr8.access import StaffRole
from bloxtr8.dev import process
from bloxtr8.errors import UpstreamUnavailable
from bloxtr8.market import exports
from bloxtr8.store.audit_chain import Sealer
from tests.integration.web.world import REASON, STATEMENT, Someone, World, problem

AUDIT = "/api/v1/staff/audit"


async def _fetch(url: str) -> bytes:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
        return await answer.read()


async def _taken_out(world: World, admin: Someone, **body: Any) -> tuple[dict[str, Any], bytes]:
    now = world.clock.now()
    span = {
        "from": (now - timedelta(days=1)).isoformat(),
        "to": (now + timedelta(days=1)).isoformat(),
    }
    answer = await world.post(f"{AUDIT}/exports", admin, span | {"reason": REASON} | body)
    assert answer.status == 202, await answer.text()
    asked = await answer.json()
    assert (asked["status"], asked["url"]) == ("ACCEPTED", None)
    assert answer.headers["Location"] == f"{AUDIT}/exports/{asked['id']}"
    assert await world.deps.exports.work() == 1
    found = await (await world.get(answer.headers["Location"], admin)).json()
    assert found["status"] == "SUCCEEDED", found
    content = await _fetch(found["url"])
    assert hashlib.sha256(content).hexdigest() == found["sha256"]
    return found, content


async def test_a_person_gets_everything_about_themselves(world: World) -> None:
    trade = await world.disputed()
    buyer = trade.buyer_person
    said = {"text": STATEMENT}
    await world.post(f"{trade.path}/dispute/statements", buyer, said)
    await world.post(f"{trade.path}/dispute/statements", trade.seller_person, said)
    answer = await world.post("/api/v1/me/export", buyer)
    operation = await answer.json()
    assert (answer.status, operation["kind"], operation["status"]) == (202, "EXPORT", "ACCEPTED")
    path = answer.headers["Location"]
    assert await world.deps.exports.work() == 1
    done = await (await world.get(f"{path}?wait=20", buyer)).json()
    assert (done["id"], done["status"]) == (operation["id"], "SUCCEEDED")
    data = json.loads(await _fetch(done["result"]["url"]))
    assert data["profile"][0]["id"] == buyer.id
    assert [trade["side"] for trade in data["trades"]] == ["BUYER"]
    assert len(data["statements"]) == 1, "the other side's words are theirs"
    assert "X-Amz-Expires=86400" in done["result"]["url"]
    await problem(await world.get(path, trade.seller_person), 404, "not_found")
    notices = await (await world.get("/api/v1/me/notices", buyer)).json()
    assert notices["items"][0]["template"] == "export_ready"

    world.clock.advance(timedelta(seconds=1))
    half = {"seller_amount": {"minor": 50_000, "currency": "USD"}}
    await world.post(f"{trade.path}/settlements", buyer, half)
    kinds, page = [], "/api/v1/operations?limit=1"
    for _ in range(2):
        listed = await (await world.get(page, buyer)).json()
        kinds += [item["kind"] for item in listed["items"]]
        page = f"/api/v1/operations?limit=1&cursor={listed['next_cursor']}"
    assert (kinds, listed["next_cursor"]) == (["PROPOSE_SETTLEMENT", "EXPORT"], None)
    finished = await (await world.get("/api/v1/operations?status=SUCCEEDED", buyer)).json()
    assert [item["id"] for item in finished["items"]] == [operation["id"]]
    other = await (await world.get("/api/v1/operations?status=REJECTED", buyer)).json()
    assert other["items"] == []

    await problem(await world.post("/api/v1/me/export", buyer), 429, "rate_limited")
    world.clock.advance(exports.KEPT)
    assert await world.deps.exports.sweep() == 1
    buyer = await world.again(buyer)
    gone = await (await world.get(path, buyer)).json()
    assert gone["result"] is None
    assert (await world.post("/api/v1/me/export", buyer)).status == 202


async def test_taking_ones_data_needs_a_recent_sign_in(world: World) -> None:
    someone = await world.person()
    world.clock.advance(timedelta(minutes=16))
    renewed = Someone(someone.id, someone.session, world.tokens.mint(someone.session))
    await problem(await world.post("/api/v1/me/export", renewed), 403, "step_up_required")


async def test_the_audit_log_is_read_checked_and_taken_out(world: World) -> None:
    admin = await world.person(StaffRole.ADMIN)
    trade = await world.disputed()
    await world.post(f"{trade.path}/dispute/statements", trade.buyer_person, {"text": STATEMENT})
    await Sealer(world.clock).seal()
    page = await (await world.get(f"{AUDIT}?escrow_id={trade.escrow_id}&limit=2", admin)).json()
    assert page["items"][0]["action"] == "dispute.stated"
    assert page["items"][0]["seq"] > page["items"][1]["seq"]
    more = await world.get(
        f"{AUDIT}?escrow_id={trade.escrow_id}&limit=2&cursor={page['next_cursor']}", admin
    )
    assert (await more.json())["items"][0]["seq"] < page["items"][1]["seq"]
    one = await (await world.get(f"{AUDIT}?action=dispute.stated", admin)).json()
    assert [row["actor_id"] for row in one["items"]] == [trade.buyer_id]
    verdict = await (await world.post(f"{AUDIT}/verify", admin, {"reason": REASON})).json()
    assert (verdict["ok"], verdict["first_bad_seq"]) == (True, None)

    found, content = await _taken_out(world, admin)
    rows = [json.loads(line) for line in content.splitlines()]
    assert (len(rows), rows[-1]["hash"]) == (found["rows"], found["chain_head"])
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    found, content = await _taken_out(world, admin, format="csv")
    lines = list(csv.DictReader(io.StringIO(content.decode())))
    assert [line["hash"] for line in lines] == [row["hash"] for row in rows]

    support = await world.person(StaffRole.SUPPORT)
    assert (await world.get(AUDIT, support)).status == 200
    await problem(await world.get(f"{AUDIT}/exports/{found['id']}", support), 403, "forbidden")
    await problem(await world.get(AUDIT, trade.buyer_person), 403, "forbidden")


@pytest.mark.parametrize(("days", "code"), [(401, "validation_failed"), (-1, "validation_failed")])
async def test_spans_that_are_refused(world: World, days: int, code: str) -> None:
    admin = await world.person(StaffRole.ADMIN)
    now = world.clock.now()
    until = (now + timedelta(days=days)).isoformat()
    body = {"from": now.isoformat(), "to": until, "reason": REASON}
    await problem(await world.post(f"{AUDIT}/exports", admin, body), 422, code)


async def test_an_export_is_tried_again_and_given_up(world: World) -> None:
    someone = await world.person()
    operation = await (await world.post("/api/v1/me/export", someone)).json()
    store = world.deps.settings.s3
    store.endpoint_url, store.connect_timeout_s = f"http://127.0.0.1:{process.free_port()}", 0.2
    for _ in range(exports.ATTEMPTS_MAX):
        with pytest.raises(UpstreamUnavailable):
            await world.deps.exports.work()
        world.clock.advance(timedelta(minutes=5))
    assert await world.deps.exports.work() == 1
    someone = await world.again(someone)
    found = await (await world.get(f"/api/v1/operations/{operation['id']}", someone)).json()
    assert (found["status"], found["result"]) == ("STALLED", None)


async def test_a_span_at_the_end_of_the_calendar(world: World) -> None:
    admin = await world.person(StaffRole.ADMIN)
    body = {"from": "9998-12-30T00:00:00Z", "to": "9998-12-31T00:00:00Z", "reason": REASON}
    answer = await world.post(f"{AUDIT}/exports", admin, body)
    assert answer.status == 202, await answer.text()
