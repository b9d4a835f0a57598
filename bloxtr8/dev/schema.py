"""The schema of an embedded database: migrated once, then copied from what that gave.

Working through all migrations takes many seconds; the SQL of the result takes a tenth of one.
"""

import hashlib
import os
import tempfile
from pathlib import Path

import tortoise
from pydantic import SecretStr

import bloxtr8.store.migrations as steps
from bloxtr8.config import PostgresSettings, Settings
from bloxtr8.dev import postgres
from bloxtr8.dev.cache import cache_directory
from bloxtr8.store.migrate import migrate


async def migrate_database(dsn: str) -> None:
    """Bring the empty database at `dsn` to the current schema."""
    known = _known_schema()
    if known.exists():
        postgres.run_sql(dsn, known.read_text())
        return
    await migrate(Settings(postgres=PostgresSettings(dsn=SecretStr(dsn))))
    if _known_schema() == known:  # nobody is editing the migrations
        _write_whole(known, postgres.dump(dsn))


def _known_schema() -> Path:
    """Return where the SQL of exactly these migrations is kept."""
    digest = hashlib.sha256(f"{tortoise.__version__} {postgres.version()}".encode())
    for step in sorted(Path(steps.__path__[0]).glob("*.py")):
        digest.update(step.name.encode())
        digest.update(step.read_bytes())
    return cache_directory() / f"schema-{digest.hexdigest()[:16]}.sql"


def _write_whole(path: Path, text: str) -> None:
    # Another process may be doing the same; both write the same, each all at once.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    Path(temporary).replace(path)
