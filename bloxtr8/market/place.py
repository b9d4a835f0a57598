"""What the marketplace's services stand on: the process around them, and one change at a time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

from google.protobuf.message import Message

from bloxtr8.clock import Clock
from bloxtr8.config import PolicySettings
from bloxtr8.market import audit
from bloxtr8.market.actors import Actor
from bloxtr8.market.audit import Deed
from bloxtr8.market.events import Events
from bloxtr8.messaging.signatures import Signer
from bloxtr8.store.database import Transaction

Purpose = Literal["LISTING", "RELIST", "ACCEPT", "DELIVERED", "RELEASED"]


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether an experience is a person's, as Roblox said at `checked_at`.

    `roblox_user_id`: the linked account that was asked about. `manual`: a moderator has
    approved the written consent of the group's owner.
    """

    verified: bool
    ownership: str | None
    checked_at: datetime
    roblox_user_id: int
    manual: bool = False
    reason: str | None = None

    @property
    def may_list(self) -> bool:
        """Owners may list; group admins when the owner's consent was approved."""
        approved = self.ownership == "ADMIN" and self.manual
        return self.verified and (self.ownership == "OWNER" or approved)


@dataclass(frozen=True, slots=True)
class Kept:
    """A snapshot that is stored."""

    id: UUID
    risk_level: str


class Experiences(Protocol):
    """What services ask about Roblox. Nothing here is called inside a transaction but `keep`."""

    async def verify(
        self, user_id: UUID, universe_id: int, *, fresh: bool, patient: bool = False
    ) -> Proof:
        """Return whose it is; raises OwnershipUnknown when Roblox does not say.

        `patient`: nobody waits for the answer, so Roblox has a minute for it instead of 8 s.
        """
        ...

    async def look(self, user_id: UUID, universe_id: int, purpose: Purpose) -> Any:
        """Return how the experience is now, for `keep`; raises UpstreamUnavailable."""
        ...

    async def keep(self, tx: Transaction, seen: Any, now: datetime) -> Kept:
        """Store what `look` returned."""
        ...


@dataclass(frozen=True, slots=True)
class Marketplace:
    """The process around the services.

    `signer` speaks for this process, `contracts` for whoever asks for contracts.
    """

    clock: Clock
    policy: PolicySettings
    events: Events
    signer: Signer
    contracts: Signer
    experiences: Experiences


@dataclass(frozen=True, slots=True)
class Change:
    """One transaction in which `actor` changes something; `now` is its one time."""

    tx: Transaction
    actor: Actor
    place: Marketplace
    now: datetime

    async def audit(
        self,
        action: str,
        subject: tuple[str, str],
        *,
        reason: str = "",
        data: dict[str, Any] | None = None,
    ) -> None:
        """Keep that `action` was done to `subject` (type, id)."""
        await audit.record(self.tx, self.actor, Deed(action, subject, reason, data or {}), self.now)

    async def say(self, listing_id: UUID, body: Message) -> UUID:
        """Say a fact about a listing when the transaction commits; return the event's id."""
        return await self.place.events.say(self.tx, self.actor, listing_id, body, self.now)


def on_listing(listing_id: object) -> tuple[str, str]:
    """Return a listing as the subject of a deed."""
    return ("listing", str(listing_id))


def on_offer(offer_id: object) -> tuple[str, str]:
    """Return an offer as the subject of a deed."""
    return ("offer", str(offer_id))
