"""A real worker with its web server, in a thread of its own, and people who use it."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

import app as worker_module
from bloxtr8.clock import SystemClock
from bloxtr8.config import ClockSettings, Settings
from bloxtr8.dev import process
from bloxtr8.dev.kafka import InProcessKafka
from bloxtr8.dev.postgres import EmbeddedPostgres
from bloxtr8.dev.schema import migrate_database
from bloxtr8.messaging import provision
from bloxtr8.sandbox.discord import DiscordStandIn
from bloxtr8.sandbox.discord import server as discord_server
from bloxtr8.sandbox.objects import ObjectStandIn
from bloxtr8.sandbox.roblox import RobloxStandIn
from bloxtr8.sandbox.stripe import StripeStandIn
from tests.api.cast import Cast
from tests.api.conftest import api_settings, point_at
from tests.integration.streams.worker import running
from tests.integration.web.world import World

_START_S = 90.0
_UNIVERSES = 8
# Names every kind of thing that the cast can make.
EVERYTHING = "{escrow_id}{contract_id}{listing_id}{offer_id}{operation_id}{user_id}"


class Server:
    """Where the worker answers, and whom it knows."""

    def __init__(self) -> None:
        self.url = ""
        self.cast: Cast | None = None
        self.settings: Settings | None = None
        self.known: set[str | None] = set()
        self.answers: Counter[int] = Counter()
        self.universes: Iterator[str] = iter(())

    def headers(self, caller: str) -> dict[str, str]:
        assert self.cast is not None
        return self.cast.headers[caller]

    @property
    def parts(self) -> dict[str, str]:
        assert self.cast is not None
        return self.cast.parts


@contextmanager
def running_server(
    postgres: EmbeddedPostgres, objects: ObjectStandIn, folder: pytest.TempPathFactory
) -> Iterator[Server]:
    """Start the worker, yield when it serves, stop it."""
    server = Server()
    ready, stop = threading.Event(), threading.Event()
    failed: list[BaseException] = []

    async def live() -> None:
        async with AsyncExitStack() as undo:
            await _start(server, undo, postgres, objects, folder)
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=_run, args=(live, failed, ready), name="worker", daemon=True)
    thread.start()
    try:
        assert ready.wait(_START_S), "the worker serves in time"
        if failed:
            raise failed[0]
        yield server
    finally:
        stop.set()
        thread.join(_START_S)
    if failed:
        raise failed[0]


def _run(
    live: Callable[[], Coroutine[Any, Any, None]],
    failed: list[BaseException],
    ready: threading.Event,
) -> None:
    try:
        asyncio.run(live())
    except BaseException as error:
        failed.append(error)
        ready.set()


async def _start(
    server: Server,
    undo: AsyncExitStack,
    postgres: EmbeddedPostgres,
    objects: ObjectStandIn,
    folder: pytest.TempPathFactory,
) -> None:
    kafka = InProcessKafka()
    undo.callback(kafka.stop)
    settings = server.settings = await _settings(undo, postgres, objects, folder, kafka)
    kafka.create_topics(topic.name for topic in provision.wanted(settings.kafka))
    roblox = RobloxStandIn(SystemClock())
    await roblox.start()
    undo.push_async_callback(roblox.stop)
    point_at(settings, roblox)
    await _stripe_and_discord(settings, undo)
    application = worker_module.make_app(settings)
    roblox.clock = roblox.openid.clock = application.clock
    await undo.enter_async_context(running(application))
    # As after the first trade: the producer knows the partitions of the table's topic.
    table = application.tables["escrows"].changelog_topic.get_topic_name()
    await application.producer._ensure_producer().partitions_for(table)
    server.url = settings.web.public_url
    session = await undo.enter_async_context(aiohttp.ClientSession(base_url=server.url))
    client: Any = session
    world = World(application, client)
    server.cast = await Cast(world, roblox).assemble(EVERYTHING)
    server.universes = cycle([await server.cast.experience("seller") for _ in range(_UNIVERSES)])


async def _stripe_and_discord(settings: Settings, undo: AsyncExitStack) -> None:
    stripe = StripeStandIn(
        clock=SystemClock(),
        api_key="sk_test_1",
        webhook_url=f"{settings.web.public_url}/webhooks/stripe",
        webhook_secret="whsec_test_1",
    )
    await stripe.start()
    undo.push_async_callback(stripe.stop)
    settings.stripe.api_base, settings.stripe.api_key = stripe.base_url, SecretStr("sk_test_1")
    settings.stripe.webhook_secrets = [SecretStr("whsec_test_1")]
    discord = DiscordStandIn(SystemClock())
    await discord.start()
    undo.push_async_callback(discord.stop)
    settings.discord.base = discord.base_url
    settings.discord.client_id = discord_server.CLIENT_ID
    settings.discord.client_secret = SecretStr(discord_server.CLIENT_SECRET)
    settings.discord.bot_token = SecretStr(discord_server.BOT_TOKEN)


async def _settings(
    undo: AsyncExitStack,
    postgres: EmbeddedPostgres,
    objects: ObjectStandIn,
    folder: pytest.TempPathFactory,
    kafka: InProcessKafka,
) -> Settings:
    dsn = await postgres.fresh_database(migrate_database)
    undo.callback(postgres.drop_database, dsn)
    settings = api_settings(dsn, kafka.bootstrap, objects.bucket("fuzzed"), folder)
    settings.kafka.app_id = "fuzzed"
    settings.kafka.session_timeout_s = 6
    settings.kafka.rebalance_timeout_s = 10
    settings.kafka.fetch_wait_s = InProcessKafka.FETCH_WAIT_SECONDS
    settings.web.port = process.free_port()
    settings.web.public_url = f"http://127.0.0.1:{settings.web.port}"
    settings.clock = ClockSettings(offset_file=str(Path(settings.data_dir) / "clock"))
    return settings
