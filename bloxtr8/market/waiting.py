"""What waits for a person: offers to answer, contracts to sign, trades to act on."""

from datetime import datetime
from typing import Any
from uuid import UUID

from bloxtr8.store.database import Transaction

_ITEMS_MAX = 100
# Each gives kind, id, ref, action and due_at of what waits for user $1 at $2.
_SOURCES = (
    "SELECT 'OFFER' AS kind, id, ref, 'answer' AS action, expires_at AS due_at FROM offers"
    " WHERE status = 'PENDING' AND expires_at > $2"
    " AND $1 = CASE proposed_by WHEN 'BUYER' THEN seller_id ELSE buyer_id END",
    "SELECT 'CONTRACT' AS kind, c.id, c.ref, 'sign' AS action, c.sign_deadline_at AS due_at"
    " FROM contracts c WHERE c.status = 'PENDING_SIGNATURE' AND $1 IN (c.buyer_id, c.seller_id)"
    " AND c.sign_deadline_at > $2"
    " AND NOT EXISTS (SELECT 1 FROM signatures s WHERE s.contract_id = c.id AND s.user_id = $1)",
    "SELECT 'ESCROW' AS kind, e.id, 'T-' || substr(c.ref, 3) AS ref,"
    " CASE e.state WHEN 'AWAIT_FUNDS' THEN 'pay' WHEN 'FUNDS_HELD' THEN 'mark_delivered'"
    " WHEN 'DELIVERED' THEN 'release' ELSE 'speak' END AS action, e.deadline_at AS due_at"
    " FROM escrows e LEFT JOIN contracts c ON c.escrow_id = e.id"
    " WHERE e.ended_at IS NULL AND (e.state IN ('AWAIT_FUNDS', 'DELIVERED', 'DISPUTED')"
    " AND e.buyer_id = $1 OR e.state IN ('FUNDS_HELD', 'DISPUTED') AND e.seller_id = $1)"
    " AND $2::timestamptz IS NOT NULL",
)


async def of_user(tx: Transaction, user_id: UUID, now: datetime) -> list[dict[str, Any]]:
    """Return what waits, the nearest end first, at most 100 of a kind."""
    found: list[dict[str, Any]] = []
    for source in _SOURCES:
        found += await tx.fetch(f"{source} ORDER BY due_at LIMIT {_ITEMS_MAX}", user_id, now)
    return sorted(found, key=lambda row: (row["due_at"] is None, row["due_at"] or now))


async def unread(tx: Transaction, user_id: UUID, since: datetime) -> int:
    """Return how many notices since then the user has not read."""
    count: int = await tx.fetchval(
        "SELECT count(*) FROM notification_deliveries WHERE user_id = $1 AND channel = 'INBOX'"
        " AND read_at IS NULL AND created_at > $2",
        user_id,
        since,
    )
    return count
