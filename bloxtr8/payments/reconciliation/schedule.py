"""When reconciliation runs: every hour, and every day at 02:00 UTC, once however many workers.

A run belongs to the moment at which it was due. One that failed is tried again, later each
time; one that nobody was there for is made up for, but only the last of them.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import structlog

from bloxtr8 import ids, telemetry
from bloxtr8.clock import Clock
from bloxtr8.errors import Unavailable
from bloxtr8.payments.reconciliation.findings import TASK
from bloxtr8.payments.reconciliation.missed import ON_ITS_WAY
from bloxtr8.payments.reconciliation.model import ProviderSilent, Report
from bloxtr8.payments.reconciliation.run import Reconciler
from bloxtr8.store import database, staff_tasks

DAILY_HOUR = 2
TICK_S = 15.0
REPORTED_AFTER = 3
_LOCK = 0x626C_6F78_0005
_AGAIN_FIRST = timedelta(minutes=5)
_AGAIN_MAX = timedelta(hours=1)
_ERROR_CHARACTERS_MAX = 500

_LAST = """
SELECT due_at, status, attempts, started_at, finished_at FROM reconciliation_runs
WHERE kind = $1 ORDER BY due_at DESC LIMIT 1
"""
_COVERED = """
SELECT max(covered_until) FROM reconciliation_runs WHERE kind = ANY($1::text[])
"""
_FIRST_OPERATION = "SELECT min(requested_at) FROM payment_operations"
_BEGIN = """
INSERT INTO reconciliation_runs (id, kind, due_at, started_at, attempts)
VALUES ($1, $2, $3, $4, 1)
ON CONFLICT (kind, due_at) DO UPDATE
SET status = 'RUNNING', started_at = $4, finished_at = NULL,
  attempts = reconciliation_runs.attempts + 1
RETURNING id, attempts
"""
_END = """
UPDATE reconciliation_runs SET status = $2, finished_at = $3, covered_until = $4, figures = $5,
  error = $6 WHERE id = $1
"""

_log = structlog.get_logger(__name__)


class RunKind(StrEnum):
    HOURLY = "HOURLY"
    DAILY = "DAILY"
    MANUAL = "MANUAL"


class AlreadyRunning(Unavailable):
    """Another process reconciles at this moment."""


@dataclass(frozen=True, slots=True)
class _Run:
    id: Any
    kind: RunKind
    attempts: int


def slot(kind: RunKind, now: datetime) -> datetime:
    """Return the last moment at or before `now` at which such a run is due."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    if kind is RunKind.HOURLY:
        return hour
    today = hour.replace(hour=DAILY_HOUR)
    return today if today <= now else today - timedelta(days=1)


def retry_at(finished_at: datetime, attempts: int) -> datetime:
    """Return when a run that failed so often is tried again."""
    return finished_at + min(_AGAIN_FIRST * (1 << min(attempts - 1, 10)), _AGAIN_MAX)


