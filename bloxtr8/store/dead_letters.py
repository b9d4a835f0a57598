"""What operators did with dead letters: a row for each letter, an audit row for each decision."""

from datetime import datetime

from bloxtr8.store.database import fetch, to_json, transaction
from proto.bloxtr8.common.v1 import common_pb2 as common

REPLAYED, DISCARDED = "REPLAYED", "DISCARDED"

_DECIDED_SQL = """
SELECT topic, partition, kafka_offset, status FROM dead_letters WHERE status <> 'OPEN'
"""
_DECIDE_SQL = """
INSERT INTO dead_letters (id, topic, partition, kafka_offset, msg_key, headers, payload,
  error_class, error, attempts, status, handled_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (topic, partition, kafka_offset)
DO UPDATE SET status = excluded.status, handled_at = excluded.handled_at, updated_at = now()
"""
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


async def decide(
    letter: common.DeadLetter, status: str, reason: str, operator: str, now: datetime
) -> None:
    """Record that `operator` replayed or discarded `letter`, and why."""
    kind = common.DeadLetterKind.Name(letter.error_type).removeprefix("DEAD_LETTER_KIND_")
    headers = {header.name: header.value.hex() for header in letter.headers}
    async with transaction() as tx:
        await tx.execute(
            _DECIDE_SQL,
            letter.metadata.message_id,
            letter.topic,
            letter.partition,
            letter.offset,
            letter.key.decode(errors="replace")[:255],
            to_json(headers),
            letter.value,
            kind,
            letter.error,
            letter.attempts,
            status,
            now,
        )
        await tx.execute(
            _AUDIT_SQL,
            now,
            f"dead_letter.{status.lower()}",
            letter.metadata.message_id,
            _escrow_id(letter),
            reason[:1000],
            to_json({"operator": operator, "topic": letter.topic, "offset": letter.offset}),
        )


def _escrow_id(letter: common.DeadLetter) -> str | None:
    from bloxtr8.messaging.envelope import is_uuid

    key = letter.key.decode(errors="replace")
    of_escrow = letter.topic.startswith(("escrow.", "payments."))
    return key if of_escrow and is_uuid(key) else None
