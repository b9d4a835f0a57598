"""Evidence, statements and questions, over HTTP with a real file store."""

import asyncio
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientResponse, FormData

from bloxtr8.access import StaffRole
from bloxtr8.disputes import content, files
from bloxtr8.store import database
from bloxtr8.store.objects import ObjectMissing
from tests.integration.web.world import (
    REASON,
    STATEMENT,
    Someone,
    Trade,
    World,
    accepted,
    problem,
)

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\x00" * 64
TEXT = "I was told the passes were included: «всё включено».\n".encode()

pytestmark = pytest.mark.usefixtures("patient_database")


async def send(
    world: World,
    trade: Trade,
    someone: Someone,
    *parts: bytes,
    fields: dict[str, str] | None = None,
    key: str | None = None,
) -> ClientResponse:
    form = FormData(default_to_multipart=True)
    for name, value in ({"kind": "SCREENSHOT"} if fields is None else fields).items():
        form.add_field(name, value)
    for number, part in enumerate(parts):
        # Names and types that a sender gives say nothing.
        form.add_field("files", part, filename=f"{number}.exe", content_type="text/html")
    headers = someone.bearer | ({"Idempotency-Key": key} if key else {})
    return await world.client.post(f"{trade.path}/evidence", data=form, headers=headers)


async def audited(action: str) -> int:
    row = await database.fetchrow(
        "SELECT count(*) AS n FROM audit_log WHERE action = $1 AND escrow_id IS NOT NULL", action
    )
    assert row is not None
    return int(row["n"])


async def test_files_of_a_side_are_shown_to_both_and_to_staff_only(world: World) -> None:
    trade = await world.disputed()
    buyer, seller = trade.buyer_person, trade.seller_person
    fields = {"kind": "CHAT", "note": "What was agreed"}
    answer = await send(world, trade, buyer, PNG, TEXT, fields=fields)
    assert answer.status == 201, await answer.text()
    picture, text = await answer.json()
    assert (picture["content_type"], text["content_type"]) == ("image/png", "text/plain")
    assert (picture["position"], text["position"]) == (1, 2)
    assert (text["size"], text["kind"], text["note"]) == (len(TEXT), "CHAT", "What was agreed")

    seen = await (await world.get(f"{trade.path}/dispute", seller)).json()
    assert [item["id"] for item in seen["evidence"]] == [picture["id"], text["id"]]
    path = f"{trade.path}/evidence/{text['id']}"
    for someone in (buyer, seller, await world.person(StaffRole.SUPPORT)):
        led = await world.get(path, someone, allow_redirects=False)
        assert led.status == 302
        async with (
            aiohttp.ClientSession() as session,
            session.get(led.headers["Location"]) as file,
        ):
            assert await file.read() == TEXT
            assert file.headers["Content-Type"].startswith("text/plain")
            assert file.headers["Content-Disposition"].endswith("-buyer-2.txt")
    await problem(await world.get(path, await world.person()), 404, "not_found")
    assert (await world.get(path)).status == 401
    elsewhere = await world.disputed(buyer=buyer)
    other = f"{elsewhere.path}/evidence/{text['id']}"
    await problem(await world.get(other, buyer), 404, "not_found")
    assert await audited("evidence.added") == 2
    assert await audited("evidence.downloaded") == 3
    notices = await database.fetch(
        "SELECT user_id FROM notification_deliveries WHERE template = 'evidence_added'"
        " AND channel = 'INBOX'"
    )
    assert [str(row["user_id"]) for row in notices] == [seller.id]


@pytest.mark.parametrize(
    "content",
    [
        b"MZ\x90\x00 a program",
        b"<svg>\x00</svg>",
        b" <svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"<!DOCTYPE html><p>What was agreed",
        b"\x89PNG\r\n\x1a\nnot really",
        b"",
        "ungültig".encode("latin-1"),
        b"RIFF\x00\x00\x00\x00WAVE",
    ],
)
async def test_what_is_no_evidence_is_refused(world: World, content: bytes) -> None:
    trade = await world.disputed()
    answer = await send(world, trade, trade.buyer_person, PNG, content)
    await problem(answer, 422, "evidence_rejected")
    rows = await database.fetch("SELECT 1 FROM evidence_files")
    assert rows == [], "all of a request or nothing"


