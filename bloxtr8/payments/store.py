"""The port to where books are kept: PostgreSQL in production, memory in simulations."""

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bloxtr8.payments.book import Book
from bloxtr8.payments.operations import Operation


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """The name of a provider's call."""

    provider: str
    event_id: str


class PaymentStore(Protocol):
    def open(
        self, escrow_id: str, event: ProviderEvent | None = None
    ) -> AbstractAsyncContextManager[Book]:
        """One transaction on one escrow, alone: its book is read, and kept when the block ends.

        With `event`, the book knows whether that call was handled before (`knows_event`), and
        keeps that it is handled now. Raises what `database.is_transient` knows.
        """
        ...

    async def claim(
        self, owner: str, now: datetime, limit: int, held: Collection[str]
    ) -> list[Operation]:
        """Take up to `limit` operations that are due, one per escrow, and return them as SENT.

        Never one of `held` (this owner has it in hand), never of an escrow of which another is
        being executed. The claim is stored before it is returned.
        """
        ...

    async def operation(self, operation_id: str) -> Operation | None: ...
