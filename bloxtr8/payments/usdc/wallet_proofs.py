"""Proof that a person holds the key of a wallet: a text of ours, signed as EIP-191 says.

Only wallets with a key of their own count: a contract could not say which of its owners signed,
and money sent to a contract that does not expect it is lost.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from eth_account import Account
from eth_account.messages import encode_defunct
from eth_utils.address import to_checksum_address

from bloxtr8.payments.usdc.networks import Network, lower

# As long as the one-time token that the text is kept with.
LIFETIME = timedelta(minutes=15)
_SIGNATURE_BYTES = 65
_NONCE_BYTES = 16
# Half of the curve's order: of the two signatures that fit, only the lower one is accepted
# (EIP-2), so that a signature cannot be altered and still fit.
_S_MAX = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


class Purpose(StrEnum):
    PAYOUT = "receive payouts"
    REFUND = "receive refunds"


class ProofInvalid(Exception):
    """The signature does not prove what it should; its message says why, for a person."""


class CodeReader(Protocol):
    async def is_contract(self, address: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Challenge:
    """What is to be signed; kept by whoever asked, and used once. `wallet` in lower case."""

    user_id: str
    wallet: str
    purpose: Purpose
    chain_id: int
    network: str
    origin: str
    nonce: str
    issued_at: datetime

    @property
    def expires_at(self) -> datetime:
        return self.issued_at + LIFETIME

    @property
    def text(self) -> str:
        """The text as the wallet shows it, and over which it signs."""
        return (
            f"{self.origin} asks you to prove that this wallet is yours, so that it can "
            f"{self.purpose.value}.\n"
            "Signing costs nothing and sends nothing.\n"
            "\n"
            f"Wallet: {to_checksum_address(self.wallet)}\n"
            f"Account: {self.user_id}\n"
            f"Network: {self.network} ({self.chain_id})\n"
            f"Nonce: {self.nonce}\n"
            f"Issued at: {self.issued_at:%Y-%m-%dT%H:%M:%SZ}\n"
            f"Valid until: {self.expires_at:%Y-%m-%dT%H:%M:%SZ}"
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody's word: this wallet is mine, for this."""

    user_id: str
    wallet: str
    purpose: Purpose


def challenge(claim: Claim, network: Network, origin: str, now: datetime) -> Challenge:
    """Return what `claim` is proven with. `origin` is the address of the site, as people see it.

    Raises ProofInvalid when the wallet is no address.
    """
    try:
        wallet = lower(claim.wallet)
    except ValueError:
        raise ProofInvalid("That is not an address.") from None
    if wallet == "0x" + "0" * 40:
        raise ProofInvalid("Nobody holds the key of that address.")
    return Challenge(
        user_id=claim.user_id,
        wallet=wallet,
        purpose=claim.purpose,
        chain_id=network.chain_id,
        network=network.name,
        origin=origin,
        nonce=secrets.token_hex(_NONCE_BYTES),
        issued_at=now.replace(microsecond=0),
    )


async def verify(asked: Challenge, signature: str, chain: CodeReader, now: datetime) -> str:
    """Return the wallet (lower case) that `signature` proves.

    The caller takes care that a challenge is used once. Raises ProofInvalid, and ChainUnavailable
    when nobody can say whether the wallet is a contract.
    """
    if not asked.issued_at <= now < asked.expires_at:
        raise ProofInvalid("The request to sign has expired; ask for a new one.")
    if signer_of(asked.text, signature) != asked.wallet:
        raise ProofInvalid("Another wallet has signed.")
    if await chain.is_contract(asked.wallet):
        raise ProofInvalid("That wallet is a contract; use one with a key of its own.")
    return asked.wallet


def signer_of(text: str, signature: str) -> str:
    """Return who signed `text`, in lower case; raises ProofInvalid."""
    try:
        raw = bytes.fromhex(signature.removeprefix("0x"))
    except ValueError:
        raise ProofInvalid("That is not a signature.") from None
    if len(raw) != _SIGNATURE_BYTES or int.from_bytes(raw[32:64], "big") > _S_MAX:
        raise ProofInvalid("That is not a signature.")
    try:
        signer: str = Account.recover_message(encode_defunct(text=text), signature=raw)
    except Exception:
        # The library has many errors for a signature that fits to no key.
        raise ProofInvalid("That is not a signature.") from None
    return signer.lower()