async def test_forms_that_are_wrong(world: World) -> None:
    trade = await world.disputed()
    buyer = trade.buyer_person
    path = f"{trade.path}/evidence"
    for parts, fields, code in (
        ((), None, "validation_failed"),
        ((PNG,), {}, "validation_failed"),
        ((PNG,), {"kind": "HEARSAY"}, "validation_failed"),
        ((PNG,), {"kind": "OTHER", "note": "x" * 501}, "validation_failed"),
        ((PNG,), {"kind": "OTHER", "sha256": "0"}, "unknown_field"),
    ):
        answer = await send(world, trade, buyer, *parts, fields=fields)
        await problem(answer, 422, code)
    await problem(await world.post(path, buyer, {}), 415, "unsupported_media_type")
    headers = buyer.bearer | {"Content-Type": "multipart/form-data"}
    answer = await world.client.post(path, data=b"no boundary", headers=headers)
    await problem(answer, 400, "malformed_json")
    headers["Content-Type"] += "; boundary=b"
    for body in (b"--x\r\n\r\n", b'--b\r\nContent-Disposition: form-data; name="files"\r\n\r\nAB'):
        answer = await world.client.post(path, data=body, headers=headers)
        assert answer.status in (400, 422), await answer.text()


async def test_a_file_has_a_largest_size(world: World) -> None:
    trade = await world.disputed()
    answer = await send(world, trade, trade.buyer_person, PNG + b"\x00" * content.FILE_BYTES_MAX)
    await problem(answer, 413, "body_too_large")


async def test_the_same_file_again_is_answered_as_it_was(world: World) -> None:
    trade = await world.disputed()
    first = await (await send(world, trade, trade.buyer_person, PNG)).json()
    again = await (
        await send(world, trade, trade.buyer_person, PNG, PNG, fields={"kind": "OTHER"})
    ).json()
    assert again == [*first, *first]
    theirs = await (await send(world, trade, trade.seller_person, PNG)).json()
    assert theirs[0]["id"] != first[0]["id"]
    assert await audited("evidence.added") == 2


async def test_when_evidence_may_be_given_and_by_whom(world: World) -> None:
    waiting = await world.trade()
    answer = await send(world, waiting, waiting.buyer_person, PNG)
    await problem(answer, 409, "invalid_state")
    held = await world.held()
    assert (await send(world, held, held.seller_person, PNG)).status == 201
    await problem(await send(world, held, await world.person(), PNG), 404, "not_found")
    staff = await world.person(StaffRole.ADMIN)
    await problem(await send(world, held, staff, PNG), 404, "not_found")


async def test_somebody_frozen_may_still_answer_a_dispute(world: World) -> None:
    trade = await world.disputed()
    async with database.transaction() as tx:
        await tx.execute("UPDATE users SET status = 'FROZEN' WHERE id = $1", trade.seller_id)
    assert (await send(world, trade, trade.seller_person, PNG)).status == 201
    said = await world.post(
        f"{trade.path}/dispute/statements", trade.seller_person, {"text": STATEMENT}
    )
    assert said.status == 201


async def test_a_side_has_room_for_so_many_files_also_when_they_come_at_once(
    world: World,
) -> None:
    trade = await world.disputed()
    buyer = trade.buyer_person
    answers = await asyncio.gather(
        *(send(world, trade, buyer, *(PNG + bytes([n, m]) for m in range(5))) for n in range(6))
    )
    statuses = sorted(answer.status for answer in answers)
    assert statuses == [201] * 4 + [413] * 2
    rows = await database.fetch(
        "SELECT position FROM evidence_files WHERE stored_at IS NOT NULL ORDER BY position"
    )
    assert [row["position"] for row in rows] == list(range(1, files.FILES_MAX + 1))
    await problem(await send(world, trade, buyer, TEXT), 413, "quota_exceeded")


async def test_bytes_of_a_side_and_of_a_day_are_limited(world: World) -> None:
    trade = await world.disputed()
    buyer = trade.buyer_person
    for size, held in ((files.SIDE_BYTES_MAX, trade), (files.DAY_BYTES_MAX, await world.held())):
        async with database.transaction() as tx:
            await tx.execute("DELETE FROM evidence_files")
            await tx.execute(
                "INSERT INTO evidence_files (id, escrow_id, side, position, kind, content_type,"
                " size_bytes, sha256, created_by, stored_at, created_at) VALUES"
                " (gen_random_uuid(), $1, 'BUYER', 1, 'OTHER', 'image/png', $2, 'x', $3, $4, $4)",
                held.escrow_id,
                size - len(PNG) + 1,
                buyer.id,
                world.clock.now(),
            )
        await problem(await send(world, trade, buyer, PNG), 413, "quota_exceeded")


