"""Trading on top of people and Roblox: what it asks, what it does when told."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from bloxtr8.contracts import voiding
from bloxtr8.market import moderation
from bloxtr8.market.actors import Actor
from bloxtr8.market.market import Effects, Market
from bloxtr8.market.place import Change, Kept, Marketplace, Proof, Purpose
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.roblox import snapshots
from bloxtr8.roblox.client import ACTION_S, BACKGROUND_S
from bloxtr8.roblox.details import Details
from bloxtr8.roblox.snapshots import Subject, take_snapshot
from bloxtr8.roblox.verifications import Verification
from bloxtr8.store.database import Transaction
from proto.bloxtr8.common.v1 import common_pb2 as common

_PRICES_WITHIN = timedelta(days=30)
# A price is asked until the next one, or until its listing ends: the one that was there when
# the 30 days began is one of theirs.
_ASKED = """
SELECT DISTINCT price_minor FROM (
  SELECT p.price_minor, coalesce(l.cancelled_at, l.sold_at) AS ended_at,
         lead(p.created_at) OVER (PARTITION BY p.listing_id ORDER BY p.created_at, p.id) AS next_at
  FROM listing_prices p JOIN listings l ON l.id = p.listing_id WHERE l.universe_id = $1
) AS asked WHERE coalesce(least(next_at, ended_at), 'infinity') > $2
"""
# Staff took a listing of it down and have approved none of that one since. Cancelling it and
# listing the experience again does not take the flag off.
_FLAGGED = """
SELECT EXISTS (
  SELECT FROM listings l CROSS JOIN LATERAL (
    SELECT a.action FROM audit_log a WHERE a.subject_type = 'listing' AND a.subject_id = l.id::text
      AND (a.action = 'listing.approved'
           OR a.action = 'listing.held' AND a.data->>'hold' = 'STAFF')
    ORDER BY a.id DESC LIMIT 1
  ) AS last WHERE l.universe_id = $1 AND last.action = 'listing.held'
)
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """An experience as Roblox shows it, and what it said about whose it is."""

    purpose: Purpose
    details: Details
    verification: Verification


class AskedRoblox:
    """`Experiences` of `bloxtr8.market.place`."""

    def __init__(self, market: Market) -> None:
        self._market = market

    async def verify(
        self, user_id: UUID, universe_id: int, *, fresh: bool, patient: bool = False
    ) -> Proof:
        budget_s = BACKGROUND_S if patient else ACTION_S
        found = await self._verification(user_id, universe_id, fresh=fresh, budget_s=budget_s)
        return Proof(
            verified=found.verified,
            ownership=found.ownership,
            checked_at=found.checked_at,
            roblox_user_id=found.roblox_user_id,
            manual=found.approved,
            reason=found.reason,
        )

    async def look(self, user_id: UUID, universe_id: int, purpose: Purpose) -> Seen:
        # The verifier has just answered, so this is its kept result.
        verification = await self._verification(user_id, universe_id, fresh=False)
        return Seen(purpose, await self._market.details(universe_id), verification)

    async def keep(self, tx: Transaction, seen: Seen, now: datetime) -> Kept:
        universe_id = seen.details.universe_id
        prices = await tx.fetch(_ASKED, universe_id, now - _PRICES_WITHIN)
        subject = Subject(
            seen.verification.user_id,
            seen.verification,
            prices_minor=[row["price_minor"] for row in prices],
            flagged=await tx.fetchval(_FLAGGED, universe_id),
        )
        taken = await take_snapshot(tx, snapshots.Purpose(seen.purpose), seen.details, subject, now)
        return Kept(taken.id, taken.risk.level)

    async def _verification(
        self, user_id: UUID, universe_id: int, *, fresh: bool, budget_s: float = ACTION_S
    ) -> Verification:
        return await self._market.verify_ownership(
            Actor.system(), universe_id, user_id=user_id, fresh=fresh, budget_s=budget_s
        )


class Trading:
    """What happens to what is traded when a person is frozen or owns something no more.

    `effects` go into `make_market`; `place` is known once that is made.
    """

    def __init__(self) -> None:
        self._place: Marketplace | None = None

    @property
    def effects(self) -> Effects:
        return Effects(frozen=(self._frozen,), not_owner=(self._not_owner,))

    def open(self, market: Market, keyring: Keyring) -> Marketplace:
        """Return the marketplace on `market`; `keyring` has the keys of web and contracts."""
        self._place = Marketplace(
            clock=market.clock,
            policy=market.policy,
            events=market.events,
            signer=keyring.signer(common.PRODUCER_WEB),
            contracts=keyring.signer(common.PRODUCER_CONTRACTS),
            experiences=AskedRoblox(market),
        )
        return self._place

    async def _frozen(self, tx: Transaction, actor: Actor, user_id: UUID, now: datetime) -> None:
        change = self._change(tx, actor, now)
        await moderation.freeze_trading(change, user_id)
        await voiding.freeze(change, user_id)

    async def _not_owner(
        self, tx: Transaction, actor: Actor, user_id: UUID, universe_id: int, now: datetime
    ) -> None:
        listing_id = await tx.fetchval(
            "SELECT id FROM listings WHERE seller_id = $1 AND universe_id = $2"
            " AND status = 'ACTIVE'",
            user_id,
            universe_id,
        )
        if listing_id is not None:
            await moderation.ownership_lost(self._change(tx, actor, now), listing_id, now)

    def _change(self, tx: Transaction, actor: Actor, now: datetime) -> Change:
        assert self._place is not None, "the marketplace is open"
        return Change(tx, actor, self._place, now)
