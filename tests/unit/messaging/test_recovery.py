"""A recovery that is over before anybody waits for its end is over all the same."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faust
import pytest

from bloxtr8.config import KafkaSettings, KeysSettings, Settings
from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.messaging.recovery import Recovery
from bloxtr8.messaging.signatures import Keyring


@pytest.fixture
def recovery() -> Any:
    app = SimpleNamespace(conf=SimpleNamespace(stream_recovery_delay=0.0), in_recovery=False)
    return Recovery(app, SimpleNamespace())


def _read_all(recovery: Any) -> None:
    """What Faust's reader does with its last record and then on its way to the next."""
    recovery._set_recovery_ended()
    recovery.signal_recovery_end.set()
    recovery.signal_recovery_end.clear()


async def test_an_end_before_the_wait_is_seen(recovery: Any) -> None:
    recovery._set_recovery_started()
    _read_all(recovery)
    async with asyncio.timeout(60):
        await recovery.signal_recovery_end.wait()


async def test_the_end_of_one_recovery_is_not_that_of_the_next(recovery: Any) -> None:
    recovery._set_recovery_started()
    _read_all(recovery)
    recovery._set_recovery_started()
    assert not recovery.signal_recovery_end.is_set()


@pytest.fixture
def app(tmp_path: Path) -> faust.App:
    settings = Settings(
        data_dir=tmp_path,
        kafka=KafkaSettings(bootstrap="127.0.0.1:1"),
        keys=KeysSettings(directory=tmp_path / "keys"),
    )
    return BloxtrApp(settings, keyring=Keyring.generate())


def test_the_application_recovers_this_way(app: faust.App) -> None:
    assert isinstance(app.tables.recovery, Recovery)


async def test_what_is_left_of_one_reading_is_not_the_beginning_of_the_next(
    app: faust.App,
) -> None:
    app.tables.changelog_queue.put_nowait("a record of a partition that is gone by now")
    await app.tables.recovery.on_rebalance(set(), set(), set(), generation_id=0)
    assert app.tables.changelog_queue.empty()
