"""Child processes that cannot outlive their parent, with their output in a file."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from itertools import count, islice
from pathlib import Path

_PR_SET_PDEATHSIG = 1
# Below those that the system gives to whoever connects or binds without naming one.
_PORTS = range(20_000, 32_000)
# Processes that start together begin far from each other.
_numbers = count(os.getpid() * 97)
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class StartFailed(RuntimeError):
    """A part of the stack did not become ready in time."""


def spawn(
    command: Sequence[str],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    user: str | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start `command` with its output appended to `log`.

    The child gets `death_signal` when the thread that called this ends (Linux), so nothing is
    left behind by a parent that was killed; `user` needs root. It leads a session of its own,
    so a Ctrl-C at the terminal reaches only the supervisor.
    """
    parent = os.getpid()

    def follow_parent() -> None:
        # After the change of user, which would clear the signal again.
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal))
            if os.getppid() != parent:
                os._exit(1)

    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            user=user,
            group=_group_of(user),
            extra_groups=None if user is None else [],
            cwd="/" if user else None,
            start_new_session=True,
            preexec_fn=follow_parent,  # noqa: PLW1509
        )


def stop(process: subprocess.Popen[bytes], first: signal.Signals, *, timeout_seconds: float) -> int:
    """End `process` with `first`, with SIGKILL when that takes too long; return its exit code."""
    if process.poll() is None:
        process.send_signal(first)
        with suppress(subprocess.TimeoutExpired):
            return process.wait(timeout_seconds)
        process.kill()
    return process.wait(timeout_seconds)


def free_port() -> int:
    """Return a TCP port of the loopback interface that was free just now.

    Until its owner binds it nobody gets it who names none, and no process is given the same
    twice in a row. Raises StartFailed when all are taken.
    """
    for number in islice(_numbers, len(_PORTS)):
        port = _PORTS[number % len(_PORTS)]
        with suppress(OSError), closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise StartFailed("no port is free")


def accepts_connections(port: int, *, timeout_seconds: float = 0.5) -> bool:
    """Tell whether something listens on `port` of the loopback interface."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout_seconds):
        return True
    return False


def tail(log: Path, *, lines: int = 30) -> str:
    """Return the last `lines` lines of `log`, for error messages."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 64 * 1024))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


def _group_of(user: str | None) -> int | None:
    if user is None:
        return None
    import pwd

    return pwd.getpwnam(user).pw_gid