class Scheduler:
    """Runs on every worker; who has the advisory lock does the work."""

    def __init__(self, reconciler: Reconciler, clock: Clock) -> None:
        self._reconciler = reconciler
        self._clock = clock

    async def run(self) -> None:
        """Do what is due until cancelled; without the database wait for it."""
        while True:
            try:
                await self.tick()
            except Exception as error:
                if not database.is_transient(error):
                    raise
                _log.warning("reconciliation_waits", error=repr(error)[:200])
            await asyncio.sleep(TICK_S)

    async def tick(self) -> list[RunKind]:
        """Do what is due now; return what was done, also what failed."""
        if not [kind async for kind, _ in self._due()]:
            return []
        async with _alone() as mine:
            if not mine:
                return []
            done = []
            # Seen again with the lock: another worker may just have done it.
            async for kind, due_at in self._due():
                await self._do(kind, due_at, Report())
                done.append(kind)
            return done

    async def now(self) -> Report:
        """Do an hourly and a daily run at once, whatever is due, and return the report.

        Raises AlreadyRunning, ProviderSilent and DatabaseUnavailable.
        """
        async with _alone() as mine:
            if not mine:
                raise AlreadyRunning("Another run is under way.")
            report = Report()
            error = await self._do(RunKind.MANUAL, self._clock.now(), report)
            if error is not None:
                raise error
            return report

    async def _due(self) -> AsyncIterator[tuple[RunKind, datetime]]:
        now = self._clock.now()
        for kind in (RunKind.HOURLY, RunKind.DAILY):
            due_at = slot(kind, now)
            if await self._is_due(kind, due_at, now):
                yield kind, due_at

    async def _is_due(self, kind: RunKind, due_at: datetime, now: datetime) -> bool:
        last = await database.fetchrow(_LAST, kind.value)
        if last is None or last["due_at"] < due_at:
            first = await _first_operation()
            return first is not None and first < due_at
        if last["status"] == "FAILED":
            return bool(now >= retry_at(last["finished_at"], last["attempts"]))
        # RUNNING with nobody running it: its process died. The lock tells.
        return bool(last["status"] == "RUNNING")

    async def _do(self, kind: RunKind, due_at: datetime, report: Report) -> Unavailable | None:
        """Do one run and write down how it went; return why it failed."""
        run = await self._begin(kind, due_at)
        try:
            covered = await self._work(kind, report)
            silent = ProviderSilent(f"no answer about {', '.join(report.silent)}")
            error = silent if report.silent else None
        except ProviderSilent as failure:
            covered, error = None, failure
        except Exception as failure:
            if not database.is_transient(failure):
                # A defect of ours: told like a provider's silence, not hidden in a log.
                await self._end(run, None, report, failure)
            raise
        await self._end(run, None if error else covered, report, error)
        return error

    async def _work(self, kind: RunKind, report: Report) -> datetime | None:
        covered = None
        if kind is not RunKind.DAILY:
            covered = await self._reconciler.hourly(await self._calls_since(), report)
        if kind is not RunKind.HOURLY:
            statement_since = await _covered(RunKind.DAILY)
            until = await self._reconciler.daily(_overlapping(statement_since), report)
            covered = until if kind is RunKind.DAILY else covered
        return covered

    async def _calls_since(self) -> datetime:
        covered = _overlapping(await _covered(RunKind.HOURLY, RunKind.MANUAL))
        if covered is not None:
            return covered
        return await _first_operation() or self._clock.now() - ON_ITS_WAY

    async def _begin(self, kind: RunKind, due_at: datetime) -> _Run:
        async with database.transaction() as tx:
            row = await tx.fetchrow(_BEGIN, ids.uuid7(), kind.value, due_at, self._clock.now())
        assert row is not None, "an upsert that returns"
        return _Run(row["id"], kind, row["attempts"])

    async def _end(
        self, run: _Run, covered: datetime | None, report: Report, error: Exception | None
    ) -> None:
        now = self._clock.now()
        said = None if error is None else str(error)[:_ERROR_CHARACTERS_MAX]
        figures = database.to_json(report.figures())
        status = "DONE" if error is None else "FAILED"
        async with database.transaction() as tx:
            await tx.execute(_END, run.id, status, now, covered, figures, said)
            if error is None:
                await staff_tasks.close(tx, [(TASK, run.kind.value)], "done", now)
            elif run.attempts >= REPORTED_AFTER:
                task = staff_tasks.Task(TASK, "reconciliation", run.kind.value, None)
                await staff_tasks.open_tasks(tx, [task], now)
        telemetry.RECONCILIATIONS.labels(kind=run.kind.value, result=status.lower()).inc()
        telemetry.RECONCILIATION_REPAIRS.inc(report.repaired)
        _log.info("reconciled", kind=run.kind.value, error=said, **report.figures())


async def _first_operation() -> datetime | None:
    rows = await database.fetch(_FIRST_OPERATION)
    first: datetime | None = rows[0]["min"]
    return first


async def _covered(*kinds: RunKind) -> datetime | None:
    rows = await database.fetch(_COVERED, [kind.value for kind in kinds])
    covered: datetime | None = rows[0]["max"]
    return covered


def _overlapping(since: datetime | None) -> datetime | None:
    # Providers date a thing a little before it can be asked for.
    return None if since is None else since - timedelta(hours=1)


@asynccontextmanager
async def _alone() -> AsyncIterator[bool]:
    """Tell whether nobody else does this while the block lasts."""
    connection = await database.connect()
    try:
        yield bool(await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK))
    finally:
        await asyncio.shield(connection.close(timeout=database.CONNECT_TIMEOUT_S))
