"""A trade as those see it who speak about it."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from bloxtr8.errors import InvalidState, NotFound
from bloxtr8.market.actors import Actor
from bloxtr8.store.database import Transaction

Side = Literal["BUYER", "SELLER"]


@dataclass(frozen=True, slots=True)
class Trade:
    """The mirror's row, locked. `side`: the actor's, who is one of the two."""

    escrow_id: UUID
    state: str
    buyer_id: UUID
    seller_id: UUID
    side: Side

    @property
    def other(self) -> UUID:
        return self.seller_id if self.side == "BUYER" else self.buyer_id

    def require_state(self, *states: str) -> None:
        """Raises InvalidState."""
        if self.state not in states:
            raise InvalidState(current_status=self.state)


async def lock(tx: Transaction, actor: Actor, escrow_id: UUID) -> Trade:
    """Return the trade, locked so that limits are counted by one at a time; raises NotFound."""
    row = await tx.fetchrow(
        "SELECT state, buyer_id, seller_id FROM escrows WHERE id = $1 FOR NO KEY UPDATE",
        escrow_id,
    )
    if row is None or actor.id not in (row["buyer_id"], row["seller_id"]):
        raise NotFound
    side: Side = "BUYER" if actor.id == row["buyer_id"] else "SELLER"
    return Trade(escrow_id, row["state"], row["buyer_id"], row["seller_id"], side)