async def test_an_upload_that_broke_off_goes_on_or_is_given_up(world: World) -> None:
    trade = await world.disputed()
    deps = world.deps
    there, deps.settings.s3.endpoint_url = deps.settings.s3.endpoint_url, "http://127.0.0.1:9"
    answer = await send(world, trade, trade.buyer_person, PNG)
    await problem(answer, 503, "upstream_unavailable")
    rows = await database.fetch("SELECT id, stored_at FROM evidence_files")
    assert [row["stored_at"] for row in rows] == [None]
    seen = await (await world.get(f"{trade.path}/dispute", trade.buyer_person)).json()
    assert seen["evidence"] == []

    await deps.objects.close()
    deps.settings.s3.endpoint_url = there
    again = await (await send(world, trade, trade.buyer_person, PNG)).json()
    assert [item["id"] for item in again] == [str(rows[0]["id"])]

    async with database.transaction() as tx:
        await tx.execute("UPDATE evidence_files SET stored_at = NULL")
    assert await deps.evidence.sweep() == 0
    world.clock.advance(files.ABANDONED_AFTER + timedelta(seconds=1))
    assert await deps.evidence.sweep() == 1
    assert await database.fetch("SELECT 1 FROM evidence_files") == []
    with pytest.raises(ObjectMissing):
        await deps.objects.get(f"evidence/{trade.escrow_id}/{rows[0]['id']}", bytes_max=100)


async def test_statements_answer_each_other_and_questions(world: World) -> None:
    trade = await world.disputed()
    buyer, seller = trade.buyer_person, trade.seller_person
    path = f"{trade.path}/dispute"
    dispute = await (await world.get(path, buyer)).json()
    staff, other = await world.person(StaffRole.MODERATOR), await world.person(StaffRole.MODERATOR)
    claim = f"/api/v1/staff/disputes/{dispute['id']}/claim"
    assert (await world.post(claim, staff)).status == 204
    assert (await world.post(claim, staff)).status == 204
    await problem(await world.post(claim, other), 409, "already_decided")
    ask = f"/api/v1/staff/disputes/{dispute['id']}/question"
    question: dict[str, Any] = {"side": "SELLER", "text": "When was it sent?", "reason": REASON}
    asked = await world.post(ask, staff, question)
    assert asked.status == 201, await asked.text()
    question_id = (await asked.json())["id"]

    say = f"{path}/statements"
    answered = {"text": STATEMENT, "question_id": question_id}
    await problem(await world.post(say, buyer, answered), 409, "invalid_state")
    await problem(
        await world.post(say, seller, answered | {"question_id": dispute["id"]}), 404, "not_found"
    )
    first = await world.post(say, seller, answered, key="answer-to-the-question")
    again = await world.post(say, seller, answered, key="answer-to-the-question")
    assert (await first.json()) == (await again.json())
    seen = await (await world.get(path, buyer)).json()
    kinds = [(said["side"], said["kind"]) for said in seen["statements"]]
    assert kinds[-2:] == [("STAFF", "QUESTION"), ("SELLER", "STATEMENT")]
    assert seen["statements"][-1]["question_id"] == question_id
    assert (seen["claimed"], seen["claimed_by"]) == (True, "Someone")
    await problem(await world.post(say, buyer, {"text": "too short"}), 422, "validation_failed")
    await problem(await world.post(say, await world.person(), answered), 404, "not_found")
    calm = await world.delivered()
    answer = await world.post(
        f"{calm.path}/dispute/statements", calm.buyer_person, {"text": STATEMENT}
    )
    await problem(answer, 409, "invalid_state")


async def test_a_side_speaks_twenty_times_at_most(world: World) -> None:
    trade = await world.disputed()
    path = f"{trade.path}/dispute/statements"
    answers = await asyncio.gather(
        *(
            world.post(path, trade.buyer_person, {"text": f"{number} {STATEMENT}"})
            for number in range(22)
        )
    )
    assert sorted(answer.status for answer in answers) == [201] * 20 + [409] * 2


async def test_staff_with_a_part_in_the_trade_take_no_dispute(world: World) -> None:
    staff = await world.person(StaffRole.ADMIN)
    trade = await world.disputed(seller=staff)
    dispute = await (await world.get(f"{trade.path}/dispute", staff)).json()
    claim = f"/api/v1/staff/disputes/{dispute['id']}/claim"
    await problem(await world.post(claim, staff), 403, "conflict_of_interest")
    tasks = await (await world.get("/api/v1/staff/queue", staff)).json()
    task = tasks["items"][0]
    taken = f"/api/v1/staff/tasks/{task['id']}/claim"
    answer = await world.post(taken, staff, {"version": task["version"]})
    await problem(answer, 403, "conflict_of_interest")


