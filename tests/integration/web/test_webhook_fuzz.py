"""Tens of thousands of hostile calls at the webhook routes: no 5xx, and nothing changes.

Every run makes the same calls; `BLOXTR8_FUZZ_SEED` asks for others, `BLOXTR8_FUZZ_REQUESTS`
for how many.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from random import Random
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import structlog
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from agents.webhooks import WebhooksAgent
from bloxtr8.clock import ManualClock
from bloxtr8.config import Settings
from bloxtr8.messaging.handling import Delivery, Refused
from bloxtr8.messaging.topics import WEBHOOK_EVENTS, TopicSpec
from bloxtr8.payments.webhook_signatures import BODY_BYTES_MAX
from bloxtr8.store import database
from proto.bloxtr8.common.v1 import common_pb2 as common
from tests.integration.story import START
from tests.integration.web.hostile_calls import (
    CONNECT,
    CUSTODIAN,
    SECRETS,
    STRIPE,
    Hostile,
    Request,
)
from tests.integration.web.world import TestProcess, World
from tests.sim.run import quiet
from web import make_web

REQUESTS = int(os.environ.get("BLOXTR8_FUZZ_REQUESTS", "20480"))
LONG_REQUESTS = 500_000
SEED = int(os.environ.get("BLOXTR8_FUZZ_SEED", "1"))
_AT_ONCE = 16


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = structlog.get_config()
    quiet()
    yield
    structlog.configure(**before)


@pytest.fixture
async def open_world(web_settings: Settings) -> AsyncIterator[World]:
    """The API behind a proxy, so that callers have addresses of their own."""
    web_settings.stripe.webhook_secrets = [SecretStr(text) for text in SECRETS[STRIPE]]
    web_settings.stripe.connect_webhook_secrets = [SecretStr(text) for text in SECRETS[CONNECT]]
    web_settings.custodian.webhook_secrets = [SecretStr(text) for text in SECRETS[CUSTODIAN]]
    web_settings.web.trusted_proxies = ["127.0.0.1/32"]
    web_settings.kafka.publish_timeout_s = 60.0
    process = TestProcess(web_settings, ManualClock(START))
    await database.open_database(web_settings)
    client = TestClient(TestServer(make_web(process)))
    await client.start_server()
    yield World(process, client)
    await client.close()
    await process.publisher.inner.stop()
    await database.close_database()


class Fuzz:
    """Sends requests and holds each answer against what the request allows."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.answers: Counter[tuple[str, int]] = Counter()
        self.wrong: list[str] = []
        self.taken = 0
        self._hostile = Hostile(Random(seed))
        self._number = 0

    async def run(self, requests: int) -> None:
        await asyncio.gather(*(self._send_some(requests // _AT_ONCE) for _ in range(_AT_ONCE)))

    async def _send_some(self, requests: int) -> None:
        for _ in range(requests):
            request = self._hostile.next_request()
            status = await self._send(request)
            self.answers[request.kind, status] += 1
            self.taken += status == 200
            if status not in request.statuses:
                self.wrong.append(f"{request.kind} {status}: {request.body[:300]!r}")

    async def _send(self, request: Request) -> int:
        # Half a million addresses, so that the limit for strangers is not all that is tried.
        self._number += 1
        n = self._number
        address = f"198.{18 + n % 2}.{n // 2 % 256}.{n // 512 % 256}"
        headers = request.headers | {"X-Forwarded-For": address}
        data: Any = _chunks(request.body) if request.chunked else request.body
        try:
            async with self.world.client.request(
                request.method, request.path, data=data, headers=headers
            ) as answer:
                await answer.read()
                return answer.status
        except (aiohttp.ClientConnectionError, OSError):
            # A body that nobody reads to its end may break the connection before the answer.
            return 413 if len(request.body) > BODY_BYTES_MAX else 0


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 64 * 1024):
        yield body[start : start + 64 * 1024]


async def _rows() -> dict[str, int]:
    """Return how many rows each table has."""
    tables = await database.fetch(
        "SELECT table_name AS name FROM information_schema.tables "
        "WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
    )
    return {
        row["name"]: (await database.fetch(f'SELECT count(*) AS n FROM "{row["name"]}"'))[0]["n"]
        for row in tables
    }


async def _fuzz(world: World, requests: int, seed: int) -> None:
    print(f"fuzz seed {seed}")
    began = time.monotonic()
    before = await _rows()
    fuzz = Fuzz(world, seed)
    await fuzz.run(requests)
    spent = time.monotonic() - began
    kinds = Counter(text.partition(":")[0] for text in fuzz.wrong)
    assert not kinds, f"{dict(kinds)}, of them {fuzz.wrong[:5]}"
    assert await _rows() == before, "the web has written something"
    sent = world.process.publisher.sent
    assert {spec.name for spec, _ in sent} == {WEBHOOK_EVENTS.name}
    assert len(sent) == fuzz.taken, "what was answered 200 is on the broker, and nothing else is"
    of_stripe = [m.call.raw for _, m in sent if m.provider == common.PROVIDER_STRIPE]
    assert not any(b"client_secret" in raw for raw in of_stripe)
    await _nothing_comes_of(world, before)
    statuses: Counter[int] = Counter()
    for (_, status), times in fuzz.answers.items():
        statuses[status] += times
    print(f"{fuzz.answers.total()} requests in {spent:.0f} s, {dict(sorted(statuses.items()))}")


async def _nothing_comes_of(world: World, before: dict[str, int]) -> None:
    """Let the agents have what was taken: it is kept, or refused in words, and changes nothing."""
    app: Any = SimpleNamespace(clock=world.process.clock, publisher=_NoEscrow())
    table: Any = SimpleNamespace(value_of=lambda _key: None)
    agent = WebhooksAgent(app, table)
    distinct = {m.metadata.message_id: m for _, m in world.process.publisher.sent}
    for message in distinct.values():
        delivery = Delivery(
            topic=WEBHOOK_EVENTS.name,
            partition=0,
            offset=0,
            key=message.provider_payment_id.encode(),
            value=b"",
            fencing_token=1,
            producer=common.PRODUCER_WEB,
        )
        try:
            await agent.handle(message, delivery)
        except Refused:
            continue
    after = await _rows()
    grown = {name for name in after if after[name] != before[name]}
    assert grown <= {"webhook_events", "staff_tasks"}, grown


class _NoEscrow:
    """Where facts about escrows would go; none of these calls is about one that exists."""

    async def publish(self, spec: TopicSpec, message: Any) -> None:
        raise AssertionError(f"{spec.name}: a stranger's call has found an escrow: {message}")


@pytest.mark.timeout(240)
async def test_hostile_calls_change_nothing(open_world: World) -> None:
    await _fuzz(open_world, REQUESTS, SEED)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(LONG_REQUESTS // 50_000))
async def test_hostile_calls_in_the_long_run(open_world: World, part: int) -> None:
    await _fuzz(open_world, 50_000, SEED + part + 1)
