"""The escrow that a request is about, and who its caller is in it."""

from dataclasses import dataclass
from typing import Literal

from bloxtr8.errors import NotFound
from bloxtr8.messaging.envelope import is_uuid
from bloxtr8.money import currency_code
from bloxtr8.store import database
from bloxtr8.store.database import Transaction
from proto.bloxtr8.escrow.v1 import record_pb2 as record

Side = Literal["BUYER", "SELLER"]


@dataclass(frozen=True, slots=True)
class Case:
    """An escrow as the mirror has it, with its contract's reference.

    `side` is the caller's part in it, None for staff.
    """

    escrow: record.Escrow
    contract_ref: str | None
    side: Side | None

    @property
    def currency(self) -> str:
        return currency_code(self.escrow.price.currency)

    @property
    def ref(self) -> str | None:
        """The trade's reference: its contract's seven characters after `T-`."""
        return f"T-{self.contract_ref[2:]}" if self.contract_ref else None

    @property
    def case_code(self) -> str | None:
        """The reference of the trade's dispute."""
        return f"K-{self.contract_ref[2:]}" if self.contract_ref else None


async def load(escrow_id: str, user_id: str, tx: Transaction | None = None) -> Case:
    """Return the escrow from the mirror, read in `tx` if given; raises NotFound."""
    if not is_uuid(escrow_id):
        raise NotFound
    fetchrow = tx.fetchrow if tx is not None else database.fetchrow
    row = await fetchrow(
        "SELECT e.state_bytes, c.ref FROM escrows e"
        " LEFT JOIN contracts c ON c.escrow_id = e.id WHERE e.id = $1",
        escrow_id,
    )
    if row is None:
        raise NotFound
    return case_of(record.Escrow.FromString(row["state_bytes"]), row["ref"], user_id)


def case_of(escrow: record.Escrow, contract_ref: str | None, user_id: str) -> Case:
    """Return `escrow` as `user_id` stands to it."""
    return Case(escrow, contract_ref, side_of(escrow, user_id))


def side_of(escrow: record.Escrow, user_id: str) -> Side | None:
    """Return the part that `user_id` has in the trade."""
    if user_id == escrow.buyer_id:
        return "BUYER"
    if user_id == escrow.seller_id:
        return "SELLER"
    return None
