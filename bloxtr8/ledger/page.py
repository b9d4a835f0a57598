"""docs/LEDGER.md, written from the chart of accounts and the list of what is booked."""

from dataclasses import dataclass

from bloxtr8.ledger.accounts import CHART, PLACES


@dataclass(frozen=True, slots=True)
class Fact:
    """What is booked for a fact: `moves` are (from, to) classes of accounts, in order."""

    name: str
    source: str
    moves: tuple[tuple[str, str], ...]


_CLEARING, _HELD, _FEES = "provider_clearing", "escrow_held", "platform_fees"
_PAID_IN = ((_CLEARING, "buyer"), ("buyer", _HELD))
_PAID_BACK = ((_HELD, "buyer"), ("buyer", _CLEARING))
_PAID_OUT = ((_HELD, "seller"), ("seller", _CLEARING))

FACTS = (
    Fact("charge or deposit received, also under review", "escrow event", _PAID_IN),
    Fact("payout", "escrow event", _PAID_OUT),
    Fact("platform fee earned", "escrow event", ((_HELD, _FEES),)),
    Fact("refund", "escrow event", _PAID_BACK),
    Fact("stray or foreign receipt", "escrow event", ((_CLEARING, "buyer"),)),
    Fact("its return", "escrow event", (("buyer", _CLEARING),)),
    Fact("chargeback withdrawn", "escrow event", (("receivable", _CLEARING),)),
    Fact("chargeback reinstated", "escrow event", ((_CLEARING, "receivable"),)),
    Fact(
        "chargeback lost before a payout: it is the refund",
        "escrow event",
        ((_HELD, "buyer"), ("buyer", "receivable")),
    ),
    Fact("transfer reversed", "TransferReversed", ((_CLEARING, "receivable"),)),
    Fact(
        "provider's fee on a receipt",
        "PaymentSucceeded, FundsUnderReview",
        (("provider_fees", _CLEARING),),
    ),
    Fact("other fee of the provider", "its statement", (("provider_fees", _CLEARING),)),
    Fact("sweep to the hot wallet", "the chain, hourly", ((_CLEARING, _CLEARING),)),
    Fact(
        "payout from the hot wallet: back to base", "the chain, hourly", ((_CLEARING, _CLEARING),)
    ),
    Fact("our own money put into the hot wallet", "the chain, hourly", ((_CLEARING, _CLEARING),)),
    Fact("our earnings paid out to our bank", "its statement", ((_CLEARING, _CLEARING),)),
)

_HEAD = """# The ledger

Written by `scripts/ledger.py` from `bloxtr8/ledger/accounts.py` and `page.py`; a test compares
them, and compares what is listed here with what is really booked.

Double entry: every booking is a set of lines that sums to zero per currency, written in the
transaction of the event that it comes from, once. A balance is credits less debits. Amounts are
integers of minor units: cents of USD, millionths of USDC. PostgreSQL refuses a booking that does
not balance, a balance below its floor, and any change of a line.

## Chart of accounts

| account | one per | meaning | floor |
|---|---|---|---|
"""
_BOOKINGS = """
Places of `provider_clearing`: {places}.

## What is booked

"from" goes down and "to" goes up by the amount.

| fact | booked from | from → to |
|---|---|---|
"""
_FOOT = """
Escrow events book every movement of a trade's money: they have no gaps and an order, so no
booking comes before the one it rests on. A receipt that a release or split pays the fees of
earns them then, not before.

## Looking at it

| command | shows |
|---|---|
| `bloxtr8 ledger balance [--account PREFIX]` | every account that is not empty |
| `bloxtr8 ledger trial [--before DATE]` | both sides per class and currency |
| `bloxtr8 ledger entries [--account PREFIX] [--escrow ID]` | the newest lines |
| `bloxtr8 ledger check [--escrow ID]` | what is wrong; exit code 1 when something is |
| `bloxtr8 ledger statement USER_ID --from DATE --to DATE` | a user's statement, for them to keep |
| `bloxtr8 ledger stray` | money that came in, belongs to no trade and is not back yet |

All take `--json` and `--csv`.
"""


def render() -> str:
    """Return docs/LEDGER.md."""
    chart = "".join(
        f"| `{entry.name}` | {entry.per or '–'} | {entry.meaning} |"
        f" {'none' if entry.floor_minor is None else entry.floor_minor} |\n"
        for entry in CHART
    )
    facts = "".join(
        f"| {fact.name} | {fact.source} |"
        f" {', '.join(f'{source} → {target}' for source, target in fact.moves)} |\n"
        for fact in FACTS
    )
    places = ", ".join(f"`{place}`" for place in PLACES)
    return f"{_HEAD}{chart}{_BOOKINGS.format(places=places)}{facts}{_FOOT}"
