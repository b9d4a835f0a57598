"""The one database of a process: Tortoise's pool, and transactions in plain SQL.

Reads may go through the models. Guarded writes are SQL inside `transaction()`, which takes its
connection from the same pool. A `json` column comes and goes as text in plain SQL.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import asyncpg
from tortoise.context import TortoiseContext
from tortoise.exceptions import DBConnectionError

from bloxtr8.config import PostgresSettings, Settings
from bloxtr8.errors import Unavailable

T = TypeVar("T")

MODELS = "bloxtr8.store.models"
MIGRATIONS = "bloxtr8.store.migrations"
LOCK_TIMEOUT_MS = 2_000
STATEMENT_TIMEOUT_MS = 10_000
ACQUIRE_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 5.0
ATTEMPTS_MAX = 3

# Another transaction was in the way; running this one again may do.
_AGAIN = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
# The server is not there, is going, or has no connection to give.
_UNREACHABLE = (
    DBConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.InternalClientError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InvalidCatalogNameError,
    OSError,
    TimeoutError,
)
# The server is there and did not get to it in time.
_BUSY = (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError, asyncpg.DiskFullError)


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached, or was lost in the middle; nothing is known to be done."""


def is_transient(error: BaseException) -> bool:
    """Tell whether waiting and trying again may help: unreachable, busy, or a lost race."""
    return isinstance(error, (DatabaseUnavailable, *_UNREACHABLE, *_BUSY, *_AGAIN))


