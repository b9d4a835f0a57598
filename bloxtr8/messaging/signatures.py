"""Ed25519 signatures on messages, and the key ring that knows who may sign.

A signature covers topic, key and value, each with its length before it, so that a message can
neither be moved to another topic or escrow nor changed. Ed25519: RFC 8032.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from proto.bloxtr8.common.v1 import common_pb2 as common

KEY_ID_HEADER = "key_id"
SIGNATURE_HEADER = "signature"
_KEYS_MAX = 1000
_TRUST_FILE = "trust.json"


class SignatureInvalid(Exception):
    """The signature is missing, wrong, or by a key that may not write here."""


def signed_bytes(topic: str, key: bytes, value: bytes) -> bytes:
    """Return what a signature covers."""
    parts = (topic.encode(), key, value)
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


@dataclass(frozen=True, slots=True)
class Signer:
    """One producer's private key."""

    key_id: str
    producer: int
    private_key: Ed25519PrivateKey

    def sign(self, topic: str, key: bytes, value: bytes) -> dict[str, bytes]:
        """Return the headers that prove who wrote this message."""
        signature = self.private_key.sign(signed_bytes(topic, key, value))
        return {KEY_ID_HEADER: self.key_id.encode(), SIGNATURE_HEADER: signature}


@dataclass(frozen=True, slots=True)
class TrustedKey:
    producer: int
    public_key: Ed25519PublicKey


class Keyring:
    """The private keys this process has and the public keys it trusts.

    On disk: `<producer>-<n>.pem` private keys (PKCS 8, mode 0600) and `trust.json`,
    `{key_id: {"producer": name, "public": hex}}`. Keys rotate by adding the next number and
    removing the old one from `trust.json` when nothing signed with it is left.
    """

    def __init__(self, signers: dict[int, Signer], trusted: dict[str, TrustedKey]) -> None:
        assert len(trusted) <= _KEYS_MAX, "the trust list has a limit"
        self._signers = signers
        self._trusted = trusted

    def signer(self, producer: int) -> Signer:
        """Raises KeyError when this process does not hold that producer's key."""
        return self._signers[producer]

    def verify(self, topic: str, key: bytes, value: bytes, headers: dict[str, bytes]) -> int:
        """Return the producer that signed; raises SignatureInvalid."""
        # A header may be there without a value.
        key_id = (headers.get(KEY_ID_HEADER) or b"").decode("ascii", "replace")
        trusted = self._trusted.get(key_id)
        if trusted is None:
            raise SignatureInvalid("unsigned, or signed with a key that nobody trusts")
        try:
            trusted.public_key.verify(
                headers.get(SIGNATURE_HEADER) or b"", signed_bytes(topic, key, value)
            )
        except InvalidSignature:
            raise SignatureInvalid(f"the signature of {key_id} does not fit") from None
        return trusted.producer

    @classmethod
    def generate(cls) -> "Keyring":
        """Return a ring with a fresh key for every producer; for development and tests."""
        signers: dict[int, Signer] = {}
        trusted: dict[str, TrustedKey] = {}
        for name, producer in _producers().items():
            private = Ed25519PrivateKey.generate()
            key_id = f"{name}-1"
            signers[producer] = Signer(key_id, producer, private)
            trusted[key_id] = TrustedKey(producer, private.public_key())
        return cls(signers, trusted)

    @classmethod
    def load(cls, directory: Path, *, create: bool) -> "Keyring":
        """Read the ring from `directory`; with `create`, make it at first start.

        Raises FileNotFoundError when there is none and `create` is false.
        """
        if create:
            with _first_start(directory):
                if not (directory / _TRUST_FILE).exists():
                    cls.generate().save(directory)
        trust = json.loads((directory / _TRUST_FILE).read_text())
        producers = _producers()
        trusted = {
            key_id: TrustedKey(
                producers[entry["producer"]],
                Ed25519PublicKey.from_public_bytes(bytes.fromhex(entry["public"])),
            )
            for key_id, entry in trust.items()
        }
        return cls(_load_signers(directory, trusted), trusted)

    def save(self, directory: Path) -> None:
        """Write the ring to `directory`; the trust list last, whole or not at all."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for signer in self._signers.values():
            _write_private(directory / f"{signer.key_id}.pem", signer.private_key)
        names = {number: name for name, number in _producers().items()}
        trust = {
            key_id: {
                "producer": names[key.producer],
                "public": key.public_key.public_bytes_raw().hex(),
            }
            for key_id, key in self._trusted.items()
        }
        temporary = directory / f".{_TRUST_FILE}.{os.getpid()}"
        temporary.write_text(json.dumps(trust, indent=2))
        temporary.replace(directory / _TRUST_FILE)


@contextmanager
def _first_start(directory: Path) -> Iterator[None]:
    """One process at a time makes keys: two that start together must trust each other."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _producers() -> dict[str, int]:
    return {
        name.removeprefix("PRODUCER_").lower(): number
        for name, number in common.Producer.items()
        if number != common.PRODUCER_UNSPECIFIED
    }


def _key_number(path: Path) -> int:
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0


def _load_signers(directory: Path, trusted: dict[str, TrustedKey]) -> dict[int, Signer]:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    signers: dict[int, Signer] = {}
    for path in sorted(directory.glob("*.pem"), key=_key_number):
        trusted_key = trusted.get(path.stem)
        if trusted_key is None:
            continue
        private = load_pem_private_key(path.read_bytes(), password=None)
        assert isinstance(private, Ed25519PrivateKey), f"{path} is not an Ed25519 key"
        # The highest number of a producer comes last and wins.
        signers[trusted_key.producer] = Signer(path.stem, trusted_key.producer, private)
    return signers


def _write_private(path: Path, key: Ed25519PrivateKey) -> None:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
