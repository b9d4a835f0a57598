"""One worker of the embedded stack: `faust -A app worker` in a process of its own."""

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import aiohttp

from bloxtr8.config import Settings
from bloxtr8.dev import process
from bloxtr8.environment import to_environment

ROOT = Path(__file__).resolve().parents[2]
# Longest measured start is 3 s; a static member that was killed also waits for its session.
_READY_SECONDS_MAX = 90.0
_POLL_SECONDS = 0.1
_STOP_SECONDS_MAX = 20.0


class Worker:
    """A worker with the settings it is given; may be killed and started again."""

    def __init__(self, name: str, settings: Settings, log: Path) -> None:
        self.name = name
        self.settings = settings
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.settings.web.host}:{self.settings.web.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "only a started worker has a process"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process; `ready` waits until it can serve."""
        assert not self.running, "started once"
        environment = to_environment(self.settings) | {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "NO_COLOR": "1",
        }
        command = [sys.executable, "-m", "faust", "--app", "app", "--workdir", str(ROOT)]
        command += ["worker", "--loglevel", self.settings.log_level.lower()]
        self._process = process.spawn(command, self.log, env=environment)

    async def ready(self, *, timeout_seconds: float = _READY_SECONDS_MAX) -> None:
        """Return when /ready answers 200; raises StartFailed with the end of the log."""
        until = time.monotonic() + timeout_seconds
        seen = "no answer"
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:
            while time.monotonic() < until and self.running:
                try:
                    async with http.get(f"{self.url}/ready") as answer:
                        if answer.status == 200:
                            return
                        seen = await answer.text()
                except (aiohttp.ClientError, TimeoutError):
                    seen = "no answer"
                await asyncio.sleep(_POLL_SECONDS)
        end = f"/ready: {seen}\n{process.tail(self.log)}"
        raise process.StartFailed(f"{self.name} did not become ready\n{end}")

    def kill(self) -> None:
        """End the process as a crash would."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze the process with SIGSTOP; `resume` lets it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Let the worker finish what it has in hand and end it."""
        self._end(signal.SIGTERM)

    def _end(self, first: signal.Signals) -> None:
        if self._process is not None:
            process.stop(self._process, first, timeout_seconds=_STOP_SECONDS_MAX)
            self._process = None
