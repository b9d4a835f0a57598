"""Listings by their sellers: put up, edited, paused, put up again, cancelled."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from bloxtr8 import ids
from bloxtr8.errors import (
    AmountOutOfRange,
    Forbidden,
    InvalidState,
    LimitReached,
    NotFound,
    RateLimited,
    UniverseAlreadyListed,
    VersionMismatch,
)
from bloxtr8.market import (
    clocks,
    endings,
    facts,
    listing_rows,
    notices,
    refs,
    rules,
    standing,
    visibility,
)
from bloxtr8.market.evidence import Evidence
from bloxtr8.market.listing_rows import COLUMNS, Row
from bloxtr8.market.place import Change, Kept, on_listing
from bloxtr8.market.standing import Lock, Standing
from bloxtr8.store.staff_tasks import Task, open_tasks
from proto.bloxtr8.market.v1 import market_pb2 as market

_ONE_OPEN = "listings_one_open"


@dataclass(frozen=True, slots=True)
class NewListing:
    """What a seller fills in; texts are checked already. Amounts in cents."""

    universe_id: int
    title: str
    summary: str
    included_assets: str
    category: str
    price_minor: int
    tags: tuple[str, ...] = ()
    min_offer_minor: int | None = None
    delivery_days: int = 7
    visibility: str = "PUBLIC"
    guild_id: UUID | None = None


async def create(change: Change, new: NewListing, evidence: Evidence) -> Row:
    """Put up a listing. A high risk keeps it back for a moderator.

    Raises TierRequired, ConsentRequired, AccountFrozen, NotOwner, LimitReached, RateLimited,
    UniverseAlreadyListed, AmountOutOfRange, NotFound (guild).
    """
    rights = await standing.require_tier(
        change.tx, change.actor, change.place.policy, change.now, lock=Lock.COUNT
    )
    evidence.require_same(rights)
    _check_amounts(new.price_minor, new.min_offer_minor)
    await _check_room(change, rights)
    await visibility.require_guild(change, new.guild_id)
    await _clear_the_way(change, new.universe_id, evidence.displaced)
    kept = await change.place.experiences.keep(change.tx, evidence.seen, change.now)
    row = await _insert(change, new, kept, evidence)
    await listing_rows.keep_price(change, row)
    await change.audit(
        "listing.created",
        on_listing(row["id"]),
        data={"universe_id": str(new.universe_id), "status": row["status"]},
    )
    await change.say(row["id"], market.ListingCreated(listing=facts.listing(row)))
    if row["hold_reason"] == "REVIEW":
        await _ask_for_review(change, row)
    return row


async def edit(change: Change, listing_id: UUID, version: int, values: dict[str, Any]) -> Row:
    """Change what the seller may change; open offers keep the terms they were made under.

    `values` by column. Raises NotFound, Forbidden, InvalidState, VersionMismatch,
    AmountOutOfRange.
    """
    row = await _own(change, listing_id)
    if row["status"] not in ("ACTIVE", "INACTIVE"):
        raise InvalidState(current_status=row["status"])
    if row["version"] != version:
        raise VersionMismatch(version=row["version"])
    after = row | values
    _check_amounts(after["price_minor"], after["min_offer_minor"])
    if "guild_id" in values and values["guild_id"] != row["guild_id"]:
        await visibility.require_guild(change, values["guild_id"])
    changed = {name: value for name, value in values.items() if row[name] != value}
    if not changed:
        return row
    after = await listing_rows.put(change, listing_id, changed)
    await change.audit("listing.edited", on_listing(listing_id), data=_differences(row, changed))
    await _tell_change(change, row, after)
    return after


async def pause(change: Change, listing_id: UUID) -> Row:
    """Take an ACTIVE listing off the market; open offers stay but cannot be accepted."""
    row = await _own(change, listing_id)
    if row["status"] != "ACTIVE":
        raise InvalidState(current_status=row["status"])
    after = await listing_rows.put(change, listing_id, {"status": "INACTIVE"})
    await change.audit("listing.paused", on_listing(listing_id))
    await change.say(listing_id, facts.updated(after))
    return after


async def relist(change: Change, listing_id: UUID, evidence: Evidence | None) -> Row:
    """Put an INACTIVE listing up again, unless a moderator has to do it.

    `evidence` is None when the listing could not be put up before the transaction began.
    Raises NotFound, Forbidden, InvalidState, NotOwner, LimitReached, TierRequired.
    """
    rights = await standing.require_tier(
        change.tx, change.actor, change.place.policy, change.now, lock=Lock.COUNT
    )
    row = await _own(change, listing_id)
    waits = row["status"] == "INACTIVE" and row["hold_reason"] not in rules.HOLDS_OF_STAFF
    if not waits or evidence is None:
        raise InvalidState(current_status=row["status"], hold_reason=row["hold_reason"])
    evidence.require_same(rights)
    if await _open_listings(change, rights.user_id) > rules.open_listings_max(rights.tier):
        raise LimitReached("You have more open listings than your tier allows.")
    return await put_up(change, row, evidence)


async def put_up(change: Change, row: Row, evidence: Evidence) -> Row:
    """Make a held listing ACTIVE with a new snapshot; a high risk sends it to a moderator.

    A moderator who acts has looked at the risk.
    """
    kept = await change.place.experiences.keep(change.tx, evidence.seen, change.now)
    review = kept.risk_level == "HIGH" and change.actor.role is None
    after = await listing_rows.put(
        change,
        row["id"],
        {
            "status": "INACTIVE" if review else "ACTIVE",
            "hold_reason": "REVIEW" if review else None,
            "snapshot_id": kept.id,
            "risk_level": kept.risk_level,
            "last_verified_at": evidence.proof.checked_at,
            "check_due_at": evidence.proof.checked_at + clocks.OWNERSHIP_RECHECK.length,
        },
    )
    data = {"hold": row["hold_reason"], "status": after["status"]}
    await change.audit("listing.relisted", on_listing(row["id"]), data=data)
    await change.say(row["id"], facts.updated(after))
    if review:
        await _ask_for_review(change, after)
    return after


async def cancel(change: Change, listing_id: UUID) -> Row:
    """End a listing for good; open offers are declined. Raises InvalidState when it is reserved."""
    row = await _own(change, listing_id)
    return await endings.cancel(change, row)


async def _own(change: Change, listing_id: UUID) -> Row:
    """Return the actor's listing, locked; both are held. Raises NotFound and Forbidden."""
    mine = await standing.read(
        change.tx, change.actor.id, change.place.policy, change.now, Lock.SHARE
    )
    mine.require_active()
    row = await listing_rows.locked(change.tx, listing_id, "FOR UPDATE")
    if row["seller_id"] != change.actor.id:
        if not await visibility.may_read(change.tx, change.actor.id, row, change.now):
            raise NotFound
        raise Forbidden
    return row


