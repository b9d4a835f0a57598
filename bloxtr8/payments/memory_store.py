"""Books in memory: for simulations and unit tests of what stands above the port."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime

from bloxtr8.payments import operations
from bloxtr8.payments.book import Book, StaffTask
from bloxtr8.payments.operations import Operation
from bloxtr8.payments.store import ProviderEvent
from proto.bloxtr8.payments.v1 import payments_pb2 as payments


class MemoryStore:
    """`outbox` has each PaymentEvent once, by its id, in the order of the transactions."""

    def __init__(self) -> None:
        self.books: dict[str, Book] = {}
        self.outbox: dict[str, payments.PaymentEvent] = {}
        self.references: dict[str, str] = {}
        self.tasks: list[StaffTask] = []
        self.handled: set[ProviderEvent] = set()
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @asynccontextmanager
    async def open(self, escrow_id: str, event: ProviderEvent | None = None) -> AsyncIterator[Book]:
        async with self._locks[escrow_id]:
            book = self._read(escrow_id, knows_event=event in self.handled)
            yield book
            self._keep(book)
            if event is not None:
                self.handled.add(event)

    def _read(self, escrow_id: str, *, knows_event: bool = False) -> Book:
        kept = self.books.get(escrow_id)
        if kept is None:
            return Book(escrow_id, knows_event=knows_event)
        return Book(
            escrow_id,
            kept.funds,
            kept.operations.values(),
            kept.artifacts.values(),
            knows_event=knows_event,
        )

    def _keep(self, book: Book) -> None:
        self.books[book.escrow_id] = book
        for message in book.events:
            self.outbox.setdefault(message.metadata.message_id, message)
        for ref in book.learned:
            self.references[ref] = book.escrow_id
        self.tasks.extend(book.tasks)

    async def claim(
        self, owner: str, now: datetime, limit: int, held: Collection[str]
    ) -> list[Operation]:
        claimed: list[Operation] = []
        for escrow_id in list(self.books):
            if len(claimed) >= limit:
                break
            if self._locks[escrow_id].locked():
                continue
            book = self._read(escrow_id)
            chosen = _first_due(book, owner, now, held)
            if chosen is not None:
                book.put(operations.claim(chosen, owner, now))
                self._keep(book)
                claimed.append(book.operations[chosen.operation_id])
        return claimed

    async def operation(self, operation_id: str) -> Operation | None:
        for book in self.books.values():
            if operation_id in book.operations:
                return book.operations[operation_id]
        return None


def _first_due(book: Book, owner: str, now: datetime, held: Collection[str]) -> Operation | None:
    def leased(entry: Operation) -> bool:
        alive = entry.lease_until is not None and entry.lease_until > now
        return entry.operation_id in held or (alive and entry.lease_owner != owner)

    entries = [entry for entry in book.operations.values() if entry.due]
    if any(leased(entry) for entry in entries):
        return None
    waiting = [entry for entry in entries if entry.not_before <= now]
    return min(waiting, key=lambda entry: entry.not_before, default=None)
