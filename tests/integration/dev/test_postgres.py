"""The embedded PostgreSQL: databases that nobody shares, and a life after a crash."""

import asyncpg
from pydantic import SecretStr

from bloxtr8.config import PostgresSettings, Settings
from bloxtr8.dev.postgres import EmbeddedPostgres
from bloxtr8.dev.schema import migrate_database
from bloxtr8.store.migrate import pending


async def test_each_fresh_database_is_a_copy_of_the_migrated_one(
    postgres_server: EmbeddedPostgres, postgres_dsn: str
) -> None:
    first = await asyncpg.connect(postgres_dsn)
    await first.execute("CREATE TABLE only_here (x int)")
    assert await first.fetchval("SELECT count(*) FROM users") == 0
    await first.close()

    other_dsn = await postgres_server.fresh_database(_must_not_run)
    other = await asyncpg.connect(other_dsn)
    assert await other.fetchval("SELECT to_regclass('only_here')") is None
    assert await other.fetchval("SELECT count(*) FROM users") == 0
    await other.close()
    postgres_server.drop_database(other_dsn)


async def _must_not_run(dsn: str) -> None:
    raise AssertionError(f"{dsn} was migrated again")


async def test_what_was_committed_outlives_an_immediate_restart() -> None:
    server = EmbeddedPostgres(durable=False)
    server.start()
    try:
        dsn = server.create_database("kept")
        server.run_sql("CREATE TABLE kept (x int); INSERT INTO kept VALUES (7)", "kept")
        server.restart(immediate=True)
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval("SELECT x FROM kept") == 7
        await connection.close()
    finally:
        server.stop()


def test_creating_a_database_twice_is_harmless(postgres_server: EmbeddedPostgres) -> None:
    assert postgres_server.create_database("twice") == postgres_server.create_database("twice")
    postgres_server.drop_database(postgres_server.dsn("twice"))


async def _schema_of(server: EmbeddedPostgres, name: str) -> list[str]:
    """Return how many objects of each kind a database has that was brought up to date."""
    dsn = server.create_database(name)
    await migrate_database(dsn)
    assert await pending(Settings(postgres=PostgresSettings(dsn=SecretStr(dsn)))) == []
    kinds = ("pg_class", "pg_constraint", "pg_trigger", "pg_proc", "pg_attribute")
    counts = [server.run_sql(f"SELECT count(*) FROM {kind}", name) for kind in kinds]
    server.drop_database(dsn)
    return counts
