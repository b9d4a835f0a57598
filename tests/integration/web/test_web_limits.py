"""How often callers may ask: who is counted as whom, and what every answer tells of it."""

from tests.integration.web.test_web_webhooks import PATH, event, signed
from tests.integration.web.world import World, problem

HASH = {"sha256": "ab" * 32}


async def test_looking_around_is_counted(world: World) -> None:
    world.limit_to(5)
    for path in ("/nothing", "/api/v1/nothing", "/webhooks/nobody"):
        answer = await world.client.get(path)
        await problem(answer, 404, "not_found")
        assert answer.headers["RateLimit-Policy"] == '"read-unsigned";q=3;w=60'
    answer = await world.client.delete("/api/v1/meta")
    refused = await problem(answer, 429, "rate_limited")
    assert int(answer.headers["Retry-After"]) == refused["retry_after_s"] > 0
    assert answer.headers["RateLimit"].startswith('"read-unsigned";r=0;')


async def test_an_unknown_method_tells_what_is_left(world: World) -> None:
    answer = await world.client.delete("/api/v1/meta")
    await problem(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["Allow"]
    assert answer.headers["RateLimit"].startswith('"read-unsigned";r=')


async def test_calls_of_providers_tell_what_is_left(world: World) -> None:
    body = event("evt_counted")
    taken = await world.client.post(PATH, data=body, headers=signed(body))
    assert taken.headers["RateLimit"].startswith('"hook-in";r=')
    strange = await world.client.post(PATH, data=body, headers=signed(body, secret="whsec_other"))
    await problem(strange, 400, "webhook_signature_invalid")
    assert strange.headers["RateLimit-Policy"].startswith('"hook-bad";q=')


async def test_strangers_have_thirty_hashes_a_minute(world: World) -> None:
    world.limit_to(10)
    for _ in range(3):
        answer = await world.client.post("/api/v1/contracts/verify", json=HASH)
        assert answer.status == 200
        assert answer.headers["RateLimit-Policy"] == '"hash";q=3;w=60'
    answer = await world.client.post("/api/v1/contracts/verify", json=HASH)
    await problem(answer, 429, "rate_limited")


async def test_a_page_tells_when_to_come_back(world: World) -> None:
    world.limit_to(5)
    assert (await world.client.get("/link/error")).status == 200
    answer = await world.client.get("/link/error")
    assert (answer.status, answer.content_type) == (429, "text/html")
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["RateLimit"].startswith('"auth";r=0;')


async def test_a_head_has_a_length(world: World) -> None:
    fields = {f"X-Field-{number}": "x" * 4_000 for number in range(5)}
    answer = await world.client.get("/api/v1/meta", headers=fields)
    await problem(answer, 400, "bad_header")
