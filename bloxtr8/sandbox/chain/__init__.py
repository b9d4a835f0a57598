"""A chain of our own behind a JSON-RPC endpoint, with a USDC-like token and a faucet."""

import sys

# py-evm lets Python recurse so deep that nested JSON overflows the C stack and ends the process.
# Our contracts call nothing, so the usual limit does.
_limit = sys.getrecursionlimit()
import eth  # noqa: E402, F401

sys.setrecursionlimit(_limit)

from bloxtr8.sandbox.chain.server import LocalChain  # noqa: E402

__all__ = ["LocalChain"]
