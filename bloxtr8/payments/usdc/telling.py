"""What a deposit account's facts mean for the escrow's book: ask the rail, or ask a person."""

from datetime import datetime

from bloxtr8.payments import operations
from bloxtr8.payments.book import Book, StaffTask
from bloxtr8.payments.usdc.deposits import (
    Account,
    Fact,
    Overfull,
    Paid,
    Quarantined,
    Seen,
    Stray,
    Vanished,
)

QUARANTINED, VANISHED = "QUARANTINED_FUNDS", "VANISHED_DEPOSIT"
# Micro-USDC in a cent.
_MICROS = 10_000


def tell(book: Book, account: Account, fact: Fact, now: datetime) -> None:
    """Take one fact into the book.

    Money that has come to stay is looked up by the executor, which screens its senders outside
    of any transaction; what must not happen is for people.
    """
    if isinstance(fact, Seen | Paid | Stray):
        _ask(book, account, now, again=not isinstance(fact, Seen))
    elif isinstance(fact, Quarantined):
        book.tasks.append(StaffTask(QUARANTINED, account.escrow_id))
    elif isinstance(fact, Vanished):
        cents = fact.deposit.amount_minor // _MICROS
        book.tasks.append(StaffTask(VANISHED, account.escrow_id, cents))
    elif isinstance(fact, Overfull):
        book.tasks.append(StaffTask("RECONCILIATION", fact.address))


def _ask(book: Book, account: Account, now: datetime, *, again: bool) -> None:
    intent = book.operations.get(account.operation_id)
    if intent is None:
        return
    if intent.due:
        book.put(operations.hasten(intent, now))
    elif again and intent.status is operations.Status.CONFIRMED:
        book.put(operations.ask_again(intent, now))
