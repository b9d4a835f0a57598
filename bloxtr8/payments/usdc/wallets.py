"""The wallets of self-custody: whoever holds the keys signs; here one seed in an encrypted file.

The file is a Web3 Secret Storage V3 keystore that holds 32 bytes of entropy; BIP-39 makes the
seed of it and BIP-44 the keys, so that any wallet software can restore them.
"""

import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from eth_account import Account
from eth_account.hdaccount import key_from_seed
from eth_account.hdaccount.mnemonic import Mnemonic
from eth_account.signers.local import LocalAccount
from eth_typing import Hash32

_ENTROPY_BYTES = 32
_FILE_BYTES_MAX = 64 * 1024
# BIP-44: purpose 44', coin 60' (Ether); account 0' takes deposits, account 1' pays out.
_DEPOSIT_PATH = "m/44'/60'/0'/0/{}"
_HOT_PATH = "m/44'/60'/1'/0/0"
# Indices from 2^31 on are hardened ones.
NUMBER_MAX = 2**31 - 1
_KEPT = 10_000
# What stands before the parity in signatures of messages and digests.
_V_OFFSET = 27


class KeystoreError(Exception):
    """The file is missing, not a keystore, or locked with another password."""


class KeysUnavailable(Exception):
    """Whoever holds the keys does not sign now; nothing was signed."""


@dataclass(frozen=True, slots=True)
class Signature:
    """Of secp256k1, with the lower of the two s that fit (EIP-2)."""

    y_parity: int
    r: int
    s: int


class Keys(Protocol):
    """The wallets by their place: None is the hot wallet, a number that of a deposit address.

    Addresses in lower case. Every method raises KeysUnavailable, or KeystoreError for keys that
    are not what the settings say.
    """

    async def address(self, number: int | None) -> str: ...

    async def sign(self, number: int | None, digest: bytes) -> Signature:
        """Sign the Keccak-256 digest of a transaction."""
        ...

    async def close(self) -> None: ...


class Wallets:
    """Keys by their place. Nothing here prints or compares as what it holds."""

    def __init__(self, entropy: bytes) -> None:
        if len(entropy) != _ENTROPY_BYTES:
            raise KeystoreError("the seed's entropy has 32 bytes")
        self._seed = Mnemonic.to_seed(Mnemonic().to_mnemonic(entropy))
        self._derive = lru_cache(maxsize=_KEPT)(self._derived)
        self.hot = self._derived(_HOT_PATH)

    def __repr__(self) -> str:
        return "Wallets()"

    def deposit(self, number: int) -> LocalAccount:
        """Return the wallet of deposit address `number` (0 … 2^31 − 1)."""
        assert 0 <= number <= NUMBER_MAX, "the path has no such place"
        return self._derive(_DEPOSIT_PATH.format(number))

    async def address(self, number: int | None) -> str:
        return str(self._wallet(number).address).lower()

    async def sign(self, number: int | None, digest: bytes) -> Signature:
        signed = self._wallet(number).unsafe_sign_hash(Hash32(digest))
        return Signature(signed.v - _V_OFFSET, signed.r, signed.s)

    async def close(self) -> None:
        """Nothing is open."""

    def _wallet(self, number: int | None) -> LocalAccount:
        return self.hot if number is None else self.deposit(number)

    def _derived(self, path: str) -> LocalAccount:
        account: LocalAccount = Account.from_key(key_from_seed(self._seed, path))
        return account

    @classmethod
    def load(cls, path: Path, password: str) -> "Wallets":
        """Raises KeystoreError."""
        try:
            with path.open("rb") as file:
                kept = json.loads(file.read(_FILE_BYTES_MAX))
            entropy = bytes(Account.decrypt(kept, password))
        except (OSError, ValueError, TypeError, LookupError, NotImplementedError) as error:
            raise KeystoreError(f"{path}: {type(error).__name__}") from None
        return cls(entropy)


def create_keystore(path: Path, password: str, *, iterations: int | None = None) -> None:
    """Write a keystore with a new seed; mode 0600. Raises FileExistsError: seeds are not replaced.

    `iterations`: of scrypt; fewer for tests only.
    """
    assert password, "a keystore has a password"
    kept = Account.encrypt(os.urandom(_ENTROPY_BYTES), password, "scrypt", iterations)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(kept, file)
        file.flush()
        os.fsync(file.fileno())
