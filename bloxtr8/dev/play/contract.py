"""A contract as both sides have signed it, without the market in front of it."""

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.contracts.execution import execute_contract
from bloxtr8.dev.play.people import Person
from bloxtr8.escrow import fees
from bloxtr8.messaging.signatures import Signer
from bloxtr8.store import database
from proto.bloxtr8.common.v1 import common_pb2 as common

_SCHEDULE = "v1"
# Micro-USDC in a cent.
_MICROS = 10_000


@dataclass(frozen=True, slots=True)
class Terms:
    """What two people agree on: a price in cents, and how it is paid."""

    price_minor: int
    rail: str = "STRIPE"

    @property
    def currency(self) -> str:
        return "USD" if self.rail == "STRIPE" else "USDC"

    @property
    def settle_minor(self) -> int:
        """The price in the currency that is paid."""
        return self.price_minor if self.rail == "STRIPE" else self.price_minor * _MICROS


async def sign_contract(
    buyer: Person, seller: Person, terms: Terms, signer: Signer, now: datetime
) -> tuple[str, str]:
    """Write a contract over `terms`, execute it; return (contract id, escrow id)."""
    contract_id = str(ids.uuid7())
    text = {"contract": contract_id, "buyer": buyer.id, "seller": seller.id, **asdict(terms)}
    document = hashlib.sha256(json.dumps(text, sort_keys=True).encode()).digest()
    rail, price = common.Rail.Value(f"RAIL_{terms.rail}"), terms.settle_minor
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO contracts (id, ref, offer_id, listing_id, buyer_id, seller_id, escrow_id,"
            " status, price_minor, rail, settle_currency, settle_minor, fee_schedule,"
            " buyer_fee_minor, seller_fee_minor, delivery_days, pdf_sha256, created_at, updated_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, 'PENDING_SIGNATURE', $8, $9, $10, $11,"
            " $12, $13, $14, 7, $15, $16, $16)",
            UUID(contract_id),
            f"C-{secrets.token_hex(3).upper()}",
            ids.uuid7(),
            ids.uuid7(),
            UUID(buyer.id),
            UUID(seller.id),
            UUID(ids.escrow_id_for(contract_id)),
            terms.price_minor,
            terms.rail,
            terms.currency,
            price,
            _SCHEDULE,
            fees.buyer_fee(_SCHEDULE, rail, price),
            fees.seller_fee(_SCHEDULE, rail, price),
            document,
            now,
        )
        escrow_id = await execute_contract(tx, UUID(contract_id), signer, now)
    return contract_id, escrow_id
