"""Exports: asked for in one transaction, put together in the background, handed out by links."""

import hashlib
import tempfile
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import IO, Any, Literal
from uuid import UUID

import structlog

from bloxtr8 import ids
from bloxtr8.clock import Clock
from bloxtr8.errors import NotFound, RateLimited
from bloxtr8.market import audit, export_contents, notices, standing
from bloxtr8.market.actors import Actor
from bloxtr8.market.audit import Deed
from bloxtr8.market.notices import Notice
from bloxtr8.store import database, polling
from bloxtr8.store.database import Transaction, to_json
from bloxtr8.store.objects import LINK_SECONDS, ObjectStore

Kind = Literal["PERSON", "AUDIT"]
Row = dict[str, Any]

KEPT = timedelta(hours=24)
ATTEMPTS_MAX = 5
# How many of a kind somebody may ask for within which time.
_MOST = {"PERSON": (1, timedelta(days=1)), "AUDIT": (5, timedelta(hours=1))}
_LEASE = timedelta(minutes=5)
_BATCH_MAX = 4
_IN_MEMORY_BYTES = 1024 * 1024

_log = structlog.get_logger(__name__)


async def ask(
    tx: Transaction, actor: Actor, kind: Kind, asked: dict[str, Any], reason: str, now: datetime
) -> Row:
    """Ask for an export; return its row. Raises RateLimited."""
    await standing.hold(tx, actor.id)
    most, within = _MOST[kind]
    earlier = await tx.fetch(
        "SELECT created_at FROM exports WHERE requested_by = $1 AND kind = $2 AND created_at > $3"
        " ORDER BY created_at",
        actor.id,
        kind,
        now - within,
    )
    if len(earlier) >= most:
        wait = earlier[0]["created_at"] + within - now
        raise RateLimited(retry_after_s=max(1, round(wait.total_seconds())))
    row = await tx.fetchrow(
        "INSERT INTO exports (id, kind, requested_by, asked, next_at, created_at, updated_at)"
        " VALUES ($1, $2, $3, $4, $5, $5, $5) RETURNING *",
        ids.uuid7(),
        kind,
        actor.id,
        to_json(asked),
        now,
    )
    assert row is not None, "an insert returns its row"
    deed = Deed("export.requested", ("export", str(row["id"])), reason, {"kind": kind, **asked})
    await audit.record(tx, actor, deed, now)
    return row


async def one(export_id: UUID, kind: Kind, requested_by: UUID | None = None) -> Row:
    """Return an export, of this person if given; raises NotFound."""
    row = await database.fetchrow(
        "SELECT * FROM exports WHERE id = $1 AND kind = $2"
        " AND ($3::uuid IS NULL OR requested_by = $3)",
        export_id,
        kind,
        requested_by,
    )
    if row is None:
        raise NotFound
    return row


async def wait(export_id: UUID, kind: Kind, requested_by: UUID, seconds: float) -> Row:
    """Return an export when it is finished, or as it is after `seconds`; raises NotFound."""
    row = await polling.finished(lambda: one(export_id, kind, requested_by), seconds)
    assert row is not None, "one raises where there is none"
    return row


async def of_person(
    requested_by: UUID, status: str | None, before: tuple[datetime, UUID] | None, limit: int
) -> list[Row]:
    """Return what a person asked for about themselves, newest first; `before` that place."""
    at, last = before or (None, None)
    return await database.fetch(
        "SELECT * FROM exports WHERE requested_by = $1 AND kind = 'PERSON'"
        " AND ($2::text IS NULL OR status = $2)"
        " AND ($3::timestamptz IS NULL OR (created_at, id) < ($3, $4::uuid))"
        " ORDER BY created_at DESC, id DESC LIMIT $5",
        requested_by,
        status,
        at,
        last,
        limit,
    )


def ends_at(row: Row) -> datetime | None:
    """Return when a finished export is deleted."""
    ended: datetime | None = row["finished_at"]
    return ended + KEPT if ended is not None else None


