"""The chain over the audit log: it notices every change, and nobody has to wait for it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from bloxtr8.clock import ManualClock
from bloxtr8.config import PostgresSettings, Settings
from bloxtr8.market import audit
from bloxtr8.market.actors import Actor
from bloxtr8.market.audit import Deed
from bloxtr8.store import audit_chain, database
from bloxtr8.store.audit_chain import Sealer

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
async def sealer(postgres_dsn: str) -> AsyncIterator[Sealer]:
    await database.open_database(Settings(postgres=PostgresSettings(dsn=postgres_dsn)))
    yield Sealer(ManualClock(NOW))
    await database.close_database()


async def _write(count: int, at: datetime = NOW) -> None:
    async with database.transaction() as tx:
        for number in range(count):
            deed = Deed("test.done", ("thing", str(number)), "ünïcode", {"number": number})
            await audit.record(tx, Actor.system(), deed, at)


async def _sealed() -> None:
    """Return when nothing waits to be sealed."""
    while (await audit_chain.verify()).unsealed:  # noqa: ASYNC110 - another process's rows
        await asyncio.sleep(0.05)


async def test_an_empty_log_holds(sealer: Sealer) -> None:
    assert await sealer.seal() == 0
    found = await audit_chain.verify()
    assert (found.ok, found.checked, found.head) == (True, 0, audit_chain.GENESIS)


async def test_rows_are_sealed_once_in_order(sealer: Sealer) -> None:
    await _write(1_200)
    assert await sealer.seal() == 1_200
    assert await sealer.seal() == 0
    await _write(3)
    assert (await audit_chain.verify()).unsealed == 3
    await sealer.seal()
    found = await audit_chain.verify()
    assert (found.ok, found.checked, found.unsealed) == (True, 1_203, 0)


async def test_a_row_that_commits_late_is_sealed_too(sealer: Sealer) -> None:
    async with database.transaction() as slow:
        await audit.record(slow, Actor.system(), Deed("test.slow", ("thing", "x")), NOW)
        await _write(5)
        assert await sealer.seal() == 5
    assert await sealer.seal() == 1
    assert (await audit_chain.verify()).ok


@pytest.mark.parametrize(
    ("statement", "table", "seq", "why"),
    [
        (
            "UPDATE audit_log SET reason = 'another' WHERE subject_id = '3'",
            "audit_log",
            4,
            "row_changed",
        ),
        (
            "UPDATE audit_log SET at = at + interval '1 second' WHERE subject_id = '0'",
            "audit_log",
            1,
            "row_changed",
        ),
        ("DELETE FROM audit_log WHERE subject_id = '5'", "audit_log", 6, "row_missing"),
        ("DELETE FROM audit_chain WHERE seq = 7", "audit_chain", 7, "link_missing"),
        ("UPDATE audit_chain SET prev_hash = hash WHERE seq = 2", "audit_chain", 2, "not_chained"),
    ],
)
async def test_every_change_is_noticed(
    sealer: Sealer, statement: str, table: str, seq: int, why: str
) -> None:
    await _write(10)
    await sealer.seal()
    async with database.transaction() as tx:
        await tx.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        await tx.execute(statement)
    found = await audit_chain.verify()
    assert (found.ok, found.bad_seq, found.why) == (False, seq, why)


async def test_two_sealers_make_one_chain(sealer: Sealer) -> None:
    loops = [asyncio.create_task(Sealer(ManualClock(NOW)).run()) for _ in range(2)]
    await _write(50)
    async with asyncio.timeout(60):
        await _sealed()
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)
    found = await audit_chain.verify()
    assert (found.ok, found.checked) == (True, 50)


async def test_an_export_is_a_span_with_its_hashes(sealer: Sealer) -> None:
    await _write(2, NOW - timedelta(days=1))
    await _write(3, NOW)
    await sealer.seal()
    span = (NOW, NOW + timedelta(days=1))
    rows = [row async for row in audit_chain.export(*span)]
    assert [row["seq"] for row in rows] == [3, 4, 5]
    assert rows[-1]["hash"] == (await audit_chain.verify()).head.hex()
    with pytest.raises(ValueError, match="400 days"):
        async for _ in audit_chain.export(NOW, NOW + timedelta(days=401)):
            pass
