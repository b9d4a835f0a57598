"""Notices on their way: who is to be told what, kept in the transaction of the fact.

Words are made when a notice is sent, so `data` holds ids, amounts and codes only.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.store.database import Transaction, to_json

Category = Literal["ESCROW", "DISPUTES", "ACCOUNT", "CONTRACTS", "OFFERS", "NEWS"]


@dataclass(frozen=True, slots=True)
class Notice:
    """What a fact is to its readers. `entity`: what it is about, as `kind:id`."""

    template: str
    category: Category
    entity: str
    data: dict[str, Any] = field(default_factory=dict)


async def tell(
    tx: Transaction, event_id: UUID, notice: Notice, readers: Collection[UUID], now: datetime
) -> None:
    """Add a delivery for each of `readers`; the same fact to the same person once only."""
    await tx.executemany(
        "INSERT INTO notification_deliveries (id, event_id, user_id, channel, template, category,"
        " entity, data, next_attempt_at, created_at, updated_at)"
        " VALUES ($1, $2, $3, 'DISCORD_DM', $4, $5, $6, $7, $8, $8, $8)"
        " ON CONFLICT (event_id, user_id, channel, template) DO NOTHING",
        [
            (
                ids.uuid7(),
                event_id,
                reader,
                notice.template,
                notice.category,
                notice.entity,
                to_json(notice.data),
                now,
            )
            for reader in sorted(set(readers))
        ],
    )
