"""What operators did with dead letters: a row for each letter, an audit row for each decision."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from bloxtr8.store.database import Transaction, fetch, to_json, transaction
from proto.bloxtr8.common.v1 import common_pb2 as common

REPLAYED, DISCARDED = "REPLAYED", "DISCARDED"
# Advisory lock: decisions about one letter are made one after the other.
_DECISIONS = 0x626C_646C

_DECIDED_SQL = """
SELECT topic, partition, kafka_offset, status FROM dead_letters WHERE status <> 'OPEN'
"""
_DECISIONS_SQL = """
SELECT d.* FROM dead_letters d JOIN unnest($1::text[], $2::int[], $3::bigint[])
  AS wanted (topic, partition, kafka_offset) USING (topic, partition, kafka_offset)
"""
_DECIDE_SQL = """
INSERT INTO dead_letters (id, topic, partition, kafka_offset, msg_key, headers, payload,
  error_class, error, attempts, status, handled_by, handled_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (topic, partition, kafka_offset)
DO UPDATE SET status = excluded.status, handled_by = excluded.handled_by,
  handled_at = excluded.handled_at, updated_at = now()
"""
_ONCE = " WHERE dead_letters.status = 'OPEN'"
_AUDIT_SQL = """
INSERT INTO audit_log (at, actor_type, channel, action, subject_type, subject_id, escrow_id,
  reason, data, trace_id)
VALUES ($1, 'OPERATOR', 'CLI', $2, 'dead_letter', $3, $4, $5, $6, '')
"""

Place = tuple[str, int, int]


async def decided() -> dict[Place, str]:
    """Return what was done with the letters about which something was decided.

    By topic, partition and offset of the original message. Raises DatabaseUnavailable.
    """
    rows = await fetch(_DECIDED_SQL)
    return {(row["topic"], row["partition"], row["kafka_offset"]): row["status"] for row in rows}


async def decisions(places: Sequence[Place]) -> dict[Place, dict[str, Any]]:
    """Return the rows of those letters that have one, by place."""
    columns = [list(column) for column in zip(*places, strict=True)] or [[], [], []]
    rows = await fetch(_DECISIONS_SQL, *columns)
    return {(row["topic"], row["partition"], row["kafka_offset"]): row for row in rows}


async def decide_once(
    tx: Transaction, letter: common.DeadLetter, status: str, by: UUID, now: datetime
) -> dict[str, Any] | None:
    """Record that `by` decided about `letter`; return the row, None when somebody had before."""
    # One after the other: of two new rows of a letter, the second would fail by its id, which is
    # not what ON CONFLICT looks at.
    place = f"{letter.topic}:{letter.partition}:{letter.offset}"
    await tx.lock(_DECISIONS, place)
    values = _values(letter, status, by, now)
    return await tx.fetchrow(f"{_DECIDE_SQL}{_ONCE} RETURNING *", *values)


async def decide(
    letter: common.DeadLetter, status: str, reason: str, operator: str, now: datetime
) -> None:
    """Record that `operator` replayed or discarded `letter`, and why."""
    async with transaction() as tx:
        await tx.execute(_DECIDE_SQL, *_values(letter, status, None, now))
        await tx.execute(
            _AUDIT_SQL,
            now,
            f"deadletter.{status.lower()}",
            letter.metadata.message_id,
            escrow_of(letter),
            reason[:1000],
            to_json({"operator": operator, "topic": letter.topic, "offset": letter.offset}),
        )


def _values(
    letter: common.DeadLetter, status: str, by: UUID | None, now: datetime
) -> tuple[Any, ...]:
    kind = common.DeadLetterKind.Name(letter.error_type).removeprefix("DEAD_LETTER_KIND_")
    headers = {header.name: header.value.hex() for header in letter.headers}
    return (
        letter.metadata.message_id,
        letter.topic,
        letter.partition,
        letter.offset,
        letter.key.decode(errors="replace").replace("\x00", "")[:255],
        to_json(headers),
        letter.value,
        kind,
        letter.error.replace("\x00", "")[:1000],
        letter.attempts,
        status,
        by,
        now,
    )


def escrow_of(letter: common.DeadLetter) -> UUID | None:
    """Return the escrow that the message is about, as far as its key says."""
    from bloxtr8.messaging.envelope import is_uuid

    key = letter.key.decode(errors="replace")
    of_escrow = letter.topic.startswith(("escrow.", "payments."))
    return UUID(key) if of_escrow and is_uuid(key) else None
