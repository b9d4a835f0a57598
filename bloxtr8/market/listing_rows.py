"""Listings in the database: the columns that are read, the locks, the one way to change one."""

from typing import Any
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.errors import NotFound
from bloxtr8.market import facts
from bloxtr8.market.place import Change, on_listing
from bloxtr8.store.database import Transaction

Row = dict[str, Any]

NAMES = (
    "id",
    "ref",
    "version",
    "seller_id",
    "universe_id",
    "title",
    "summary",
    "included_assets",
    "category",
    "tags",
    "price_minor",
    "price_band",
    "min_offer_minor",
    "delivery_days",
    "visibility",
    "guild_id",
    "status",
    "hold_reason",
    "snapshot_id",
    "risk_level",
    "reserved_contract_id",
    "last_verified_at",
    "created_at",
    "updated_at",
)
COLUMNS = ", ".join(NAMES)
# What a listing's change may set; everything else never changes.
_SETTABLE = frozenset(NAMES) - {
    "id",
    "ref",
    "version",
    "seller_id",
    "universe_id",
    "price_band",
} | {
    "check_due_at",
    "cancelled_at",
    "sold_at",
}


async def locked(tx: Transaction, listing_id: UUID, lock: str) -> Row:
    """Return the listing, held by `lock` (`FOR UPDATE`, `FOR SHARE`, …); raises NotFound."""
    row = await tx.fetchrow(
        f"SELECT {COLUMNS} FROM listings WHERE id = $1 {lock}",  # noqa: S608
        listing_id,
    )
    if row is None:
        raise NotFound
    return row


async def seen(tx: Transaction, listing_id: UUID) -> Row:
    """Return the listing as it is now, not held; raises NotFound."""
    return await locked(tx, listing_id, "")


async def put(change: Change, listing_id: UUID, values: Row) -> Row:
    """Set `values` on a listing that the transaction holds; return it with its new version."""
    assert values.keys() <= _SETTABLE, "these columns may be set"
    assigned = ", ".join(f"{name} = ${i}" for i, name in enumerate(values, start=3))
    row = await change.tx.fetchrow(
        f"UPDATE listings SET {assigned}, version = version + 1, updated_at = $2"  # noqa: S608
        f" WHERE id = $1 RETURNING {COLUMNS}",
        listing_id,
        change.now,
        *values.values(),
    )
    assert row is not None, "the row is locked"
    return row


async def keep_price(change: Change, row: Row) -> None:
    """Add the present price to the listing's history."""
    await change.tx.execute(
        "INSERT INTO listing_prices (id, listing_id, price_minor, changed_by, created_at)"
        " VALUES ($1, $2, $3, $4, $5)",
        ids.uuid7(),
        row["id"],
        row["price_minor"],
        change.actor.id,
        change.now,
    )


async def hold(change: Change, row: Row, reason: str | None, *, why: str = "") -> tuple[Row, UUID]:
    """Take a listing that the transaction holds off the market; return it and the event's id.

    `why` is for the audit log.
    """
    after = await put(change, row["id"], {"status": "INACTIVE", "hold_reason": reason})
    await change.audit(
        "listing.held",
        on_listing(row["id"]),
        reason=why,
        data={"before": row["status"], "hold": reason},
    )
    return after, await change.say(row["id"], facts.updated(after))


async def interested(tx: Transaction, listing_id: UUID) -> set[UUID]:
    """Return who watches the listing or has an open offer on it."""
    rows = await tx.fetch(
        "SELECT user_id FROM listing_watches WHERE listing_id = $1"
        " UNION SELECT buyer_id FROM offers WHERE listing_id = $1 AND status = 'PENDING'",
        listing_id,
    )
    return {row["user_id"] for row in rows}
