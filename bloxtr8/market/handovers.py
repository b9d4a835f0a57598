"""Who owns the game after it was said to be delivered: asked hourly, kept as evidence.

What is seen moves no money by itself: it is shown to both sides before the buyer confirms.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from bloxtr8 import ids
from bloxtr8.errors import OwnershipUnknown, TierRequired, UpstreamUnavailable
from bloxtr8.market import audit, notices, remarks
from bloxtr8.market.actors import Actor
from bloxtr8.market.audit import Deed
from bloxtr8.market.place import Kept, Marketplace, Purpose
from bloxtr8.messaging import metadata
from bloxtr8.store import database
from bloxtr8.store.database import Transaction
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowEvent

Row = dict[str, Any]

CHECK_EVERY = timedelta(hours=1)
ASK_AGAIN = timedelta(minutes=5)
# No trade stays that long between delivery and its end without staff looking at it.
GIVE_UP_AFTER = timedelta(days=60)
BATCH_MAX = 20
# The mirror may still be behind the event that said it was delivered.
_RUNNING = ("FUNDS_HELD", "DELIVERED", "DISPUTED", "RELEASING", "SPLITTING", "REFUNDING")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Sight:
    """What Roblox said: what the buyer is, and a look at the experience."""

    ownership: str
    look: Any


def concerns(event: EscrowEvent) -> bool:
    """Tell whether `apply` does something about the event."""
    return event.WhichOneof("body") in ("escrow_delivered", "escrow_released")


async def apply(tx: Transaction, event: EscrowEvent, now: datetime) -> None:
    """Begin to look when a trade is delivered; look once more when it is paid out."""
    if event.WhichOneof("body") == "escrow_released":
        await tx.execute(
            "UPDATE handovers SET next_check_at = $2, updated_at = $2 WHERE escrow_id = $1",
            UUID(event.escrow_id),
            now,
        )
        return
    await tx.execute(
        "INSERT INTO handovers (escrow_id, buyer_id, seller_id, universe_id, delivered_at,"
        " next_check_at, created_at, updated_at)"
        " SELECT $1, c.buyer_id, c.seller_id, l.universe_id, $2, $3, $3, $3 FROM contracts c"
        " JOIN listings l ON l.id = c.listing_id WHERE c.escrow_id = $1"
        " ON CONFLICT (escrow_id) DO NOTHING",
        UUID(event.escrow_id),
        metadata.moment(event.metadata.occurred_at),
        now,
    )


async def of_escrow(escrow_id: str) -> Row | None:
    """Return what was seen last, None when nothing was asked yet."""
    return await database.fetchrow(
        "SELECT * FROM handovers WHERE escrow_id = $1 AND checked_at IS NOT NULL", escrow_id
    )


class HandoverChecks:
    """Looks that are due. Every worker asks; rows in hand are skipped."""

    def __init__(self, place: Marketplace) -> None:
        self._place = place

    async def check(self) -> int:
        """Ask Roblox about what is due, at most 20; return how many were."""
        now = self._place.clock.now()
        rows = await database.fetch(
            "UPDATE handovers h SET next_check_at = $2 FROM (SELECT d.escrow_id, e.state"
            " FROM handovers d LEFT JOIN escrows e ON e.id = d.escrow_id"
            " WHERE d.next_check_at <= $1 ORDER BY d.next_check_at LIMIT $3"
            " FOR UPDATE OF d SKIP LOCKED) due"
            " WHERE h.escrow_id = due.escrow_id RETURNING h.*, due.state",
            now,
            now + CHECK_EVERY,
            BATCH_MAX,
        )
        for row in rows:
            await self._check(row, now)
        return len(rows)

    async def _check(self, row: Row, now: datetime) -> None:
        state = row["state"]
        over = state is not None and state not in (*_RUNNING, "RELEASED")
        if over or now - row["delivered_at"] > GIVE_UP_AFTER:
            await _set_next(row, None)
            return
        purpose: Purpose = "RELEASED" if state == "RELEASED" else "DELIVERED"
        sight = await self._look(row, purpose)
        if sight is None:
            await _set_next(row, now + ASK_AGAIN)
            return

        async def work(tx: Transaction) -> None:
            kept = await self._place.experiences.keep(tx, sight.look, now)
            done = purpose == "RELEASED" or sight.ownership == "OWNER"
            await _keep(tx, row, sight, kept, None if done else now + CHECK_EVERY)

        await database.run_in_transaction(work)

    async def _look(self, row: Row, purpose: Purpose) -> _Sight | None:
        """Return what Roblox says, None when it does not answer."""
        buyer_id, universe_id = row["buyer_id"], row["universe_id"]
        try:
            proof = await self._place.experiences.verify(
                buyer_id, universe_id, fresh=True, patient=True
            )
            look = await self._place.experiences.look(buyer_id, universe_id, purpose)
        except (OwnershipUnknown, UpstreamUnavailable, TierRequired) as error:
            _log.info("handover_not_seen", escrow_id=str(row["escrow_id"]), code=error.code)
            return None
        return _Sight(proof.ownership or "NONE", look)


async def _set_next(row: Row, at: datetime | None) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE handovers SET next_check_at = $2 WHERE escrow_id = $1", row["escrow_id"], at
        )


async def _keep(
    tx: Transaction, row: Row, sight: _Sight, kept: Kept, next_check_at: datetime | None
) -> None:
    """Write what was seen; both sides are told of the first look and of every change."""
    shot = await tx.fetchrow(
        "SELECT creator_type, creator_id, creator_name, taken_at FROM roblox_snapshots"
        " WHERE id = $1",
        kept.id,
    )
    assert shot is not None, "the snapshot has just been taken"
    escrow_id, now = row["escrow_id"], shot["taken_at"]
    await tx.execute(
        "UPDATE handovers SET checks = checks + 1, checked_at = $2, ownership = $3,"
        " owner_type = $4, owner_id = $5, owner_name = $6, snapshot_id = $7, next_check_at = $8,"
        " updated_at = $2 WHERE escrow_id = $1",
        escrow_id,
        now,
        sight.ownership,
        shot["creator_type"],
        shot["creator_id"],
        shot["creator_name"],
        kept.id,
        next_check_at,
    )
    data = {"ownership": sight.ownership, "snapshot_id": str(kept.id)}
    deed = Deed("handover.checked", ("escrow", str(escrow_id)), data=data, escrow_id=escrow_id)
    await audit.record(tx, Actor.system(), deed, now)
    seen = (sight.ownership, shot["creator_type"], shot["creator_id"])
    if seen == (row["ownership"], row["owner_type"], row["owner_id"]):
        return
    owner = {"type": shot["creator_type"], "id": str(shot["creator_id"])}
    said = {"buyer": sight.ownership, "owner": owner, "snapshot_id": str(kept.id)}
    await remarks.add(tx, escrow_id, remarks.Remark("OWNERSHIP_SEEN", "SYSTEM", said), now)
    notice = notices.Notice(
        "handover_seen", "ESCROW", f"escrow:{escrow_id}", {"ownership": sight.ownership}
    )
    event_id = ids.derived("handover", str(escrow_id), row["checks"] + 1)
    await notices.tell(tx, event_id, notice, [row["buyer_id"], row["seller_id"]], now)
