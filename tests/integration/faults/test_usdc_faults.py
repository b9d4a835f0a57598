"""Chain, custodian, screening in every fault mode: whole trades by chance, one effect each.

`BLOXTR8_FAULTS_SEED` is the seed of all runs, `BLOXTR8_FAULTS_RUNS` their number in a main mode.
"""

import time
from pathlib import Path

import pytest

from tests.integration.faults.checks import check_all
from tests.integration.faults.loop import run_timeless
from tests.integration.faults.modes import LONG_RUNS, MODES, SEED, Mode
from tests.integration.faults.usdc import usdc_crowd

# What has to be hit in a mode that spoils requests; every other call may be.
_CALLS = {
    "POST /v1/addresses",
    "POST /v1/transfers",
    "GET /v1/transfers",
    "POST /public/v2/screening/addresses",
    "GET /api/v1/address/*",
    "RPC eth_getLogs",
    "RPC eth_getBlockByNumber",
    "RPC eth_getTransactionReceipt",
    "RPC eth_getCode",
}
_PART = 500


async def _run(dsn: str, folder: Path, mode: Mode, runs: int, seed: int) -> None:
    print(f"usdc {mode}, seed {seed}")
    began = time.monotonic()
    async with usdc_crowd(dsn, folder, mode, runs, seed) as (crowd, bank):
        await crowd.run(_CALLS if mode.share and runs >= 200 else ())
        ended = await check_all(crowd, bank.moved(), bank.received())
        released = sum(trade.escrow.released_minor for trade in crowd.trades.values())
        assert bank.paid_on_chain() == released, "the chain has the last word"
        hits = crowd.parts.plan.hits
        post = crowd.parts.post
    print(
        f"{runs} runs in {time.monotonic() - began:.0f} s, {hits.total()} requests spoiled, "
        f"{post.taken} calls told {post.delivered} times, {dict(ended)}"
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_whole_trades(postgres_dsn: str, tmp_path: Path, mode: Mode) -> None:
    run_timeless(_run(postgres_dsn, tmp_path, mode, mode.runs, SEED))


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(LONG_RUNS // _PART))
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_whole_trades_in_the_long_run(
    postgres_dsn: str, tmp_path: Path, mode: Mode, part: int
) -> None:
    run_timeless(_run(postgres_dsn, tmp_path, mode, _PART, SEED + part + 1))
