"""What time does to what is traded. Every worker sweeps; rows in hand are skipped.

While an outage is open the clocks that it touches are not swept: its end moves them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog

from bloxtr8 import ids
from bloxtr8.errors import Bloxtr8Error, UpstreamUnavailable
from bloxtr8.market import approvals, clocks, drafts, endings, moderation, notices, outages, tiers
from bloxtr8.market.actors import Actor
from bloxtr8.market.place import Change, Marketplace
from bloxtr8.store import database
from bloxtr8.store.database import Transaction

BATCH_MAX = 200
# Rounds of one sweep before it lets the others have their turn.
_ROUNDS_MAX = 50
_RECHECK_LEASE = timedelta(hours=1)
_RECHECKS_AT_ONCE = 20
_TIERS_EVERY_S = 3600.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sweep:
    """`work()` does one batch and returns how much it found; a full batch is followed up."""

    name: str
    every_s: float
    work: Callable[[], Awaitable[int]]
    batch: int = BATCH_MAX


class Sweeper:
    """The marketplace's sweeps of one process."""

    def __init__(self, place: Marketplace) -> None:
        self._place = place

    @property
    def sweeps(self) -> tuple[Sweep, ...]:
        return (
            Sweep("offers", 30.0, self.expire_offers),
            Sweep("offer_reminders", 60.0, self.remind),
            Sweep("offer_drafts", 300.0, self.purge_drafts),
            Sweep("approvals", 300.0, self.expire_approvals),
            Sweep("stale_listings", 3600.0, self.hold_stale),
            Sweep("tier_ends", _TIERS_EVERY_S, self.end_tiers),
            Sweep("tier_reminders", _TIERS_EVERY_S, self.remind_of_tiers),
            Sweep("ownership", 60.0, self.recheck, _RECHECKS_AT_ONCE),
        )

    async def run(self) -> None:
        """Sweep until cancelled; without the database wait for it."""
        async with asyncio.TaskGroup() as group:
            for sweep in self.sweeps:
                group.create_task(forever(sweep), name=f"sweep-{sweep.name}")

    async def expire_offers(self) -> int:
        """Expire offers whose 72 hours are over."""

        async def work(change: Change) -> int:
            if await outages.is_paused(change.tx, clocks.OFFER):
                return 0
            return await endings.expire_due(change, BATCH_MAX)

        return await self._change(work)

    async def end_tiers(self) -> int:
        """Take TIER_2 from those whose 24 months are over."""

        async def work(change: Change) -> int:
            return await tiers.end_due(change.tx, change.place.events, change.now, BATCH_MAX)

        return await self._change(work)

    async def remind_of_tiers(self) -> int:
        """Tell people that their TIER_2 ends within 30 days."""

        async def work(change: Change) -> int:
            return await tiers.remind_due(change.tx, change.now, BATCH_MAX)

        return await self._change(work)

    async def remind(self) -> int:
        """Tell addressees that half, then nine tenths, of the time to answer is over."""

        async def work(change: Change) -> int:
            if await outages.is_paused(change.tx, clocks.OFFER):
                return 0
            return await _remind(change)

        return await self._change(work)

    async def purge_drafts(self) -> int:
        return await drafts.purge(self._place.clock.now(), BATCH_MAX)

    async def expire_approvals(self) -> int:
        """End requests for a second approval whose 72 hours are over."""

        async def work(change: Change) -> int:
            return await approvals.expire_due(change, BATCH_MAX)

        return await self._change(work)

    async def hold_stale(self) -> int:
        """Take listings off the market that nobody has touched for 90 days."""

        async def work(change: Change) -> int:
            return await moderation.hold_stale(change, BATCH_MAX)

        return await self._change(work)

    async def recheck(self) -> int:
        """Ask Roblox again about ACTIVE listings: weekly, and soon after a trade has ended."""
        now = self._place.clock.now()
        rows = await database.fetch(
            "UPDATE listings SET check_due_at = $2 WHERE id IN (SELECT id FROM listings"
            " WHERE status = 'ACTIVE' AND check_due_at <= $1 ORDER BY check_due_at LIMIT $3"
            " FOR UPDATE SKIP LOCKED) RETURNING id, seller_id, universe_id",
            now,
            now + _RECHECK_LEASE,
            _RECHECKS_AT_ONCE,
        )
        for row in rows:
            await self._recheck(row["id"], row["seller_id"], row["universe_id"])
        return len(rows)

    async def _recheck(self, listing_id: UUID, seller_id: UUID, universe_id: int) -> None:
        try:
            proof = await self._place.experiences.verify(
                seller_id, universe_id, fresh=True, patient=True
            )
        except Bloxtr8Error as error:
            # Nothing was learned; the lease has set when to ask again.
            _log.info("ownership_not_checked", listing_id=str(listing_id), code=error.code)
            return

        async def work(change: Change) -> int:
            if proof.may_list:
                await moderation.ownership_seen(change, listing_id, proof.checked_at)
            else:
                await moderation.ownership_lost(change, listing_id, proof.checked_at)
            return 1

        await self._change(work)

    async def _change(self, work: Callable[[Change], Awaitable[int]]) -> int:
        now = self._place.clock.now()

        async def in_transaction(tx: Transaction) -> int:
            return await work(Change(tx, Actor.system(), self._place, now))

        return await database.run_in_transaction(in_transaction)


async def forever(sweep: Sweep) -> None:
    """Sweep until cancelled; without what it needs, wait for it."""
    while True:
        try:
            for _ in range(_ROUNDS_MAX):
                if await sweep.work() < sweep.batch:
                    break
        except Exception as error:
            if not (database.is_transient(error) or isinstance(error, UpstreamUnavailable)):
                raise
            _log.warning("sweep_waits", sweep=sweep.name, error=repr(error)[:200])
        await asyncio.sleep(sweep.every_s)


async def _remind(change: Change) -> int:
    """Send the highest reminder that is due; one that was missed is not sent after it."""
    half, most = clocks.OFFER.reminders
    rows = await change.tx.fetch(
        "UPDATE offers o SET reminders = due.wanted FROM ("
        " SELECT id, CASE WHEN $1 >= created_at + (expires_at - created_at) * $4 / 100"
        "   THEN 2 ELSE 1 END AS wanted FROM offers"
        " WHERE status = 'PENDING' AND expires_at > $1 AND reminders < 2"
        "   AND ($1 >= created_at + (expires_at - created_at) * $4 / 100"
        "     OR reminders = 0 AND $1 >= created_at + (expires_at - created_at) * $3 / 100)"
        " ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED) AS due"
        " WHERE o.id = due.id"
        " RETURNING o.id, o.reminders, o.proposed_by, o.buyer_id, o.seller_id, o.expires_at",
        change.now,
        BATCH_MAX,
        float(half),
        float(most),
    )
    for row in rows:
        percent = clocks.OFFER.reminders[row["reminders"] - 1]
        event_id = ids.derived("offer_reminder", str(row["id"]), percent)
        addressee = row["seller_id"] if row["proposed_by"] == "BUYER" else row["buyer_id"]
        notice = notices.Notice(
            "offer_reminder", "OFFERS", f"offer:{row['id']}", {"percent": percent}
        )
        await notices.tell(change.tx, event_id, notice, [addressee], change.now)
    return len(rows)
