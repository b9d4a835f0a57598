"""Keys in AWS KMS, stood in by moto over HTTP: signatures that chains take, whole trades."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aioboto3
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from eth_keys.datatypes import PrivateKey
from eth_utils.crypto import keccak
from moto.kms.utils import ECDSAPrivateKey
from moto.server import ThreadedMotoServer
from pydantic import SecretStr

from bloxtr8.config import KmsSettings
from bloxtr8.payments.operations import Status
from bloxtr8.payments.usdc.kms import KmsKeys, create_sealed_seed, read_public_key, read_signature
from bloxtr8.payments.usdc.wallets import KeystoreError, KeysUnavailable
from tests.integration.usdc.bench import SELLER
from tests.integration.usdc.test_self_custody import FEE, Vault
from tests.integration.usdc.test_usdc_reconciliation import open_desk
from tests.integration.usdc.trade import PRICE

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def _sign_digest(self: ECDSAPrivateKey, message: bytes, signing_algorithm: str) -> bytes:
    """Sign a digest as it is, as KMS does with MessageType DIGEST; moto 5 hashes it again."""
    key: ec.EllipticCurvePrivateKey = self.private_key
    return key.sign(message, ec.ECDSA(utils.Prehashed(hashes.SHA256())))


@pytest.fixture
def kms_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(ECDSAPrivateKey, "sign", _sign_digest)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
async def settings(kms_url: str) -> KmsSettings:
    access = {"access_key_id": "sandbox", "secret_access_key": SecretStr("sandbox")}
    async with aioboto3.Session().client(
        "kms",
        endpoint_url=kms_url,
        region_name="us-east-1",
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",
    ) as client:
        hot = await client.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_SECG_P256K1")
        seed = await client.create_key()
    return KmsSettings(
        hot_key=hot["KeyMetadata"]["KeyId"],
        seed_key=seed["KeyMetadata"]["KeyId"],
        endpoint_url=kms_url,
        region="us-east-1",
        timeout_s=10.0,
        **access,
    )


@pytest.fixture
async def keys(settings: KmsSettings, tmp_path: Path) -> AsyncIterator[KmsKeys]:
    await create_sealed_seed(settings, tmp_path / "seed")
    made = KmsKeys(settings, tmp_path / "seed")
    yield made
    await made.close()


async def test_signatures_name_the_key_and_have_the_lower_s(keys: KmsKeys) -> None:
    from eth_keys.datatypes import Signature as RawSignature

    hot = await keys.address(None)
    for number in range(20):
        digest = keccak(text=str(number))
        signed = await keys.sign(None, digest)
        assert signed.s <= ORDER // 2
        raw = RawSignature(vrs=(signed.y_parity, signed.r, signed.s))
        recovered = raw.recover_public_key_from_msg_hash(digest)
        assert recovered.to_address().lower() == hot


async def test_deposits_come_from_the_seed_that_kms_opens(
    keys: KmsKeys, settings: KmsSettings, tmp_path: Path
) -> None:
    assert (tmp_path / "seed").stat().st_mode & 0o777 == 0o600
    first = [await keys.address(number) for number in range(3)]
    again = KmsKeys(settings, tmp_path / "seed")
    assert [await again.address(number) for number in range(3)] == first
    assert len({*first, await keys.address(None)}) == 4
    await again.close()
    with pytest.raises(FileExistsError):
        await create_sealed_seed(settings, tmp_path / "seed")


async def test_a_missing_or_altered_seed_is_no_seed(keys: KmsKeys, tmp_path: Path) -> None:
    path = tmp_path / "seed"
    sealed = bytearray(path.read_bytes())
    sealed[-1] ^= 1
    path.write_bytes(sealed)
    with pytest.raises(KeysUnavailable):
        await keys.address(0)
    path.unlink()
    with pytest.raises(KeystoreError):
        await keys.address(0)


async def test_silence_is_no_signature(settings: KmsSettings, tmp_path: Path) -> None:
    gone = settings.model_copy(update={"endpoint_url": "http://127.0.0.1:9", "timeout_s": 0.2})
    keys = KmsKeys(gone, tmp_path / "seed")
    with pytest.raises(KeysUnavailable, match="KMS"):
        await keys.sign(None, bytes(32))
    await keys.close()


def test_a_signature_of_another_key_or_text_is_refused() -> None:
    private = ec.derive_private_key(7, ec.SECP256K1())
    digest = keccak(text="pay")
    der = private.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    key = PrivateKey((7).to_bytes(32, "big")).public_key
    r, s = utils.decode_dss_signature(der)
    for written in (der, utils.encode_dss_signature(r, ORDER - s)):
        assert read_signature(written, digest, key).s == min(s, ORDER - s)
    other = PrivateKey((8).to_bytes(32, "big")).public_key
    for bad in ((der, digest, other), (der, keccak(text="steal"), key), (b"\x30", digest, key)):
        with pytest.raises(KeysUnavailable):
            read_signature(*bad)


def test_a_key_of_another_curve_is_refused() -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    der = other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for text in (der, b"nothing"):
        with pytest.raises(KeystoreError):
            read_public_key(text)


@asynccontextmanager
async def _vault(dsn: str, folder: Path, settings: KmsSettings, hot: str) -> AsyncIterator[Vault]:
    base: dict[str, Any] = {"custody": "onchain", "keystore_file": str(folder / "seed")}
    async with open_desk(dsn, folder, settings, **base) as desk:
        made = Vault(desk, hot)
        yield made
        await made.close()


async def test_a_trade_with_keys_in_kms(
    postgres_dsn: str, tmp_path: Path, settings: KmsSettings, keys: KmsKeys
) -> None:
    async with _vault(postgres_dsn, tmp_path, settings, await keys.address(None)) as vault:
        vault.fund()
        trade = await (await vault.trade()).fund()
        await trade.order_release()
        await vault.swept(trade)
        assert trade.state == "RELEASED"
        assert vault.bench.balance(SELLER) == PRICE - FEE
        await vault.desk.quiet()


async def test_a_payout_sent_again_is_the_same_bytes(
    postgres_dsn: str, tmp_path: Path, settings: KmsSettings, keys: KmsKeys
) -> None:
    """KMS signs differently each time; what is kept is what is sent."""
    async with _vault(postgres_dsn, tmp_path, settings, await keys.address(None)) as vault:
        vault.fund(2 * PRICE)
        trade = await (await vault.trade()).fund()
        vault.bench.chain.chain.auto_mine = False
        await trade.order_release()
        sweeper = vault.restart().sweeper
        assert sweeper is not None
        for _ in range(3):
            await sweeper.step([])
        (row,) = await vault.rows("payout:")
        assert len(row["hashes"].split(",")) == 1
        vault.bench.chain.chain.auto_mine = True
        await vault.swept(trade)
        assert trade.state == "RELEASED"
        assert vault.bench.balance(SELLER) == PRICE - FEE


async def test_without_kms_the_payout_waits(
    postgres_dsn: str, tmp_path: Path, settings: KmsSettings, keys: KmsKeys, kms_url: str
) -> None:
    async with _vault(postgres_dsn, tmp_path, settings, await keys.address(None)) as vault:
        vault.fund(2 * PRICE)
        trade = await (await vault.trade()).fund()
        vault.bench.settings.kms.hot_key = "00000000-0000-0000-0000-000000000000"
        vault.bench.executor._rails["USDC_BASE"] = vault.restart().rail
        await trade.order_release()
        row = await vault.bench.row("PAYOUT")
        assert row.status is Status.UNKNOWN
        assert str(row.last_error).startswith("CHAIN: keys: KMS")
