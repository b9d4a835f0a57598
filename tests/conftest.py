"""What the suites stand on: a real PostgreSQL, a real Kafka protocol, settings for both."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import hypothesis
import pytest
from pydantic import SecretStr

from bloxtr8.config import (
    KafkaSettings,
    KeysSettings,
    PostgresSettings,
    S3Settings,
    Settings,
    WebSettings,
)
from bloxtr8.dev import process
from bloxtr8.dev.kafka import InProcessKafka
from bloxtr8.dev.postgres import EmbeddedPostgres
from bloxtr8.dev.schema import migrate_database
from bloxtr8.sandbox.objects import ObjectStandIn
from bloxtr8.store import database

# The same examples in each run, and no verdict on how long one took: that is the machine's.
hypothesis.settings.register_profile(
    "steady",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("steady")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """One server for the whole run; not durable, so that tests are quick."""
    server = EmbeddedPostgres(durable=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def postgres_dsn(postgres_server: EmbeddedPostgres) -> AsyncIterator[str]:
    """The address of a migrated database that no other test uses."""
    dsn = await postgres_server.fresh_database(migrate_database)
    yield dsn
    postgres_server.drop_database(dsn)


@pytest.fixture
def patient_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stands in a crowd waits as long as it takes; only what hangs is given up on.

    A caller who waits two seconds for a lock is told to come back, which a busy machine makes
    of the last of many callers. For what is opened after this.
    """
    for name in ("LOCK_TIMEOUT_MS", "STATEMENT_TIMEOUT_MS"):
        monkeypatch.setattr(database, name, 60_000)
    for name in ("ACQUIRE_TIMEOUT_S", "CONNECT_TIMEOUT_S"):
        monkeypatch.setattr(database, name, 60.0)


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """The address of one cluster for the whole run; other tests' topics are in it."""
    cluster = InProcessKafka()
    yield cluster.bootstrap
    cluster.stop()


@pytest.fixture
def kafka_cluster() -> Iterator[InProcessKafka]:
    """A cluster of this test's own; its topics are empty."""
    cluster = InProcessKafka()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def object_server() -> Iterator[ObjectStandIn]:
    """An S3 store for the whole run."""
    server = ObjectStandIn()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def s3(object_server: ObjectStandIn) -> S3Settings:
    """A bucket that no other test uses."""
    return object_server.bucket(f"test-{uuid4().hex}")


@pytest.fixture
def settings(
    postgres_dsn: str, kafka_cluster: InProcessKafka, s3: S3Settings, tmp_path: Path
) -> Settings:
    """Settings for a database, a cluster and a bucket of this test's own, a free port, new keys."""
    return Settings(
        data_dir=tmp_path / "data",
        log_json=False,
        kafka=KafkaSettings(
            bootstrap=kafka_cluster.bootstrap,
            partitions=InProcessKafka.PARTITIONS,
            app_id=f"test-{uuid4().hex[:12]}",
            session_timeout_s=6,
            rebalance_timeout_s=10,
            fetch_wait_s=InProcessKafka.FETCH_WAIT_SECONDS,
        ),
        postgres=PostgresSettings(dsn=SecretStr(postgres_dsn)),
        web=WebSettings(port=process.free_port()),
        s3=s3,
        keys=KeysSettings(directory=tmp_path / "keys"),
    )
