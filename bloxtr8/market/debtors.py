"""Sellers whose trades were charged back after they had been paid: they owe us, and are frozen."""

from datetime import datetime
from uuid import UUID

from bloxtr8.market.actors import Actor
from bloxtr8.market.freezing import Freezing
from bloxtr8.store.database import Transaction
from proto.bloxtr8.escrow.v1 import events_pb2 as events

REASON = "A payment was charged back after its payout."
_CONSUMER = "debtors"
_SELLER = """
SELECT coalesce((SELECT seller_id FROM contracts WHERE escrow_id = $1),
                (SELECT seller_id FROM escrows WHERE id = $1))
"""


def is_owed(event: events.EscrowEvent) -> bool:
    """Tell whether the event says that a bank took money that the seller has."""
    if event.WhichOneof("body") != "chargeback_recorded":
        return False
    said = event.chargeback_recorded
    return said.after_release and said.status == events.CHARGEBACK_STATUS_OPEN


async def freeze_seller(
    tx: Transaction, freezing: Freezing, event: events.EscrowEvent, now: datetime
) -> bool:
    """Freeze the seller of a trade that was charged back; False when there is nothing to do.

    Once for an event, so that who was unfrozen since is not frozen by it again. Raises LookupError
    while neither a contract nor the mirror knows the trade.
    """
    assert is_owed(event), "the event says so"
    seller_id = await tx.fetchval(_SELLER, event.escrow_id)
    if seller_id is None:
        raise LookupError(f"{event.escrow_id} is not in the mirror yet")
    status = await tx.fetchval("SELECT status FROM users WHERE id = $1 FOR UPDATE", seller_id)
    new = await tx.execute(
        "INSERT INTO inbox_messages (consumer, message_id, result, processed_at)"
        " VALUES ($1, $2, 'FROZEN', $3) ON CONFLICT (consumer, message_id) DO NOTHING",
        _CONSUMER,
        UUID(event.metadata.message_id),
        now,
    )
    if not new or status != "ACTIVE":
        return False
    trade = UUID(event.escrow_id)
    await freezing.freeze(tx, Actor.system(), seller_id, REASON, now, because_of=trade)
    return True
