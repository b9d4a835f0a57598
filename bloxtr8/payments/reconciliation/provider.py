"""What a provider can be asked for reconciliation; one adapter per provider implements it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from bloxtr8.payments.webhook_signatures import WebhookName


@dataclass(frozen=True, slots=True)
class Call:
    """A provider's event as its webhook would have brought it; `caller` as webhooks name it."""

    name: WebhookName
    body: bytes
    at: datetime
    caller: str = "STRIPE"


@dataclass(frozen=True, slots=True)
class Received:
    """A payment instrument; `amount_minor` is what was paid, None while nothing is.

    `call` is what would have told of it, here and below.
    """

    ref: str
    amount_minor: int | None
    currency: str
    call: Call


@dataclass(frozen=True, slots=True)
class Charged:
    """A chargeback. `status` is OPENED, WON or LOST."""

    ref: str
    amount_minor: int
    currency: str
    status: str
    call: Call


@dataclass(frozen=True, slots=True)
class Sent:
    """Money that went out. `status` is CONFIRMED, PENDING or FAILED.

    `taken_back_minor` of a payout came back, all reversals together.
    """

    ref: str
    operation_id: str
    amount_minor: int
    currency: str
    status: str
    call: Call
    destination: str = ""
    taken_back_minor: int = 0


@dataclass(frozen=True, slots=True)
class Movements:
    """Everything that a provider knows of one escrow."""

    received: tuple[Received, ...] = ()
    charged: tuple[Charged, ...] = ()
    payouts: tuple[Sent, ...] = ()
    refunds: tuple[Sent, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the balance statement. `amount_minor` is signed and before the fee.

    `source` is the object that moved the money, `about` the payment or transfer behind it,
    `escrow_id` the escrow that the provider's notes name; each "" where there is none.
    """

    ref: str
    kind: str
    source: str
    about: str
    escrow_id: str
    currency: str
    amount_minor: int
    fee_minor: int
    at: datetime


class ProviderBooks(Protocol):
    """Reads only. Every method raises ProviderSilent when there is no usable answer."""

    name: str  # as operations have it: STRIPE, BASE; of a place without any: its own
    place: str  # of ledger.accounts.PLACES
    settled_after: timedelta  # so old, a fact is in the ledger and in the statement
    hourly: bool  # whether its statement says what is to be booked the same hour

    async def catch_up(self, escrow_id: str) -> list[str]:
        """Take in what only a look tells, not an event, and return what that was."""
        ...

    def calls(self, since: datetime, until: datetime) -> AsyncIterator[list[Call]]:
        """Give the events of that time that are of use here, page by page, the newest first."""
        ...

    async def movements(self, escrow_id: str, instruments: Sequence[str]) -> Movements:
        """Return what became of the payment instruments, and all that went out again."""
        ...

    def statement(self, since: datetime | None, until: datetime) -> AsyncIterator[list[Line]]:
        """Give the lines of that time (None: from the beginning), page by page."""
        ...

    async def balance(self) -> dict[str, int]:
        """Return all that is with the provider, on its way there too, in minor units."""
        ...
