"""Offers: made by a buyer, countered in turn, answered by whoever did not propose."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from bloxtr8 import ids
from bloxtr8.errors import (
    AmountOutOfRange,
    Forbidden,
    LimitReached,
    ListingNotActive,
    NotFound,
    OfferAlreadyOpen,
    OwnListing,
    RateLimited,
    ValidationFailed,
)
from bloxtr8.market import (
    blocks,
    clocks,
    endings,
    facts,
    listing_rows,
    notices,
    offer_rows,
    refs,
    rules,
    standing,
    visibility,
)
from bloxtr8.market.offer_rows import COLUMNS, Row
from bloxtr8.market.place import Change, on_offer
from bloxtr8.market.rules import Side
from bloxtr8.market.standing import Lock, Standing
from proto.bloxtr8.market.v1 import market_pb2 as market

_ONE_OPEN = "offers_one_open"
# What an offer freezes of its listing.
_FROZEN = (
    "title",
    "summary",
    "included_assets",
    "category",
    "delivery_days",
)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What somebody proposes: cents, and conditions that are checked already."""

    amount_minor: int
    conditions: str = ""


async def submit(change: Change, listing_id: UUID, proposal: Proposal) -> Row:
    """Make an opening offer as the buyer.

    Raises TierRequired, ConsentRequired, AccountFrozen, NotFound, OwnListing, Forbidden
    (blocked), ListingNotActive, AmountOutOfRange, OfferAlreadyOpen, LimitReached, RateLimited.
    """
    rights = await _rights(change, proposal, Lock.COUNT)
    # Stronger than FOR SHARE, because the listing's open offers are counted.
    listing = await listing_rows.locked(change.tx, listing_id, "FOR NO KEY UPDATE")
    await _require_buyer(change, listing)
    _check_amount(proposal, listing, listing["min_offer_minor"] or rules.PRICE_MIN)
    await endings.expire_of_buyer(change, listing_id, rights.user_id)
    await _check_room(change, rights, listing_id)
    row = await _insert(change, listing, proposal, parent=None)
    await change.audit("offer.created", on_offer(row["id"]), data=_figures(row))
    event_id = await change.say(listing_id, market.OfferCreated(offer=facts.offer(row)))
    await _tell(change, event_id, "offer_made", row, row["seller_id"])
    return row


async def counter(change: Change, offer_id: UUID, version: int, proposal: Proposal) -> Row:
    """Answer an offer with another one; return that. Its listing's present terms are frozen in it.

    Raises what `submit` does, and NotYourTurn, OfferNotOpen, OfferExpired, VersionMismatch.
    """
    before, side = await offer_rows.of_party(change.tx, offer_id, change.actor.id)
    await _rights(change, proposal, Lock.SHARE)
    listing = await listing_rows.locked(change.tx, before["listing_id"], "FOR SHARE")
    if listing["status"] != "ACTIVE":
        raise await offer_rows.refusal_off_market(change, offer_id, side, version, listing)
    other = _party(before, rules.other(side))
    if await blocks.is_blocked(change.tx, by=other, whom=change.actor.id):
        raise Forbidden
    answered = await close(change, offer_id, side, version, "COUNTERED")
    if answered["round"] >= rules.ROUNDS_MAX:
        raise LimitReached("Ten rounds are the most; accept or decline.", limit=rules.ROUNDS_MAX)
    _check_amount(proposal, listing, rules.PRICE_MIN)
    same = (answered["amount_minor"], answered["conditions"])
    if (proposal.amount_minor, proposal.conditions) == same:
        message = "A counter-offer changes the amount or the conditions."
        raise ValidationFailed(
            message, errors=[{"field": "/amount", "code": "unchanged", "message": message}]
        )
    row = await _insert(change, listing, proposal, parent=answered)
    await change.audit(
        "offer.countered", on_offer(offer_id), data={"counter_id": str(row["id"]), **_figures(row)}
    )
    said = market.OfferCountered(offer=facts.offer(answered), counter=facts.offer(row))
    event_id = await change.say(listing["id"], said)
    await _tell(change, event_id, "offer_countered", row, _party(row, rules.other(side)))
    return row


