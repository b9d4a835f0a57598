"""What is asked of Roblox before a listing or an acceptance, outside any transaction."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from bloxtr8.errors import NotOwner, OwnershipLost, OwnershipUnknown
from bloxtr8.market.place import Marketplace, Proof, Purpose
from bloxtr8.market.standing import Standing
from bloxtr8.store import database


@dataclass(frozen=True, slots=True)
class Evidence:
    """A proof of ownership and how the experience looked.

    `displaced`: another person's open listing of it, whose seller is the owner no more.
    """

    proof: Proof
    seen: Any
    displaced: UUID | None = None

    def require_same(self, standing: Standing) -> None:
        """Raises NotOwner when another Roblox account has been linked since it was asked."""
        if standing.roblox_user_id != self.proof.roblox_user_id:
            raise NotOwner


async def of_owner(
    place: Marketplace, user_id: UUID, universe_id: int, purpose: Purpose
) -> Evidence:
    """Return evidence that the user may list the experience.

    Asked anew, but for a relist, which takes an answer of the last 24 hours. Raises NotOwner,
    OwnershipUnknown, UpstreamUnavailable.
    """
    experiences = place.experiences
    proof = await experiences.verify(user_id, universe_id, fresh=purpose != "RELIST")
    if not proof.may_list:
        raise NotOwner(reason=proof.reason)
    seen = await experiences.look(user_id, universe_id, purpose)
    displaced = None
    if purpose == "LISTING":
        displaced = await _displaced(place, user_id, universe_id)
    return Evidence(proof, seen, displaced)


async def of_seller(place: Marketplace, seller_id: UUID, universe_id: int) -> Evidence:
    """Return evidence for an acceptance; raises OwnershipLost, OwnershipUnknown."""
    try:
        return await of_owner(place, seller_id, universe_id, "ACCEPT")
    except NotOwner as error:
        raise OwnershipLost from error


async def _displaced(place: Marketplace, user_id: UUID, universe_id: int) -> UUID | None:
    """Return another's listing of the experience if they may not list it any more.

    A former owner who stayed in the group does not stand in the way of the present one.
    """
    row = await database.fetchrow(
        "SELECT id, seller_id FROM listings WHERE universe_id = $1 AND seller_id <> $2"
        " AND status IN ('ACTIVE', 'INACTIVE')",
        universe_id,
        user_id,
    )
    if row is None:
        return None
    try:
        theirs = await place.experiences.verify(row["seller_id"], universe_id, fresh=True)
    except OwnershipUnknown:
        return None
    found: UUID = row["id"]
    return None if theirs.may_list else found
