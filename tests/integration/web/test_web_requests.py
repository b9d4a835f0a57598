"""Keys, bodies, headers: what a client may send and what it is told."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator

import pytest

from bloxtr8.store import database
from tests.integration.web.world import World, accepted, problem

CONFIRM = {"confirm": True}

pytestmark = pytest.mark.usefixtures("patient_database")


async def test_money_needs_a_key_and_the_key_has_a_form(world: World) -> None:
    trade = await world.delivered()
    path, buyer = f"{trade.path}/release", trade.buyer_person
    missing = await world.post(path, buyer, CONFIRM, key=None)
    await problem(missing, 400, "idempotency_key_missing")
    for key in ("short", "with a space in it", "x" * 256, "naïve-naïve-naïve-naïve"):
        answer = await world.post(path, buyer, CONFIRM, key=key)
        await problem(answer, 400, "idempotency_key_malformed")
    assert world.commands == []


async def test_a_repeated_request_gets_the_same_answer_and_one_effect(world: World) -> None:
    trade = await world.delivered()
    path, key = f"{trade.path}/release", secrets.token_hex(16)
    first = await world.post(path, trade.buyer_person, CONFIRM, key=key)
    operation = await accepted(first)
    assert "Idempotency-Replayed" not in first.headers
    await trade.answer()
    # The state has moved on; the answer to the same request has not.
    again = await world.post(path, trade.buyer_person, CONFIRM, key=key)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (again.status, await again.json()) == (202, operation)
    assert len(world.commands) == 1


async def test_a_key_is_bound_to_its_request(world: World) -> None:
    trade = await world.delivered()
    key = secrets.token_hex(16)
    path = f"{trade.path}/refund"
    await accepted(await world.post(path, trade.seller_person, CONFIRM, key=key))
    other = await world.post(
        path, trade.seller_person, {"confirm": True, "note": "Something else."}, key=key
    )
    await problem(other, 422, "idempotency_key_reused")
    # Another person's key of the same name is another key.
    mine = await world.post(f"{trade.path}/release", trade.buyer_person, CONFIRM, key=key)
    await accepted(mine)


async def test_a_refused_request_leaves_no_key(world: World) -> None:
    trade = await world.held()
    path, key = f"{trade.path}/release", secrets.token_hex(16)
    refused = await world.post(path, trade.buyer_person, CONFIRM, key=key)
    await problem(refused, 409, "invalid_state")
    trade.deliver()
    await trade.mirror()
    await accepted(await world.post(path, trade.buyer_person, CONFIRM, key=key))


async def test_many_at_once_with_one_key_have_one_effect(world: World) -> None:
    trade = await world.delivered()
    path, key = f"{trade.path}/release", secrets.token_hex(16)
    answers = await asyncio.gather(
        *(world.post(path, trade.buyer_person, CONFIRM, key=key) for _ in range(16))
    )
    bodies = [(answer.status, await answer.json()) for answer in answers]
    assert {status for status, _ in bodies} <= {202, 409}
    told = {body["id"] for status, body in bodies if status == 202}
    assert len(told) == 1
    assert {body["code"] for status, body in bodies if status == 409} <= {"idempotency_in_progress"}
    rows = await database.fetch("SELECT id FROM operations")
    assert [str(row["id"]) for row in rows] == list(told)
    assert {command.metadata.message_id for command in world.commands} == told


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"{", 400, "malformed_json"),
        (b"\xff\xfe", 400, "malformed_json"),
        (b'{"confirm": true, "confirm": true}', 400, "malformed_json"),
        (b'{"confirm": NaN}', 400, "malformed_json"),
        (b'{"confirm": 1.0}', 400, "malformed_json"),
        (b'{"confirm": "\\ud800"}', 400, "malformed_json"),
        (b"[" * 60_000, 400, "malformed_json"),
        (b'{"a":' * 20 + b"1" + b"}" * 20, 400, "malformed_json"),
        (b"9" * 5000, 400, "malformed_json"),
        (b'{"confirm": true, "extra": 1}', 422, "unknown_field"),
        (b'{"confirm": false}', 422, "validation_failed"),
        (b'{"confirm": "true"}', 422, "validation_failed"),
        (b"[]", 422, "validation_failed"),
        (b"null", 422, "validation_failed"),
        (b"{}", 422, "validation_failed"),
        (b'{"confirm": [' + b"1," * 200 + b"1]}", 422, "validation_failed"),
        (b'{"confirm": "' + b"x" * 70_000 + b'"}', 413, "body_too_large"),
    ],
)
async def test_bodies_that_are_refused(world: World, raw: bytes, status: int, code: str) -> None:
    trade = await world.delivered()
    headers = trade.buyer_person.bearer | {
        "Content-Type": "application/json",
        "Idempotency-Key": secrets.token_hex(16),
    }
    answer = await world.client.post(f"{trade.path}/release", data=raw, headers=headers)
    document = await problem(answer, status, code)
    if code == "unknown_field":
        assert document["errors"] == [
            {
                "field": "/extra",
                "code": "unknown_field",
                "message": document["errors"][0]["message"],
            }
        ]
    assert world.commands == []


async def test_a_compressed_or_chunked_body_has_the_same_limit(world: World) -> None:
    trade = await world.delivered()
    headers = trade.buyer_person.bearer | {
        "Content-Type": "application/json",
        "Idempotency-Key": secrets.token_hex(16),
    }

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 4096

    path = f"{trade.path}/release"
    chunked = await world.client.post(path, data=endless(), headers=headers)
    await problem(chunked, 413, "body_too_large")
    squeezed = await world.client.post(path, data=b" " * 500_000, headers=headers, compress="gzip")
    await problem(squeezed, 413, "body_too_large")


async def test_only_json_is_read(world: World) -> None:
    trade = await world.delivered()
    for content_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
    ):
        headers = trade.buyer_person.bearer | {
            "Content-Type": content_type,
            "Idempotency-Key": secrets.token_hex(16),
        }
        answer = await world.client.post(
            f"{trade.path}/release", data=b'{"confirm": true}', headers=headers
        )
        await problem(answer, 415, "unsupported_media_type")


async def test_amounts_are_whole_minor_units(world: World) -> None:
    trade = await world.disputed()
    for amount in (
        {"minor": "100", "currency": "USD"},
        {"minor": True, "currency": "USD"},
        {"minor": -1, "currency": "USD"},
        {"minor": 10**12 + 1, "currency": "USD"},
        {"minor": 1, "currency": "EUR"},
        {"decimal": "1.00", "currency": "USD"},
        "1.00",
    ):
        answer = await world.post(
            f"{trade.path}/settlements", trade.buyer_person, {"seller_amount": amount}
        )
        await problem(answer, 422, "validation_failed")
    headers = trade.buyer_person.bearer | {
        "Content-Type": "application/json",
        "Idempotency-Key": secrets.token_hex(16),
    }
    raw = b'{"seller_amount": {"minor": 1e2, "currency": "USD"}}'
    answer = await world.client.post(f"{trade.path}/settlements", data=raw, headers=headers)
    await problem(answer, 400, "malformed_json")


async def test_texts_that_mislead_are_refused(world: World) -> None:
    trade = await world.delivered()
    long = "Nothing of what was promised has arrived here so far."
    for statement in (
        long + "\u202e",
        long + "\u200b",
        long + "\u0000",
        long + "\u001b[31m",
        " " * 60,
        "too short",
        "x" * 5_001,
    ):
        body = {"reason": "OTHER", "wanted": "REFUND", "statement": statement}
        answer = await world.post(f"{trade.path}/dispute", trade.buyer_person, body)
        document = await problem(answer, 422, "validation_failed")
        assert document["errors"][0]["field"] == "/statement"
        assert long not in json.dumps(document), "what was sent is not repeated"


async def test_unknown_addresses_and_methods(world: World) -> None:
    someone = await world.person()
    for path in ("/api/v1/nothing", "/api/v1/escrows/not-a-uuid", "/webhooks/nobody", "/table/"):
        await problem(await world.get(path, someone), 404, "not_found")
    answer = await world.client.patch("/api/v1/escrows", headers=someone.bearer)
    await problem(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["Allow"]


async def test_query_strings_are_judged_too(world: World) -> None:
    someone = await world.person()
    for query in ("limit=0", "limit=101", "limit=x", "status=NOPE", "wrong=1", "limit=1&limit=2"):
        answer = await world.get(f"/api/v1/escrows?{query}", someone)
        assert (await answer.json())["code"] in ("validation_failed", "unknown_field"), query
        assert answer.status == 422


async def test_without_a_broker_the_command_waits_for_the_sweeper(world: World) -> None:
    trade = await world.delivered()
    world.process.publisher.silent = True
    operation = await accepted(
        await world.post(f"{trade.path}/release", trade.buyer_person, CONFIRM)
    )
    assert operation["status"] == "ACCEPTED"


async def test_without_a_database_it_says_so(world: World) -> None:
    trade = await world.delivered()
    await database.close_database()
    try:
        answer = await world.get("/ready")
        assert answer.status == 503
        assert (await world.get("/health")).status == 200
    finally:
        await database.open_database(world.process.settings)
    assert (await world.get(trade.path, trade.buyer_person)).status == 200
