"""What PostgreSQL, the source of truth for contracts, says about an executed one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from bloxtr8.money import currency_code
from bloxtr8.store.database import fetchrow
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.contracts.v1.contracts_pb2 import ContractExecuted
from proto.bloxtr8.escrow.v1.commands_pb2 import Party
from proto.bloxtr8.escrow.v1.types_pb2 import Payee

_SQL = """
SELECT c.escrow_id::text AS escrow_id, c.buyer_id::text AS buyer_id, c.status,
       c.seller_id::text AS seller_id, c.rail, c.settle_currency, c.settle_minor, c.fee_schedule,
       c.buyer_fee_minor, c.seller_fee_minor, c.delivery_days, c.pdf_sha256,
       b.tier AS buyer_tier, b.status AS buyer_status,
       s.tier AS seller_tier, s.status AS seller_status,
       p.id::text AS payout_id, p.external_ref AS payout_ref,
       EXISTS (SELECT 1 FROM escrows e WHERE e.id = c.escrow_id) AS escrow_known
FROM contracts c
JOIN users b ON b.id = c.buyer_id
JOIN users s ON s.id = c.seller_id
LEFT JOIN payout_methods p ON p.user_id = c.seller_id AND p.is_default
     AND p.status = 'VERIFIED' AND p.disabled_at IS NULL AND p.usable_from <= $2
     AND p.kind = CASE c.rail WHEN 'STRIPE' THEN 'STRIPE_ACCOUNT' ELSE 'BASE_WALLET' END
WHERE c.id = $1
"""


@dataclass(frozen=True, slots=True)
class ExecutedContract:
    """A contract's row with what the people of it are now."""

    row: dict[str, Any]

    @property
    def escrow_known(self) -> bool:
        return bool(self.row["escrow_known"])

    @property
    def void(self) -> bool:
        """Its escrow was refused, so that it ended; see `voiding.for_refused_escrow`."""
        return bool(self.row["status"] == "VOID")

    @property
    def buyer(self) -> Party:
        return self._party("buyer")

    @property
    def seller(self) -> Party:
        return self._party("seller")

    @property
    def payee(self) -> Payee | None:
        """The seller's default payout method, None when there is none that may be paid yet."""
        if self.row["payout_id"] is None:
            return None
        return Payee(payout_method_id=self.row["payout_id"], destination=self.row["payout_ref"])

    def says_the_same(self, event: ContractExecuted) -> bool:
        """Tell whether the contract is executed and agrees with `event` in everything."""
        row = self.row
        return row["status"] == "EXECUTED" and (
            row["escrow_id"],
            row["buyer_id"],
            row["seller_id"],
            row["rail"],
            row["settle_currency"],
            row["settle_minor"],
            row["fee_schedule"],
            row["buyer_fee_minor"],
            row["seller_fee_minor"],
            row["delivery_days"],
            (row["pdf_sha256"] or b"").hex(),
        ) == (
            event.escrow_id,
            event.buyer_id,
            event.seller_id,
            common.Rail.Name(event.rail).removeprefix("RAIL_"),
            currency_code(event.price.currency),
            event.price.minor,
            event.fee_schedule,
            event.buyer_fee_minor,
            event.seller_fee_minor,
            event.delivery_days,
            event.document_sha256,
        )

    def _party(self, side: str) -> Party:
        row = self.row
        return Party(
            user_id=row[f"{side}_id"],
            tier=int(str(row[f"{side}_tier"]).removeprefix("TIER_")),
            frozen=row[f"{side}_status"] != "ACTIVE",
        )


async def executed_contract(contract_id: UUID, now: datetime) -> ExecutedContract | None:
    """Return the contract as of `now`, None when there is none; raises DatabaseUnavailable."""
    row = await fetchrow(_SQL, contract_id, now)
    return None if row is None else ExecutedContract(row)
