"""A chain of our own behind a JSON-RPC endpoint, with a USDC-like token and a faucet."""

from bloxtr8.sandbox.chain.server import LocalChain

__all__ = ["LocalChain"]
