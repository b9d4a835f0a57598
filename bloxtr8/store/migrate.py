"""Bringing a database to the schema of this version, and writing the next step of it."""

from tortoise.context import TortoiseContext
from tortoise.migrations.autodetector import MigrationAutodetector
from tortoise.migrations.executor import MigrationExecutor
from tortoise.migrations.operations import AddConstraint, CreateModel, Operation
from tortoise.migrations.writer import MigrationWriter, format_migration_name

from bloxtr8.config import PostgresSettings, Settings
from bloxtr8.store import database

# Advisory lock: one process migrates, the others wait and then find nothing to do.
_LOCK = 0x626C_6F78_0001
_WAIT_S = 120
_APP = "models"


async def migrate(settings: Settings) -> list[str]:
    """Apply every migration that the database lacks; return the names of those applied.

    Raises DatabaseUnavailable when there is no server, asyncpg's errors when a step fails
    (each step is a transaction of its own).
    """
    guard = await database.connect(settings.postgres)
    try:
        await guard.execute(f"SET lock_timeout = '{_WAIT_S}s'")
        await guard.execute(f"SET statement_timeout = '{_WAIT_S}s'")
        await guard.execute("SELECT pg_advisory_lock($1)", _LOCK)
        return await _apply(settings.postgres)
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
    """Write the migrations that the models need as `<number>_<name>.py`; return their paths."""
    paths = []
    for writer in await changes():
        writer.name = format_migration_name(int(writer.name.split("_", 1)[0]), name)
        paths.append(str(writer.write()))
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


async def _apply(settings: PostgresSettings) -> list[str]:
    config = database.tortoise_config(settings)
    limits = config["connections"]["default"]["credentials"]["server_settings"]
    # A step may rewrite a table, which takes as long as it takes.
    limits["statement_timeout"] = "0"
    applied: list[str] = []
    async with TortoiseContext() as context:
        await context.init(config)
        executor = MigrationExecutor(context.db(), config["apps"])
        await executor.migrate(
            progress=lambda event, _app, name: (
                applied.append(name) if event == "apply_done" else None
            )
        )
    return applied
