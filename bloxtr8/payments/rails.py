"""What a payment rail can do and what it can answer; one adapter per provider implements it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from bloxtr8.payments.operations import Operation


@dataclass(frozen=True, slots=True)
class Confirmed:
    """It happened. `amount_minor`, `currency`, `destination` are the provider's words."""

    ref: str
    amount_minor: int
    currency: str
    destination: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """The provider says no. `nothing_happened`: no money moved, and none will."""

    code: str
    nothing_happened: bool = True


@dataclass(frozen=True, slots=True)
class Unknown:
    """Time-out, broken connection, 5xx, or an answer that nobody can read.

    `asked` False: something was missing before anybody was asked for the effect.
    """

    reason: str
    asked: bool = True


@dataclass(frozen=True, slots=True)
class Pending:
    """The provider took it on and will say later how it ended."""

    ref: str


@dataclass(frozen=True, slots=True)
class Absent:
    """Look-up only: the provider has never heard of this operation."""


class InstrumentStatus(StrEnum):
    OPEN = "OPEN"
    PROCESSING = "PROCESSING"
    PAID = "PAID"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class Receipt:
    """Money that a buyer paid. `currency` upper-case, perhaps one that we do not trade in."""

    payment_ref: str
    charge_ref: str
    amount_minor: int
    currency: str
    fee_minor: int | None
    livemode: bool
    metadata: dict[str, str]
    fee_currency: str = ""  # empty: that of the receipt
    risk: str = ""  # of its senders, where somebody was asked


@dataclass(frozen=True, slots=True)
class Instrument:
    """What a buyer pays with: a PaymentIntent, a deposit address. `receipt` when PAID.

    `strays`: what came by it besides, and can only go back.
    """

    ref: str
    status: InstrumentStatus
    receipt: Receipt | None = None
    strays: tuple[Receipt, ...] = ()

    def __post_init__(self) -> None:
        assert (self.receipt is not None) == (self.status is InstrumentStatus.PAID)


InstrumentOutcome = Instrument | Failed | Unknown
MovementOutcome = Confirmed | Pending | Failed | Unknown
LookUpOutcome = Instrument | Confirmed | Pending | Failed | Absent | Unknown
Outcome = Instrument | Confirmed | Pending | Failed | Absent | Unknown


class Rail(Protocol):
    """Effects at one provider. Nothing here raises for what a provider does or leaves undone.

    Every call uses `operation.operation_id` as its idempotency key, so repeating it is safe
    while `operations.may_repeat` says so.
    """

    provider: str

    async def create_intent(self, operation: Operation) -> InstrumentOutcome: ...

    async def cancel(self, operation: Operation) -> InstrumentOutcome:
        """Cancel the instrument `operation.payment_ref`; a paid one comes back as PAID."""
        ...

    async def payout(self, operation: Operation) -> MovementOutcome: ...

    async def refund(self, operation: Operation) -> MovementOutcome: ...

    async def look_up(self, operation: Operation) -> LookUpOutcome:
        """Ask what became of `operation`, without any effect."""
        ...
