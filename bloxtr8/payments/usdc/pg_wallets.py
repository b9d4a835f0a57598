"""What people have proven about their wallets, and what staff have decided about movements."""

from datetime import datetime

from bloxtr8.clock import Clock
from bloxtr8.payments.screening.risk import STRICTNESS
from bloxtr8.store import database
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowEvent

# Orders that an ADMIN gives after having seen the case.
_BY_HAND = ("reject_funds", "retry_payout", "retry_refund")
_EVENTS_MAX = 200
# What came of such orders for this operation's escrow, where a screening of this wallet was there
# to be seen before, which was no better than what is known now.
_DECIDED = """
SELECT e.payload FROM payment_operations p
JOIN operations o ON o.escrow_id = p.escrow_id
JOIN escrow_events e ON e.escrow_id = o.escrow_id AND e.causation_id = o.id::text
WHERE p.operation_id = $1 AND o.kind = ANY($2::text[]) AND o.status = 'SUCCEEDED'
  AND o.finished_at <= $3
  AND EXISTS (
    SELECT FROM wallet_screenings s WHERE s.address = $4 AND s.asked_at <= o.created_at
      AND array_position($5::text[], s.risk::text) >= array_position($5::text[], (
        SELECT n.risk::text FROM wallet_screenings n WHERE n.address = $4
        ORDER BY n.asked_at DESC, n.id DESC LIMIT 1))
  )
ORDER BY e.id DESC LIMIT $6
"""
# The next generation of what was ordered is the same movement, unless it goes elsewhere.
_SAME = """
SELECT 1 AS same FROM payment_operations p JOIN payment_operations d
  ON d.escrow_id = p.escrow_id AND d.kind = p.kind AND d.generation <= p.generation
WHERE p.operation_id = $1 AND d.operation_id = ANY($2::uuid[])
  AND (p.kind = 'PAYOUT' OR d.payment_ref IS NOT DISTINCT FROM p.payment_ref)
  AND lower(d.destination) IS NOT DISTINCT FROM lower(p.destination)
  AND (p.kind <> 'PAYOUT' OR lower(p.destination) = $3)
LIMIT 1
"""


class PostgresWallets:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def refund_wallet(self, user_id: str) -> str | None:
        """Return the wallet that a user has proven and that has been usable since."""
        if not user_id:
            return None
        row = await database.fetchrow(
            "SELECT external_ref FROM payout_methods WHERE user_id = $1 AND kind = 'BASE_WALLET'"
            " AND status = 'VERIFIED' AND disabled_at IS NULL AND usable_from <= $2"
            " ORDER BY is_default DESC, verified_at DESC LIMIT 1",
            user_id,
            self._now(),
        )
        return None if row is None else str(row["external_ref"]).lower()

    async def is_approved(self, operation_id: str, address: str) -> bool:
        """Tell whether staff ordered this very movement, knowing as much of the wallet.

        The order names the movement (kind, receipt, where it goes), and a screening that was made
        before it names the wallet and its risk; what turned out worse later was not approved.
        """
        rows = await database.fetch(
            _DECIDED,
            operation_id,
            list(_BY_HAND),
            self._now(),
            address,
            [risk.value for risk in STRICTNESS],
            _EVENTS_MAX,
        )
        ordered = [_ordered(EscrowEvent.FromString(row["payload"])) for row in rows]
        named = [entry for entry in ordered if entry]
        return bool(await database.fetch(_SAME, operation_id, named, address))

    def _now(self) -> datetime:
        return self._clock.now()


def _ordered(event: EscrowEvent) -> str:
    """Return the operation that the event orders, "" for none."""
    match event.WhichOneof("body"):
        case "leg_retried":
            retried = event.leg_retried
            leg = retried.payout if retried.HasField("payout") else retried.refund
            return leg.operation_id
        case "escrow_refunding":
            return event.escrow_refunding.refund.operation_id
        case "stray_funds_received":
            return event.stray_funds_received.operation_id
    return ""
