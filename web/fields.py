"""Kinds of values that bodies and answers share."""

from datetime import datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from bloxtr8.clock import rfc3339
from bloxtr8.errors import AmountOutOfRange
from bloxtr8.market.fields import text
from bloxtr8.messaging.envelope import is_uuid
from bloxtr8.money import EXPONENTS, Money

__all__ = ["Answer", "Body", "Id", "Moment", "MoneyIn", "MoneyOut", "Query", "Reason", "Sha256"]
__all__ += ["Time", "findable", "money", "text"]

# JSON numbers are exact up to 2^53; this is well inside and above every amount we handle.
MINOR_MAX = 10**12
_FIRST_YEAR, _LAST_YEAR = 1, 9999


class Body(BaseModel):
    """A request's body: no unknown fields, no guessing of types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Query(BaseModel):
    """A request's query string."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """An answer's body."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _uuid(text: str) -> str:
    if not is_uuid(text):
        raise ValueError("this is not a UUID")
    return text


def _within_calendar(moment: datetime) -> datetime:
    """Refuse the calendar's first and last year: in other zones their ends have no name."""
    if not _FIRST_YEAR < moment.year < _LAST_YEAR:
        raise ValueError("this is too far away")
    return moment


Id = Annotated[str, AfterValidator(_uuid), WithJsonSchema({"type": "string", "format": "uuid"})]
Time = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Moment = Annotated[AwareDatetime, AfterValidator(_within_calendar)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Reason = Annotated[str, text(10, 1_000)]


class MoneyIn(Body):
    """An amount a client names, in whole minor units."""

    minor: int = Field(ge=0, le=MINOR_MAX)
    currency: str = Field(pattern="^(USD|USDC)$")

    def in_currency(self, currency: str) -> int:
        """Return the minor units; raises AmountOutOfRange for another currency."""
        if self.currency != currency:
            raise AmountOutOfRange(f"This trade is in {currency}.")
        return self.minor


class MoneyOut(Answer):
    """An amount with its decimal form for display."""

    minor: int
    currency: str
    decimal: str


def findable(text: str | None) -> str | None:
    """Return what is looked for as the database takes it: none of its texts has a NUL."""
    return None if text is None else text.replace("\0", " ")


def money(minor: int, currency: str) -> MoneyOut:
    """Return `minor` units of `currency` as answers show them."""
    assert currency in EXPONENTS, "an amount has a known currency"
    return MoneyOut(minor=minor, currency=currency, decimal=Money(currency, minor).decimal)
