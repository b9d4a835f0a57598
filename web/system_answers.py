"""What the service answers about itself."""

from typing import Any

from pydantic import Field

from web.fields import Answer, Body, MoneyIn, MoneyOut, Time
from web.trading_answers import CostsOut


class Health(Answer):
    status: str


class Ready(Answer):
    """`checks`: `ok` or `fail` by what was looked at."""

    status: str
    checks: dict[str, str]


class Jwks(Answer):
    keys: list[dict[str, Any]]


class Received(Answer):
    received: bool


class Meta(Answer):
    """What clients need to know before they ask anything. Amounts in USD unless they say."""

    version: str
    mode: str
    now: Time
    clocks_s: dict[str, int] = Field(description="seconds")
    price_min: MoneyOut
    price_max: MoneyOut
    price_bands: list[str]
    categories: list[str]
    rail_threshold: MoneyOut = Field(description="what a buyer pays by card at most")
    tier2_above: MoneyOut
    fee_schedule: str
    template_version: str
    consents: dict[str, str] = Field(description="current version by document")


class ChangeOut(Answer):
    """The data of one event. `seq` rises with each change of the thing."""

    entity: str
    id: str | None
    seq: int


class OutageSpan(Answer):
    scope: str
    started_at: Time
    ended_at: Time | None


class Status(Answer):
    """`components`: `ok` or `outage`. `open` and `recent` (90 days) are what staff recorded."""

    components: dict[str, str]
    open: list[OutageSpan]
    recent: list[OutageSpan]


class QuoteIn(Body):
    """A price in USD."""

    price: MoneyIn


class QuoteOut(Answer):
    """`settle`: the price in what the trade is settled in."""

    rail: str
    price: MoneyOut
    settle: MoneyOut
    costs: CostsOut
    fee_schedule: str
