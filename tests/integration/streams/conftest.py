"""Streams need a broker of their own and no database: escrows go on without one."""

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
from bloxtr8.dev.kafka import InProcessKafka


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
