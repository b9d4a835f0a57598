"""Stripe in every fault mode: whole trades by chance, one effect each, an end for each.

`BLOXTR8_FAULTS_SEED` is the seed of all runs, `BLOXTR8_FAULTS_RUNS` how many a mode has.
"""

import time

import pytest

from tests.integration.faults.checks import check_all
from tests.integration.faults.loop import run_timeless
from tests.integration.faults.modes import LONG_RUNS, MODES, SEED, Mode
from tests.integration.faults.stripe import stripe_crowd

# What has to be hit in a mode that spoils requests; every other call may be.
_CALLS = {
    "POST /v1/payment_intents",
    "POST /v1/payment_intents/*/cancel",
    "POST /v1/transfers",
    "POST /v1/refunds",
    "GET /v1/payment_intents/*",
    "GET /v1/transfers",
}
_PART = 500


async def _run(dsn: str, mode: Mode, runs: int, seed: int) -> None:
    print(f"stripe {mode}, seed {seed}")
    began = time.monotonic()
    async with stripe_crowd(dsn, mode, runs, seed) as (crowd, bank):
        await crowd.run(_CALLS if mode.share and runs >= 200 else ())
        ended = await check_all(crowd, bank.moved(), bank.received())
        hits = crowd.parts.plan.hits
        post = crowd.parts.post
    print(
        f"{runs} runs in {time.monotonic() - began:.0f} s, {hits.total()} requests spoiled, "
        f"{post.taken} calls told {post.delivered} times, {dict(ended)}"
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_whole_trades(postgres_dsn: str, mode: Mode) -> None:
    run_timeless(_run(postgres_dsn, mode, mode.runs, SEED))


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(LONG_RUNS // _PART))
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_whole_trades_in_the_long_run(postgres_dsn: str, mode: Mode, part: int) -> None:
    run_timeless(_run(postgres_dsn, mode, _PART, SEED + part + 1))
