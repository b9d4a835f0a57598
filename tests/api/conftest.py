"""The API in this process, with everything that it asks stood in for over HTTP."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from bloxtr8.clock import ManualClock
from bloxtr8.config import KafkaSettings, KeysSettings, PostgresSettings, S3Settings, Settings
from bloxtr8.dev.postgres import EmbeddedPostgres
from bloxtr8.dev.schema import migrate_database
from bloxtr8.sandbox.objects import ObjectStandIn
from bloxtr8.sandbox.roblox import RobloxStandIn
from bloxtr8.sandbox.roblox import server as roblox_server
from bloxtr8.store import database
from tests.api.observed import Observer
from tests.integration.story import START
from tests.integration.web.world import TestProcess, World
from web import make_web

NOWHERE = "http://127.0.0.1:1"


def api_settings(dsn: str, kafka: str, s3: S3Settings, folder: pytest.TempPathFactory) -> Settings:
    """Settings for one server; providers that nobody stands in for do not answer."""
    directory = folder.mktemp("api")
    result = Settings(
        data_dir=directory,
        kafka=KafkaSettings(bootstrap=kafka, partitions=4, publish_timeout_s=60.0),
        postgres=PostgresSettings(dsn=SecretStr(dsn), pool_max=20),
        s3=s3,
        keys=KeysSettings(directory=directory / "keys"),
    )
    result.web.rate_percent = 100_000
    result.policy.roblox_policy = "2026-01"
    result.stripe.api_base = result.discord.base = NOWHERE
    result.roblox.client_id = roblox_server.CLIENT_ID
    result.roblox.client_secret = SecretStr(roblox_server.CLIENT_SECRET)
    result.roblox.api_key = SecretStr(roblox_server.API_KEY)
    return result


def point_at(settings: Settings, roblox: RobloxStandIn) -> None:
    """Let a server ask the stand-in instead of Roblox."""
    for name in ("apis", "games", "groups", "users", "thumbnails"):
        setattr(settings.roblox, f"{name}_base", roblox.base_url)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def roblox() -> AsyncIterator[RobloxStandIn]:
    stand_in = RobloxStandIn(ManualClock(START))
    await stand_in.start()
    yield stand_in
    await stand_in.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(
    postgres_server: EmbeddedPostgres,
    kafka_bootstrap: str,
    object_server: ObjectStandIn,
    roblox: RobloxStandIn,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[World]:
    """One server for the tests of a file."""
    dsn = await postgres_server.fresh_database(migrate_database)
    s3 = object_server.bucket("grid")
    settings = api_settings(dsn, kafka_bootstrap, s3, tmp_path_factory)
    point_at(settings, roblox)
    clock = ManualClock(START)
    roblox.clock = roblox.openid.clock = clock
    process = TestProcess(settings, clock)
    await database.open_database(settings)
    application = make_web(process)
    observer = Observer(application)
    client = TestClient(TestServer(application))
    await client.start_server()
    yield World(process, client)
    await client.close()
    await process.publisher.inner.stop()
    await database.close_database()
    postgres_server.drop_database(dsn)
    assert observer.wrong == []
