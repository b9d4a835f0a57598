"""The SQL of each migration step, kept beside it, so that a database is migrated in a moment.

Tortoise finds out what a step means by building all models anew for each of its operations,
which takes minutes over all steps. The result depends on nothing but the steps, so it is written
down once. A step that was edited since is recognised and goes the slow way.
"""

import hashlib
from pathlib import Path
from typing import Any

from tortoise.context import TortoiseContext
from tortoise.migrations.executor import MigrationExecutor
from tortoise.migrations.graph import MigrationKey
from tortoise.migrations.schema_generator.state import State
from tortoise.migrations.schema_generator.state_apps import StateApps

from bloxtr8.config import PostgresSettings
from bloxtr8.store import database, migrations

_DIRECTORY = Path(migrations.__path__[0])


class NotInSql(Exception):
    """A step does something that no SQL can say."""


def sql_of(name: str) -> str | None:
    """Return the SQL of step `name`, None when what is kept is not of the step as it is."""
    path = _DIRECTORY / f"{name}.sql"
    if not path.exists():
        return None
    head, _, sql = path.read_text().partition("\n")
    return sql if head == _head(name, sql) else None


def stale() -> list[str]:
    """Return the names of the steps whose SQL is not kept."""
    steps = sorted(path.stem for path in _DIRECTORY.glob("[0-9]*.py"))
    return [name for name in steps if sql_of(name) is None]


async def write() -> list[str]:
    """Write the SQL of every step that lacks it; return their names. Takes minutes."""
    missing = stale()
    if missing:
        made = await generate()
        for name in missing:
            sql = made[name]
            (_DIRECTORY / f"{name}.sql").write_text(f"{_head(name, sql)}\n{sql}")
    return missing


async def generate() -> dict[str, str]:
    """Return the SQL of every step as Tortoise has it. Takes minutes; needs no database."""
    config = database.tortoise_config(PostgresSettings())
    made: dict[str, str] = {}
    async with TortoiseContext() as context:
        await context.init(config, init_connections=False)
        executor = MigrationExecutor(context.db(), config["apps"])
        await executor.loader.build_graph()
        state = State(models={}, apps=StateApps(default_connections={"models": "default"}))
        for key in executor._full_plan():
            made[key.name] = await _collect(executor, key, state)
    return made


async def _collect(executor: MigrationExecutor, key: MigrationKey, state: State) -> str:
    editor = executor._schema_editor(atomic=False, collect_sql=True)
    step: Any = executor.loader.graph.nodes[key]
    await step.apply(state, schema_editor=editor, collect_sql=True)
    return "".join(map(_line, editor.collected_sql))


def _line(part: str) -> str:
    if "CANNOT BE REPRESENTED" in part:
        raise NotInSql(part)
    text = part.strip()
    if text == "--":
        return ""
    if text.startswith("--"):
        return f"\n{text}\n"
    return f"{text.rstrip(';')};\n"


def _head(name: str, sql: str) -> str:
    both = (_DIRECTORY / f"{name}.py").read_bytes() + sql.encode()
    digest = hashlib.sha256(both).hexdigest()
    return f"-- {name}, {digest}; written by scripts/migrations.py"
