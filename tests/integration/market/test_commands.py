"""`bloxtr8 staff` and `bloxtr8 audit`, as an operator types them."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bloxtr8.cli.main import main
from bloxtr8.clock import ManualClock, SharedOffsetClock
from bloxtr8.config import PostgresSettings, Settings
from bloxtr8.market.actors import Actor
from bloxtr8.market.events import Events
from bloxtr8.market.users import DiscordPerson, ensure_user
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.store import database
from bloxtr8.store.audit_chain import Sealer
from proto.bloxtr8.common.v1 import common_pb2 as common
from tests.integration.story import START

DISCORD_ID = "175928847299117063"
_REASON = ["--reason", "The first admin of this installation."]


@pytest.fixture
async def dsn(postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database in which one person has signed in."""
    monkeypatch.setenv("BLOXTR8_POSTGRES__DSN", postgres_dsn)
    await database.open_database(Settings(postgres=PostgresSettings(dsn=postgres_dsn)))
    events = Events(Keyring.generate().signer(common.PRODUCER_WEB))
    async with database.transaction() as tx:
        person = DiscordPerson(DISCORD_ID, "ada")
        await ensure_user(tx, Actor.system(), person, events, START)
    await Sealer(ManualClock(START)).seal()
    await database.close_database()
    return postgres_dsn


async def _run(*arguments: str) -> Result:
    # A command has an event loop of its own.
    return await asyncio.to_thread(CliRunner().invoke, main, list(arguments))


async def test_the_first_admin_comes_from_the_command_line(dsn: str) -> None:
    done = await _run("staff", "grant", DISCORD_ID, "ADMIN", *_REASON)
    assert done.exit_code == 0, done.output
    listed = await _run("staff", "list")
    assert "ADMIN" in listed.output
    assert "ada" in listed.output
    last = await _run("staff", "revoke", DISCORD_ID, *_REASON)
    assert last.exit_code == 1
    assert "last admin" in last.output


async def test_roles_are_given_at_the_time_of_the_settings_clock(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = tmp_path / "clock"
    monkeypatch.setenv("BLOXTR8_CLOCK__OFFSET_FILE", str(moved))
    ahead = SharedOffsetClock(moved).advance(timedelta(days=400))
    done = await _run("staff", "grant", DISCORD_ID, "ADMIN", *_REASON)
    assert done.exit_code == 0, done.output
    await database.open_database(Settings(postgres=PostgresSettings(dsn=dsn)))
    row = await database.fetchrow("SELECT granted_at FROM staff_members")
    await database.close_database()
    assert row is not None
    assert row["granted_at"] >= ahead


@pytest.mark.parametrize(
    "arguments",
    [
        ("grant", "999", "ADMIN", *_REASON),
        ("grant", DISCORD_ID, "KING", *_REASON),
        ("grant", DISCORD_ID, "ADMIN", "--reason", "short"),
        ("grant", DISCORD_ID, "ADMIN"),
        ("revoke", DISCORD_ID, *_REASON),
    ],
)
async def test_what_is_refused(dsn: str, arguments: tuple[str, ...]) -> None:
    assert (await _run("staff", *arguments)).exit_code != 0
    assert (await _run("staff", "list")).stdout == ""


async def test_the_log_is_checked_and_taken_out(dsn: str) -> None:
    found = json.loads((await _run("audit", "verify", "--json")).stdout)
    assert (found["ok"], found["checked"], found["unsealed"]) == (True, 1, 0)
    day = ["--from", f"{START:%Y-%m-%d}", "--to", f"{START.replace(year=START.year + 1):%Y-%m-%d}"]
    (line,) = (await _run("audit", "export", *day)).stdout.splitlines()
    row = json.loads(line)
    assert (row["action"], row["hash"]) == ("user.created", found["head"])
    too_long = await _run("audit", "export", "--from", "2020-01-01", "--to", "2026-01-01")
    assert too_long.exit_code == 2
