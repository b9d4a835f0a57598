"""Workers die in the middle of everything; nothing is lost, doubled or said in two ways."""

import asyncio
import time
from pathlib import Path

import pytest

from bloxtr8.dev.apache_kafka import missing_tools
from tests.crash.harness import SESSION_S, Run, running

apache = pytest.mark.apache
BROKERS = ["embedded", pytest.param("apache", marks=apache)]


@pytest.fixture(autouse=True)
def _tools(request: pytest.FixtureRequest) -> None:
    if "apache" in str(request.node.name) and missing_tools():
        pytest.skip(f"not installed: {', '.join(missing_tools())}")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kafka", BROKERS)
async def test_ten_kills_under_two_thousand_inputs(kafka: str, tmp_path: Path) -> None:
    await _kill_often(kafka, tmp_path, kills=10, trades=320, per_second=8.0)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kafka", BROKERS)
async def test_two_hundred_kills(kafka: str, tmp_path: Path) -> None:
    # Twenty clusters in turn: the embedded one keeps only the last 5 MiB of a partition.
    for turn in range(20):
        directory = tmp_path / str(turn)
        directory.mkdir()
        await _kill_often(kafka, directory, kills=10, trades=320, per_second=8.0)


# Two workers: the in-process cluster now and then fails a member that joins.
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kafka", [pytest.param("apache", marks=apache)])
async def test_a_worker_that_slept_past_its_session_does_no_harm(
    kafka: str, tmp_path: Path
) -> None:
    start = time.monotonic()
    async with running(kafka, tmp_path, workers=2, seed=2) as run:
        begun = run.beside(run.traffic.begin(100, 8.0))
        await run.moves()
        run.workers[1].start()
        await run.workers[1].serves()
        for worker in run.workers:
            await asyncio.sleep(run.random.uniform(0.0, 1.0))
            worker.pause()
            await _past_session(run)
            worker.resume()
            await run.moves()
        run.traffic.enough.set()
        await begun
        await run.finish(120)
        _judge(run, start)


async def _past_session(run: Run) -> None:
    """Wait until the group has given the sleeper's partitions away, and a little longer."""
    await asyncio.sleep(SESSION_S * 1.5)
    await run.moves()


async def _kill_often(
    kafka: str, directory: Path, *, kills: int, trades: int, per_second: float
) -> None:
    start = time.monotonic()
    async with running(kafka, directory, workers=1, seed=kills) as run:
        begun = run.beside(run.traffic.begin(trades, per_second))
        await run.moves()
        (worker,) = run.workers
        for _ in range(kills):
            # Somewhere in the middle of reading, deciding, storing, publishing, committing.
            await asyncio.sleep(run.random.uniform(0.0, 1.5))
            worker.kill()
            worker.start()
            run.figures.kills += 1
            run.figures.recoveries_s.append(await run.moves())
        run.traffic.enough.set()
        await begun
        await run.finish(120)
        _judge(run, start)


def _judge(run: Run, start: float) -> None:
    run.figures.seconds = time.monotonic() - start
    print(run.figures)
    assert run.figures.evidence.faults == []
    assert run.figures.evidence.events > 0
