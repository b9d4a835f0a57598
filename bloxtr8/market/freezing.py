"""Freezing a person: they read and answer disputes; nothing new, and no money to them."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from uuid import UUID

from bloxtr8.errors import InvalidState, NotFound
from bloxtr8.market import audit, links, staff
from bloxtr8.market.actors import Actor
from bloxtr8.market.audit import Deed
from bloxtr8.market.events import Events
from bloxtr8.messaging import metadata
from bloxtr8.messaging.signatures import Signer
from bloxtr8.messaging.topics import ESCROW_COMMANDS
from bloxtr8.store.database import Transaction
from bloxtr8.store.outbox import enqueue
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.market.v1 import market_pb2 as market

# What else happens to a frozen person's things: (transaction, staff, user, now).
Effect = Callable[[Transaction, Actor, UUID, datetime], Awaitable[None]]

# Trades that are read, and held, at once.
_BATCH = 1_000
# Of a contract that came into force a moment ago the escrow may be made and not mirrored yet.
_OPEN_SALES = """
SELECT id FROM (
  SELECT id FROM escrows WHERE seller_id = $1 AND ended_at IS NULL AND hold_kind IS NULL
  UNION ALL SELECT c.escrow_id FROM contracts c LEFT JOIN escrows e ON e.id = c.escrow_id
  WHERE c.seller_id = $1 AND c.status = 'EXECUTED' AND e.id IS NULL
) sales WHERE $2::uuid IS NULL OR id > $2::uuid ORDER BY id LIMIT $3
"""


class Freezing:
    """Staff freeze and unfreeze, Bloxtr8 itself freezes who owes it.

    `effects` run in lock order: listings, offers, contracts. `signer` orders the holds.
    """

    def __init__(self, events: Events, signer: Signer, effects: Sequence[Effect] = ()) -> None:
        self._events = events
        self._signer = signer
        self._effects = tuple(effects)

    async def freeze(
        self,
        tx: Transaction,
        actor: Actor,
        user_id: UUID,
        reason: str,
        now: datetime,
        *,
        because_of: UUID | None = None,
    ) -> None:
        """Freeze a user, `because_of` a trade of theirs where it was one.

        Raises NotFound, InvalidState and ConflictOfInterest.
        """
        await self._change(tx, actor, user_id, ("ACTIVE", "FROZEN"), reason, now)
        await links.end_all(tx, user_id, now)
        for effect in self._effects:
            await effect(tx, actor, user_id, now)
        await self._hold_payouts(tx, actor, user_id, now)
        deed = Deed("user.frozen", audit.on_user(user_id), reason, escrow_id=because_of)
        await audit.record(tx, actor, deed, now)
        await self._events.say(tx, actor, user_id, market.UserFrozen(), now)

    async def unfreeze(
        self, tx: Transaction, actor: Actor, user_id: UUID, reason: str, now: datetime
    ) -> None:
        """Unfreeze a user; their trades stay on hold until staff have looked at each.

        Raises NotFound, InvalidState and ConflictOfInterest.
        """
        await self._change(tx, actor, user_id, ("FROZEN", "ACTIVE"), reason, now)
        await audit.record(tx, actor, Deed("user.unfrozen", audit.on_user(user_id), reason), now)
        await self._events.say(tx, actor, user_id, market.UserUnfrozen(), now)

    async def _change(
        self,
        tx: Transaction,
        actor: Actor,
        user_id: UUID,
        statuses: tuple[str, str],
        reason: str,
        now: datetime,
    ) -> None:
        staff.require_no_interest(actor, user_id)
        before, after = statuses
        status = await tx.fetchval("SELECT status FROM users WHERE id = $1 FOR UPDATE", user_id)
        if status is None:
            raise NotFound
        if status != before:
            raise InvalidState(current_status=status)
        await tx.execute(
            "UPDATE users SET status = $2, status_reason = $3, version = version + 1,"
            " updated_at = $4 WHERE id = $1",
            user_id,
            after,
            reason if after == "FROZEN" else None,
            now,
        )

    async def _hold_payouts(
        self, tx: Transaction, actor: Actor, user_id: UUID, now: datetime
    ) -> None:
        """Order a hold on each open trade in which the user would be paid."""
        last: UUID | None = None
        while True:
            rows = await tx.fetch(_OPEN_SALES, user_id, last, _BATCH)
            for row in rows:
                await self._hold(tx, actor, row["id"], now)
            if len(rows) < _BATCH:
                return
            last = rows[-1]["id"]

    async def _hold(self, tx: Transaction, actor: Actor, escrow_id: UUID, now: datetime) -> None:
        command = commands.EscrowCommand(
            metadata=metadata.new(
                self._signer.producer,  # type: ignore[arg-type]
                now,
                traceparent=actor.traceparent,
            ),
            escrow_id=str(escrow_id),
            actor=_orderer(actor),
            place_hold=commands.PlaceHold(kind=types.HOLD_KIND_MANUAL),
        )
        await enqueue(tx, ESCROW_COMMANDS, command, self._signer)


def _orderer(actor: Actor) -> common.Actor:
    if actor.user_id is None:
        return common.Actor(kind=common.ACTOR_KIND_SYSTEM)
    return common.Actor(
        kind=common.ACTOR_KIND_STAFF,
        user_id=str(actor.id),
        staff_role=common.STAFF_ROLE_ADMIN,
    )
