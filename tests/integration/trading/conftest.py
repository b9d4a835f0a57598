"""A marketplace on a database of the test's own."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from bloxtr8.config import PostgresSettings, Settings
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.store import database
from tests.integration.trading.world import World


@pytest.fixture(scope="session")
def keyring() -> Keyring:
    return Keyring.generate()


@pytest.fixture
def connections() -> int:
    """How many the marketplace's pool has at most."""
    return 20


@pytest.fixture
async def world(postgres_dsn: str, keyring: Keyring, connections: int) -> AsyncIterator[World]:
    pool = PostgresSettings(dsn=SecretStr(postgres_dsn), pool_max=connections)
    await database.open_database(Settings(postgres=pool))
    yield World(keyring)
    await database.close_database()
