"""Evidence files: a place in the quota first, then the store, then everybody sees it.

A file whose upload broke off keeps its place for an hour; sending it again goes on with it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.clock import Clock
from bloxtr8.disputes import sides
from bloxtr8.disputes.content import EXTENSIONS, Upload
from bloxtr8.disputes.sides import Trade
from bloxtr8.errors import NotFound, QuotaExceeded
from bloxtr8.market import audit, notices, standing
from bloxtr8.market.actors import Actor
from bloxtr8.market.audit import Deed
from bloxtr8.market.notices import Notice
from bloxtr8.store import database
from bloxtr8.store.database import Transaction
from bloxtr8.store.objects import ObjectStore

Kind = Literal["DELIVERY", "SCREENSHOT", "CHAT", "PAYMENT", "OTHER"]
Row = dict[str, Any]

FILES_MAX = 20
SIDE_BYTES_MAX = 200 * 1024 * 1024
DAY_BYTES_MAX = 300 * 1024 * 1024
ABANDONED_AFTER = timedelta(hours=1)
STATES = ("FUNDS_HELD", "DELIVERED", "DISPUTED")
_UPLOADS_AT_ONCE = 4
_SWEEP_MAX = 200


@dataclass(frozen=True, slots=True)
class About:
    """What the files of one request show; `note` is at most 500 characters."""

    kind: Kind
    note: str = ""


class EvidenceFiles:
    """Evidence of the parties of trades."""

    def __init__(self, objects: ObjectStore, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock
        self._room = asyncio.Semaphore(_UPLOADS_AT_ONCE)

    async def put(
        self, actor: Actor, escrow_id: UUID, uploads: Sequence[Upload], about: About
    ) -> list[Row]:
        """Bring files of the actor's side to the store, for `add`; return their rows in order.

        Raises NotFound, InvalidState, QuotaExceeded, UpstreamUnavailable.
        """
        assert uploads, "something was sent"

        async def reserve(tx: Transaction) -> list[Row]:
            return await _reserve(tx, actor, escrow_id, uploads, about, self._clock.now())

        rows = await database.run_in_transaction(reserve)
        async with self._room:
            for row, upload in zip(rows, uploads, strict=True):
                if row["stored_at"] is None:
                    upload.file.seek(0)
                    await self._objects.put(
                        key_of(row), upload.file, content_type=row["content_type"]
                    )
        return rows

    async def add(
        self, tx: Transaction, actor: Actor, escrow_id: UUID, rows: Sequence[Row]
    ) -> list[Row]:
        """Let everybody see files that are in the store; return their rows in the order given.

        A file that the side has given before is answered as it was. Raises NotFound.
        """
        return await _finish(tx, actor, escrow_id, rows, self._clock.now())

    async def link(self, actor: Actor, row: Row, name: str) -> str:
        """Return an address that hands out the file for 60 s; the look is audited."""

        async def work(tx: Transaction) -> None:
            deed = _deed("evidence.downloaded", row)
            await audit.record(tx, actor, deed, self._clock.now())

        await database.run_in_transaction(work)
        filename = f"{name}-{row['side'].lower()}-{row['position']}"
        return await self._objects.presign(
            key_of(row),
            filename=f"{filename}.{EXTENSIONS[row['content_type']]}",
            content_type=row["content_type"],
        )

    async def sweep(self) -> int:
        """Give up uploads that broke off an hour ago; return how many."""
        before = self._clock.now() - ABANDONED_AFTER
        rows = await database.fetch(
            "SELECT id, escrow_id FROM evidence_files WHERE stored_at IS NULL AND created_at < $1"
            " ORDER BY created_at LIMIT $2",
            before,
            _SWEEP_MAX,
        )
        for row in rows:
            async with database.transaction() as tx:
                # Unless somebody has begun to send it again.
                given_up = await tx.execute(
                    "DELETE FROM evidence_files WHERE id = $1 AND stored_at IS NULL"
                    " AND created_at < $2",
                    row["id"],
                    before,
                )
            if given_up:
                await self._objects.delete(key_of(row))
        return len(rows)


async def of_escrow(tx: Transaction, escrow_id: UUID) -> list[Row]:
    """Return the files of both sides in the order of their coming, at most 40."""
    return await tx.fetch(
        "SELECT * FROM evidence_files WHERE escrow_id = $1 AND stored_at IS NOT NULL"
        " ORDER BY created_at, side, position LIMIT $2",
        escrow_id,
        2 * FILES_MAX,
    )


async def one(escrow_id: UUID, file_id: UUID) -> Row:
    """Return a file of the escrow; raises NotFound."""
    row = await database.fetchrow(
        "SELECT * FROM evidence_files WHERE id = $1 AND escrow_id = $2 AND stored_at IS NOT NULL",
        file_id,
        escrow_id,
    )
    if row is None:
        raise NotFound
    return row


async def of_side(escrow_id: UUID, side: str, file_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return the SHA-256 of those of `file_ids` that the side has given, in that order."""
    rows = await database.fetch(
        "SELECT id, sha256 FROM evidence_files WHERE escrow_id = $1 AND side = $2"
        " AND id = ANY($3) AND stored_at IS NOT NULL",
        escrow_id,
        side,
        list(file_ids),
    )
    hashes = {row["id"]: row["sha256"] for row in rows}
    return {file_id: hashes[file_id] for file_id in file_ids if file_id in hashes}


