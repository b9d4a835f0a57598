"""`bloxtr8 reconcile`, `bloxtr8 webhooks` and Faust's commands of the same names."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bloxtr8.config import (
    KeysSettings,
    PostgresSettings,
    ReconciliationSettings,
    Settings,
    StripeSettings,
)
from bloxtr8.environment import to_environment
from bloxtr8.payments import webhook_inbox as inbox
from bloxtr8.payments.webhook_signatures import name_stripe
from bloxtr8.sandbox.faults import Fault, FaultRule
from bloxtr8.store import database
from tests.integration.payments_bench import KEYRING
from tests.integration.reconciliation_bench import Desk, Trade, open_desk

ROOT = Path(__file__).resolve().parents[2]
BLOXTR8 = ("-m", "bloxtr8")
FAUST = ("-m", "faust", "-A", "app")


@dataclass
class Answer:
    code: int
    output: str
    complaint: str

    @property
    def json(self) -> Any:
        return json.loads(self.output.splitlines()[-1])


@dataclass
class Terminal:
    """Commands as processes of their own, over the desk's database and stand-in."""

    desk: Desk
    environment: dict[str, str]

    async def run(self, program: tuple[str, ...], *words: str) -> Answer:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *program,
            *words,
            cwd=ROOT,
            env={**os.environ, **self.environment},
            stdout=PIPE,
            stderr=PIPE,
        )
        try:
            async with asyncio.timeout(90):
                output, complaint = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        return Answer(process.returncode or 0, output.decode(), complaint.decode())


@pytest.fixture
async def terminal(postgres_dsn: str, tmp_path: Path) -> AsyncIterator[Terminal]:
    KEYRING.save(tmp_path / "keys")
    async with open_desk(postgres_dsn) as desk:
        settings = Settings(
            data_dir=tmp_path / "data",
            postgres=PostgresSettings(dsn=SecretStr(postgres_dsn)),
            keys=KeysSettings(directory=tmp_path / "keys"),
            stripe=StripeSettings(
                api_base=desk.bench.stripe.base_url, api_key=SecretStr(desk.bench.stripe.api_key)
            ),
            reconciliation=ReconciliationSettings(look_again_s=0),
        )
        yield Terminal(desk, to_environment(settings))


async def paid_unheard(desk: Desk) -> Trade:
    """Return a trade that is paid for, whose webhook was lost."""
    trade = await desk.trade()
    desk.bench.stripe.world.pay(trade.intent_ref)
    trade.lose_calls()
    return trade


@pytest.mark.parametrize("program", [BLOXTR8, FAUST])
async def test_one_trade_is_made_up_for(terminal: Terminal, program: tuple[str, ...]) -> None:
    trade = await paid_unheard(terminal.desk)
    first = await terminal.run(program, "reconcile", "--escrow", trade.escrow_id, "--json")
    assert first.code == 0, first.complaint
    rows = first.json if program is BLOXTR8 else first.json["rows"]
    assert [(row[""], row["escrow"]) for row in rows] == [("REPAIRED", trade.escrow_id)]
    await trade.settle()
    assert trade.state == "FUNDS_HELD"
    second = await terminal.run(program, "reconcile", "--escrow", trade.escrow_id)
    assert second.code == 0
    assert "REPAIRED" not in second.output


async def test_everything_at_once_and_what_is_open(terminal: Terminal) -> None:
    desk = terminal.desk
    trade = await (await desk.trade()).fund()
    assert (await terminal.run(BLOXTR8, "reconcile")).code == 0
    desk.bench.stripe.world.get("payment_intent", trade.intent_ref)["amount_received"] = 5
    found = await terminal.run(BLOXTR8, "reconcile")
    assert found.code == 1
    assert "1029.30 USD" in found.output
    listed = await terminal.run(BLOXTR8, "reconcile", "--open", "--json")
    assert listed.code == 1
    assert [(row["kind"], row["actual"]) for row in listed.json] == [("PAYMENT", "0.05 USD")]


async def test_a_provider_that_is_away_is_another_exit_code(terminal: Terminal) -> None:
    trade = await (await terminal.desk.trade()).fund()
    rule = FaultRule("GET *", Fault.ERROR_BEFORE, times=1000)
    terminal.desk.bench.stripe.faults.add(rule)
    everything = await terminal.run(BLOXTR8, "reconcile")
    assert everything.code == 4
    one = await terminal.run(BLOXTR8, "reconcile", "--escrow", trade.escrow_id)
    assert one.code == 4
    assert "NO ANSWER" in one.output


@pytest.mark.parametrize("program", [BLOXTR8, FAUST])
async def test_replaying_twice_has_one_effect(terminal: Terminal, program: tuple[str, ...]) -> None:
    desk = terminal.desk
    trade = await desk.trade()
    desk.bench.stripe.world.pay(trade.intent_ref)
    for call in desk.bench.take_calls():
        body = json.dumps(call).encode()
        await inbox.record(name_stripe(body), body, desk.bench.clock.now())
    words = ("webhooks", "replay", "--since", "2026-02-01", "--json")
    taken = []
    for _ in range(2):
        answer = await terminal.run(program, *words)
        assert answer.code == 0, answer.complaint
        done = answer.json[0] if program is BLOXTR8 else answer.json
        taken.append(done["taken"])
    assert taken == [1, 0]
    rows = await database.fetch("SELECT status FROM webhook_events ORDER BY status")
    assert {row["status"] for row in rows} == {"HANDLED", "IGNORED"}
    # The commands go by the real clock, which is ahead of this trade's.
    await desk.bench.later(hours=2)
    await trade.settle()
    assert (await trade.words()).count("payment_succeeded") == 1
