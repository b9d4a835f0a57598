"""What people have proven about their wallets, and what staff have decided about movements."""

from datetime import datetime

from bloxtr8.clock import Clock
from bloxtr8.store import database

# Orders that an ADMIN gives after having seen the case.
_BY_HAND = ("reject_funds", "retry_payout", "retry_refund")
_APPROVED = """
SELECT EXISTS (
  SELECT FROM payment_operations p JOIN operations o ON o.escrow_id = p.escrow_id
  WHERE p.operation_id = $1 AND o.kind = ANY($2::text[]) AND o.status = 'SUCCEEDED'
    AND o.finished_at <= $3
    AND (p.destination IS NULL OR lower(p.destination) = $4)
) AS approved
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
        row = await database.fetchrow(_APPROVED, operation_id, list(_BY_HAND), self._now(), address)
        return row is not None and bool(row["approved"])

    def _now(self) -> datetime:
        return self._clock.now()
