"""The schema of an embedded database."""

from pydantic import SecretStr

from bloxtr8.config import PostgresSettings, Settings


async def migrate_database(dsn: str) -> None:
    """Bring the database at `dsn` to the current schema."""
    try:
        from bloxtr8.store.migrate import migrate
    except ModuleNotFoundError:
        return

    await migrate(Settings(postgres=PostgresSettings(dsn=SecretStr(dsn))))
