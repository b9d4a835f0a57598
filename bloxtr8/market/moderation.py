"""What staff and Bloxtr8 itself do to listings that are not theirs."""

from datetime import datetime
from uuid import UUID

from bloxtr8.errors import ConflictOfInterest, InvalidState, NotOwner
from bloxtr8.market import clocks, endings, listing_rows, listings, notices, offer_rows, rules
from bloxtr8.market.evidence import Evidence
from bloxtr8.market.listing_rows import COLUMNS, Row
from bloxtr8.market.place import Change, on_listing
from bloxtr8.store import staff_tasks


async def take_down(change: Change, listing_id: UUID, reason: str) -> Row:
    """Take a listing off the market until a moderator puts it up again.

    Raises NotFound, ConflictOfInterest and InvalidState.
    """
    row = await _of_other(change, listing_id)
    if row["status"] not in ("ACTIVE", "INACTIVE") or row["hold_reason"] == "STAFF":
        raise InvalidState(current_status=row["status"], hold_reason=row["hold_reason"])
    after, event_id = await listing_rows.hold(change, row, "STAFF", why=reason)
    await _close_task(change, listing_id, "TAKEN_DOWN")
    notice = notices.Notice("listing_taken_down", "ACCOUNT", f"listing:{listing_id}")
    await notices.tell(change.tx, event_id, notice, [row["seller_id"]], change.now)
    return after


async def approve(change: Change, listing_id: UUID, reason: str, evidence: Evidence | None) -> Row:
    """Put up a listing that waits for a moderator; None for `evidence` if it did not wait.

    Raises NotFound, ConflictOfInterest, InvalidState and NotOwner.
    """
    row = await _of_other(change, listing_id)
    waits = row["status"] == "INACTIVE" and row["hold_reason"] in rules.HOLDS_OF_STAFF
    if not waits or evidence is None:
        raise InvalidState(current_status=row["status"], hold_reason=row["hold_reason"])
    seller = await change.tx.fetchrow(
        "SELECT u.status, a.external_id FROM users u LEFT JOIN accounts a ON a.user_id = u.id"
        " AND a.provider = 'ROBLOX' AND a.unlinked_at IS NULL WHERE u.id = $1",
        row["seller_id"],
    )
    assert seller is not None, "a listing has a seller"
    if seller["status"] != "ACTIVE":
        raise InvalidState("The seller's account is not active.", current_status=seller["status"])
    if seller["external_id"] != str(evidence.proof.roblox_user_id):
        raise NotOwner
    # First, so that the risk of the new snapshot is without the flag that this takes off.
    await change.audit("listing.approved", on_listing(listing_id), reason=reason)
    after = await listings.put_up(change, row, evidence)
    await _close_task(change, listing_id, "APPROVED")
    return after


async def ownership_lost(change: Change, listing_id: UUID, checked_at: datetime) -> Row | None:
    """Take an ACTIVE listing off the market whose seller is the owner no more."""
    row = await listing_rows.locked(change.tx, listing_id, "FOR UPDATE")
    if row["status"] != "ACTIVE" or row["last_verified_at"] > checked_at:
        return None
    after, event_id = await listing_rows.hold(change, row, "OWNERSHIP")
    readers = await listing_rows.interested(change.tx, listing_id) | {row["seller_id"]}
    notice = notices.Notice("listing_ownership_lost", "OFFERS", f"listing:{listing_id}")
    await notices.tell(change.tx, event_id, notice, readers, change.now)
    return after


async def ownership_seen(change: Change, listing_id: UUID, checked_at: datetime) -> None:
    """Note that Roblox still shows the seller as the owner. Not a change that people see."""
    await change.tx.execute(
        "UPDATE listings SET last_verified_at = greatest(last_verified_at, $2),"
        " check_due_at = $3 WHERE id = $1",
        listing_id,
        checked_at,
        checked_at + clocks.OWNERSHIP_RECHECK.length,
    )


async def hold_stale(change: Change, limit: int) -> int:
    """Take listings off the market that nobody has touched for 90 days, at most `limit`."""
    rows = await change.tx.fetch(
        f"SELECT {COLUMNS} FROM listings WHERE status = 'ACTIVE'"  # noqa: S608
        " AND updated_at <= $1 ORDER BY updated_at LIMIT $2 FOR UPDATE SKIP LOCKED",
        change.now - clocks.LISTING_STALE.length,
        limit,
    )
    for row in rows:
        _, event_id = await listing_rows.hold(change, row, "STALE")
        notice = notices.Notice("listing_stale", "OFFERS", f"listing:{row['id']}")
        await notices.tell(change.tx, event_id, notice, [row["seller_id"]], change.now)
    return len(rows)


async def freeze_trading(change: Change, user_id: UUID) -> None:
    """Stop a person's trading: listings INACTIVE, open offers of either side DECLINED.

    The user's row is held by the caller. Running trades go on.
    """
    rows = await change.tx.fetch(
        f"SELECT {COLUMNS} FROM listings WHERE seller_id = $1"  # noqa: S608
        " AND status IN ('ACTIVE', 'INACTIVE', 'RESERVED') ORDER BY id FOR UPDATE",
        user_id,
    )
    for row in rows:
        if row["status"] == "ACTIVE":
            await listing_rows.hold(change, row, None, why="account frozen")
        await endings.decline_open(change, row["id"], "STAFF")
    offers = await change.tx.fetch(
        "UPDATE offers SET status = 'DECLINED', decline_reason = 'STAFF', responded_at = $2,"  # noqa: S608
        " version = version + 1, updated_at = $2 WHERE buyer_id = $1 AND status = 'PENDING'"
        f" RETURNING {offer_rows.COLUMNS}",
        user_id,
        change.now,
    )
    await endings.declined(change, offers)


async def _of_other(change: Change, listing_id: UUID) -> Row:
    row = await listing_rows.locked(change.tx, listing_id, "FOR UPDATE")
    if row["seller_id"] == change.actor.user_id:
        raise ConflictOfInterest
    return row


async def _close_task(change: Change, listing_id: UUID, outcome: str) -> None:
    subject = ("LISTING_REVIEW", str(listing_id))
    await staff_tasks.close(change.tx, [subject], outcome, change.now)
