"""What a person has promised and not yet kept; until it ends some things are not possible."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from bloxtr8.store.database import Transaction

_BLOCKERS_MAX = 100
# Each gives kind, id and ref of what user $1 has open at $2.
_SOURCES = (
    "SELECT 'LISTING' AS kind, id, ref FROM listings"
    " WHERE status IN ('ACTIVE', 'INACTIVE', 'RESERVED') AND seller_id = $1",
    # One past its end counts as expired also before the sweep has come to it.
    "SELECT 'OFFER' AS kind, id, ref FROM offers"
    " WHERE status = 'PENDING' AND expires_at > $2 AND $1 IN (buyer_id, seller_id)",
    "SELECT 'CONTRACT' AS kind, id, ref FROM contracts"
    " WHERE status = 'PENDING_SIGNATURE' AND $1 IN (buyer_id, seller_id)",
    "SELECT 'ESCROW' AS kind, e.id, 'T-' || substr(c.ref, 3) AS ref FROM escrows e"
    " LEFT JOIN contracts c ON c.escrow_id = e.id"
    " WHERE e.ended_at IS NULL AND $1 IN (e.buyer_id, e.seller_id)",
    # Executed, but the escrow has not been made yet.
    "SELECT 'CONTRACT' AS kind, c.id, c.ref FROM contracts c"
    " LEFT JOIN escrows e ON e.id = c.escrow_id"
    " WHERE c.status = 'EXECUTED' AND e.id IS NULL AND $1 IN (c.buyer_id, c.seller_id)",
)


@dataclass(frozen=True, slots=True)
class Commitment:
    kind: str
    id: UUID
    ref: str | None

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "id": str(self.id), "ref": self.ref}


async def open_commitments(tx: Transaction, user_id: UUID, now: datetime) -> list[Commitment]:
    """Return what is open, at most 100 of a kind.

    The caller holds the user's row, so that nothing is promised in the meantime.
    """
    found: list[Commitment] = []
    for source in _SOURCES:
        args = (user_id, now) if "$2" in source else (user_id,)
        rows = await tx.fetch(f"{source} LIMIT {_BLOCKERS_MAX}", *args)
        found += [Commitment(row["kind"], row["id"], row["ref"]) for row in rows]
    return found