async def decline(change: Change, offer_id: UUID, version: int, note: str | None) -> Row:
    """Turn an offer down, with a word if wanted; raises as `counter` does."""
    _, side = await offer_rows.of_party(change.tx, offer_id, change.actor.id)
    row = await close(change, offer_id, side, version, "DECLINED", note=note)
    await change.audit("offer.declined", on_offer(offer_id), data={"reason": "BY_RECIPIENT"})
    event_id = await change.say(row["listing_id"], facts.declined(row))
    await _tell(change, event_id, "offer_declined", row, _party(row, rules.other(side)))
    return row


async def withdraw(change: Change, offer_id: UUID, version: int) -> Row:
    """Take back an offer that nobody has answered; raises as `counter` does.

    One whose time is over but has not been swept yet may still be taken back.
    """
    _, side = await offer_rows.of_party(change.tx, offer_id, change.actor.id)
    row = await change.tx.fetchrow(
        "UPDATE offers SET status = 'WITHDRAWN', responded_at = $4, responded_by = $5,"  # noqa: S608
        " version = version + 1, updated_at = $4 WHERE id = $1 AND status = 'PENDING'"
        f" AND proposed_by = $2 AND version = $3 RETURNING {COLUMNS}",
        offer_id,
        side,
        version,
        change.now,
        change.actor.id,
    )
    if row is None:
        raise await offer_rows.refusal(change, offer_id, side, version, proposer=True)
    await change.audit("offer.withdrawn", on_offer(offer_id))
    event_id = await change.say(row["listing_id"], market.OfferWithdrawn(offer=facts.offer(row)))
    await _tell(change, event_id, "offer_withdrawn", row, _party(row, rules.other(side)))
    return row


async def close(
    change: Change,
    offer_id: UUID,
    side: Side,
    version: int,
    status: str,
    *,
    note: str | None = None,
) -> Row:
    """Let the addressee end an open offer with `status`; raises what stands against it."""
    row = await change.tx.fetchrow(
        "UPDATE offers SET status = $4::text, note = $5, responded_at = $6, responded_by = $7,"  # noqa: S608
        " decline_reason = CASE WHEN $4::text = 'DECLINED' THEN 'BY_RECIPIENT' END,"
        " version = version + 1, updated_at = $6 WHERE id = $1 AND status = 'PENDING'"
        " AND proposed_by <> $2 AND version = $3 AND expires_at > $6"
        f" RETURNING {COLUMNS}",
        offer_id,
        side,
        version,
        status,
        note or None,
        change.now,
        change.actor.id,
    )
    if row is None:
        raise await offer_rows.refusal(change, offer_id, side, version, proposer=False)
    return row


async def _rights(change: Change, proposal: Proposal, lock: Lock) -> Standing:
    """Return the proposer's standing, with the tier that the amount needs."""
    policy = change.place.policy
    return await standing.require_tier(
        change.tx,
        change.actor,
        policy,
        change.now,
        tier=standing.tier_for_price(proposal.amount_minor, policy),
        lock=lock,
    )


async def _require_buyer(change: Change, listing: Row) -> None:
    """The actor may see the listing, does not own it, and its seller wants their offers."""
    buyer_id = change.actor.id
    if listing["seller_id"] == buyer_id:
        raise OwnListing
    if not await visibility.may_read(change.tx, buyer_id, listing, change.now):
        raise NotFound
    if listing["status"] != "ACTIVE":
        raise ListingNotActive(current_status=listing["status"])
    blocked = await change.tx.fetchval(
        "SELECT 1 FROM user_blocks WHERE user_id = $1 AND blocked_id = $2 UNION ALL"
        " SELECT 1 FROM user_settings WHERE user_id = $1 AND NOT offers_from_new AND NOT EXISTS"
        " (SELECT 1 FROM escrows WHERE $2 IN (buyer_id, seller_id)"
        " AND state IN ('RELEASED', 'SPLIT')) LIMIT 1",
        listing["seller_id"],
        change.actor.id,
    )
    if blocked is not None:
        raise Forbidden


def _check_amount(proposal: Proposal, listing: Row, lowest: int) -> None:
    if not lowest <= proposal.amount_minor <= listing["price_minor"]:
        raise AmountOutOfRange(
            "The amount lies outside of what this listing takes.",
            minimum_minor=lowest,
            maximum_minor=listing["price_minor"],
        )


