"""Two real workers: each answers for every trade, also for those that the other one owns."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from bloxtr8.dev.play.api import Api
from bloxtr8.dev.play.stage import on_stage
from bloxtr8.dev.stack import StackOptions, running_stack

_TRADES = 6


@pytest.mark.apache
async def test_each_worker_reads_the_stream_of_the_other(tmp_path: Path) -> None:
    options = StackOptions(kafka="apache", workers=2, logs=tmp_path)
    steps: list[str] = []
    async with running_stack(options, steps.append) as stack, on_stage(stack) as stage:
        trades = [await stage.trade(50_000) for _ in range(_TRADES)]
        await asyncio.gather(*(trade.sign() for trade in trades))
        apis = [Api(worker.url) for worker in stack.workers]
        try:
            for trade in trades:
                path = f"/escrows/{trade.escrow_id}?consistency=stream"
                for api in apis:
                    seen = await api.get(path, trade.buyer)
                    assert seen["status"] == "AWAIT_FUNDS"
                    assert seen["id"] == trade.escrow_id
        finally:
            for api in apis:
                await api.close()
        metrics = [await _asked(stack.workers[n].url) for n in range(2)]
    # With several trades over four partitions, somebody had to ask somebody.
    assert sum(metrics) > 0


async def _asked(origin: str) -> int:
    """Return how many records this worker has given to other workers."""
    async with aiohttp.ClientSession() as http, http.get(f"{origin}/metrics") as answer:
        text = await answer.text()
    lines = [
        line
        for line in text.splitlines()
        if line.startswith("bloxtr8_http_requests_total") and 'route="/internal/' in line
    ]
    return int(sum(float(line.rsplit(" ", 1)[1]) for line in lines if 'status="200"' in line))
