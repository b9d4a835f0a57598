"""Encryption of single values at rest: AES-256-GCM with a ring of keys.

A value is version ‖ key number ‖ nonce ‖ ciphertext and tag. Its context (what it is and whose)
is authenticated with it, so that it cannot be put in another one's place. Source: NIST SP 800-38D;
nonces are random and a key is good for 2^32 values, so keys rotate long before.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

DATA_KEYS_FILE = "data-keys.json"
_VERSION = b"\x01"
_NUMBER_BYTES = 4
_NONCE_BYTES = 12
_KEY_BYTES = 32
_TAG_BYTES = 16
_HEADER_BYTES = len(_VERSION) + _NUMBER_BYTES
_KEYS_MAX = 1000
_FILE_BYTES_MAX = 256 * 1024


class Undecryptable(Exception):
    """The value was changed, belongs elsewhere, or its key is gone."""


@dataclass(frozen=True, slots=True, repr=False)
class DataKeys:
    """`keys` by number; `current` encrypts, all decrypt."""

    current: int
    keys: dict[int, bytes]

    def __post_init__(self) -> None:
        assert self.current in self.keys, "the current key is there"
        assert len(self.keys) <= _KEYS_MAX, "a ring has a limit"
        assert all(len(key) == _KEY_BYTES for key in self.keys.values()), "AES-256"

    def encrypt(self, plain: bytes, context: str) -> bytes:
        """Return `plain` encrypted; the same `context` is needed to read it."""
        nonce = os.urandom(_NONCE_BYTES)
        header = _VERSION + self.current.to_bytes(_NUMBER_BYTES, "big")
        cipher = AESGCM(self.keys[self.current])
        return header + nonce + cipher.encrypt(nonce, plain, _bound(header, context))

    def decrypt(self, value: bytes, context: str) -> bytes:
        """Raises Undecryptable."""
        key = self.keys.get(self.number_of(value))
        if key is None:
            raise Undecryptable("its key is not in the ring")
        header, rest = value[:_HEADER_BYTES], value[_HEADER_BYTES:]
        try:
            return AESGCM(key).decrypt(
                rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], _bound(header, context)
            )
        except InvalidTag:
            raise Undecryptable("it was changed or belongs elsewhere") from None

    def number_of(self, value: bytes) -> int:
        """Return the number of the key that `value` is encrypted with; raises Undecryptable."""
        shortest = _HEADER_BYTES + _NONCE_BYTES + _TAG_BYTES
        if len(value) < shortest or value[: len(_VERSION)] != _VERSION:
            raise Undecryptable("it is not one of our values")
        return int.from_bytes(value[len(_VERSION) : _HEADER_BYTES], "big")

    def renew(self, value: bytes, context: str) -> bytes:
        """Return `value` encrypted with the current key; raises Undecryptable."""
        if self.number_of(value) == self.current:
            return value
        return self.encrypt(self.decrypt(value, context), context)

    def rotated(self) -> "DataKeys":
        """Return the ring with a new current key; the old ones still decrypt."""
        number = max(self.keys) + 1
        return DataKeys(number, {**self.keys, number: os.urandom(_KEY_BYTES)})

    def without(self, number: int) -> "DataKeys":
        """Return the ring without an old key, of which nothing is left."""
        assert number != self.current, "the current key is needed"
        return DataKeys(self.current, {n: key for n, key in self.keys.items() if n != number})

    @classmethod
    def generate(cls) -> "DataKeys":
        return cls(1, {1: os.urandom(_KEY_BYTES)})

    @classmethod
    def load(cls, directory: Path, *, create: bool) -> "DataKeys":
        """Read the ring from `directory`; with `create`, make it at first start.

        Raises FileNotFoundError when there is none and `create` is false, ValueError when it is
        not a ring.
        """
        path = directory / DATA_KEYS_FILE
        if create and not path.exists():
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            cls.generate()._write_first(path)
        with path.open("rb") as file:
            kept = json.loads(file.read(_FILE_BYTES_MAX))
        try:
            keys = {int(number): bytes.fromhex(key) for number, key in kept["keys"].items()}
            return cls(int(kept["current"]), keys)
        except (KeyError, TypeError, AttributeError, AssertionError):
            raise ValueError(f"{path} is not a ring of keys") from None

    def save(self, directory: Path) -> None:
        """Write the ring to `directory`, whole or not at all; mode 0600."""
        temporary = directory / f".{DATA_KEYS_FILE}.{os.getpid()}"
        self._write(temporary)
        temporary.replace(directory / DATA_KEYS_FILE)

    def _write_first(self, path: Path) -> None:
        """Write the ring unless another process was quicker, whose ring then counts."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        self._write(temporary)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
        finally:
            temporary.unlink()

    def _write(self, path: Path) -> None:
        kept = {
            "current": self.current,
            "keys": {str(number): key.hex() for number, key in self.keys.items()},
        }
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(kept, file)
            file.flush()
            os.fsync(file.fileno())


def _bound(header: bytes, context: str) -> bytes:
    return header + context.encode()
