"""What belongs in a trade's timeline and is no event of its escrow: sights and wishes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.store import database
from bloxtr8.store.database import Transaction, to_json

Kind = Literal["OWNERSHIP_SEEN", "RECEIVING_GROUP_SET"]
Side = Literal["BUYER", "SELLER", "SYSTEM"]
Row = dict[str, Any]

READ_MAX = 200


@dataclass(frozen=True, slots=True)
class Remark:
    """`data` is shown to both parties."""

    kind: Kind
    side: Side
    data: dict[str, Any] = field(default_factory=dict)


async def add(tx: Transaction, escrow_id: UUID, remark: Remark, now: datetime) -> None:
    """Keep a remark about a trade."""
    await tx.execute(
        "INSERT INTO trade_remarks (id, escrow_id, at, kind, side, data, created_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $3)",
        ids.uuid7(),
        escrow_id,
        now,
        remark.kind,
        remark.side,
        to_json(remark.data),
    )


async def between(escrow_id: UUID, since: datetime | None, until: datetime | None) -> Sequence[Row]:
    """Return the remarks from `since` to before `until` (None: no bound), at most 200."""
    return await database.fetch(
        "SELECT at, kind, side, data FROM trade_remarks WHERE escrow_id = $1"
        " AND ($2::timestamptz IS NULL OR at >= $2) AND ($3::timestamptz IS NULL OR at < $3)"
        " ORDER BY at, id LIMIT $4",
        escrow_id,
        since,
        until,
        READ_MAX,
    )
