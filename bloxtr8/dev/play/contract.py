"""A contract as both sides have signed it, without the market in front of it."""

import hashlib
import json
import secrets
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


async def sign_contract(
    buyer: Person, seller: Person, price_minor: int, signer: Signer, now: datetime
) -> tuple[str, str]:
    """Write a contract over `price_minor` cents, execute it; return (contract id, escrow id)."""
    contract_id = str(ids.uuid7())
    terms = {"buyer": buyer.id, "seller": seller.id, "price_minor": price_minor}
    document = hashlib.sha256(json.dumps(terms, sort_keys=True).encode()).digest()
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO contracts (id, ref, offer_id, listing_id, buyer_id, seller_id, escrow_id,"
            " status, price_minor, rail, settle_currency, settle_minor, fee_schedule,"
            " buyer_fee_minor, seller_fee_minor, delivery_days, pdf_sha256, created_at, updated_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, 'PENDING_SIGNATURE', $8, 'STRIPE', 'USD', $8,"
            " $9, $10, $11, 7, $12, $13, $13)",
            UUID(contract_id),
            f"C-{secrets.token_hex(3).upper()}",
            ids.uuid7(),
            ids.uuid7(),
            UUID(buyer.id),
            UUID(seller.id),
            UUID(ids.escrow_id_for(contract_id)),
            price_minor,
            _SCHEDULE,
            fees.buyer_fee(_SCHEDULE, common.RAIL_STRIPE, price_minor),
            fees.seller_fee(_SCHEDULE, common.RAIL_STRIPE, price_minor),
            document,
            now,
        )
        escrow_id = await execute_contract(tx, contract_id, document, signer, now)
    return contract_id, escrow_id
