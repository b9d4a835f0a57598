"""The chart of accounts. A balance is credits less debits: what we owe is positive.

Accounts are named `<class>` or `<class>:<whose>`; docs/LEDGER.md is made from this table.
"""

from dataclasses import dataclass

from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1.record_pb2 import Escrow


@dataclass(frozen=True, slots=True)
class AccountClass:
    """`per`: what its accounts are kept for, "" where there is only one.

    `floor_minor`: the lowest balance an account of the class may have, None for any.
    """

    name: str
    per: str
    meaning: str
    floor_minor: int | None = None


CHART = (
    AccountClass("escrow_held", "escrow", "held for a trade", 0),
    AccountClass(
        "buyer", "user", "owed to a buyer: stray and foreign receipts; payments pass through", 0
    ),
    AccountClass("seller", "user", "owed to a seller; payouts pass through", 0),
    AccountClass("platform_fees", "", "what we earned, on releases and splits only", 0),
    AccountClass("provider_clearing", "place", "our money at a provider; negative: it is there"),
    AccountClass("provider_fees", "", "what providers took; negative: our cost"),
    AccountClass("receivable", "user", "what somebody owes us; negative: they owe"),
)
# Where money lies: `stripe`, `base` (deposit addresses or the custodian), `base_hot` (the hot
# wallet after a sweep), `bank` (our own account, where a provider pays our earnings out to).
PLACES = ("stripe", "base", "base_hot", "bank")
PLATFORM_FEES = "platform_fees"
PROVIDER_FEES = "provider_fees"
_BY_NAME = {entry.name: entry for entry in CHART}
_PLACE_OF_RAIL = {common.RAIL_STRIPE: "stripe", common.RAIL_USDC_BASE: "base"}


def held(escrow_id: str) -> str:
    return f"escrow_held:{escrow_id}"


def buyer(user_id: str) -> str:
    return f"buyer:{user_id}"


def seller(user_id: str) -> str:
    return f"seller:{user_id}"


def receivable(user_id: str) -> str:
    return f"receivable:{user_id}"


def clearing_at(place: str) -> str:
    """Return the clearing account of one of PLACES."""
    assert place in PLACES, "money lies where the chart knows"
    return f"provider_clearing:{place}"


def clearing(escrow: Escrow) -> str:
    """Return the clearing account of the provider behind the escrow's rail."""
    return clearing_at(_PLACE_OF_RAIL[escrow.rail])


def of_user(user_id: str) -> tuple[str, ...]:
    """Return the accounts that a user's statement is made of."""
    return buyer(user_id), seller(user_id), receivable(user_id)


def class_of(account: str) -> AccountClass:
    """Return what `account` is; KeyError for one that the chart does not have."""
    return _BY_NAME[account.partition(":")[0]]


def floor_minor(account: str) -> int | None:
    """Return the lowest balance the account may have, None for any."""
    return class_of(account).floor_minor