async def test_tasks_are_taken_given_back_and_closed(world: World) -> None:
    first, second = [await world.person(StaffRole.MODERATOR) for _ in range(2)]
    trade = await world.disputed()
    queue = await (await world.get("/api/v1/staff/queue?kind=DISPUTE", first)).json()
    assert queue["counts"] == {"DISPUTE": 1}
    task = queue["items"][0]
    assert (task["subject_id"], task["status"]) == (trade.escrow_id, "OPEN")
    path = f"/api/v1/staff/tasks/{task['id']}"
    answers = await asyncio.gather(
        *(world.post(f"{path}/claim", who, {"version": 1}) for who in (first, second))
    )
    assert sorted(answer.status for answer in answers) == [200, 409]
    winner = first if answers[0].status == 200 else second
    loser = second if winner is first else first
    mine = await (await world.get("/api/v1/staff/queue?mine=true", winner)).json()
    assert [item["claimed_by"] for item in mine["items"]] == [winner.id]
    await problem(await world.post(f"{path}/release", loser, {"version": 2}), 403, "forbidden")
    answer = await world.post(f"{path}/release", winner, {"version": 1})
    await problem(answer, 412, "version_mismatch")
    assert (await world.post(f"{path}/release", winner, {"version": 2})).status == 200
    body = {"version": 3, "outcome": "DONE", "reason": REASON}
    await problem(await world.post(f"{path}/close", winner, body), 403, "forbidden")


async def test_a_delivery_names_the_sellers_own_files(world: World) -> None:
    trade = await world.held()
    buyer, seller = trade.buyer_person, trade.seller_person
    fields = {"kind": "DELIVERY"}
    first, second = await (await send(world, trade, seller, PNG, TEXT, fields=fields)).json()
    (theirs,) = await (await send(world, trade, buyer, PNG)).json()
    elsewhere = await world.held(seller=seller)
    (other,) = await (await send(world, elsewhere, seller, PNG)).json()
    path, body = f"{trade.path}/mark-delivered", {"method": "GROUP_TRANSFER"}

    for wrong in (theirs["id"], other["id"], trade.escrow_id):
        refused = await world.post(path, seller, body | {"evidence_ids": [first["id"], wrong]})
        document = await problem(refused, 422, "validation_failed")
        assert [error["field"] for error in document["errors"]] == ["/evidence_ids/1"]
    for ids in (["x"], [first["id"]] * 11):
        refused = await world.post(path, seller, body | {"evidence_ids": ids})
        await problem(refused, 422, "validation_failed")
    assert world.commands == []

    named = {"evidence_ids": [second["id"], first["id"], second["id"]]}
    await accepted(await world.post(path, seller, body | named))
    sent = world.commands[-1].mark_delivered.evidence
    assert [(shown.id, shown.sha256) for shown in sent] == [
        (second["id"], second["sha256"]),
        (first["id"], first["sha256"]),
    ]
    await trade.answer()
    escrow = await (await world.get(trade.path, buyer)).json()
    assert escrow["delivery"]["evidence_ids"] == [second["id"], first["id"]]
    timeline = (await (await world.get(f"{trade.path}/timeline", buyer)).json())["items"]
    assert timeline[-1]["data"]["evidence_ids"] == [second["id"], first["id"]]


async def test_an_upload_under_a_key_is_answered_as_before(world: World) -> None:
    trade = await world.held()
    seller, key = trade.seller_person, "an-upload-of-mine"

    async def upload(*parts: bytes, kind: str = "DELIVERY") -> ClientResponse:
        return await send(world, trade, seller, *parts, fields={"kind": kind}, key=key)

    first, second = await upload(PNG, TEXT), await upload(PNG, TEXT)
    assert (first.status, second.status) == (201, 201)
    assert second.headers["Idempotency-Replayed"] == "true"
    assert await first.json() == await second.json()
    for other in (await upload(TEXT, PNG), await upload(PNG), await upload(PNG, TEXT, kind="CHAT")):
        await problem(other, 422, "idempotency_key_reused")
    assert await audited("evidence.added") == 2


async def test_uploads_at_once_under_one_key_have_one_effect(world: World) -> None:
    trade = await world.held()
    answers = await asyncio.gather(
        *(send(world, trade, trade.seller_person, PNG, key="k" * 16) for _ in range(8))
    )
    assert {answer.status for answer in answers} == {201}
    first, *others = [await answer.json() for answer in answers]
    assert all(other == first for other in others)
    assert await audited("evidence.added") == 1


async def test_a_refused_upload_keeps_no_answer(world: World) -> None:
    trade = await world.held()
    refused = await send(world, trade, trade.seller_person, b"MZ\x90\x00", key="k" * 16)
    await problem(refused, 422, "evidence_rejected")
    assert (await send(world, trade, trade.seller_person, PNG, key="k" * 16)).status == 201
    malformed = await send(world, trade, trade.seller_person, PNG, key="short")
    await problem(malformed, 400, "idempotency_key_malformed")
