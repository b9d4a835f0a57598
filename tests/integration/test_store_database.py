"""Transactions: all or nothing, again after a lost race, and plain about a server that is gone."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from bloxtr8.config import PostgresSettings, Settings
from bloxtr8.dev.postgres import EmbeddedPostgres
from bloxtr8.store import database
from bloxtr8.store.database import DatabaseUnavailable, Transaction


@pytest.fixture
async def db(postgres_dsn: str) -> AsyncIterator[Settings]:
    settings = Settings(postgres=PostgresSettings(dsn=postgres_dsn, pool_max=4))
    await database.open_database(settings)
    async with database.transaction() as tx:
        await tx.execute("CREATE TABLE pot (name text PRIMARY KEY, minor int)")
        await tx.execute("INSERT INTO pot VALUES ('a', 0), ('b', 0)")
    yield settings
    await database.close_database()


async def add(tx: Transaction, name: str) -> int:
    return await tx.execute("UPDATE pot SET minor = minor + 1 WHERE name = $1", name)


async def pots() -> list[int]:
    return [row["minor"] for row in await database.fetch("SELECT minor FROM pot ORDER BY name")]


async def test_what_raises_leaves_nothing(db: Settings) -> None:
    async def stopped(tx: Transaction) -> None:
        await add(tx, "a")
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        await database.run_in_transaction(stopped)
    assert await pots() == [0, 0]


async def test_a_savepoint_that_fails_leaves_the_rest(db: Settings) -> None:
    async with database.transaction() as tx:
        await add(tx, "a")
        with pytest.raises(asyncpg.UniqueViolationError):
            async with tx.savepoint():
                await tx.execute("INSERT INTO pot VALUES ('a', 1)")
        await add(tx, "b")
    assert await pots() == [1, 1]


async def test_a_deadlock_is_run_again(db: Settings) -> None:
    met, runs = asyncio.Barrier(2), [0]

    async def work(tx: Transaction, first: str, second: str) -> None:
        runs[0] += 1
        await add(tx, first)
        if runs[0] <= 2:
            await met.wait()
        await add(tx, second)

    await asyncio.gather(
        database.run_in_transaction(lambda tx: work(tx, "a", "b")),
        database.run_in_transaction(lambda tx: work(tx, "b", "a")),
    )
    assert await pots() == [2, 2]
    assert runs[0] == 3, "one of the two ran twice"


async def test_a_lock_is_not_waited_for_longer_than_two_seconds(db: Settings) -> None:
    async with database.transaction() as tx:
        await add(tx, "a")
        with pytest.raises(asyncpg.LockNotAvailableError) as caught:
            async with asyncio.timeout(60), database.transaction() as other:
                await add(other, "a")
    assert database.is_transient(caught.value)


async def test_mistakes_are_not_taken_for_an_outage(db: Settings) -> None:
    with pytest.raises(asyncpg.InterfaceError) as caught:
        async with database.transaction() as tx:
            await tx.execute("UPDATE pot SET minor = $1", 1, 2)
    assert not database.is_transient(caught.value)
    with pytest.raises(asyncpg.UndefinedTableError) as missing:
        await database.fetch("SELECT FROM no_such_table")
    assert not database.is_transient(missing.value)


async def test_a_time_out_of_the_callers_own_stays_its_own(db: Settings) -> None:
    async def slow(_: Transaction) -> None:
        async with asyncio.timeout(0):
            await asyncio.sleep(1)

    with pytest.raises(TimeoutError):
        await database.run_in_transaction(slow)


async def test_a_connection_lost_in_the_middle_is_said_plainly(db: Settings) -> None:
    async def cut_off(tx: Transaction) -> None:
        await add(tx, "a")
        async with database.transaction() as other:
            pid = tx.connection.get_server_pid()
            await other.fetchval("SELECT pg_terminate_backend($1)", pid)
        await add(tx, "b")

    with pytest.raises(DatabaseUnavailable):
        await database.run_in_transaction(cut_off)
    assert await pots() == [0, 0]


async def test_a_pool_without_free_connections_does_not_wait_for_ever(
    db: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "ACQUIRE_TIMEOUT_S", 0.2)
    async with (
        database.transaction(),
        database.transaction(),
        database.transaction(),
        database.transaction(),
    ):
        with pytest.raises(DatabaseUnavailable):
            await database.fetch("SELECT 1")


async def test_no_server_at_start_and_there_later() -> None:
    server = EmbeddedPostgres(durable=False)
    settings = Settings(postgres=PostgresSettings(dsn=server.dsn()))
    await database.open_database(settings)
    try:
        with pytest.raises(DatabaseUnavailable):
            await database.fetch("SELECT 1")
        server.start()
        assert await database.fetch("SELECT 1 AS one") == [{"one": 1}]
    finally:
        await database.close_database()
        server.stop()


async def test_opening_twice_needs_closing_twice(db: Settings) -> None:
    await database.open_database(db)
    await database.close_database()
    assert await pots() == [0, 0]


async def test_listening_wakes_up(db: Settings) -> None:
    connection = await database.connect()
    try:
        async with database.listen("test_channel", connection) as listener:
            assert not await listener.wait(0.01)
            async with database.transaction() as tx:
                await tx.execute("NOTIFY test_channel")
            assert await listener.wait(5)
            assert not await listener.wait(0.01)
    finally:
        await connection.close()
