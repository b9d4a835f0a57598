"""Health, readiness, metrics, headers, cross-origin rules, limits, traces."""

from pydantic import SecretStr

from bloxtr8.store import database
from tests.integration.web.world import World, problem
from web.addresses import networks_of


async def test_health_and_readiness(world: World) -> None:
    assert await (await world.get("/health")).json() == {"status": "ok"}
    ready = await world.get("/ready")
    document = await ready.json()
    assert (ready.status, document["status"]) == (200, "ok"), document
    names = {"db", "migrations", "kafka_assignment", "recovery", "clock", "outbox_lag_s"}
    assert names <= set(document["checks"])


async def test_readiness_names_what_fails(world: World) -> None:
    for fact, check in (("kafka_assignment", "kafka_assignment"), ("recovery", "recovery")):
        world.process.facts[fact] = False
        answer = await world.get("/ready")
        document = await answer.json()
        assert (answer.status, document["checks"][check]) == (503, "fail")
        assert answer.headers["Retry-After"] == "5"
        world.process.facts[fact] = True
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO outbox (event_id, topic, key, event_type, payload, headers, created_at)"
            " VALUES (gen_random_uuid(), 't', 'k', 'e', '', '{}', now() - interval '2 minutes')"
        )
    answer = await world.get("/ready")
    assert (answer.status, (await answer.json())["checks"]["outbox_lag_s"]) == (503, "fail")


async def test_metrics_are_for_this_machine_or_the_token(world: World) -> None:
    answer = await world.get("/metrics")
    text = await answer.text()
    assert answer.status == 200
    assert "bloxtr8_http_requests_total" in text
    proxied = await world.get("/metrics", headers={"X-Forwarded-For": "203.0.113.9"})
    await problem(proxied, 404, "not_found")
    world.process.settings.web.metrics_token = SecretStr("a-token")
    await problem(await world.get("/metrics"), 404, "not_found")
    wrong = await world.get("/metrics", headers={"Authorization": "Bearer a-tokem"})
    await problem(wrong, 404, "not_found")
    right = await world.get("/metrics", headers={"Authorization": "Bearer a-token"})
    assert right.status == 200


async def test_paths_do_not_become_labels(world: World) -> None:
    for number in range(20):
        await world.get(f"/api/v1/escrows/{number}", None)
        await world.get(f"/made-up/{number}", None)
    text = await (await world.get("/metrics")).text()
    assert "made-up" not in text
    assert 'route="/api/v1/escrows/{escrow_id}"' in text


async def test_problems_are_explained_and_keys_are_public(world: World) -> None:
    page = await world.get("/problems/invalid_state")
    assert page.status == 200
    assert "not possible" in await page.text()
    every = await (await world.get("/problems")).text()
    assert "<a href=/problems/invalid_state><code>invalid_state</code></a>" in every
    assert "&lt;" not in every, "what is ours is not escaped twice"
    ended = await world.get("/problems/taken_back")
    assert "HTTP status 409" in await ended.text()
    assert "/problems/not_sent" in every
    await problem(await world.get("/problems/<script>"), 404, "not_found")
    keys = (await (await world.get("/.well-known/jwks.json")).json())["keys"]
    assert keys
    assert "d" not in keys[0], "the private part stays here"


async def test_every_answer_is_hardened(world: World) -> None:
    someone = await world.person()
    for path, who in (("/health", None), ("/nothing", None), ("/api/v1/escrows", someone)):
        headers = (await world.get(path, who)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert "aiohttp" not in headers["Server"]
        assert "Strict-Transport-Security" not in headers, "the origin is not https"
    assert (await world.get("/api/v1/escrows", someone)).headers["Cache-Control"] == "no-store"


async def test_other_origins_only_when_configured(world: World) -> None:
    origin = {"Origin": "https://shop.example"}
    someone = await world.person()
    answer = await world.get("/api/v1/escrows", someone, headers=origin)
    assert "Access-Control-Allow-Origin" not in answer.headers
    world.process.settings.web.cors_origins = ["https://shop.example"]
    allowed = await world.get("/api/v1/escrows", someone, headers=origin)
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert "Access-Control-Allow-Credentials" not in allowed.headers
    asking = origin | {"Access-Control-Request-Method": "POST"}
    preflight = await world.client.options("/api/v1/escrows", headers=asking)
    assert preflight.status == 204
    assert "Idempotency-Key" in preflight.headers["Access-Control-Allow-Headers"]
    for path in ("/health", "/webhooks/stripe"):
        other = await world.client.options(path, headers=asking)
        assert "Access-Control-Allow-Origin" not in other.headers


async def test_a_trace_is_continued_and_nonsense_is_not(world: World) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    good = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    assert (await world.get("/health", headers=good)).headers["X-Request-Id"] == trace
    for bad in ("x", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{trace}-{'0' * 16}-01"):
        answer = await world.get("/health", headers={"traceparent": bad})
        assert answer.headers["X-Request-Id"] not in (trace, "0" * 32)


async def test_the_trace_goes_into_the_command(world: World) -> None:
    trade = await world.delivered()
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = trade.buyer_person.bearer | {
        "traceparent": f"00-{trace}-00f067aa0ba902b7-01",
        "Idempotency-Key": "k" * 20,
    }
    answer = await world.client.post(
        f"{trade.path}/release", json={"confirm": True}, headers=headers
    )
    assert answer.status == 202
    assert trace in world.commands[-1].metadata.traceparent


async def test_a_person_who_asks_too_often_waits(world: World) -> None:
    world.limit_to(10)
    someone, other = await world.person(), await world.person()
    answers = [await world.get("/api/v1/operations", someone) for _ in range(31)]
    assert [answer.status for answer in answers[:30]] == [200] * 30
    assert answers[0].headers["RateLimit-Policy"] == '"read";q=30;w=60'
    refused = await problem(answers[30], 429, "rate_limited")
    assert int(answers[30].headers["Retry-After"]) == refused["retry_after_s"] > 0
    assert (await world.get("/api/v1/operations", other)).status == 200


async def test_whom_a_trusted_proxy_speaks_for(world: World) -> None:
    world.limit_to(5)
    for number in range(3):
        spoofed = {"X-Forwarded-For": f"198.51.100.{number}"}
        assert (await world.get("/problems/internal", headers=spoofed)).status == 200
    # Nobody is believed by default, so all of these were one caller.
    spoofed = {"X-Forwarded-For": "198.51.100.9"}
    await problem(await world.get("/problems/internal", headers=spoofed), 429, "rate_limited")
    world.deps.proxies = networks_of(["127.0.0.0/8", "10.0.0.0/8"])
    for forwarded in ("198.51.100.1", "6.6.6.6, 198.51.100.2, 10.1.1.1"):
        headers = {"X-Forwarded-For": forwarded}
        assert (await world.get("/problems/internal", headers=headers)).status == 200


async def test_an_address_has_a_length(world: World) -> None:
    answer = await world.get("/problems/" + "x" * 5000)
    await problem(answer, 400, "bad_header")
