"""Which event books what. Pure: states and events in, lines out.

Escrow events book every movement of a trade's money: they have no gaps and an order per
escrow, so no booking can come before the one it rests on. What is booked is the difference
between the state before an event and the state after it, which is balanced because the state
is: received = held + released + refunded + fees.

Payment events describe most of the same facts; they book only what no escrow event carries:

| fact | booked from |
|---|---|
| charge or deposit received, also under review | escrow event, difference of received |
| payout, refund, both legs of a split | escrow event, difference of released, refunded |
| platform fee earned | escrow event, difference of fees |
| stray or foreign receipt and its return | escrow event, difference of the stray list |
| chargeback opened, won, lost | escrow event, difference of the chargebacks |
| provider's fee on a charge | PaymentSucceeded, FundsUnderReview |
| transfer reversed at the provider | TransferReversed |

What no event carries is booked by whoever learns it: a fee that only the provider's statement
shows (`provider_fee`), and money that changes its place and not its owner (`relocation`): swept
from a deposit address to the hot wallet, or paid out by the provider to our own bank.

A chargeback takes the money out of clearing when it is opened. Before a payout the buyer owes
it meanwhile, after one the seller does; when the bank's return becomes the refund of the
escrow, that settles the buyer's debt instead of leaving clearing a second time.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from bloxtr8.ledger import accounts
from bloxtr8.money import currency_code
from proto.bloxtr8.common.v1.common_pb2 import Money
from proto.bloxtr8.escrow.v1 import events_pb2 as events
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.escrow.v1.record_pb2 import Chargeback, Escrow, StrayFunds
from proto.bloxtr8.payments.v1.payments_pb2 import PaymentEvent

_NO_ESCROW = Escrow()


@dataclass(frozen=True, slots=True)
class Line:
    """`amount_minor` is added to the account's balance."""

    account: str
    currency: str
    amount_minor: int


def of_escrow_event(before: Escrow | None, after: Escrow) -> list[Line]:
    """Return the balanced lines of the step from `before` (None: did not exist) to `after`."""
    if not after.price.currency:
        return []
    was = before or _NO_ESCROW
    if not _money_moved(was, after):
        return []
    lines = [*_trade(was, after), *_stray(was, after), *_chargebacks(was, after)]
    assert not _imbalance(lines), "every booking balances"
    return lines


def of_payment_event(event: PaymentEvent, escrow: Escrow) -> list[Line]:
    """Return the balanced lines of what only the payment event says; `escrow` names the people."""
    body = event.WhichOneof("body")
    if body == "payment_succeeded":
        return _fee_of_receipt(event.payment_succeeded.provider_fee, escrow)
    if body == "funds_under_review":
        return _fee_of_receipt(event.funds_under_review.provider_fee, escrow)
    if body == "transfer_reversed":
        amount = event.transfer_reversed.amount
        # The provider took the payout back for us: the seller is owed it again.
        return _move(
            accounts.clearing(escrow), accounts.receivable(escrow.seller_id), amount.minor, amount
        )
    return []


def provider_fee(place: str, currency: str, minor: int) -> list[Line]:
    """Return the lines of a fee that the provider at `place` took; negative: gave back."""
    return _lines(accounts.PROVIDER_FEES, accounts.clearing_at(place), minor, currency)


def relocation(source: str, target: str, currency: str, minor: int) -> list[Line]:
    """Return the lines of our money moving from one of accounts.PLACES to another."""
    assert minor >= 0, "money moves from source to target"
    # A clearing account is negative while the money is there.
    return _lines(accounts.clearing_at(target), accounts.clearing_at(source), minor, currency)


def books(event: PaymentEvent) -> bool:
    """Tell whether this payment event may lead to lines at all."""
    return event.WhichOneof("body") in (
        "payment_succeeded",
        "funds_under_review",
        "transfer_reversed",
    )


def _money_moved(was: Escrow, after: Escrow) -> bool:
    # Most events move nothing; comparing these is cheap.
    return (
        was.received_minor != after.received_minor
        or was.released_minor != after.released_minor
        or was.refunded_minor != after.refunded_minor
        or was.fees_minor != after.fees_minor
        or was.stray != after.stray
        or was.chargebacks != after.chargebacks
        or _foreign(was) != _foreign(after)
    )


