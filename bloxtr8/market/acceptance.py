"""Accepting an offer: the listing is reserved, the others are declined, the contract is made."""

from dataclasses import dataclass
from uuid import UUID

from bloxtr8.config import PolicySettings
from bloxtr8.errors import Forbidden, OwnershipLost
from bloxtr8.market import (
    agreement,
    endings,
    facts,
    listing_rows,
    notices,
    offer_rows,
    offers,
    standing,
)
from bloxtr8.market.evidence import Evidence, of_seller
from bloxtr8.market.offer_rows import Row
from bloxtr8.market.place import Change, Marketplace, on_listing, on_offer
from bloxtr8.market.standing import Lock, Standing
from bloxtr8.store import database
from proto.bloxtr8.market.v1 import market_pb2 as market


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted offer and the contract that it became."""

    offer: Row
    contract: Row


async def prove(place: Marketplace, user_id: UUID, offer_id: UUID, version: int) -> Evidence | None:
    """Ask Roblox whether the seller is still the owner, before the transaction of `accept`.

    None when the user could not accept anyway, which `accept` will say: Roblox answers us so
    many times a minute, and nobody is to use that up for nothing. Raises NotFound,
    OwnershipLost, OwnershipUnknown, and what `accept` does about the user's rights.
    """
    now = place.clock.now()
    async with database.transaction() as tx:
        row, side = await offer_rows.of_party(tx, offer_id, user_id)
        mine = await standing.read(tx, user_id, place.policy, now)
        listing = await listing_rows.seen(tx, row["listing_id"])
    _require_rights(mine, row, place.policy)
    open_now = offer_rows.shown_status(row, now) == "PENDING" and row["version"] == version
    if not open_now or row["proposed_by"] == side or listing["status"] != "ACTIVE":
        return None
    return await of_seller(place, row["seller_id"], listing["universe_id"])


async def accept(
    change: Change, offer_id: UUID, version: int, evidence: Evidence | None
) -> Accepted:
    """Accept an offer; the same person accepting the same offer again gets the same answer.

    `evidence` from `prove`. Raises NotFound, NotYourTurn, OfferNotOpen, OfferExpired,
    VersionMismatch, ListingNotActive, OwnershipLost, AccountFrozen, TierRequired,
    ConsentRequired. Locks users in the order of their ids, then listing, then offer.
    """
    before, side = await offer_rows.of_party(change.tx, offer_id, change.actor.id)
    seller = await _hold_people(change, before)
    listing = await listing_rows.locked(change.tx, before["listing_id"], "FOR UPDATE")
    if listing["status"] != "ACTIVE":
        again = await _accepted_before(change, offer_id, version)
        if again is not None:
            return again
        raise await offer_rows.refusal_off_market(change, offer_id, side, version, listing)
    row = await offers.close(change, offer_id, side, version, "ACCEPTED")
    # Open offers are accepted on ACTIVE listings only, for which `prove` has evidence.
    if evidence is None or evidence.proof.roblox_user_id != seller.roblox_user_id:
        raise OwnershipLost
    snapshot = await change.place.experiences.keep(change.tx, evidence.seen, change.now)
    contract = await agreement.make(change, row, snapshot)
    await _reserve(change, listing, contract["id"])
    await change.audit(
        "offer.accepted", on_offer(offer_id), data={"contract_id": str(contract["id"])}
    )
    said = market.OfferAccepted(offer=facts.offer(row), contract_id=str(contract["id"]))
    event_id = await change.say(listing["id"], said)
    notice = notices.Notice(
        "offer_accepted", "OFFERS", f"offer:{offer_id}", {"amount_minor": row["amount_minor"]}
    )
    parties = [row["buyer_id"], row["seller_id"]]
    await notices.tell(change.tx, event_id, notice, parties, change.now)
    await endings.decline_open(change, listing["id"], "SUPERSEDED", but=offer_id)
    return Accepted(row, contract)


async def _hold_people(change: Change, offer: Row) -> Standing:
    """Hold both users and check them; return the seller's standing.

    Whoever accepts needs the tier of the amount and all consents; the other side had them when
    they proposed.
    """
    policy, found = change.place.policy, {}
    for user_id in sorted((offer["buyer_id"], offer["seller_id"])):
        found[user_id] = await standing.read(change.tx, user_id, policy, change.now, Lock.SHARE)
    mine = found.pop(change.actor.id)
    _require_rights(mine, offer, policy)
    (theirs,) = found.values()
    if theirs.status != "ACTIVE":
        raise Forbidden("The other side's account is not active.")
    theirs.require_tier(standing.Tier.TIER_1)
    return mine if mine.user_id == offer["seller_id"] else theirs


def _require_rights(mine: Standing, offer: Row, policy: PolicySettings) -> None:
    mine.require_active()
    mine.require_tier(standing.tier_for_price(offer["amount_minor"], policy))
    mine.require_consents()


async def _accepted_before(change: Change, offer_id: UUID, version: int) -> Accepted | None:
    """Return what the same person's same acceptance gave before, None when it was not that."""
    row = await change.tx.fetchrow(
        f"SELECT {offer_rows.COLUMNS} FROM offers"  # noqa: S608
        " WHERE id = $1 AND status = 'ACCEPTED' AND responded_by = $2 AND version = $3 + 1",
        offer_id,
        change.actor.id,
        version,
    )
    if row is None:
        return None
    return Accepted(row, await agreement.of_offer(change, offer_id))


async def _reserve(change: Change, listing: Row, contract_id: UUID) -> None:
    after = await listing_rows.put(
        change, listing["id"], {"status": "RESERVED", "reserved_contract_id": contract_id}
    )
    await change.audit(
        "listing.reserved", on_listing(listing["id"]), data={"contract_id": str(contract_id)}
    )
    await change.say(listing["id"], facts.updated(after, contract_id=contract_id))
