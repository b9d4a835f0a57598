"""What a trade costs and who gets what: the fee schedules and the three ways money leaves.

All amounts are integers in minor units of the rail's currency. Rounding is always in favour
of the side that pays the fee's remainder least: the buyer's fee rounds up once at creation,
every later share rounds down, and the parts of each plan sum exactly to what was received.
"""

from dataclasses import dataclass

from bloxtr8.money import EXPONENTS
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import record_pb2 as records

# A proportion is in basis points of the price: 1 % = 100.
_BPS = 10_000

CURRENCY_OF_RAIL: dict[int, str] = {common.RAIL_STRIPE: "USD", common.RAIL_USDC_BASE: "USDC"}
NETWORK_OF_RAIL: dict[int, int] = {
    common.RAIL_STRIPE: common.NETWORK_UNSPECIFIED,
    common.RAIL_USDC_BASE: common.NETWORK_BASE,
}

# In whole units (dollars).
PRICE_MIN, PRICE_MAX = 1, 1_000_000
STRIPE_TOTAL_MAX = 10_000
# A price above this needs a second member of staff wherever the table says so.
SECOND_APPROVAL_ABOVE = 10_000
# A USDC deposit may be this much too large (the excess goes back) without a review.
EXCESS_MAX_BPS = 100


@dataclass(frozen=True, slots=True)
class RailFees:
    """What one rail charges each side: basis points of the price plus a fixed sum."""

    buyer_bps: int
    buyer_fixed_minor: int
    seller_bps: int
    seller_fixed_minor: int


SCHEDULES: dict[str, dict[int, RailFees]] = {
    "v1": {
        common.RAIL_STRIPE: RailFees(290, 30, 0, 50),
        common.RAIL_USDC_BASE: RailFees(0, 0, 50, 0),
    },
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How what was received leaves: payout + refund + fees = received."""

    payout_minor: int
    refund_minor: int
    fees_minor: int

    def __post_init__(self) -> None:
        assert min(self.payout_minor, self.refund_minor, self.fees_minor) >= 0, (
            "no part is negative"
        )

    @property
    def total_minor(self) -> int:
        return self.payout_minor + self.refund_minor + self.fees_minor


@dataclass(frozen=True, slots=True)
class Terms:
    """What the plans are computed from, as it stands on the escrow."""

    schedule: str
    rail: int
    price_minor: int
    buyer_fee_minor: int
    seller_fee_minor: int
    received_minor: int

    @property
    def due_minor(self) -> int:
        return self.price_minor + self.buyer_fee_minor

    @property
    def excess_minor(self) -> int:
        return self.received_minor - self.due_minor


def terms_of(escrow: records.Escrow) -> Terms:
    """Return the amounts that an escrow's plans are computed from."""
    return Terms(
        schedule=escrow.fee_schedule,
        rail=escrow.rail,
        price_minor=escrow.price.minor,
        buyer_fee_minor=escrow.buyer_fee_minor,
        seller_fee_minor=escrow.seller_fee_minor,
        received_minor=escrow.received_minor,
    )


def units(rail: int, whole: int) -> int:
    """Return `whole` dollars in minor units of the rail's currency."""
    scale: int = 10 ** EXPONENTS[CURRENCY_OF_RAIL[rail]]
    return whole * scale


def buyer_fee(schedule: str, rail: int, price_minor: int) -> int:
    """Return what the buyer pays on top of the price; rounded up."""
    fees = SCHEDULES[schedule][rail]
    return -(-price_minor * fees.buyer_bps // _BPS) + fees.buyer_fixed_minor


def seller_fee(schedule: str, rail: int, share_minor: int) -> int:
    """Return what is kept of the seller's share; rounded down, never above the share."""
    fees = SCHEDULES[schedule][rail]
    return min(share_minor, share_minor * fees.seller_bps // _BPS + fees.seller_fixed_minor)


def release(terms: Terms) -> Plan:
    """All to the seller: price − seller fee; what was paid above the sum due goes back."""
    assert terms.excess_minor >= 0, "a release needs all that was due"
    plan = Plan(
        payout_minor=terms.price_minor - terms.seller_fee_minor,
        refund_minor=terms.excess_minor,
        fees_minor=terms.buyer_fee_minor + terms.seller_fee_minor,
    )
    assert plan.total_minor == terms.received_minor, "nothing is left over"
    return plan


def refund(terms: Terms) -> Plan:
    """All that was received goes back; nobody pays a fee."""
    return Plan(payout_minor=0, refund_minor=terms.received_minor, fees_minor=0)


def split(terms: Terms, refund_minor: int) -> Plan:
    """`refund_minor` of the price (0 < r < price) goes back, the rest is the seller's share.

    The seller's fee is computed on the share; the buyer's fee is kept in proportion to it.
    """
    assert 0 < refund_minor < terms.price_minor, "a split has two sides"
    assert terms.excess_minor >= 0, "a split needs all that was due"
    share = terms.price_minor - refund_minor
    kept_of_buyer = terms.buyer_fee_minor * share // terms.price_minor
    kept_of_seller = seller_fee(terms.schedule, terms.rail, share)
    plan = Plan(
        payout_minor=share - kept_of_seller,
        refund_minor=refund_minor + terms.buyer_fee_minor - kept_of_buyer + terms.excess_minor,
        fees_minor=kept_of_buyer + kept_of_seller,
    )
    assert plan.total_minor == terms.received_minor, "nothing is left over"
    return plan


def divide(terms: Terms, refund_minor: int) -> Plan:
    """`refund_minor` of the price (0 … price) goes back: a release, a split or a refund."""
    if refund_minor == 0:
        return release(terms)
    if refund_minor == terms.price_minor:
        return refund(terms)
    return split(terms, refund_minor)
