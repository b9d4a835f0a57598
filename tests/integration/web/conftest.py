"""The API served in this process."""

from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from bloxtr8.clock import ManualClock
from bloxtr8.config import KafkaSettings, KeysSettings, PostgresSettings, S3Settings, Settings
from bloxtr8.store import database
from tests.api.observed import Observer
from tests.integration.story import START
from tests.integration.web.world import TestProcess, World
from web import make_web

WEBHOOK_SECRET = "whsec_test_1"


@pytest.fixture
def web_settings(
    postgres_dsn: str,
    kafka_bootstrap: str,
    s3: S3Settings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Settings:
    """Settings of one test; the broker is shared, its topics hold other tests' messages too."""
    folder = tmp_path_factory.mktemp("web")
    result = Settings(
        data_dir=folder,
        kafka=KafkaSettings(bootstrap=kafka_bootstrap, partitions=4, publish_timeout_s=60.0),
        postgres=PostgresSettings(dsn=SecretStr(postgres_dsn)),
        s3=s3,
        keys=KeysSettings(directory=folder / "keys"),
    )
    result.stripe.webhook_secrets = [SecretStr(WEBHOOK_SECRET)]
    result.web.rate_percent = 10_000
    return result


@pytest.fixture
async def world(web_settings: Settings) -> AsyncIterator[World]:
    process = TestProcess(web_settings, ManualClock(START))
    await database.open_database(web_settings)
    application = make_web(process)
    observer = Observer(application)
    client = TestClient(TestServer(application))
    await client.start_server()
    yield World(process, client)
    await client.close()
    await process.publisher.inner.stop()
    await database.close_database()
    assert observer.wrong == []
