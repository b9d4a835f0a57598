from pathlib import Path

import pytest

from bloxtr8.payments.usdc.wallets import KeystoreError, Wallets, create_keystore


def test_wallets_are_those_that_bip_39_and_bip_44_name() -> None:
    # Entropy of zeros is BIP-39's first vector for 24 words, "abandon … art"; the first address
    # of m/44'/60'/0'/0 without a passphrase is what other wallet software derives from it.
    wallets = Wallets(bytes(32))
    assert wallets.deposit(0).address == "0xF278cF59F82eDcf871d630F28EcC8056f25C1cdb"
    addresses = {wallets.deposit(number).address for number in range(20)} | {wallets.hot.address}
    assert len(addresses) == 21


def test_keystore_is_made_once_and_read_with_its_password(tmp_path: Path) -> None:
    path = tmp_path / "wallets.json"
    create_keystore(path, "correct", iterations=2)
    assert path.stat().st_mode & 0o777 == 0o600
    first = Wallets.load(path, "correct")
    assert Wallets.load(path, "correct").hot.address == first.hot.address
    with pytest.raises(KeystoreError):
        Wallets.load(path, "wrong")
    with pytest.raises(FileExistsError):
        create_keystore(path, "correct", iterations=2)
    assert repr(first) == "Wallets()"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"crypto": 1, "version": 3}', '{"version": 9}'])
def test_file_that_is_no_keystore(tmp_path: Path, text: str) -> None:
    path = tmp_path / "wallets.json"
    path.write_text(text)
    with pytest.raises(KeystoreError):
        Wallets.load(path, "x")
    with pytest.raises(KeystoreError):
        Wallets.load(tmp_path / "none.json", "x")


@pytest.mark.parametrize("number", [-1, 2**31])
def test_places_that_do_not_exist(number: int) -> None:
    with pytest.raises(AssertionError):
        Wallets(bytes(32)).deposit(number)
