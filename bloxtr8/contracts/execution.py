"""The moment in which a contract comes into force, and with it the escrow."""

from datetime import datetime
from typing import Any
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.errors import InvalidState, NotFound
from bloxtr8.messaging import metadata
from bloxtr8.messaging.signatures import Signer
from bloxtr8.messaging.topics import CONTRACTS_EVENTS
from bloxtr8.store.database import Transaction
from bloxtr8.store.outbox import enqueue
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.contracts.v1 import contracts_pb2 as contracts

_CURRENCIES = {"USD": common.CURRENCY_USD, "USDC": common.CURRENCY_USDC}
_RAILS = {"STRIPE": common.RAIL_STRIPE, "USDC_BASE": common.RAIL_USDC_BASE}
_NETWORKS = {"STRIPE": common.NETWORK_UNSPECIFIED, "USDC_BASE": common.NETWORK_BASE}


async def execute_contract(
    tx: Transaction, contract_id: UUID, signer: Signer, now: datetime
) -> str:
    """Mark the contract executed, put ContractExecuted in the outbox, return the escrow's id.

    Both sides have signed its document. What has terms to print gets its final document later.
    Raises NotFound, and InvalidState when the contract does not wait for signatures.
    """
    row = await tx.fetchrow("SELECT * FROM contracts WHERE id = $1 FOR UPDATE", contract_id)
    if row is None:
        raise NotFound
    if row["status"] != "PENDING_SIGNATURE":
        raise InvalidState(
            "The contract does not wait for signatures.", current_status=row["status"]
        )
    await tx.execute(
        "UPDATE contracts SET status = 'EXECUTED', executed_at = $2, render_tries = 0,"
        " render_due_at = CASE WHEN terms IS NULL THEN NULL ELSE $2::timestamptz END,"
        " version = version + 1, updated_at = $2 WHERE id = $1",
        contract_id,
        now,
    )
    await enqueue(tx, CONTRACTS_EVENTS, _event(row, now), signer)
    return str(row["escrow_id"])


def _event(row: dict[str, Any], now: datetime) -> contracts.ContractEvent:
    contract_id = str(row["id"])
    return contracts.ContractEvent(
        metadata=metadata.new(
            common.PRODUCER_CONTRACTS,
            now,
            message_id=str(ids.derived("executed", contract_id)),
            correlation_id=str(row["escrow_id"]),
        ),
        contract_id=contract_id,
        contract_executed=contracts.ContractExecuted(
            escrow_id=str(row["escrow_id"]),
            offer_id=str(row["offer_id"]),
            listing_id=str(row["listing_id"]),
            snapshot_id=str(row["snapshot_id"] or ""),
            buyer_id=str(row["buyer_id"]),
            seller_id=str(row["seller_id"]),
            price=common.Money(
                minor=row["settle_minor"], currency=_CURRENCIES[row["settle_currency"]]
            ),
            buyer_fee_minor=row["buyer_fee_minor"],
            seller_fee_minor=row["seller_fee_minor"],
            fee_schedule=row["fee_schedule"],
            rail=_RAILS[row["rail"]],
            network=_NETWORKS[row["rail"]],
            delivery_days=row["delivery_days"],
            document_sha256=row["pdf_sha256"].hex(),
        ),
    )
