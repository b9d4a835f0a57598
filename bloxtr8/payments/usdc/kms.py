"""Keys in AWS KMS: the hot wallet's never leaves it, the deposits' seed is opened by it.

The hot wallet is an asymmetric key (ECC_SECG_P256K1, SIGN_VERIFY). KMS has no derived keys, so the
deposit addresses come from a seed in a file that a symmetric key of KMS encrypted; what arrives
there is swept at once. Source: docs.aws.amazon.com/kms/latest/APIReference, Sign, GetPublicKey,
Decrypt; SEC 1 v2 §4.1.6 for the recovery of a key; EIP-2 for the lower s.
"""

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aioboto3
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key
from eth_keys.datatypes import PublicKey
from eth_keys.datatypes import Signature as RawSignature
from eth_keys.exceptions import BadSignature

from bloxtr8.config import KmsSettings
from bloxtr8.payments.usdc.wallets import KeystoreError, KeysUnavailable, Signature, Wallets

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_DIGEST_BYTES = 32
_ENTROPY_BYTES = 32
_FILE_BYTES_MAX = 64 * 1024
_ATTEMPTS_MAX = 3
_FAILURES = (BotoCoreError, ClientError, TimeoutError, OSError)


class KmsKeys:
    """`Keys`: the hot wallet by KMS, the deposits by a seed that KMS opens. One event loop."""

    def __init__(self, settings: KmsSettings, seed_file: Path) -> None:
        self._settings = settings
        self._seed_file = seed_file
        self._undo = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._client: Any = None
        self._hot: PublicKey | None = None
        self._deposits: Wallets | None = None

    async def address(self, number: int | None) -> str:
        if number is not None:
            return await (await self._seed()).address(number)
        return (await self._public_key()).to_address().lower()

    async def sign(self, number: int | None, digest: bytes) -> Signature:
        assert len(digest) == _DIGEST_BYTES, "a digest is signed"
        if number is not None:
            return await (await self._seed()).sign(number, digest)
        answer = await self._ask(
            "sign",
            KeyId=self._settings.hot_key,
            Message=digest,
            MessageType="DIGEST",
            SigningAlgorithm="ECDSA_SHA_256",
        )
        return read_signature(answer["Signature"], digest, await self._public_key())

    async def close(self) -> None:
        await self._undo.aclose()

    async def _public_key(self) -> PublicKey:
        if self._hot is None:
            answer = await self._ask("get_public_key", KeyId=self._settings.hot_key)
            self._hot = read_public_key(answer["PublicKey"])
        return self._hot

    async def _seed(self) -> Wallets:
        if self._deposits is None:
            sealed = await asyncio.to_thread(_read, self._seed_file)
            answer = await self._ask(
                "decrypt", KeyId=self._settings.seed_key, CiphertextBlob=sealed
            )
            self._deposits = Wallets(answer["Plaintext"])
        return self._deposits

    async def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        try:
            client = await self._opened()
            answer: dict[str, Any] = await getattr(client, method)(**parameters)
        except _FAILURES as error:
            raise KeysUnavailable(f"KMS: {_code(error)}") from None
        return answer

    async def _opened(self) -> Any:
        async with self._opening:
            if self._client is None:
                self._client = await self._undo.enter_async_context(_client(self._settings))
        return self._client


async def create_sealed_seed(settings: KmsSettings, path: Path) -> None:
    """Write a new seed, encrypted by KMS; mode 0600.

    Raises FileExistsError (seeds are not replaced) and KeysUnavailable.
    """
    try:
        async with _client(settings) as client:
            answer = await client.encrypt(
                KeyId=settings.seed_key, Plaintext=os.urandom(_ENTROPY_BYTES)
            )
    except _FAILURES as error:
        raise KeysUnavailable(f"KMS: {_code(error)}") from None
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(answer["CiphertextBlob"])
        file.flush()
        os.fsync(file.fileno())


def read_public_key(der: bytes) -> PublicKey:
    """Return a key of secp256k1 from its SubjectPublicKeyInfo; raises KeystoreError."""
    try:
        found = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        raise KeystoreError("KMS: the hot wallet's key is no public key") from None
    if not isinstance(found, ec.EllipticCurvePublicKey) or found.curve.name != "secp256k1":
        raise KeystoreError("KMS: the hot wallet's key is of another curve than secp256k1")
    numbers = found.public_numbers()
    return PublicKey(numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big"))


def read_signature(der: bytes, digest: bytes, key: PublicKey) -> Signature:
    """Return the signature as chains want it: the lower s, and the parity that names `key`.

    Raises KeysUnavailable when it is not one of that key over `digest`.
    """
    try:
        r, s = decode_dss_signature(der)
    except ValueError:
        raise KeysUnavailable("KMS: the answer is no signature") from None
    s = min(s, _ORDER - s)
    for y_parity in (0, 1):
        try:
            signature = RawSignature(vrs=(y_parity, r, s))
            if signature.recover_public_key_from_msg_hash(digest) == key:
                return Signature(y_parity, r, s)
        except (BadSignature, ValueError):
            continue
    raise KeysUnavailable("KMS: the signature is of another key")


def _client(settings: KmsSettings) -> Any:
    access_key, secret = settings.access_key_id, settings.secret_access_key.get_secret_value()
    return aioboto3.Session().client(
        "kms",
        endpoint_url=settings.endpoint_url or None,
        region_name=settings.region,
        aws_access_key_id=access_key or None,
        aws_secret_access_key=secret or None,
        config=AioConfig(
            connect_timeout=settings.connect_timeout_s,
            read_timeout=settings.timeout_s,
            retries={"total_max_attempts": _ATTEMPTS_MAX, "mode": "standard"},
        ),
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_FILE_BYTES_MAX)
    except OSError as error:
        raise KeystoreError(f"{path}: {type(error).__name__}") from None


def _code(error: BaseException) -> str:
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "error"))[:60]
    return type(error).__name__
