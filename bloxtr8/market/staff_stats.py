"""Figures for staff: what is where, how long it takes, what fails, what waits."""

from typing import Any, Literal

from bloxtr8.market.stats import Row, Window
from bloxtr8.store.database import Transaction

Bucket = Literal["hour", "day"]
Group = Literal["rail", "status", "guild"]

BUCKETS_MAX = 1_000
_GROUPS = {
    "rail": "e.rail",
    "status": "e.state",
    "guild": "coalesce(g.discord_id, 'PUBLIC')",
}


async def series(tx: Transaction, span: Window, bucket: Bucket, group: Group) -> list[Row]:
    """Return, for each bucket of time and group, the trades begun: how many, for how many cents.

    At most 1,000 rows, the earliest first.
    """
    return await tx.fetch(
        f"SELECT date_trunc($3, e.created_at) AS at, {_GROUPS[group]} AS key,"  # noqa: S608
        " count(*) AS trades, coalesce(sum(c.price_minor), 0)::bigint AS volume_minor,"
        " count(*) FILTER (WHERE e.state IN ('RELEASED', 'SPLIT')) AS completed,"
        " count(*) FILTER (WHERE EXISTS (SELECT 1 FROM disputes d WHERE d.escrow_id = e.id))"
        " AS disputed"
        " FROM escrows e LEFT JOIN contracts c ON c.escrow_id = e.id"
        " LEFT JOIN listings l ON l.id = c.listing_id LEFT JOIN guilds g ON g.id = l.guild_id"
        " WHERE e.created_at >= $1 AND e.created_at < $2 GROUP BY 1, 2 ORDER BY 1, 2 LIMIT $4",
        span.since,
        span.until,
        bucket,
        BUCKETS_MAX,
    )


async def states(tx: Transaction) -> list[Row]:
    """Return how many trades are in each state now, and the cents they are about."""
    return await tx.fetch(
        "SELECT e.state, count(*) AS trades, coalesce(sum(c.price_minor), 0)::bigint AS"
        " volume_minor FROM escrows e LEFT JOIN contracts c ON c.escrow_id = e.id"
        " GROUP BY e.state ORDER BY e.state"
    )


async def durations(tx: Transaction, span: Window) -> list[Row]:
    """Return for each state that was left in the window how many seconds trades were in it."""
    return await tx.fetch(
        "WITH steps AS (SELECT escrow_id, sequence, fencing_token, state, occurred_at,"
        "  lag(state) OVER w AS before FROM escrow_events"
        "  WINDOW w AS (PARTITION BY escrow_id ORDER BY sequence, fencing_token)),"
        " entered AS (SELECT escrow_id, state, occurred_at,"
        "  lead(occurred_at) OVER (PARTITION BY escrow_id ORDER BY sequence, fencing_token)"
        "  AS left_at FROM steps WHERE before IS DISTINCT FROM state)"
        " SELECT state, count(*) AS times,"
        " percentile_disc(0.5) WITHIN GROUP (ORDER BY floor(extract(epoch FROM"
        "   left_at - occurred_at)))::bigint AS p50_s,"
        " percentile_disc(0.95) WITHIN GROUP (ORDER BY floor(extract(epoch FROM"
        "   left_at - occurred_at)))::bigint AS p95_s"
        " FROM entered WHERE left_at >= $1 AND left_at < $2 GROUP BY state ORDER BY state",
        span.since,
        span.until,
    )


async def troubles(tx: Transaction, span: Window) -> dict[str, Any]:
    """Return what failed in the window and what waits now, as counts and seconds."""
    row = await tx.fetchrow(
        "SELECT (SELECT count(*) FROM escrow_events WHERE type IN ('payout_failed',"
        "  'refund_failed') AND occurred_at >= $1 AND occurred_at < $2) AS failed_payouts,"
        " (SELECT count(*) FROM webhook_events WHERE status = 'UNMATCHED'"
        "  AND received_at >= $1 AND received_at < $2) AS webhook_failures,"
        " (SELECT count(*) FROM staff_tasks WHERE status <> 'CLOSED') AS open_tasks,"
        " (SELECT coalesce(extract(epoch FROM $3 - min(created_at)), 0)::bigint"
        "  FROM staff_tasks WHERE status <> 'CLOSED') AS queue_age_s,"
        # The database's own clock on both sides: these rows are about the machine.
        " (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::bigint"
        "  FROM outbox WHERE published_at IS NULL) AS outbox_lag_s,"
        " (SELECT count(*) FROM handovers WHERE delivered_at >= $1 AND delivered_at < $2"
        "  AND checked_at IS NULL) AS handovers_unseen,"
        " (SELECT count(*) FILTER (WHERE action = 'verification.unknown') * 10000"
        "  / nullif(count(*), 0) FROM audit_log"
        "  WHERE action IN ('verification.done', 'verification.unknown')"
        "  AND at >= $1 AND at < $2) AS roblox_unknown_bps",
        span.since,
        span.until,
        span.until,
    )
    assert row is not None, "a SELECT without FROM has a row"
    return row