class Transaction:
    """An open transaction. `$1` placeholders; rows are dicts; errors are asyncpg's."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def fetch(self, sql: str, *args: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.connection.fetch(sql, *args)]

    async def fetchrow(self, sql: str, *args: Any) -> dict[str, Any] | None:
        row = await self.connection.fetchrow(sql, *args)
        return None if row is None else dict(row)

    async def fetchval(self, sql: str, *args: Any) -> Any:
        return await self.connection.fetchval(sql, *args)

    async def execute(self, sql: str, *args: Any) -> int:
        """Return the number of rows that were inserted, updated or deleted."""
        status: str = await self.connection.execute(sql, *args)
        last = status.rsplit(" ", 1)[-1]
        return int(last) if last.isdigit() else 0

    async def executemany(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        if rows:
            await self.connection.executemany(sql, rows)

    async def lock(self, space: int, name: str) -> None:
        """Wait until no other transaction has `name` locked in `space`; it is ours to the end."""
        await self.execute("SELECT pg_advisory_xact_lock($1, hashtext($2))", space, name)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """A part that may fail without ending the transaction."""
        async with self.connection.transaction():
            yield


class _Pooled(asyncpg.Connection):  # type: ignore[misc]
    """A connection of the pool, on which nothing but transactions leaves a trace.

    Session locks, LISTEN and SET have connections of their own (`connect`), so there is nothing
    to undo when one goes back, which would be one more journey to the server for every use.
    """

    def get_reset_query(self) -> str:
        return ""


@dataclass(slots=True)
class _Process:
    """What `open_database` made, shared by whoever in this process opens the same again."""

    context: TortoiseContext | None = None
    settings: PostgresSettings = field(default_factory=PostgresSettings)
    users: int = 0

    def opened(self) -> TortoiseContext:
        assert self.context is not None, "open_database comes first"
        return self.context


_process = _Process()


def tortoise_config(settings: PostgresSettings) -> dict[str, Any]:
    """Return the configuration of Tortoise for `settings`."""
    return {
        "connections": {
            "default": {
                "engine": "tortoise.backends.asyncpg",
                "credentials": {
                    **_credentials(settings.dsn.get_secret_value()),
                    "minsize": settings.pool_min,
                    "maxsize": settings.pool_max,
                    "timeout": CONNECT_TIMEOUT_S,
                    "server_settings": _server_settings(),
                    "connection_class": _Pooled,
                },
            }
        },
        "apps": {
            "models": {
                "models": [MODELS],
                "default_connection": "default",
                "migrations": MIGRATIONS,
            }
        },
        "use_tz": True,
        "timezone": "UTC",
    }


async def open_database(settings: Settings) -> None:
    """Make the pool of this process (connections are made when first needed).

    Opening the same database again counts; `close_database` closes it with the last user.
    """
    if _process.context is not None:
        assert _process.settings.dsn == settings.postgres.dsn, "one database per process"
        _process.users += 1
        return
    context = TortoiseContext()
    # The fall-back makes the models work in every task: agents, views, background loops.
    with context:
        await context.init(tortoise_config(settings.postgres), _enable_global_fallback=True)
    _process.context, _process.settings, _process.users = context, settings.postgres, 1


async def close_database() -> None:
    """Close the pool when nobody else in this process uses it; harmless when it is not open."""
    if _process.context is None:
        return
    _process.users -= 1
    if _process.users == 0:
        closing, _process.context = _process.context, None
        with closing:
            await closing.close_connections()


@asynccontextmanager
async def transaction() -> AsyncIterator[Transaction]:
    """A transaction at READ COMMITTED: committed at the end, rolled back when anything is raised.

    Raises DatabaseUnavailable when the server cannot be reached or goes away.
    """
    async with _connection() as connection, connection.transaction():
        yield Transaction(connection)


@asynccontextmanager
async def _connection() -> AsyncIterator[Any]:
    """A connection of the pool; raises as `transaction` does."""
    wrapper = _process.opened().db().acquire_connection()
    try:
        async with asyncio.timeout(ACQUIRE_TIMEOUT_S):
            connection = await wrapper.__aenter__()
    except (*_UNREACHABLE, asyncpg.InterfaceError) as error:
        raise DatabaseUnavailable from error
    try:
        yield connection
    except Exception as error:
        if _connection_lost(connection, error):
            raise DatabaseUnavailable from error
        raise
    finally:
        await wrapper.__aexit__(None, None, None)


async def run_in_transaction(work: Callable[[Transaction], Awaitable[T]]) -> T:
    """Return what `work` returns; after a deadlock or serialisation failure run it again.

    At most three times; `work` must not have effects outside the transaction.
    """
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            async with transaction() as tx:
                return await work(tx)
        except _AGAIN:
            if attempt == ATTEMPTS_MAX:
                raise
    raise AssertionError("the loop returns or raises")


async def fetch(sql: str, *args: Any) -> list[dict[str, Any]]:
    """Return the rows of one statement, which is a transaction of its own."""
    async with _connection() as connection:
        return await Transaction(connection).fetch(sql, *args)


async def fetchrow(sql: str, *args: Any) -> dict[str, Any] | None:
    """Return the first row of one statement, which is a transaction of its own, or None."""
    async with _connection() as connection:
        return await Transaction(connection).fetchrow(sql, *args)


async def connect(settings: PostgresSettings | None = None) -> Any:
    """Return an asyncpg connection outside the pool, for session locks and LISTEN.

    The caller closes it. Raises DatabaseUnavailable.
    """
    if settings is None:
        _process.opened()
        settings = _process.settings
    credentials = _credentials(settings.dsn.get_secret_value())
    try:
        return await asyncpg.connect(
            **credentials, timeout=CONNECT_TIMEOUT_S, server_settings=_server_settings()
        )
    except _UNREACHABLE as error:
        raise DatabaseUnavailable from error


class Listener:
    """NOTIFY on one channel, as something to wait for."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self, *_details: Any) -> None:
        self._event.set()

    async def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds; tell whether there was a notification."""
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


@asynccontextmanager
async def listen(channel: str, connection: Any) -> AsyncIterator[Listener]:
    """Listen on `channel` over a connection of `connect()`; it wakes up when that is lost too."""
    listener = Listener()
    await connection.add_listener(channel, listener.notify)
    connection.add_termination_listener(listener.notify)
    try:
        yield listener
    finally:
        if not connection.is_closed():
            await connection.remove_listener(channel, listener.notify)


def to_json(value: Any) -> str:
    """Return `value` as a `json` column takes it in plain SQL."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _connection_lost(connection: Any, error: Exception) -> bool:
    # These may come from the caller's own work and then say nothing about the database.
    if isinstance(error, OSError | TimeoutError | asyncpg.InterfaceError):
        return _is_closed(connection)
    return isinstance(error, _UNREACHABLE)


def _is_closed(connection: Any) -> bool:
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        # The pool has taken it back already, because it is of no use any more.
        return True


def _server_settings() -> dict[str, str]:
    return {
        "application_name": "bloxtr8",
        "timezone": "UTC",
        "lock_timeout": str(LOCK_TIMEOUT_MS),
        "statement_timeout": str(STATEMENT_TIMEOUT_MS),
    }


def _credentials(dsn: str) -> dict[str, Any]:
    """Return the connection arguments of `postgresql://user:password@host:port/database?host=…`."""
    url = urlsplit(dsn)
    query = dict(parse_qsl(url.query))
    credentials: dict[str, Any] = {
        "user": unquote(url.username or "") or None,
        "password": unquote(url.password or "") or None,
        "host": query.get("host") or url.hostname or "localhost",
        "port": int(query.get("port") or url.port or 5432),
        "database": unquote(url.path.lstrip("/")) or None,
    }
    if query.get("sslmode", "disable") not in ("disable", "prefer", "allow"):
        credentials["ssl"] = _tls(query["sslmode"], query.get("sslrootcert"))
    return credentials


def _tls(mode: str, root: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=root)
    context.check_hostname = mode == "verify-full"
    if mode == "require" and root is None:
        context.verify_mode = ssl.CERT_NONE
    return context