def key_of(row: Row) -> str:
    """Return where the store has the file."""
    return f"evidence/{row['escrow_id']}/{row['id']}"


async def _reserve(
    tx: Transaction,
    actor: Actor,
    escrow_id: UUID,
    uploads: Sequence[Upload],
    about: About,
    now: datetime,
) -> list[Row]:
    # Held before the trade, so that what somebody sends in several is counted one by one.
    await standing.hold(tx, actor.id)
    trade = await sides.lock(tx, actor, escrow_id)
    trade.require_state(*STATES)
    earlier = await tx.fetch(
        "SELECT * FROM evidence_files WHERE escrow_id = $1 AND side = $2", escrow_id, trade.side
    )
    known = {row["sha256"]: row for row in earlier}
    new = list({u.sha256: u for u in uploads if u.sha256 not in known}.values())
    _require_room(earlier, new)
    await _require_day(tx, actor, new, now)
    position = max((row["position"] for row in earlier), default=0)
    for upload in new:
        position += 1
        known[upload.sha256] = await _insert(tx, actor, trade, upload, (position, about, now))
    rows = [known[upload.sha256] for upload in uploads]
    # What broke off is begun anew, so that no sweep takes it away meanwhile.
    await tx.execute(
        "UPDATE evidence_files SET created_at = $2 WHERE id = ANY($1) AND stored_at IS NULL",
        [row["id"] for row in rows],
        now,
    )
    return rows


def _require_room(earlier: Sequence[Row], new: Sequence[Upload]) -> None:
    if len(earlier) + len(new) > FILES_MAX:
        raise QuotaExceeded(f"A side may give {FILES_MAX} files.")
    size = sum(row["size_bytes"] for row in earlier) + sum(file.size_bytes for file in new)
    if size > SIDE_BYTES_MAX:
        raise QuotaExceeded(f"The files of a side may have {SIDE_BYTES_MAX} bytes together.")


async def _require_day(tx: Transaction, actor: Actor, new: Sequence[Upload], now: datetime) -> None:
    given: int = await tx.fetchval(
        "SELECT coalesce(sum(size_bytes), 0)::bigint FROM evidence_files"
        " WHERE created_by = $1 AND created_at > $2",
        actor.id,
        now - timedelta(days=1),
    )
    if given + sum(file.size_bytes for file in new) > DAY_BYTES_MAX:
        raise QuotaExceeded(f"Somebody may send {DAY_BYTES_MAX} bytes a day.")


async def _insert(
    tx: Transaction,
    actor: Actor,
    trade: Trade,
    upload: Upload,
    place: tuple[int, About, datetime],
) -> Row:
    position, about, now = place
    row = await tx.fetchrow(
        "INSERT INTO evidence_files (id, escrow_id, side, position, kind, note, content_type,"
        " size_bytes, sha256, created_by, created_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING *",
        ids.uuid7(),
        trade.escrow_id,
        trade.side,
        position,
        about.kind,
        about.note,
        upload.content_type,
        upload.size_bytes,
        upload.sha256,
        actor.id,
        now,
    )
    assert row is not None, "an insert returns its row"
    return row


async def _finish(
    tx: Transaction, actor: Actor, escrow_id: UUID, rows: Sequence[Row], now: datetime
) -> list[Row]:
    trade = await sides.lock(tx, actor, escrow_id)
    fresh = await tx.fetch(
        "UPDATE evidence_files SET stored_at = $2 WHERE id = ANY($1) AND stored_at IS NULL"
        " RETURNING *",
        list({row["id"] for row in rows}),
        now,
    )
    for row in fresh:
        await audit.record(tx, actor, _deed("evidence.added", row), now)
    if fresh:
        notice = Notice(
            "evidence_added",
            "DISPUTES",
            f"escrow:{escrow_id}",
            {"side": trade.side, "files": len(fresh)},
        )
        await notices.tell(tx, min(row["id"] for row in fresh), notice, [trade.other], now)
    stored = {row["id"]: row for row in [*rows, *fresh]}
    return [stored[row["id"]] for row in rows]


def _deed(action: str, row: Row) -> Deed:
    data = {"sha256": row["sha256"], "size_bytes": row["size_bytes"], "kind": row["kind"]}
    return Deed(action, ("evidence", str(row["id"])), data=data, escrow_id=row["escrow_id"])
