"""Streams need a broker of their own and no database: escrows go on without one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from bloxtr8.config import (
    ClockSettings,
    KafkaSettings,
    KeysSettings,
    PostgresSettings,
    Settings,
    WebSettings,
)
from bloxtr8.dev import process
from bloxtr8.dev.apache_kafka import ApacheKafka, missing_tools
from bloxtr8.dev.kafka import InProcessKafka
from bloxtr8.messaging.provision import provision


@pytest.fixture
def settings(kafka_cluster: InProcessKafka, tmp_path: Path) -> Settings:
    """Settings for a cluster of this test's own, a clock that can travel, and no PostgreSQL."""
    nobody = f"postgresql://nobody@127.0.0.1:{process.free_port()}/nothing"
    return Settings(
        data_dir=tmp_path / "data",
        log_json=False,
        kafka=KafkaSettings(
            bootstrap=kafka_cluster.bootstrap,
            partitions=InProcessKafka.PARTITIONS,
            app_id=f"test-{uuid4().hex[:12]}",
            session_timeout_s=6,
            rebalance_timeout_s=10,
        ),
        postgres=PostgresSettings(dsn=SecretStr(nobody)),
        web=WebSettings(port=process.free_port()),
        keys=KeysSettings(directory=tmp_path / "keys"),
        clock=ClockSettings(offset_file=str(tmp_path / "clock")),
    )


@pytest.fixture
async def apache_settings(settings: Settings) -> AsyncIterator[Settings]:
    """The same settings on a real Kafka: the embedded one now and then fails a joining member."""
    if missing_tools():
        pytest.skip(f"not installed: {', '.join(missing_tools())}")
    broker = ApacheKafka()
    await asyncio.to_thread(broker.start)
    settings.kafka.bootstrap = broker.bootstrap
    await provision(settings.kafka)
    yield settings
    await asyncio.to_thread(broker.stop)
