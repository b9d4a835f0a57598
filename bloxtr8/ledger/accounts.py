"""The chart of accounts. A balance is credits less debits: what we owe is positive.

escrow_held:<escrow>      held for a trade                                  floor 0
buyer:<user>              owed to a buyer (stray and foreign receipts)      floor 0
seller:<user>             owed to a seller; passes through                  floor 0
platform_fees             what we earned                                    floor 0
provider_clearing:<name>  our money at a provider; negative: it has it      no floor
provider_fees             what providers took; negative: our cost           no floor
receivable:<user>         what someone owes us; negative: they owe          no floor
"""

from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1.record_pb2 import Escrow

PLATFORM_FEES = "platform_fees"
PROVIDER_FEES = "provider_fees"
_HELD, _BUYER, _SELLER = "escrow_held:", "buyer:", "seller:"
_CLEARING, _RECEIVABLE = "provider_clearing:", "receivable:"
_FLOORED = (_HELD, _BUYER, _SELLER, PLATFORM_FEES)
_PROVIDER_OF_RAIL = {common.RAIL_STRIPE: "stripe", common.RAIL_USDC_BASE: "base"}


def held(escrow_id: str) -> str:
    return _HELD + escrow_id


def buyer(user_id: str) -> str:
    return _BUYER + user_id


def seller(user_id: str) -> str:
    return _SELLER + user_id


def receivable(user_id: str) -> str:
    return _RECEIVABLE + user_id


def clearing(escrow: Escrow) -> str:
    """Return the clearing account of the provider behind the escrow's rail."""
    return _CLEARING + _PROVIDER_OF_RAIL[escrow.rail]


def floor_minor(account: str) -> int | None:
    """Return the lowest balance the account may have, None for any."""
    return 0 if account.startswith(_FLOORED) else None
