"""Money as integers: minor units of one currency, never a float."""

from dataclasses import dataclass
from decimal import Decimal

from proto.bloxtr8.common.v1 import common_pb2 as common

# Digits after the point that one minor unit stands for (ISO 4217; USDC: its ERC-20 decimals).
# Trades are in USD and USDC; the others are what a buyer may have paid by mistake.
EXPONENTS = {
    code: {"USDC": 6, "JPY": 0, "KRW": 0}.get(code, 2)
    for code in (
        name.removeprefix("CURRENCY_")
        for name in common.Currency.DESCRIPTOR.values_by_name
        if name != "CURRENCY_UNSPECIFIED"
    )
}

_CODES = {common.Currency.Value(f"CURRENCY_{code}"): code for code in EXPONENTS}
_NUMBERS = {code: number for number, code in _CODES.items()}


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """`minor` minor units of `currency` ("USD", "USDC", …)."""

    currency: str
    minor: int

    def __post_init__(self) -> None:
        assert self.currency in EXPONENTS, f"unknown currency {self.currency!r}"
        assert isinstance(self.minor, int), "money is an integer of minor units"

    def __add__(self, other: "Money") -> "Money":
        assert self.currency == other.currency, "amounts of two currencies do not add"
        return Money(self.currency, self.minor + other.minor)

    def __sub__(self, other: "Money") -> "Money":
        assert self.currency == other.currency, "amounts of two currencies do not subtract"
        return Money(self.currency, self.minor - other.minor)

    @property
    def decimal(self) -> str:
        """The amount with its point, e.g. "1250.00" for 125,000 cents."""
        exponent = EXPONENTS[self.currency]
        return f"{Decimal(self.minor).scaleb(-exponent):.{exponent}f}"

    def __str__(self) -> str:
        return f"{self.decimal} {self.currency}"

    def to_proto(self) -> common.Money:
        return common.Money(minor=self.minor, currency=_NUMBERS[self.currency])

    @classmethod
    def from_proto(cls, message: common.Money) -> "Money":
        """Raises ValueError when the currency is unspecified or unknown."""
        return cls(currency_code(message.currency), message.minor)


def currency_code(number: int) -> str:
    """Return the code ("USD", "USDC", …) of an enum number; ValueError for an unknown one."""
    code = _CODES.get(number)  # type: ignore[call-overload]
    if code is None:
        raise ValueError(f"unknown currency number {number}")
    return str(code)


def currency_number(code: str) -> "common.Currency.ValueType":
    """Return the enum number of a code; ValueError for an unknown one."""
    number = _NUMBERS.get(code)
    if number is None:
        raise ValueError(f"unknown currency {code!r}")
    return number
