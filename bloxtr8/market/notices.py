"""Notices on their way: who is to be told what, kept in the transaction of the fact.

Words are made when a notice is sent, so `data` holds ids, amounts and codes only. Everything
stands in the reader's inbox; beside it goes to where they want that category, if anywhere.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.store.database import Transaction, to_json

Category = Literal["ESCROW", "DISPUTES", "ACCOUNT", "CONTRACTS", "OFFERS", "NEWS"]

# What is in the inbox has arrived; the others wait for whoever sends them.
_INSERT = (
    "INSERT INTO notification_deliveries (id, event_id, user_id, channel, template, category,"
    " entity, data, status, sent_at, next_attempt_at, created_at, updated_at)"
    " SELECT c.id, t.event_id, t.user_id, c.channel, t.template, t.category, t.entity,"
    " t.data::jsonb, c.status, CASE c.status WHEN 'SENT' THEN $9::timestamptz END, $9, $9, $9"
    " FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[],"
    " $7::text[], $8::text[])"
    " AS t (inbox_id, push_id, event_id, user_id, template, category, entity, data)"
    # Trades may have parties that this database does not know.
    " JOIN users u ON u.id = t.user_id"
    " LEFT JOIN notification_preferences p"
    " ON p.user_id = t.user_id AND p.category = t.category"
    " CROSS JOIN LATERAL (VALUES (t.inbox_id, 'INBOX', 'SENT'),"
    " (t.push_id, coalesce(p.place, 'DISCORD_DM'), 'PENDING')) AS c (id, channel, status)"
    " WHERE c.status = 'SENT' OR (coalesce(p.enabled, true) AND c.channel <> 'INBOX')"
    " ON CONFLICT (event_id, user_id, channel, template) DO NOTHING"
)


@dataclass(frozen=True, slots=True)
class Notice:
    """What a fact is to its readers. `entity`: what it is about, as `kind:id`."""

    template: str
    category: Category
    entity: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """A notice to one reader about one fact."""

    event_id: UUID
    notice: Notice
    reader: UUID


async def tell(
    tx: Transaction, event_id: UUID, notice: Notice, readers: Collection[UUID], now: datetime
) -> None:
    """Tell each of `readers`; the same fact to the same person once only."""
    await tell_all(tx, [Told(event_id, notice, reader) for reader in sorted(set(readers))], now)


async def tell_all(tx: Transaction, told: Sequence[Told], now: datetime) -> None:
    """Tell everything in one statement; who is not known here is told nothing."""
    if not told:
        return
    await tx.execute(
        _INSERT,
        [ids.uuid7() for _ in told],
        [ids.uuid7() for _ in told],
        [item.event_id for item in told],
        [item.reader for item in told],
        [item.notice.template for item in told],
        [item.notice.category for item in told],
        [item.notice.entity for item in told],
        [to_json(item.notice.data) for item in told],
        now,
    )
