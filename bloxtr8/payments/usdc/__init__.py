"""USDC on Base."""

import sys

# A library below these lets Python recurse so deep that nested JSON overflows the C stack, which
# ends the process. Nothing here needs that, so the limit stays what it was.
_limit = sys.getrecursionlimit()
import eth_account  # noqa: E402
import eth_account.hdaccount  # noqa: E402, F401
import web3  # noqa: E402, F401

sys.setrecursionlimit(_limit)
