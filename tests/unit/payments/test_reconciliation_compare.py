"""An escrow's book beside the provider's word: what is a difference, and what mends it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bloxtr8.payments.book import Artifact, Book, Funds
from bloxtr8.payments.operations import Kind, Operation, Status
from bloxtr8.payments.reconciliation.compare import Gap, compare, instruments
from bloxtr8.payments.reconciliation.model import Finding, Report, amount
from bloxtr8.payments.reconciliation.model import Kind as Difference
from bloxtr8.payments.reconciliation.provider import Call, Charged, Movements, Received, Sent
from bloxtr8.payments.webhook_signatures import WebhookName

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CALL = Call(WebhookName("evt_1", "pi_1", "some.thing"), b"{}", NOW)
ESCROW = "00000000-0000-4000-8000-000000000001"


def operation(kind: Kind, ref: str | None, minor: int, **fields: Any) -> Operation:
    values: dict[str, Any] = {"status": Status.CONFIRMED, "provider_ref": ref, **fields}
    return Operation(
        operation_id=f"op-{kind.value}",
        escrow_id=ESCROW,
        kind=kind,
        generation=1,
        rail="STRIPE",
        provider="STRIPE",
        amount_minor=minor,
        currency="USD",
        command_id="c",
        requested_at=NOW,
        not_before=NOW,
        **values,
    )


INTENT = operation(Kind.INTENT, "pi_1", 1_000)
PAYOUT = operation(Kind.PAYOUT, "tr_1", 900, destination="acct_1")
REFUND = operation(Kind.REFUND, "re_1", 1_000)
PAID = Artifact("INTENT", "pi_1", "op-INTENT", 1_000, "USD", "RECEIVED")
RECEIVED = Received("pi_1", 1_000, "USD", CALL)
SENT = Sent("tr_1", "op-PAYOUT", 900, "USD", "CONFIRMED", CALL, "acct_1")
REPAID = Sent("re_1", "op-REFUND", 1_000, "USD", "CONFIRMED", CALL)
CASE = Charged("du_1", 1_000, "USD", "OPENED", CALL)


def gaps(
    operations: tuple[Operation, ...], artifacts: tuple[Artifact, ...], **said: Any
) -> list[Gap]:
    book = Book(ESCROW, Funds("USD", 1_000), operations, artifacts)
    return compare(book, Movements(**said), "STRIPE")


def one(found: list[Gap]) -> tuple[str, str, str, bool]:
    """Return kind, expected, actual of the only gap, and whether a call would mend it."""
    (gap,) = found
    finding = gap.finding
    return finding.kind.value, finding.expected, finding.actual, gap.call is not None


def test_what_agrees_has_no_gap() -> None:
    transfer = Artifact("TRANSFER", "tr_1", "op-PAYOUT", 900, "USD", "CONFIRMED")
    assert gaps((INTENT, PAYOUT), (PAID, transfer), received=(RECEIVED,), payouts=(SENT,)) == []


def test_a_payment_that_was_not_heard_of_is_mended_by_its_call() -> None:
    waiting = replace(PAID, status="OPEN")
    found = gaps((INTENT,), (waiting,), received=(RECEIVED,))
    assert one(found) == ("PAYMENT", "nothing", "10.00 USD", True)


@pytest.mark.parametrize(
    ("said", "actual"),
    [
        (replace(RECEIVED, amount_minor=999), "9.99 USD"),
        (replace(RECEIVED, currency="EUR"), "10.00 EUR"),
        (replace(RECEIVED, amount_minor=None), "nothing"),
    ],
)
def test_a_payment_that_is_another_is_for_people(said: Received, actual: str) -> None:
    assert one(gaps((INTENT,), (PAID,), received=(said,))) == (
        "PAYMENT",
        "10.00 USD",
        actual,
        False,
    )


@pytest.mark.parametrize(
    ("known", "said", "mends"),
    [
        (None, "OPENED", True),
        ("WAITING", "OPENED", True),
        ("OPENED", "LOST", True),
        ("LOST", "WON", False),
        ("WON", "OPENED", False),
    ],
)
def test_chargebacks_only_move_forward(known: str | None, said: str, mends: bool) -> None:
    artifacts = [Artifact("DISPUTE", "du_1", None, 1_000, "USD", known)] if known else []
    found = gaps((), tuple(artifacts), charged=(replace(CASE, status=said),))
    assert one(found)[3] is mends


def test_a_chargeback_that_the_provider_does_not_know() -> None:
    known = Artifact("DISPUTE", "du_1", None, 1_000, "USD", "OPENED")
    assert one(gaps((), (known,))) == ("PAYMENT", "OPENED 10.00 USD", "nothing", False)


@pytest.mark.parametrize(
    ("said", "actual"),
    [
        (replace(SENT, amount_minor=901), "9.01 USD to acct_1"),
        (replace(SENT, destination="acct_2"), "9.00 USD to acct_2"),
    ],
)
def test_a_payout_that_is_another(said: Sent, actual: str) -> None:
    found = gaps((PAYOUT,), (), payouts=(said,))
    assert one(found) == ("TRANSFER", "9.00 USD to acct_1", actual, False)


def test_a_payout_that_the_provider_does_not_know() -> None:
    assert one(gaps((PAYOUT,), ())) == ("TRANSFER", "9.00 USD to acct_1", "nothing", False)


@pytest.mark.parametrize("operation_id", ["", "op-of-nobody", "op-INTENT", "op-PAYOUT"])
def test_a_payout_that_nobody_ordered_or_a_second_one(operation_id: str) -> None:
    second = replace(SENT, ref="tr_2", operation_id=operation_id)
    found = gaps((INTENT, PAYOUT), (), payouts=(SENT, second))
    assert one(found) == ("TRANSFER", "nothing", "9.00 USD to acct_1", False)


@pytest.mark.parametrize("status", [Status.SENT, Status.UNKNOWN])
def test_a_payout_without_an_answer_is_asked_about(status: Status) -> None:
    ordered = replace(PAYOUT, status=status, provider_ref=None)
    assert one(gaps((ordered,), (), payouts=(SENT,)))[3]


def test_a_payout_that_failed_and_was_made() -> None:
    failed = replace(PAYOUT, status=Status.FAILED, provider_ref=None)
    assert one(gaps((failed,), (), payouts=(SENT,)))[1:] == (
        "nothing",
        "9.00 USD to acct_1",
        False,
    )


@pytest.mark.parametrize(("ours", "theirs", "mends"), [(0, 300, True), (300, 0, False)])
def test_what_came_back_of_a_payout(ours: int, theirs: int, mends: bool) -> None:
    body = {"taken_back_minor": ours}
    known = Artifact("TRANSFER", "tr_1", "op-PAYOUT", 900, "USD", "CONFIRMED", body)
    found = gaps((PAYOUT,), (known,), payouts=(replace(SENT, taken_back_minor=theirs),))
    assert one(found)[3] is mends


def test_a_refund_that_the_bank_sent_back() -> None:
    back = replace(REPAID, status="FAILED")
    assert one(gaps((REFUND,), (), refunds=(back,))) == (
        "TRANSFER",
        "10.00 USD",
        "nothing",
        True,
    )
    known = Artifact("REFUND", "re_1", "op-REFUND", 1_000, "USD", "STRAY", {"returned": True})
    assert gaps((REFUND,), (known,), refunds=(back,)) == []


@pytest.mark.parametrize(("status", "told"), [("CONFIRMED", 1), ("PENDING", 1), ("FAILED", 0)])
def test_a_refund_that_nobody_ordered(status: str, told: int) -> None:
    strange = replace(REPAID, operation_id="", status=status)
    assert len(gaps((), (), refunds=(strange,))) == told


def test_a_refund_that_is_on_its_way_is_no_difference() -> None:
    ordered = replace(REFUND, status=Status.SENT)
    assert gaps((ordered,), (), refunds=(replace(REPAID, status="PENDING"),)) == []


def test_only_instruments_that_exist_are_asked_about() -> None:
    unmade = replace(INTENT, operation_id="op-2", provider_ref=None)
    assert instruments(Book(ESCROW, Funds("USD"), (INTENT, unmade, PAYOUT))) == ["pi_1"]


def test_amounts_of_currencies_that_nobody_knows() -> None:
    assert amount(5, "XAU") == "5 minor units of XAU"
    assert amount(5, "USDC") == "0.000005 USDC"


def test_a_report_is_bounded_and_counts_on() -> None:
    report = Report()
    for number in range(1_100):
        report.find(Finding(Difference.STATE, "STRIPE", f"s{number}", "w", "a", "b"))
        report.repair("call", str(number))
        report.fail(str(number))
    assert (len(report.findings), len(report.repairs), len(report.silent)) == (1_000, 1_000, 100)
    assert report.repaired == 1_100
    assert not report.ok
