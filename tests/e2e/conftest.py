"""A running Bloxtr8 for whole trades: real processes, HTTP, broker, database, stand-in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from bloxtr8.dev.demo.observer import Observer
from bloxtr8.dev.play import Stage
from bloxtr8.dev.play.stage import on_stage
from bloxtr8.dev.stack import StackOptions, running_stack

BROKERS = [
    pytest.param("embedded", id="embedded"),
    pytest.param("apache", id="apache", marks=pytest.mark.apache),
]


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=BROKERS)
async def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """One stack for the trades of a file, on each kind of broker."""
    async with _running(request.param, tmp_path_factory.mktemp("logs")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def own_stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A stack for tests that travel in time, which would end other tests' trades."""
    async with _running("embedded", tmp_path_factory.mktemp("logs")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def observer(own_stage: Stage) -> AsyncIterator[Observer]:
    """Sees every message of `own_stage`."""
    watching = Observer(own_stage.stack.settings.kafka)
    await watching.start()
    yield watching
    await watching.stop()


@asynccontextmanager
async def _running(kafka: str, logs: Path) -> AsyncIterator[Stage]:
    steps: list[str] = []
    options = StackOptions(kafka=kafka, logs=logs)
    async with running_stack(options, steps.append) as stack, on_stage(stack) as running:
        yield running
