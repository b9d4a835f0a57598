"""Rows of contracts and signatures, and who may see them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from bloxtr8.errors import NotFound
from bloxtr8.store.database import Transaction

Row = dict[str, Any]

NAMES = (
    *("id", "ref", "version", "status", "offer_id", "listing_id", "snapshot_id", "escrow_id"),
    *("buyer_id", "seller_id", "terms", "template_version", "price_minor", "rail"),
    *("settle_currency", "settle_minor", "fee_schedule", "buyer_fee_minor", "seller_fee_minor"),
    *("delivery_days", "pdf_sha256", "final_sha256", "rendered_at", "sign_deadline_at"),
    *("executed_at", "voided_at", "void_reason", "void_note", "created_at", "updated_at"),
    *("receiving_group_id", "receiving_group", "receiving_group_at"),
)
COLUMNS = ", ".join(NAMES)
SIDES = {"BUYER": "buyer_id", "SELLER": "seller_id"}


def on_contract(contract_id: object) -> tuple[str, str]:
    """Return a contract as the subject of a deed."""
    return ("contract", str(contract_id))


def side_of(row: Row, user_id: UUID | None) -> str | None:
    """Return `BUYER` or `SELLER`, None for who is neither."""
    return next((side for side, column in SIDES.items() if row[column] == user_id), None)


async def of_party(tx: Transaction, contract_id: UUID, user_id: UUID) -> tuple[Row, str]:
    """Return a contract as it was read, and the user's side; raises NotFound."""
    row = await tx.fetchrow(f"SELECT {COLUMNS} FROM contracts WHERE id = $1", contract_id)  # noqa: S608
    side = side_of(row, user_id) if row is not None else None
    if row is None or side is None:
        raise NotFound
    return row, side


async def locked(tx: Transaction, contract_id: UUID) -> Row:
    """Return a contract and hold it; raises NotFound."""
    row = await tx.fetchrow(
        f"SELECT {COLUMNS} FROM contracts WHERE id = $1 FOR UPDATE",  # noqa: S608
        contract_id,
    )
    if row is None:
        raise NotFound
    return row


async def signatures(tx: Transaction, contract_id: UUID) -> list[Row]:
    """Return the signatures of a contract, in order."""
    return await tx.fetch(
        "SELECT user_id, side, method, document_sha256, interaction_id, signed_at FROM signatures"
        " WHERE contract_id = $1 ORDER BY signed_at, id",
        contract_id,
    )


def is_over(row: Row, now: datetime) -> bool:
    """Tell whether the time to sign is over."""
    at = row["sign_deadline_at"]
    return at is not None and at <= now
