"""Drafts of offers and counter-offers: one per person and listing, for half an hour."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.errors import AmountOutOfRange, DraftStale, NotFound, OwnListing, ValidationFailed
from bloxtr8.market import clocks, listing_rows, offer_rows, offers, rules, standing, visibility
from bloxtr8.market.offers import Proposal
from bloxtr8.market.place import Change
from bloxtr8.market.standing import Lock
from bloxtr8.store import database

Row = dict[str, Any]

_COLUMNS = "id, listing_id, parent_id, amount_minor, conditions, expires_at, version"


@dataclass(frozen=True, slots=True)
class Draft:
    """What is written down. `parent_id`: the offer that it will counter."""

    proposal: Proposal
    parent_id: UUID | None = None


async def save(change: Change, listing_id: UUID, draft: Draft) -> Row:
    """Write the actor's draft for a listing, over an earlier one; raises the version.

    Raises what `offers.submit` finds wrong early: TierRequired, ConsentRequired, NotFound,
    OwnListing, AmountOutOfRange, ValidationFailed (the parent is not theirs to counter).
    """
    await standing.require_tier(
        change.tx, change.actor, change.place.policy, change.now, lock=Lock.SHARE
    )
    listing = await listing_rows.seen(change.tx, listing_id)
    if not await visibility.may_read(change.tx, change.actor.id, listing, change.now):
        raise NotFound
    lowest = rules.PRICE_MIN
    if draft.parent_id is None:
        if listing["seller_id"] == change.actor.id:
            raise OwnListing
        lowest = listing["min_offer_minor"] or lowest
    else:
        await _check_parent(change, listing_id, draft.parent_id)
    if not lowest <= draft.proposal.amount_minor <= listing["price_minor"]:
        raise AmountOutOfRange(minimum_minor=lowest, maximum_minor=listing["price_minor"])
    row = await change.tx.fetchrow(
        "INSERT INTO offer_drafts (id, user_id, listing_id, parent_id, amount_minor, conditions,"  # noqa: S608
        " expires_at, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)"
        " ON CONFLICT (user_id, listing_id) DO UPDATE SET parent_id = excluded.parent_id,"
        " amount_minor = excluded.amount_minor, conditions = excluded.conditions,"
        " expires_at = excluded.expires_at, updated_at = excluded.updated_at,"
        f" version = offer_drafts.version + 1 RETURNING {_COLUMNS}",
        ids.uuid7(),
        change.actor.id,
        listing_id,
        draft.parent_id,
        draft.proposal.amount_minor,
        draft.proposal.conditions,
        change.now + clocks.OFFER_DRAFT.length,
        change.now,
    )
    assert row is not None, "it is inserted or updated"
    return row


async def read(change: Change, listing_id: UUID) -> Row:
    """Return the actor's draft for a listing; raises NotFound, also when it has expired."""
    row = await change.tx.fetchrow(
        f"SELECT {_COLUMNS} FROM offer_drafts"  # noqa: S608
        " WHERE user_id = $1 AND listing_id = $2 AND expires_at > $3",
        change.actor.id,
        listing_id,
        change.now,
    )
    if row is None:
        raise NotFound
    return row


async def discard(change: Change, listing_id: UUID) -> None:
    """Delete the actor's draft for a listing, if there is one."""
    await change.tx.execute(
        "DELETE FROM offer_drafts WHERE user_id = $1 AND listing_id = $2",
        change.actor.id,
        listing_id,
    )


async def submit(change: Change, draft_id: UUID, version: int) -> offer_rows.Row:
    """Turn a draft into its offer or counter-offer, once.

    Raises DraftStale when it was changed, sent or has expired, and what offers raise; then the
    draft stays.
    """
    row = await change.tx.fetchrow(
        "DELETE FROM offer_drafts WHERE id = $1 AND user_id = $2 AND version = $3"  # noqa: S608
        f" AND expires_at > $4 RETURNING {_COLUMNS}",
        draft_id,
        change.actor.id,
        version,
        change.now,
    )
    if row is None:
        raise DraftStale
    proposal = Proposal(row["amount_minor"], row["conditions"])
    if row["parent_id"] is None:
        return await offers.submit(change, row["listing_id"], proposal)
    parent_version = await change.tx.fetchval(
        "SELECT version FROM offers WHERE id = $1", row["parent_id"]
    )
    return await offers.counter(change, row["parent_id"], parent_version, proposal)


async def purge(now: Any, limit: int) -> int:
    """Delete expired drafts, at most `limit`; return how many."""
    async with database.transaction() as tx:
        return await tx.execute(
            "DELETE FROM offer_drafts WHERE id IN (SELECT id FROM offer_drafts"
            " WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
            now,
            limit,
        )


async def _check_parent(change: Change, listing_id: UUID, parent_id: UUID) -> None:
    row, side = await offer_rows.of_party(change.tx, parent_id, change.actor.id)
    if row["listing_id"] != listing_id or row["proposed_by"] == side:
        message = "That is not an offer on this listing that you could counter."
        raise ValidationFailed(
            message, errors=[{"field": "/parent_id", "code": "not_counterable", "message": message}]
        )
