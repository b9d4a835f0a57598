"""Bringing a database to the schema of this version, and writing the next step of it."""

from typing import Any

from tortoise.context import TortoiseContext
from tortoise.migrations.autodetector import MigrationAutodetector
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget
from tortoise.migrations.operations import AddConstraint, CreateModel, Operation
from tortoise.migrations.writer import MigrationWriter, format_migration_name

from bloxtr8.config import PostgresSettings, Settings
from bloxtr8.store import database, steps

# Advisory lock: one process migrates, the others wait and then find nothing to do.
_LOCK = 0x626C_6F78_0001
_WAIT_S = 120
_APP = "models"
_RECORD = "INSERT INTO tortoise_migrations (app, name, applied_at) VALUES ($1, $2, now())"


async def migrate(settings: Settings, *, upto: str | None = None) -> list[str]:
    """Apply every step that the database lacks, or those up to `upto`; return their names.

    Raises DatabaseUnavailable when there is no server, asyncpg's errors when a step fails
    (each step is a transaction of its own).
    """
    guard = await database.connect(settings.postgres)
    try:
        await guard.execute(f"SET lock_timeout = '{_WAIT_S}s'")
        await guard.execute(f"SET statement_timeout = '{_WAIT_S}s'")
        await guard.execute("SELECT pg_advisory_lock($1)", _LOCK)
        return await _apply(settings.postgres, guard, upto)
    finally:
        await guard.close()


async def pending(settings: Settings) -> list[str]:
    """Return the names of the migrations that the database lacks, in order."""
    config = database.tortoise_config(settings.postgres)
    async with TortoiseContext() as context:
        await context.init(config)
        executor = MigrationExecutor(context.db(), config["apps"])
        return [step.migration.name for step in await executor.plan()]


async def changes() -> list[MigrationWriter]:
    """Return the migrations that the models need and nobody wrote; empty when they agree."""
    config = database.tortoise_config(PostgresSettings())
    async with TortoiseContext() as context:
        await context.init(config, init_connections=False)
        assert context.apps is not None
        writers = await MigrationAutodetector(context.apps, config["apps"]).changes()
    for writer in writers:
        writer.operations = _with_constraints(writer.operations)
    return writers


async def write_step(name: str) -> list[str]:
    """Write the migrations that the models need as `<number>_<name>.py`, and their SQL.

    Returns their paths.
    """
    paths = []
    for writer in await changes():
        writer.name = format_migration_name(int(writer.name.split("_", 1)[0]), name)
        paths.append(str(writer.write()))
    await steps.write()
    return paths


def _with_constraints(operations: list[Operation]) -> list[Operation]:
    """Return `operations` with each new table's constraints as steps of their own.

    Tortoise (1.1) writes them into CreateModel, which does not create them.
    """
    constraints: list[Operation] = []
    for operation in operations:
        if isinstance(operation, CreateModel):
            for constraint in (operation.options or {}).pop("constraints", ()):
                constraints.append(AddConstraint(operation.name, constraint))
    return [*operations, *constraints]


async def _apply(settings: PostgresSettings, guard: Any, upto: str | None) -> list[str]:
    config = database.tortoise_config(settings)
    limits = config["connections"]["default"]["credentials"]["server_settings"]
    # A step may rewrite a table, which takes as long as it takes.
    limits["statement_timeout"] = "0"
    await guard.execute("SET statement_timeout = 0")
    async with TortoiseContext() as context:
        await context.init(config)
        executor = MigrationExecutor(context.db(), config["apps"])
        targets = None if upto is None else [MigrationTarget(_APP, upto)]
        plan = await executor.plan(targets)
        if plan:
            await executor.recorder.ensure_schema(executor._schema_editor(atomic=False))
        for step in plan:
            name = step.migration.name
            sql = steps.sql_of(name)
            if sql is None:
                await executor.migrate(targets=[MigrationTarget(_APP, name)])
            else:
                async with guard.transaction():
                    await guard.execute(sql)
                    await guard.execute(_RECORD, _APP, name)
    return [step.migration.name for step in plan]
