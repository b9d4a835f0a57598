"""Workers come and go, and nothing is forgotten, said twice or waited for in vain."""

import pytest

from bloxtr8.config import Settings
from bloxtr8.dev import process
from bloxtr8.messaging.topics import ESCROW_COMMANDS, ESCROW_EVENTS
from tests.integration.streams.trade import Trade, escrow_app
from tests.integration.streams.worker import Worker, messages, running, until

ROUNDS = 8


@pytest.mark.apache
async def test_a_second_worker_comes_and_goes(apache_settings: Settings) -> None:
    trades: list[Trade] = []

    async def trade_more(worker: Worker) -> None:
        for trade in [Trade() for _ in range(4)]:
            trades.append(trade)
            await worker.app.publisher.publish(ESCROW_COMMANDS, trade.create())

    async with running(escrow_app(apache_settings)) as one:
        for _ in range(ROUNDS):
            await trade_more(one)
            second = apache_settings.model_copy(deep=True)
            second.web.port = process.free_port()
            async with running(escrow_app(second)) as other:
                await until(lambda: _shares(one, other) == [2, 2])
                await trade_more(other)
                await until(lambda: _known(trades, one, other))
            await until(lambda: _shares(one) == [4])
        await until(lambda: _known(trades, one))
    created = [
        event.escrow_id
        for event in await messages(apache_settings, ESCROW_EVENTS)
        if event.HasField("escrow_created")
    ]
    assert set(created) == {trade.escrow_id for trade in trades}


def _shares(*workers: Worker) -> list[int]:
    """Return how many partitions each worker serves, 0 while it is not ready."""
    return [
        len(worker.app.assigned_partitions(ESCROW_COMMANDS.name))
        if worker.app.recovered and not worker.app.rebalancing
        else 0
        for worker in workers
    ]


def _known(trades: list[Trade], *workers: Worker) -> bool:
    return all(any(w.app.escrow_record(t.escrow_id) for w in workers) for t in trades)
