"""What every answer has: fields of its head, a form of refusals, the same again when repeated."""

import asyncio
import secrets
from typing import Any
from uuid import UUID

import pytest

from bloxtr8.store import database
from tests.integration.web.world import World, accepted, problem

KEY = "0b6d9d0e-release-a3c1"


async def test_a_repeated_request_names_what_was_made_again(world: World) -> None:
    trade = await world.delivered()
    first = await world.post(
        f"{trade.path}/release", trade.buyer_person, {"confirm": True}, key=KEY
    )
    made = await accepted(first)
    again = await world.post(
        f"{trade.path}/release", trade.buyer_person, {"confirm": True}, key=KEY
    )
    assert (await accepted(again))["id"] == made["id"]
    assert again.headers["Idempotency-Replayed"] == "true"


async def test_what_has_a_version_names_it(world: World) -> None:
    trade = await world.delivered()
    answer = await world.get(trade.path, trade.buyer_person)
    assert answer.headers["ETag"] == f'"{(await answer.json())["version"]}"'


async def test_refusals_tell_limits_and_are_not_kept_by_caches(world: World) -> None:
    someone = await world.person()
    answer = await world.get(f"/api/v1/escrows/{secrets.token_hex(4)}", someone)
    await problem(answer, 404, "not_found")
    assert answer.headers["RateLimit-Policy"].startswith('"read";q=')
    assert answer.headers["RateLimit"].startswith('"read";r=')
    assert answer.headers["Cache-Control"] == "no-store"
    unsigned = await world.get("/api/v1/me")
    await problem(unsigned, 401, "unauthenticated")
    assert unsigned.headers["RateLimit-Policy"].startswith('"read-unsigned";q=')


async def test_who_is_signed_in_has_their_own_limit_also_where_nobody_needs_to_be(
    world: World,
) -> None:
    someone = await world.person()
    signed, unsigned = (
        await world.get("/api/v1/listings", someone),
        await world.get("/api/v1/listings"),
    )
    assert signed.headers["RateLimit-Policy"].startswith('"read";')
    assert signed.headers["Cache-Control"] == "no-store"
    assert unsigned.headers["RateLimit-Policy"].startswith('"read-unsigned";')
    assert "Cache-Control" not in unsigned.headers


async def test_a_credential_that_is_given_must_be_good(world: World) -> None:
    bad = {"Authorization": "Bearer nonsense"}
    await problem(await world.client.get("/api/v1/meta", headers=bad), 401, "unauthenticated")


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("text/html", 406),
        ("image/*, text/plain;q=0.5", 406),
        ("application/json", 200),
        ("text/html, */*;q=0.1", 200),
        ("Application/JSON;q=0.9", 200),
        ("application/problem+json", 200),
    ],
)
async def test_what_a_caller_takes(world: World, accept: str, status: int) -> None:
    answer = await world.client.get("/api/v1/meta", headers={"Accept": accept})
    if status == 406:
        await problem(answer, 406, "not_acceptable")
    else:
        assert answer.status == status


async def test_waiting_for_a_row_is_not_told_as_a_running_request(world: World) -> None:
    buyer = await world.person()
    async with database.transaction() as tx:
        await tx.execute("SELECT 1 FROM users WHERE id = $1 FOR UPDATE", UUID(buyer.id))
        answer = await world.client.patch(
            "/api/v1/me",
            json={"display_name": "Mira"},
            headers=buyer.bearer | {"If-Match": '"1"'},
        )
    document = await problem(answer, 503, "unavailable")
    assert document["retry_after_s"] == 1


@pytest.mark.usefixtures("patient_database")
async def test_the_same_key_at_once_is_told_as_a_running_request(world: World) -> None:
    trade = await world.delivered()
    path = f"{trade.path}/release"

    async def ask() -> Any:
        return await world.post(path, trade.buyer_person, {"confirm": True}, key=KEY)

    answers = await asyncio.gather(*(ask() for _ in range(8)))
    codes = {(await answer.json()).get("code") for answer in answers if answer.status != 202}
    assert codes <= {"idempotency_in_progress"}


async def test_a_page_is_refused_as_a_page(world: World) -> None:
    answer = await world.client.get("/auth/discord/login?return_to=" + "x" * 5_000)
    assert (answer.status, answer.content_type) == (400, "text/html")
    assert "bad_header" in await answer.text()


async def test_a_form_with_a_malformed_head_is_refused(world: World) -> None:
    trade = await world.disputed()
    body = b'--b\r\nContent-Disposition: form-data; name="\x13"\r\n\r\n1\r\n--b--\r\n'
    headers = trade.buyer_person.bearer | {"Content-Type": "multipart/form-data; boundary=b"}
    answer = await world.client.post(f"{trade.path}/evidence", data=body, headers=headers)
    await problem(answer, 400, "malformed_json")


async def test_a_body_that_cannot_be_decompressed_is_refused(world: World) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = await world.client.post("/api/v1/fees/quote", data=b"not gzip", headers=headers)
    await problem(answer, 400, "malformed_json")


async def test_limits_fees_and_outages_are_told_to_anybody(world: World) -> None:
    meta = await (await world.client.get("/api/v1/meta")).json()
    assert (meta["mode"], meta["rail_threshold"]["decimal"]) == ("sandbox", "10000.00")
    assert (meta["clocks_s"]["offer"], meta["clocks_s"]["dispute"]) == (259_200, 2_592_000)
    price = {"price": {"minor": 125_000, "currency": "USD"}}
    quote = await (await world.client.post("/api/v1/fees/quote", json=price)).json()
    assert (quote["rail"], quote["costs"]["buyer_pays"]["decimal"]) == ("STRIPE", "1286.55")
    large = {"price": {"minor": 1_250_000, "currency": "USD"}}
    quote = await (await world.client.post("/api/v1/fees/quote", json=large)).json()
    assert (quote["rail"], quote["settle"]["decimal"]) == ("USDC_BASE", "12500.000000")
    nothing = {"price": {"minor": 0, "currency": "USD"}}
    answer = await world.client.post("/api/v1/fees/quote", json=nothing)
    await problem(answer, 422, "amount_out_of_range")


async def test_an_outage_shows_until_it_ends(world: World) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO outages (id, scope, started_at, reason, recorded_by)"
            " VALUES ($1, 'ROBLOX', $2, 'down', $3)",
            UUID(int=7),
            world.clock.now(),
            UUID((await world.person()).id),
        )
    status = await (await world.client.get("/api/v1/status")).json()
    assert (status["components"]["ROBLOX"], status["components"]["WEB"]) == ("outage", "ok")
    assert [span["scope"] for span in status["open"]] == ["ROBLOX"]