async def _check_room(change: Change, rights: Standing, listing_id: UUID) -> None:
    """The buyer's and the listing's rows are held, so the counts stay as they are."""
    counts = await change.tx.fetchrow(
        "SELECT count(*) FILTER (WHERE status = 'PENDING' AND expires_at > $3) AS open,"
        # Of as many as there may be in the time, the first: it has to be over before the next.
        " (array_agg(created_at ORDER BY created_at DESC)"
        "  FILTER (WHERE round = 1 AND created_at > $4))[$6::int] AS in_hour,"
        " (array_agg(created_at ORDER BY created_at DESC)"
        "  FILTER (WHERE round = 1 AND listing_id = $2 AND created_at > $5))[$7::int] AS in_day"
        " FROM offers WHERE buyer_id = $1 AND (status = 'PENDING' OR created_at > $5)",
        rights.user_id,
        listing_id,
        change.now,
        change.now - rules.HOUR,
        change.now - rules.DAY,
        rules.OFFERS_PER_HOUR_MAX,
        rules.OFFERS_PER_LISTING_AND_DAY_MAX,
    )
    assert counts is not None, "an aggregate has a row"
    most = rules.open_offers_max(rights.tier)
    if counts["open"] >= most:
        raise LimitReached(f"You may have {most} open offers.", limit=most)
    if counts["in_hour"] is not None:
        wait = _seconds(counts["in_hour"] + rules.HOUR - change.now)
        raise RateLimited("Ten new offers an hour are the limit.", retry_after_s=wait)
    if counts["in_day"] is not None:
        wait = _seconds(counts["in_day"] + rules.DAY - change.now)
        raise RateLimited("Three offers a day on one listing are the limit.", retry_after_s=wait)
    on_listing = await change.tx.fetchval(
        "SELECT count(*) FROM offers WHERE listing_id = $1 AND status = 'PENDING'"
        " AND expires_at > $2",
        listing_id,
        change.now,
    )
    if on_listing >= rules.OFFERS_PER_LISTING_MAX:
        raise LimitReached(
            "This listing has as many open offers as it can.", limit=rules.OFFERS_PER_LISTING_MAX
        )


def _seconds(span: timedelta) -> int:
    """Return whole seconds after which `span` is over."""
    return int(span.total_seconds()) + 1


async def _insert(change: Change, listing: Row, proposal: Proposal, parent: Row | None) -> Row:
    offer_id = ids.uuid7()
    side: Side = "BUYER" if listing["seller_id"] != change.actor.id else "SELLER"

    async def insert(ref: str) -> Row | None:
        return await change.tx.fetchrow(
            "INSERT INTO offers (id, ref, listing_id, buyer_id, seller_id, proposed_by, parent_id,"  # noqa: S608
            " root_id, round, amount_minor, conditions, terms, listing_version, expires_at,"
            " created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,"
            f" $13, $14, $15, $15) ON CONFLICT (ref) DO NOTHING RETURNING {COLUMNS}",
            offer_id,
            ref,
            listing["id"],
            parent["buyer_id"] if parent else change.actor.id,
            listing["seller_id"],
            side,
            parent["id"] if parent else None,
            parent["root_id"] if parent else offer_id,
            parent["round"] + 1 if parent else 1,
            proposal.amount_minor,
            proposal.conditions,
            json.dumps(_frozen(listing)),
            listing["version"],
            change.now + clocks.OFFER.length,
            change.now,
        )

    try:
        return await refs.first_free("O", insert)
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == _ONE_OPEN:
            raise OfferAlreadyOpen from None
        raise


def _frozen(listing: Row) -> dict[str, Any]:
    return {
        **{name: listing[name] for name in _FROZEN},
        "listing_ref": listing["ref"],
        "listing_version": listing["version"],
        "universe_id": str(listing["universe_id"]),
        "snapshot_id": str(listing["snapshot_id"]),
    }


def _party(row: Row, side: Side) -> UUID:
    found: UUID = row["buyer_id"] if side == "BUYER" else row["seller_id"]
    return found


def _figures(row: Row) -> dict[str, Any]:
    return {"amount_minor": row["amount_minor"], "round": row["round"]}


async def _tell(change: Change, event_id: UUID, template: str, row: Row, reader: UUID) -> None:
    notice = notices.Notice(template, "OFFERS", f"offer:{row['id']}", _figures(row))
    await notices.tell(change.tx, event_id, notice, [reader], change.now)
