"""Figures about trades, listings and offers, counted from the tables when asked for."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from bloxtr8.store.database import Transaction

Row = dict[str, Any]

# Figures about fewer trades than this would tell about single people.
CELL_MIN = 5
PERIODS: dict[str, timedelta | None] = {
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=30),
    "all": None,
}
_BEGINNING = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True)
class Window:
    """From `since`, included, to `until`, not included."""

    since: datetime
    until: datetime


def window(period: str, now: datetime) -> Window:
    """Return the last `period` (day, week, month, all) before `now`."""
    length = PERIODS[period]
    return Window(now - length if length else _BEGINNING, now)


async def trades(tx: Transaction, span: Window) -> Row:
    """Return what ended in a window: trades, disputed ones, cents by rail, hours to release."""
    row = await tx.fetchrow(
        "WITH ended AS (SELECT e.id, e.rail, e.state, e.ended_at, c.price_minor, c.created_at,"
        "  EXISTS (SELECT 1 FROM disputes d WHERE d.escrow_id = e.id) AS disputed"
        "  FROM escrows e JOIN contracts c ON c.escrow_id = e.id"
        "  WHERE e.ended_at >= $1 AND e.ended_at < $2 AND e.state <> 'CANCELLED')"
        " SELECT count(*) FILTER (WHERE state IN ('RELEASED', 'SPLIT')) AS completed,"
        " count(*) AS ended, count(*) FILTER (WHERE disputed) AS disputed,"
        " coalesce(sum(price_minor) FILTER (WHERE state IN ('RELEASED', 'SPLIT')"
        "   AND rail = 'STRIPE'), 0)::bigint AS stripe_minor,"
        " count(*) FILTER (WHERE state IN ('RELEASED', 'SPLIT') AND rail = 'STRIPE') AS stripe,"
        " coalesce(sum(price_minor) FILTER (WHERE state IN ('RELEASED', 'SPLIT')"
        "   AND rail = 'USDC_BASE'), 0)::bigint AS usdc_minor,"
        " count(*) FILTER (WHERE state IN ('RELEASED', 'SPLIT') AND rail = 'USDC_BASE') AS usdc,"
        " (percentile_disc(0.5) WITHIN GROUP ("
        "   ORDER BY floor(extract(epoch FROM ended_at - created_at) / 3600))"
        "   FILTER (WHERE state = 'RELEASED'))::int AS median_hours"
        " FROM ended",
        span.since,
        span.until,
    )
    assert row is not None, "an aggregate has a row"
    return row


async def active_by_band(tx: Transaction) -> dict[str, int]:
    """Return how many listings are for sale, by price band."""
    rows = await tx.fetch(
        "SELECT price_band, count(*) AS listings FROM listings"
        " WHERE status = 'ACTIVE' AND visibility = 'PUBLIC' GROUP BY price_band"
    )
    return {row["price_band"]: row["listings"] for row in rows}


async def of_person(tx: Transaction, user_id: UUID, span: Window) -> list[Row]:
    """Return, for each side, a person's completed trades, cents in all and on average, disputes."""
    return await tx.fetch(
        "SELECT CASE WHEN c.buyer_id = $1 THEN 'BUYER' ELSE 'SELLER' END AS side,"
        " count(*) FILTER (WHERE e.state IN ('RELEASED', 'SPLIT')) AS completed,"
        " coalesce(sum(c.price_minor) FILTER (WHERE e.state IN ('RELEASED', 'SPLIT')), 0)::bigint"
        "   AS volume_minor,"
        " count(*) FILTER (WHERE EXISTS (SELECT 1 FROM disputes d WHERE d.escrow_id = e.id))"
        "   AS disputes"
        " FROM contracts c JOIN escrows e ON e.id = c.escrow_id"
        " WHERE $1 IN (c.buyer_id, c.seller_id) AND e.ended_at >= $2 AND e.ended_at < $3"
        " GROUP BY 1",
        user_id,
        span.since,
        span.until,
    )


async def of_guild(tx: Transaction, guild_id: UUID, span: Window) -> list[Row]:
    """Return a guild's own listings by band: put up, offers on them, completed trades, cents."""
    return await tx.fetch(
        "SELECT l.price_band, count(*) AS listings, sum(o.offers)::bigint AS offers,"
        " sum(t.completed)::bigint AS completed, sum(t.volume_minor)::bigint AS volume_minor"
        " FROM listings l CROSS JOIN LATERAL (SELECT count(*) AS offers FROM offers"
        "   WHERE listing_id = l.id) o"
        " CROSS JOIN LATERAL (SELECT count(*) AS completed,"
        "   coalesce(sum(c.price_minor), 0) AS volume_minor FROM contracts c"
        "   JOIN escrows e ON e.id = c.escrow_id AND e.state IN ('RELEASED', 'SPLIT')"
        "   WHERE c.listing_id = l.id) t"
        " WHERE l.guild_id = $1 AND l.created_at >= $2 AND l.created_at < $3"
        " GROUP BY l.price_band ORDER BY l.price_band",
        guild_id,
        span.since,
        span.until,
    )


async def funnel(tx: Transaction, span: Window) -> Row:
    """Return how far listings of a window came: offered on, agreed, signed, paid, released."""
    row = await tx.fetchrow(
        "SELECT count(DISTINCT l.id) AS listed,"
        " count(DISTINCT l.id) FILTER (WHERE o.id IS NOT NULL) AS offered,"
        " count(DISTINCT l.id) FILTER (WHERE c.id IS NOT NULL) AS agreed,"
        " count(DISTINCT l.id) FILTER (WHERE c.status = 'EXECUTED') AS signed,"
        " count(DISTINCT l.id) FILTER (WHERE e.received_minor > 0) AS paid,"
        " count(DISTINCT l.id) FILTER (WHERE e.state = 'RELEASED') AS released"
        " FROM listings l LEFT JOIN offers o ON o.listing_id = l.id"
        " LEFT JOIN contracts c ON c.offer_id = o.id LEFT JOIN escrows e ON e.id = c.escrow_id"
        " WHERE l.created_at >= $1 AND l.created_at < $2",
        span.since,
        span.until,
    )
    assert row is not None, "an aggregate has a row"
    return row
