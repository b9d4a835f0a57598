"""A database of the first release, with data in it, becomes one of today."""

from uuid import uuid4

import asyncpg
import pytest
from pydantic import SecretStr

from bloxtr8.config import PostgresSettings, Settings
from bloxtr8.dev.postgres import EmbeddedPostgres
from bloxtr8.store import migrate, steps

_FIRST_RELEASE = "0002_guards"

# Everything that two equal schemas have in common, in one order.
_SCHEMA = """
SELECT 'column' AS kind, table_name || '.' || column_name AS name,
  concat_ws(' ', data_type, character_maximum_length, is_nullable, column_default,
            generation_expression) AS what
FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT 'trigger', tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid)
FROM pg_trigger WHERE NOT tgisinternal
ORDER BY 1, 2, 3
"""


async def _schema(dsn: str) -> list[tuple[str, str, str]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(_SCHEMA)]
    finally:
        await connection.close()


async def test_the_first_release_upgrades_in_place(postgres_server: EmbeddedPostgres) -> None:
    dsn = postgres_server.create_database(f"u_{uuid4().hex[:12]}")
    settings = Settings(postgres=PostgresSettings(dsn=SecretStr(dsn)))
    await migrate.migrate(settings, upto=_FIRST_RELEASE)
    user_id = uuid4()
    connection = await asyncpg.connect(dsn)
    await connection.execute("INSERT INTO users (id, display_name) VALUES ($1, 'Ada')", user_id)
    await connection.execute(
        "INSERT INTO sessions (id, user_id, auth_time, last_used_at, expires_at)"
        " VALUES (gen_random_uuid(), $1, now(), now(), now() + interval '1 day')",
        user_id,
    )
    await connection.execute(
        "INSERT INTO audit_log (at, actor_type, channel, action, subject_type, subject_id, data,"
        " trace_id) VALUES (now(), 'SYSTEM', 'SYSTEM', 'x.y', 'user', 'z', '{}', '')"
    )
    await migrate.migrate(settings)
    assert await migrate.pending(settings) == []
    kept = await connection.fetchrow(
        "SELECT u.display_name, count(s.id) AS sessions FROM users u"
        " JOIN sessions s ON s.user_id = u.id GROUP BY u.id"
    )
    assert tuple(kept) == ("Ada", 1)
    with pytest.raises(asyncpg.RestrictViolationError):
        await connection.execute("DELETE FROM audit_log")
    await connection.close()
    fresh = postgres_server.create_database(f"u_{uuid4().hex[:12]}")
    await migrate.migrate(Settings(postgres=PostgresSettings(dsn=SecretStr(fresh))))
    assert await _schema(dsn) == await _schema(fresh)
    for address in (dsn, fresh):
        postgres_server.drop_database(address)


def test_the_sql_of_every_step_is_kept() -> None:
    assert steps.stale() == []


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_the_sql_of_every_step_is_what_tortoise_has() -> None:
    made = await steps.generate()
    assert {name: steps.sql_of(name) for name in made} == made


async def test_a_step_that_was_edited_goes_the_slow_way(
    postgres_server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    schemas = []
    for slow in (False, True):
        dsn = postgres_server.create_database(f"u_{uuid4().hex[:12]}")
        settings = Settings(postgres=PostgresSettings(dsn=SecretStr(dsn)))
        await migrate.migrate(settings, upto="0001_initial")
        if slow:
            monkeypatch.setattr(steps, "sql_of", lambda _name: None)
        assert await migrate.migrate(settings, upto="0002_guards") == ["0002_guards"]
        schemas.append(await _schema(dsn))
        postgres_server.drop_database(dsn)
    assert schemas[0] == schemas[1]
