"""One escrow's book beside what the provider says of it. Pure.

A difference that the provider's own event would have told us of carries that event: taking it
in is the repair. All others are for people, and nothing is moved because of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from bloxtr8.payments import book as books
from bloxtr8.payments import disputes
from bloxtr8.payments.book import Artifact, Book, taken_back_minor
from bloxtr8.payments.operations import REFUNDS, Kind, Operation, Status
from bloxtr8.payments.reconciliation.model import NOTHING, Finding, amount
from bloxtr8.payments.reconciliation.model import Kind as Difference
from bloxtr8.payments.reconciliation.provider import (
    Call,
    Charged,
    Movements,
    Received,
    Sent,
)

_ASKED = (Status.SENT, Status.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Gap:
    """`call` would have told us, where the provider has one for it."""

    finding: Finding
    call: Call | None = None


def compare(book: Book, said: Movements, provider: str) -> list[Gap]:
    """Return what differs; an operation that is still under way is not a difference."""
    found = _Comparison(book, provider)
    return [
        *found.receipts(said.received),
        *found.chargebacks(said.charged),
        *found.sent("payout", (Kind.PAYOUT,), said.payouts),
        *found.sent("refund", tuple(REFUNDS), said.refunds),
    ]


def instruments(book: Book) -> list[str]:
    """Return the payment instruments of an escrow."""
    return [
        entry.provider_ref
        for entry in book.operations.values()
        if entry.kind is Kind.INTENT and entry.provider_ref
    ]


class _Comparison:
    def __init__(self, book: Book, provider: str) -> None:
        self._book = book
        self._provider = provider

    # --- money in ----------------------------------------------------------------------------

    def receipts(self, received: tuple[Received, ...]) -> Iterator[Gap]:
        for entry in received:
            known = self._book.artifacts.get(entry.ref)
            paid = known is not None and known.status in books.PAID
            ours = _amount_of(known) if known is not None and paid else NOTHING
            theirs = NOTHING
            if entry.amount_minor is not None:
                theirs = amount(entry.amount_minor, entry.currency)
            if ours != theirs:
                call = None if paid else entry.call
                yield self._gap(
                    Difference.PAYMENT, entry.ref, "payment received", ours, theirs, call
                )

    def chargebacks(self, charged: tuple[Charged, ...]) -> Iterator[Gap]:
        missing = {
            ref: entry for ref, entry in self._book.artifacts.items() if entry.kind == books.DISPUTE
        }
        for case in charged:
            known = missing.pop(case.ref, None)
            theirs = f"{case.status} {amount(case.amount_minor, case.currency)}"
            ours = NOTHING if known is None else f"{known.status} {_amount_of(known)}"
            if ours != theirs:
                behind = known is None or known.status in (disputes.WAITING, disputes.OPENED)
                call = case.call if behind else None
                yield self._gap(Difference.PAYMENT, case.ref, "chargeback", ours, theirs, call)
        for ref, entry in missing.items():
            ours = f"{entry.status} {_amount_of(entry)}"
            yield self._gap(Difference.PAYMENT, ref, "chargeback", ours, NOTHING)

    # --- money out ---------------------------------------------------------------------------

    def sent(self, what: str, kinds: tuple[Kind, ...], sent: tuple[Sent, ...]) -> Iterator[Gap]:
        missing = {
            entry.provider_ref: entry
            for entry in self._book.operations.values()
            if entry.kind in kinds and entry.status is Status.CONFIRMED
        }
        for entry in sent:
            ordered = missing.pop(entry.ref, None)
            if ordered is not None:
                yield from self._same(what, ordered, entry)
            else:
                yield from self._unknown(what, kinds, entry)
        for ref, ordered in missing.items():
            subject = ref or ordered.operation_id
            yield self._gap(Difference.TRANSFER, subject, what, _order(ordered), NOTHING)

    def _same(self, what: str, ordered: Operation, entry: Sent) -> Iterator[Gap]:
        known = self._book.artifacts.get(entry.ref)
        if entry.status == "FAILED":
            # It succeeded, and the bank sent it back.
            if known is None or not known.body.get("returned"):
                yield self._gap(
                    Difference.TRANSFER, entry.ref, what, _order(ordered), NOTHING, entry.call
                )
            return
        if _order(ordered) != _sent(entry):
            yield self._gap(Difference.TRANSFER, entry.ref, what, _order(ordered), _sent(entry))
        ours = 0 if known is None else taken_back_minor(known)
        if ours != entry.taken_back_minor:
            yield self._gap(
                Difference.TRANSFER,
                entry.ref,
                f"{what} taken back",
                amount(ours, ordered.currency),
                amount(entry.taken_back_minor, entry.currency),
                entry.call if ours < entry.taken_back_minor else None,
            )

    def _unknown(self, what: str, kinds: tuple[Kind, ...], entry: Sent) -> Iterator[Gap]:
        ordered = self._book.operations.get(entry.operation_id)
        if entry.status == "FAILED":
            return
        if ordered is not None and ordered.kind in kinds and ordered.status in _ASKED:
            if entry.status == "CONFIRMED":
                yield self._gap(
                    Difference.TRANSFER, entry.ref, what, "no answer yet", _sent(entry), entry.call
                )
            return
        yield self._gap(Difference.TRANSFER, entry.ref, what, NOTHING, _sent(entry))

    def _gap(
        self,
        kind: Difference,
        subject: str,
        what: str,
        ours: str,
        theirs: str,
        call: Call | None = None,
    ) -> Gap:
        finding = Finding(kind, self._provider, subject, what, ours, theirs, self._book.escrow_id)
        return Gap(finding, call)


def _amount_of(artifact: Artifact) -> str:
    return amount(artifact.amount_minor or 0, artifact.currency or "")


def _order(operation: Operation) -> str:
    return _with_place(
        amount(operation.amount_minor, operation.currency),
        operation.destination if operation.kind is Kind.PAYOUT else None,
    )


def _sent(entry: Sent) -> str:
    return _with_place(amount(entry.amount_minor, entry.currency), entry.destination)


def _with_place(money: str, destination: str | None) -> str:
    return f"{money} to {destination}" if destination else money
