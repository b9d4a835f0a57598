"""What becomes of an instrument whose money goes on coming while it is being asked about."""

from datetime import UTC, datetime, timedelta

import pytest

from bloxtr8 import ids
from bloxtr8.payments import operations
from bloxtr8.payments.book import Book, Funds
from bloxtr8.payments.operations import Kind, Operation, Status
from bloxtr8.payments.rails import Instrument, InstrumentStatus, Receipt
from bloxtr8.payments.settling import settle
from bloxtr8.payments.usdc.chain import TransferLog
from bloxtr8.payments.usdc.deposits import Account, Deposit, Stray
from bloxtr8.payments.usdc.deposits import Status as DepositStatus
from bloxtr8.payments.usdc.telling import tell

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ESCROW = ids.escrow_id_for("01890000-0000-7000-8000-0000000000cc")
ADDRESS = "0x" + "a" * 40
LATE = Deposit(
    TransferLog("0x02", 0, 9, "0x9", "0xusdc", "0xsender", ADDRESS, 7), DepositStatus.ACCEPTED, True
)


def operation(kind: Kind, **fields: object) -> Operation:
    values: dict[str, object] = {
        "operation_id": ids.operation_id_for(ESCROW, kind.value, 1),
        "escrow_id": ESCROW,
        "kind": kind,
        "generation": 1,
        "rail": "USDC_BASE",
        "provider": "BASE",
        "amount_minor": 500,
        "currency": "USDC",
        "command_id": str(ids.uuid7()),
        "requested_at": NOW,
        "not_before": NOW,
        **fields,
    }
    return Operation(**values)  # type: ignore[arg-type]


def receipt(ref: str, amount: int) -> Receipt:
    metadata = {"escrow_id": ESCROW, "operation_id": intent().operation_id, "contract_id": ""}
    return Receipt(ref, "", amount, "USDC", 0, False, metadata, risk="LOW")


def intent() -> Operation:
    return operation(
        Kind.INTENT, status=Status.CONFIRMED, provider_ref=ADDRESS, attempts=3, sent_at=NOW
    )


def account() -> Account:
    return Account(ADDRESS, ESCROW, intent().operation_id, "", 500, 1)


def paid(*strays: Receipt) -> Instrument:
    return Instrument(ADDRESS, InstrumentStatus.PAID, receipt("0x01:0", 500), strays)


@pytest.mark.parametrize("status", [InstrumentStatus.PAID, InstrumentStatus.CANCELLED])
def test_what_came_while_it_was_asked_about_is_asked_for_at_once(status: InstrumentStatus) -> None:
    cancel = operation(Kind.CANCEL, intent_operation_id=intent().operation_id)
    asked, answer = intent(), paid()
    book = Book(ESCROW, Funds("USDC"), [asked])
    if status is InstrumentStatus.CANCELLED:
        answer, asked = Instrument(ADDRESS, status), operations.claim(cancel, "me", NOW)
        book.put(asked)
    tell(book, account(), Stray(LATE), NOW)
    settle(book, asked, answer, NOW, livemode=False)
    after = book.operations[intent().operation_id]
    assert after.due
    assert after.not_before <= NOW


def test_it_is_left_alone_when_all_has_been_told() -> None:
    book = Book(ESCROW, Funds("USDC"), [intent()])
    settle(book, intent(), paid(), NOW, livemode=False)
    assert not book.operations[intent().operation_id].due
    tell(book, account(), Stray(LATE), NOW)
    again = operations.claim(book.operations[intent().operation_id], "me", NOW)
    book.put(again)
    later = NOW + timedelta(seconds=5)
    settle(book, again, paid(receipt(LATE.ref, 7)), later, livemode=False)
    assert not book.operations[intent().operation_id].due
    said = [event.payment_succeeded.amount.minor for event in book.events]
    assert said == [500, 7]
