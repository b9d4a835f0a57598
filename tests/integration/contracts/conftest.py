"""Contracts on a database and a bucket of the test's own."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from bloxtr8.config import PostgresSettings, S3Settings, Settings
from bloxtr8.contracts.paper.renderer import Renderer
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.store import database
from tests.integration.contracts.world import ContractWorld


@pytest.fixture(scope="session")
def keyring() -> Keyring:
    return Keyring.generate()


@pytest.fixture
def connections() -> int:
    """How many connections the world may have."""
    return 20


@pytest.fixture
async def renderer() -> AsyncIterator[Renderer]:
    made = Renderer(seconds_max=60.0)
    yield made
    await made.close()


@pytest.fixture
async def world(
    postgres_dsn: str, keyring: Keyring, s3: S3Settings, renderer: Renderer, connections: int
) -> AsyncIterator[ContractWorld]:
    pool = PostgresSettings(dsn=SecretStr(postgres_dsn), pool_max=connections)
    await database.open_database(Settings(postgres=pool))
    made = ContractWorld(keyring, s3, renderer)
    yield made
    await made.close()
    await database.close_database()
