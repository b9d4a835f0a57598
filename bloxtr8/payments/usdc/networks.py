"""Which chains USDC is taken on, and which contract is the real one there.

Source of the addresses: developers.circle.com/stablecoins/usdc-contract-addresses.
"""

from dataclasses import dataclass

from bloxtr8.config import BaseChainSettings

CANONICAL_USDC = {
    8453: "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913",
    84532: "0x036cbd53842c5426634e7929541ec2318f3dcf7e",
}
NAMES = {8453: "Base", 84532: "Base Sepolia"}
_ADDRESS_CHARACTERS = 42


@dataclass(frozen=True, slots=True)
class Network:
    """`usdc` is the canonical contract, in lower case."""

    chain_id: int
    usdc: str

    @property
    def name(self) -> str:
        return NAMES.get(self.chain_id, "local chain")

    @classmethod
    def of(cls, settings: BaseChainSettings) -> "Network":
        """Raises ValueError: a known chain has one USDC, any other needs its address."""
        canonical = CANONICAL_USDC.get(settings.chain_id)
        named = lower(settings.usdc_address) if settings.usdc_address else None
        if canonical is not None and named not in (None, canonical):
            raise ValueError("BLOXTR8_BASE__USDC_ADDRESS is not the USDC of that chain")
        usdc = canonical or named
        if usdc is None:
            raise ValueError("BLOXTR8_BASE__USDC_ADDRESS is needed for this chain")
        return cls(settings.chain_id, usdc)


def lower(address: str) -> str:
    """Return an address in lower case, as it is compared; raises ValueError."""
    text = address.lower()
    if len(text) != _ADDRESS_CHARACTERS or not text.startswith("0x"):
        raise ValueError("an address is 0x and 40 hexadecimal digits")
    int(text[2:], 16)
    return text