def _trade(was: Escrow, after: Escrow) -> Iterator[Line]:
    held, clearing = accounts.held(after.escrow_id), accounts.clearing(after)
    buyer, seller = accounts.buyer(after.buyer_id), accounts.seller(after.seller_id)
    price = after.price
    yield from _through(clearing, buyer, held, after.received_minor - was.received_minor, price)
    yield from _through(held, seller, clearing, after.released_minor - was.released_minor, price)
    bank_returned = after.refund_reason == types.REFUND_REASON_CHARGEBACK
    goes_to = accounts.receivable(after.buyer_id) if bank_returned else clearing
    yield from _through(held, buyer, goes_to, after.refunded_minor - was.refunded_minor, price)
    yield from _move(held, accounts.PLATFORM_FEES, after.fees_minor - was.fees_minor, after.price)


def _stray(was: Escrow, after: Escrow) -> Iterator[Line]:
    clearing, buyer = accounts.clearing(after), accounts.buyer(after.buyer_id)
    known = {stray.payment_ref: stray for stray in was.stray}
    for stray in after.stray:
        owed_before = _owed(known.pop(stray.payment_ref, None))
        yield from _move(clearing, buyer, _owed(stray) - owed_before, _money(stray))
    for gone in known.values():
        # Returned ones may be forgotten; one that was owed is only gone when it never was.
        yield from _move(clearing, buyer, -_owed(gone), _money(gone))
    for escrow, sign in ((was, -1), (after, 1)):
        foreign = _foreign(escrow)
        yield from _move(clearing, buyer, sign * foreign.minor, foreign)


def _chargebacks(was: Escrow, after: Escrow) -> Iterator[Line]:
    known = {chargeback.dispute_ref: chargeback for chargeback in was.chargebacks}
    for chargeback in after.chargebacks:
        yield from _exposure(known.pop(chargeback.dispute_ref, None), after, -1)
        yield from _exposure(chargeback, after, 1)
    for gone in known.values():
        yield from _exposure(gone, after, -1)


def _exposure(chargeback: Chargeback | None, escrow: Escrow, sign: int) -> Iterator[Line]:
    """What an open or lost chargeback took: out of clearing, owed by who has the money."""
    if chargeback is None or chargeback.status == events.CHARGEBACK_STATUS_WON:
        return
    debtor = escrow.seller_id if chargeback.after_release else escrow.buyer_id
    yield from _move(
        accounts.receivable(debtor),
        accounts.clearing(escrow),
        sign * chargeback.amount_minor,
        escrow.price,
    )


def _fee_of_receipt(fee: Money, escrow: Escrow) -> list[Line]:
    if fee.minor == 0:
        return []
    return _move(accounts.PROVIDER_FEES, accounts.clearing(escrow), fee.minor, fee)


def _owed(stray: StrayFunds | None) -> int:
    return 0 if stray is None or stray.refunded else stray.amount_minor


def _money(stray: StrayFunds) -> Money:
    # Never the price's currency instead: what nobody has a name for is not booked.
    return Money(currency=stray.currency)


def _foreign(escrow: Escrow) -> Money:
    """Return the money under review in another currency, until it is stray."""
    reviewed = escrow.state == types.ESCROW_STATE_FUNDS_REVIEW and escrow.HasField("foreign")
    if not reviewed or any(stray.payment_ref == escrow.funding_ref for stray in escrow.stray):
        return Money(currency=escrow.price.currency)
    return escrow.foreign


def _through(source: str, person: str, target: str, minor: int, money: Money) -> list[Line]:
    """A movement that shows in a person's account without staying there."""
    return [*_move(source, person, minor, money), *_move(person, target, minor, money)]


def _move(source: str, target: str, minor: int, money: Money) -> list[Line]:
    """`minor` of `money`'s currency from `source` to `target`; nothing when it is 0.

    A provider may report a currency that we do not trade in, which comes unspecified: it has no
    accounts here, and staff send it back.
    """
    if not money.currency:
        return []
    return _lines(source, target, minor, currency_code(money.currency))


def _lines(source: str, target: str, minor: int, currency: str) -> list[Line]:
    if minor == 0:
        return []
    return [Line(source, currency, -minor), Line(target, currency, minor)]


def _imbalance(lines: list[Line]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for line in lines:
        sums[line.currency] = sums.get(line.currency, 0) + line.amount_minor
    return {currency: total for currency, total in sums.items() if total}
