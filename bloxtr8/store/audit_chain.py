"""The chain over the audit log: each row sealed with the hash of everything before it.

Business transactions never wait for it: one sealer, under an advisory lock, follows them.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from bloxtr8 import telemetry
from bloxtr8.clock import Clock
from bloxtr8.store import database
from bloxtr8.store.canonical import sha256
from bloxtr8.store.database import Transaction
from bloxtr8.store.leadership import lead

BATCH_MAX = 1_000
EVERY_S = 1.0
UNSEALED_S_MAX = 60.0
GENESIS = bytes(32)
EXPORT_SPAN_MAX = timedelta(days=400)
_LOCK = 0x626C_6F78_0005
# Ids are given when a row is inserted, and rows are seen when they are committed: a slow
# transaction's row turns up below ids that are sealed already. This far back is looked.
_LATE_IDS = 20_000
_COLUMNS = (
    "a.id, a.at, a.actor_type, a.actor_id, a.channel, a.action, a.subject_type, a.subject_id,"
    " a.escrow_id, a.reason, a.data, a.ip, a.user_agent, a.trace_id"
)

_log = structlog.get_logger(__name__)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What checking the chain found. `bad_seq`: the first that is wrong, `why` in a word.

    `unsealed`: rows that the sealer has not reached yet.
    """

    checked: int
    head: bytes
    bad_seq: int | None
    why: str
    unsealed: int

    @property
    def ok(self) -> bool:
        return self.bad_seq is None


class Sealer:
    """Seals what was committed. Every worker has one; the lock lets one of them work."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def run(self) -> None:
        """Seal until cancelled; without the database wait for it."""
        await lead(_LOCK, self._follow)

    async def seal(self, *, everything: bool = False) -> int:
        """Seal what is waiting, `everything` also from long ago; return how many rows."""
        sealed = 0
        while True:
            async with database.transaction() as tx:
                done = await _seal_batch(tx, self._clock.now(), 0 if everything else None)
            sealed += done
            if done < BATCH_MAX:
                return sealed

    async def _follow(self) -> None:
        await self.seal(everything=True)
        while True:
            await self._observe()
            await asyncio.sleep(EVERY_S)
            await self.seal()

    async def _observe(self) -> None:
        # The database's own clock on both sides: this is about the machine.
        row = await database.fetchrow(
            "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(a.created_at)), 0)::float8"
            " AS age_s FROM audit_log a WHERE a.id >"
            " (SELECT coalesce(max(audit_id), 0) FROM audit_chain)"
        )
        assert row is not None, "an aggregate has a row"
        telemetry.AUDIT_UNSEALED_AGE.set(max(0.0, row["age_s"]))
        if row["age_s"] > UNSEALED_S_MAX:
            _log.error("audit_unsealed", age_s=round(row["age_s"]))


async def verify() -> Verdict:
    """Recompute the whole chain; raises DatabaseUnavailable."""
    checked, head = 0, GENESIS
    async for row in _sealed():
        why = _fault(row, checked + 1, head)
        if why:
            return Verdict(checked, head, checked + 1, why, await _unsealed())
        checked, head = checked + 1, row["hash"]
    return Verdict(checked, head, None, "", await _unsealed())


async def head_before(at: datetime) -> Row | None:
    """Return seq, hash and sealed_at of the last link sealed before `at`, None for none."""
    return await database.fetchrow(
        "SELECT seq, hash, sealed_at FROM audit_chain WHERE sealed_at < $1"
        " ORDER BY seq DESC LIMIT 1",
        at,
    )


async def export(since: datetime, until: datetime) -> AsyncIterator[dict[str, Any]]:
    """Yield the sealed rows of a span, in their order, with seq and hash as hexadecimal.

    Raises ValueError for a span of more than 400 days.
    """
    if not timedelta(0) < until - since <= EXPORT_SPAN_MAX:
        raise ValueError("an export spans at most 400 days")
    async for row in _sealed():
        if row["id"] is not None and since <= row["at"] < until:
            yield document(row) | {"seq": row["seq"], "hash": row["hash"].hex()}


def document(row: Row) -> dict[str, Any]:
    """Return what of an audit row is hashed; numbers with a fraction stand as they were written."""
    names = [column.strip().removeprefix("a.") for column in _COLUMNS.split(",")]
    return {name: row[name] for name in names} | {
        "data": json.loads(row["data"], parse_float=str),
    }


def link(prev_hash: bytes, row: Row) -> bytes:
    """Return the hash of `row` after `prev_hash`."""
    return hashlib.sha256(prev_hash + sha256(document(row))).digest()


async def _seal_batch(tx: Transaction, now: datetime, from_id: int | None) -> int:
    last = await tx.fetchrow("SELECT seq, hash FROM audit_chain ORDER BY seq DESC LIMIT 1")
    seq, head = (last["seq"], last["hash"]) if last else (0, GENESIS)
    if from_id is None:
        newest = await tx.fetchval("SELECT coalesce(max(audit_id), 0) FROM audit_chain")
        from_id = newest - _LATE_IDS
    rows = await tx.fetch(
        f"SELECT {_COLUMNS} FROM audit_log a WHERE a.id > $1"  # noqa: S608
        " AND NOT EXISTS (SELECT 1 FROM audit_chain c WHERE c.audit_id = a.id)"
        " ORDER BY a.id LIMIT $2",
        from_id,
        BATCH_MAX,
    )
    links = []
    for row in rows:
        sealed = link(head, row)
        seq += 1
        links.append((seq, row["id"], head, sealed, now))
        head = sealed
    await tx.executemany(
        "INSERT INTO audit_chain (seq, audit_id, prev_hash, hash, sealed_at)"
        " VALUES ($1, $2, $3, $4, $5)",
        links,
    )
    return len(links)


async def _sealed() -> AsyncIterator[Row]:
    """Yield every link with its audit row, whose columns are None where it is gone."""
    after = 0
    while True:
        rows = await database.fetch(
            f"SELECT c.seq, c.prev_hash, c.hash, {_COLUMNS} FROM audit_chain c"  # noqa: S608
            " LEFT JOIN audit_log a ON a.id = c.audit_id WHERE c.seq > $1 ORDER BY c.seq LIMIT $2",
            after,
            BATCH_MAX,
        )
        for row in rows:
            yield row
        if len(rows) < BATCH_MAX:
            return
        after = rows[-1]["seq"]


def _fault(row: Row, seq: int, head: bytes) -> str:
    if row["seq"] != seq:
        return "link_missing"
    if row["id"] is None:
        return "row_missing"
    if row["prev_hash"] != head:
        return "not_chained"
    return "" if row["hash"] == link(head, row) else "row_changed"


async def _unsealed() -> int:
    row = await database.fetchrow(
        "SELECT count(*) AS rows FROM audit_log a"
        " WHERE NOT EXISTS (SELECT 1 FROM audit_chain c WHERE c.audit_id = a.id)"
    )
    assert row is not None, "an aggregate has a row"
    count: int = row["rows"]
    return count