def _differences(before: Row, changed: dict[str, Any]) -> dict[str, Any]:
    """Return what was changed, with what was there before; ids as text."""

    def shown(value: Any) -> Any:
        return str(value) if isinstance(value, UUID) else value

    return {
        name: {"before": shown(before[name]), "after": shown(value)}
        for name, value in changed.items()
    }


def _check_amounts(price_minor: int, min_offer_minor: int | None) -> None:
    if not rules.PRICE_MIN <= price_minor <= rules.PRICE_MAX:
        raise AmountOutOfRange("A price is between 1.00 and 1,000,000.00 USD.")
    if min_offer_minor is not None and not rules.PRICE_MIN <= min_offer_minor <= price_minor:
        raise AmountOutOfRange("The lowest offer is between 1.00 USD and the price.")


async def _check_room(change: Change, rights: Standing) -> None:
    """The actor's row is held, so nobody else adds a listing of theirs meanwhile."""
    most = rules.open_listings_max(rights.tier)
    if await _open_listings(change, rights.user_id) >= most:
        raise LimitReached(f"You may have {most} open listings.", limit=most)
    first = await change.tx.fetchval(
        "SELECT created_at FROM listings WHERE seller_id = $1 AND created_at > $2"
        " ORDER BY created_at DESC OFFSET $3 LIMIT 1",
        rights.user_id,
        change.now - rules.DAY,
        rules.LISTINGS_PER_DAY_MAX - 1,
    )
    if first is not None:
        wait = int((first + rules.DAY - change.now).total_seconds()) + 1
        raise RateLimited("Ten new listings a day are the limit.", retry_after_s=wait)


