"""Calls to a provider: what is repeated, what is not, and when it is left alone."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from bloxtr8.clock import ManualClock
from bloxtr8.payments.breaker import FAILURES_MAX, PAUSE
from bloxtr8.payments.http_json import Answer, JsonClient, Limits, NoAnswer, Request

LIMITS = Limits(total_s=1.0, pause_first_s=0.01, pause_max_s=0.02, answer_bytes=1000)
GET = Request("get", "GET", "/x")
# The library repeats a GET by itself when its connection was closed meanwhile.
POST = Request("post", "POST", "/x")


class Provider:
    """Answers from a list, the last one for ever; None: hangs up."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes, dict[str, str]] | None] = [(200, b'{"a": 1}', {})]
        self.asked: list[web.Request] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        status, body, headers = answer
        return web.Response(status=status, body=body, headers=headers)


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    made = Provider()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    made.url = f"http://{host}:{port}"
    yield made
    await runner.cleanup()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 7, 1, tzinfo=UTC))


@pytest.fixture
async def client(provider: Provider, clock: ManualClock) -> AsyncIterator[JsonClient]:
    made = JsonClient("TEST", provider.url, {"X-Key": "secret"}, clock, LIMITS)
    yield made
    await made.close()


async def test_request_and_answer(provider: Provider, client: JsonClient) -> None:
    sent = Request("post", "POST", "/y?z=1", {"b": 2}, {"Idempotency-Key": "k"})
    assert await client.ask(sent) == Answer(200, {"a": 1}, b'{"a": 1}')
    (asked,) = provider.asked
    assert (asked.method, asked.path_qs) == ("POST", "/y?z=1")
    assert (asked.headers["X-Key"], asked.headers["Idempotency-Key"]) == ("secret", "k")


@pytest.mark.parametrize(
    "trouble",
    [
        None,
        (500, b"{}", {}),
        (503, b"", {}),
        (429, b"{}", {"Retry-After": "0"}),
        (429, b"{}", {"Retry-After": "soon"}),
        (200, b"<html>", {}),
        (200, b"", {}),
        (200, b"[" * 900, {}),
        (200, b"1" * 2000, {}),
    ],
)
async def test_what_is_no_answer_is_asked_again_and_then_given_up(
    provider: Provider, client: JsonClient, trouble: tuple[int, bytes, dict[str, str]] | None
) -> None:
    provider.answers = [trouble, trouble, (200, b"7", {})]
    assert await client.ask(POST) == Answer(200, 7, b"7")
    provider.answers = [trouble]
    provider.asked.clear()
    assert isinstance(await client.ask(POST), NoAnswer)
    assert len(provider.asked) == LIMITS.tries


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422])
async def test_a_refusal_is_an_answer(provider: Provider, client: JsonClient, status: int) -> None:
    provider.answers = [(status, b'{"error": 1}', {})]
    answer = await client.ask(GET)
    assert isinstance(answer, Answer)
    assert answer.status == status
    assert len(provider.asked) == 1


async def test_no_other_address_is_followed(provider: Provider, client: JsonClient) -> None:
    provider.answers = [(302, b"{}", {"Location": "http://127.0.0.1:9/"})]
    answer = await client.ask(GET)
    assert isinstance(answer, Answer)
    assert answer.status == 302
    assert len(provider.asked) == 1


async def test_a_provider_that_fails_is_left_alone_and_then_probed(
    provider: Provider, client: JsonClient, clock: ManualClock
) -> None:
    provider.answers = [(500, b"{}", {})]
    for _ in range(FAILURES_MAX):
        await client.ask(GET)
    provider.asked.clear()
    assert await client.ask(GET) == NoAnswer("CIRCUIT_OPEN")
    assert provider.asked == []
    clock.advance(PAUSE + timedelta(seconds=1))
    provider.answers = [(200, b"1", {})]
    assert isinstance(await client.ask(GET), Answer)
    assert isinstance(await client.ask(GET), Answer)


async def test_nobody_there(clock: ManualClock) -> None:
    client = JsonClient("TEST", "http://127.0.0.1:9", {}, clock, LIMITS)
    assert isinstance(await client.ask(GET), NoAnswer)
    await client.close()
