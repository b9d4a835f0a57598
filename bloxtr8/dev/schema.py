"""The schema of an embedded database."""

from pydantic import SecretStr

from bloxtr8.config import PostgresSettings, Settings
from bloxtr8.store.migrate import migrate


async def migrate_database(dsn: str) -> None:
    """Bring the database at `dsn` to the current schema."""
    await migrate(Settings(postgres=PostgresSettings(dsn=SecretStr(dsn))))