class Exports:
    """Puts exports together and deletes them a day later. Every worker may; rows are leased."""

    def __init__(self, objects: ObjectStore, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock

    async def link(self, row: Row) -> str | None:
        """Return an address of a finished export: for its person until it is deleted.

        For others a minute; None when there is no file (yet, or any more).
        """
        ends = ends_at(row)
        if row["object_key"] is None or row["deleted_at"] is not None or ends is None:
            return None
        left = int((ends - self._clock.now()).total_seconds())
        if left <= 0:
            return None
        seconds = min(left, 24 * 3600) if row["kind"] == "PERSON" else LINK_SECONDS
        name, content_type = export_contents.name_and_type(row)
        return await self._objects.presign(
            row["object_key"], filename=name, content_type=content_type, seconds=seconds
        )

    async def work(self) -> int:
        """Put together what was asked for, at most 4; return how many were begun."""
        now = self._clock.now()
        rows = await database.fetch(
            "UPDATE exports SET next_at = $2, attempts = attempts + 1 WHERE id IN (SELECT id"
            " FROM exports WHERE status = 'ACCEPTED' AND next_at <= $1 ORDER BY next_at LIMIT $3"
            " FOR UPDATE SKIP LOCKED) RETURNING *",
            now,
            now + _LEASE,
            _BATCH_MAX,
        )
        for row in rows:
            if row["attempts"] > ATTEMPTS_MAX:
                await self._give_up(row)
                continue
            await self._make(row)
        return len(rows)

    async def sweep(self) -> int:
        """Delete files that are a day old; return how many."""
        rows = await database.fetch(
            "SELECT id, object_key FROM exports WHERE object_key IS NOT NULL"
            " AND deleted_at IS NULL AND finished_at <= $1 ORDER BY finished_at LIMIT 200",
            self._clock.now() - KEPT,
        )
        for row in rows:
            await self._objects.delete(row["object_key"])
            async with database.transaction() as tx:
                await tx.execute(
                    "UPDATE exports SET deleted_at = $2, updated_at = $2 WHERE id = $1",
                    row["id"],
                    self._clock.now(),
                )
        return len(rows)

    async def _make(self, row: Row) -> None:
        key = f"exports/{row['id']}"
        contents = export_contents.Contents(row)
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as file:
            size, digest = await _write(file, contents.lines())
            file.seek(0)
            await self._objects.put(key, file, content_type=export_contents.name_and_type(row)[1])
        result = {
            "object_key": key,
            "size_bytes": size,
            "sha256": digest,
            "facts": to_json(contents.facts),
        }

        async def work(tx: Transaction) -> None:
            await _finish(tx, row, result, self._clock.now())

        await database.run_in_transaction(work)

    async def _give_up(self, row: Row) -> None:
        _log.error("export_failed", export_id=str(row["id"]), attempts=row["attempts"])
        async with database.transaction() as tx:
            await tx.execute(
                "UPDATE exports SET status = 'FAILED', finished_at = $2, next_at = NULL,"
                " updated_at = $2 WHERE id = $1 AND status = 'ACCEPTED'",
                row["id"],
                self._clock.now(),
            )


async def _write(file: IO[bytes], lines: AsyncIterator[bytes]) -> tuple[int, str]:
    """Write everything; return size and SHA-256."""
    size, digest = 0, hashlib.sha256()
    async for line in lines:
        size += file.write(line)
        digest.update(line)
    return size, digest.hexdigest()


async def _finish(tx: Transaction, row: Row, result: Row, now: datetime) -> None:
    done = await tx.execute(
        "UPDATE exports SET status = 'SUCCEEDED', object_key = $2, size_bytes = $3, sha256 = $4,"
        " facts = $5, finished_at = $6, next_at = NULL, updated_at = $6"
        " WHERE id = $1 AND status = 'ACCEPTED'",
        row["id"],
        *result.values(),
        now,
    )
    if not done:
        return
    data = {"sha256": result["sha256"], "size_bytes": result["size_bytes"]}
    deed = Deed("export.made", ("export", str(row["id"])), data=data)
    await audit.record(tx, Actor.system(), deed, now)
    if row["kind"] == "PERSON":
        notice = Notice("export_ready", "ACCOUNT", f"export:{row['id']}")
        await notices.tell(tx, row["id"], notice, [row["requested_by"]], now)
