"""What a trade of a given price costs: the rail it takes and who pays what."""

from dataclasses import dataclass

from bloxtr8.escrow import fees
from bloxtr8.money import EXPONENTS
from proto.bloxtr8.common.v1 import common_pb2 as common

SCHEDULE = "v1"
_RAIL_NAMES = {common.RAIL_STRIPE: "STRIPE", common.RAIL_USDC_BASE: "USDC_BASE"}
_CENT_EXPONENT = EXPONENTS["USD"]


@dataclass(frozen=True, slots=True)
class Quote:
    """The costs of a trade. All amounts but the price are in minor units of `currency`."""

    price_cents: int
    rail: str
    currency: str
    settle_minor: int
    buyer_fee_minor: int
    seller_fee_minor: int
    schedule: str = SCHEDULE

    @property
    def buyer_pays_minor(self) -> int:
        return self.settle_minor + self.buyer_fee_minor

    @property
    def seller_receives_minor(self) -> int:
        return self.settle_minor - self.seller_fee_minor


def quote(price_cents: int) -> Quote:
    """Return what a trade of `price_cents` (USD) costs.

    Cards carry at most 10,000.00 USD with the buyer's fee; what is more goes by USDC, of which
    one counts as one USD.
    """
    by_card = _quote(common.RAIL_STRIPE, price_cents)
    card_max = fees.units(common.RAIL_STRIPE, fees.STRIPE_TOTAL_MAX)
    if by_card.buyer_pays_minor <= card_max:
        return by_card
    return _quote(common.RAIL_USDC_BASE, price_cents)


def _quote(rail: int, price_cents: int) -> Quote:
    currency = fees.CURRENCY_OF_RAIL[rail]
    scale: int = 10 ** (EXPONENTS[currency] - _CENT_EXPONENT)
    settle = price_cents * scale
    return Quote(
        price_cents=price_cents,
        rail=_RAIL_NAMES[rail],  # type: ignore[index]
        currency=currency,
        settle_minor=settle,
        buyer_fee_minor=fees.buyer_fee(SCHEDULE, rail, settle),
        seller_fee_minor=fees.seller_fee(SCHEDULE, rail, settle),
    )
