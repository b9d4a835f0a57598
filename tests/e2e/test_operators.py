"""What `faust -A app` tells operators about a system that trades."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from bloxtr8.dev.play import Stage
from bloxtr8.environment import to_environment
from bloxtr8.store import database

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _faust(stage: Stage, *arguments: str) -> tuple[int, Any]:
    """Run a command with --json; return its exit code and what it printed."""
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "faust", "-A", "app", *arguments, "--json"),
        cwd=ROOT,
        env=to_environment(stage.stack.settings) | {"PYTHONPATH": str(ROOT)},
        stdout=PIPE,
        stderr=PIPE,
    )
    output, errors = await command.communicate()
    assert command.returncode is not None
    assert output, errors.decode()
    return command.returncode, json.loads(output)


async def test_verify_agrees_with_a_finished_trade(stage: Stage) -> None:
    trade = await stage.trade(30_000)
    await trade.sign()
    await trade.fund()
    await trade.refund()
    await trade.until("REFUNDED")

    code, report = await _faust(stage, "verify", trade.escrow_id)

    assert (code, report["differences"]) == (0, [])
    assert (report["escrows"], report["records"]) == (1, 1)


async def test_verify_finds_a_mirror_that_was_tampered_with(stage: Stage) -> None:
    trade = await stage.trade(30_000)
    await trade.sign()
    await trade.fund()
    await _set_sequence(trade.escrow_id, by=1)

    code, report = await _faust(stage, "verify", trade.escrow_id)

    await _set_sequence(trade.escrow_id, by=-1)
    assert code == 1
    assert {difference["subject"] for difference in report["differences"]} == {trade.escrow_id}


async def _set_sequence(escrow_id: str, *, by: int) -> None:
    async with database.transaction() as tx:
        await tx.execute("UPDATE escrows SET version = version + $2 WHERE id = $1", escrow_id, by)


async def test_the_timeline_tells_the_whole_story(stage: Stage) -> None:
    trade = await stage.trade(30_000)
    await trade.sign()
    await trade.cancel(trade.buyer)
    await trade.until("CANCELLED")

    code, _ = await _faust(stage, "timeline", trade.escrow_id)
    assert code == 0
    code, escrow = await _faust(stage, "escrow", trade.escrow_id)
    assert (code, escrow["same"]) == (0, True)