async def _open_listings(change: Change, seller_id: UUID) -> int:
    count: int = await change.tx.fetchval(
        "SELECT count(*) FROM listings WHERE seller_id = $1"
        " AND status IN ('ACTIVE', 'INACTIVE', 'RESERVED')",
        seller_id,
    )
    return count


async def _clear_the_way(change: Change, universe_id: int, displaced: UUID | None) -> None:
    """Cancel the listing of somebody who is the owner no more; raises UniverseAlreadyListed."""
    row = await change.tx.fetchrow(
        f"SELECT {COLUMNS} FROM listings WHERE universe_id = $1"  # noqa: S608
        " AND status IN ('ACTIVE', 'INACTIVE', 'RESERVED') FOR UPDATE",
        universe_id,
    )
    if row is None:
        return
    if row["id"] != displaced or row["status"] == "RESERVED":
        raise UniverseAlreadyListed
    await endings.cancel(change, row)


async def _insert(change: Change, new: NewListing, kept: Kept, evidence: Evidence) -> Row:
    review = kept.risk_level == "HIGH"
    checked_at = evidence.proof.checked_at

    async def insert(ref: str) -> Row | None:
        return await change.tx.fetchrow(
            "INSERT INTO listings (id, ref, seller_id, universe_id, title, summary,"  # noqa: S608
            " included_assets, category, tags, price_minor, min_offer_minor, delivery_days,"
            " visibility, guild_id, status, hold_reason, snapshot_id, risk_level,"
            " last_verified_at, check_due_at, created_at, updated_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,"
            f" $18, $19, $20, $21, $21) ON CONFLICT (ref) DO NOTHING RETURNING {COLUMNS}",
            ids.uuid7(),
            ref,
            change.actor.id,
            new.universe_id,
            new.title,
            new.summary,
            new.included_assets,
            new.category,
            list(new.tags),
            new.price_minor,
            new.min_offer_minor,
            new.delivery_days,
            new.visibility,
            new.guild_id,
            "INACTIVE" if review else "ACTIVE",
            "REVIEW" if review else None,
            kept.id,
            kept.risk_level,
            checked_at,
            checked_at + clocks.OWNERSHIP_RECHECK.length,
            change.now,
        )

    try:
        return await refs.first_free("L", insert)
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == _ONE_OPEN:
            raise UniverseAlreadyListed from None
        raise


async def _ask_for_review(change: Change, row: Row) -> None:
    task = Task("LISTING_REVIEW", "listing", str(row["id"]), row["price_minor"])
    await open_tasks(change.tx, [task], change.now)


async def _tell_change(change: Change, before: Row, after: Row) -> None:
    """Say what has changed; a new price is kept, and told to those who wait for it."""
    if before["price_minor"] == after["price_minor"]:
        await change.say(after["id"], facts.updated(after))
        return
    await listing_rows.keep_price(change, after)
    old = before["price_minor"]
    event_id = await change.say(after["id"], facts.updated(after, previous_price=old))
    notice = notices.Notice(
        "listing_price_changed",
        "NEWS",
        f"listing:{after['id']}",
        {"before_minor": old, "after_minor": after["price_minor"]},
    )
    readers = await listing_rows.interested(change.tx, after["id"])
    await notices.tell(change.tx, event_id, notice, readers, change.now)
