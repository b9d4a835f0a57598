"""The API in this process, with Discord and Roblox stood in for over HTTP."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import pytest
from aiohttp import CookieJar
from aiohttp.test_utils import TestClient, TestServer, get_port_socket
from pydantic import SecretStr

from bloxtr8.clock import ManualClock
from bloxtr8.config import KafkaSettings, KeysSettings, PostgresSettings, S3Settings, Settings
from bloxtr8.sandbox.discord import DiscordStandIn
from bloxtr8.sandbox.discord import server as discord_server
from bloxtr8.sandbox.roblox import RobloxStandIn
from bloxtr8.sandbox.roblox import server as roblox_server
from bloxtr8.store import database
from tests.api.observed import Observer
from tests.integration.market.world import People
from tests.integration.story import START
from tests.integration.web.world import TestProcess
from web import make_web


@pytest.fixture
async def discord() -> AsyncIterator[DiscordStandIn]:
    stand_in = DiscordStandIn(ManualClock(START))
    await stand_in.start()
    yield stand_in
    await stand_in.stop()


@pytest.fixture
async def roblox() -> AsyncIterator[RobloxStandIn]:
    stand_in = RobloxStandIn(ManualClock(START))
    await stand_in.start()
    yield stand_in
    await stand_in.stop()


@pytest.fixture
def own_port() -> Iterator[socket.socket]:
    """The API's port, held from before its number is written anywhere."""
    with closing(get_port_socket("127.0.0.1", 0, socket.AF_INET)) as bound:
        yield bound


@pytest.fixture
def market_settings(
    postgres_dsn: str,
    own_port: socket.socket,
    discord: DiscordStandIn,
    roblox: RobloxStandIn,
    s3: S3Settings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Settings:
    """Settings whose providers are the stand-ins. No broker is asked for anything here."""
    folder = tmp_path_factory.mktemp("market")
    port = own_port.getsockname()[1]
    result = Settings(
        data_dir=folder,
        kafka=KafkaSettings(bootstrap="127.0.0.1:1", partitions=4),
        postgres=PostgresSettings(dsn=SecretStr(postgres_dsn), pool_max=20),
        keys=KeysSettings(directory=folder / "keys"),
        s3=s3,
    )
    result.web.port = port
    result.web.public_url = f"http://127.0.0.1:{port}"
    result.web.rate_percent = 10_000
    result.policy.roblox_policy = "2026-01"
    result.discord.base = discord.base_url
    result.discord.client_id = discord_server.CLIENT_ID
    result.discord.client_secret = SecretStr(discord_server.CLIENT_SECRET)
    result.discord.bot_token = SecretStr(discord_server.BOT_TOKEN)
    for name in ("apis", "games", "groups", "users", "thumbnails"):
        setattr(result.roblox, f"{name}_base", roblox.base_url)
    result.roblox.client_id = roblox_server.CLIENT_ID
    result.roblox.client_secret = SecretStr(roblox_server.CLIENT_SECRET)
    result.roblox.api_key = SecretStr(roblox_server.API_KEY)
    return result


@pytest.fixture
async def people(
    market_settings: Settings,
    own_port: socket.socket,
    discord: DiscordStandIn,
    roblox: RobloxStandIn,
) -> AsyncIterator[People]:
    clock = ManualClock(START)
    discord.clock = clock
    roblox.clock = roblox.openid.clock = clock
    web_process = TestProcess(market_settings, clock)
    await database.open_database(market_settings)
    application = make_web(web_process)
    observer = Observer(application)
    client = TestClient(
        TestServer(application, socket_factory=lambda *_: own_port),
        cookie_jar=CookieJar(unsafe=True),
    )
    await client.start_server()
    world = People(web_process, application, client, discord, roblox)
    yield world
    await world.close()
    await client.close()
    await database.close_database()
    assert observer.wrong == []
