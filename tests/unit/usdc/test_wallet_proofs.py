from datetime import UTC, datetime, timedelta

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from bloxtr8.market import clocks
from bloxtr8.payments.usdc.networks import Network
from bloxtr8.payments.usdc.payment_link import payment_link, qr_svg
from bloxtr8.payments.usdc.wallet_proofs import (
    LIFETIME,
    Challenge,
    Claim,
    ProofInvalid,
    Purpose,
    challenge,
    signer_of,
    verify,
)

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
BASE = Network(8453, "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913")
MINE = Account.from_key(b"\x01" * 32)
ORIGIN = "https://bloxtr8.example"
# Order of the curve, SEC 2.
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class Code:
    def __init__(self, *contracts: str) -> None:
        self.contracts = contracts

    async def is_contract(self, address: str) -> bool:
        return address in self.contracts


def asked(wallet: str = MINE.address) -> Challenge:
    return challenge(Claim("user-1", wallet, Purpose.PAYOUT), BASE, ORIGIN, NOW)


def signed(text: str, key: bytes = b"\x01" * 32) -> str:
    made = Account.from_key(key).sign_message(encode_defunct(text=text))
    return "0x" + bytes(made.signature).hex()


async def test_the_wallet_that_signed_is_proven() -> None:
    wanted = asked()
    assert await verify(wanted, signed(wanted.text), Code(), NOW) == MINE.address.lower()


def test_text_names_what_is_agreed_to() -> None:
    text = asked().text
    for part in (ORIGIN, "user-1", MINE.address, "Base (8453)", "2026-07-01T12:15:00Z"):
        assert part in text
    assert asked().text != asked().text, "each has a nonce of its own"


async def test_another_wallets_signature_proves_nothing() -> None:
    wanted = asked()
    with pytest.raises(ProofInvalid):
        await verify(wanted, signed(wanted.text, b"\x02" * 32), Code(), NOW)


async def test_signature_of_another_text_proves_nothing() -> None:
    with pytest.raises(ProofInvalid):
        await verify(asked(), signed(asked().text), Code(), NOW)


@pytest.mark.parametrize("at", [NOW - timedelta(seconds=1), NOW + LIFETIME])
async def test_too_early_or_too_late(at: datetime) -> None:
    wanted = asked()
    with pytest.raises(ProofInvalid):
        await verify(wanted, signed(wanted.text), Code(), at)


async def test_a_contract_is_no_wallet() -> None:
    wanted = asked()
    with pytest.raises(ProofInvalid):
        await verify(wanted, signed(wanted.text), Code(MINE.address.lower()), NOW)


@pytest.mark.parametrize(
    "signature",
    ["", "0x", "0x00", "zz", "0x" + "00" * 65, "0x" + "ff" * 65, "0x" + "11" * 64, "é" * 130],
)
def test_nonsense_is_not_a_signature(signature: str) -> None:
    with pytest.raises(ProofInvalid):
        signer_of("text", signature)


def test_the_other_signature_that_fits_is_refused() -> None:
    raw = bytes.fromhex(signed("text")[2:])
    flipped = N - int.from_bytes(raw[32:64], "big")
    v = bytes([55 - raw[64]])
    with pytest.raises(ProofInvalid):
        signer_of("text", "0x" + (raw[:32] + flipped.to_bytes(32, "big") + v).hex())


@pytest.mark.parametrize("wallet", ["", "0x12", "0x" + "zz" * 20, "0x" + "00" * 20, "vitalik.eth"])
def test_what_is_no_address_is_not_asked_about(wallet: str) -> None:
    with pytest.raises(ProofInvalid):
        asked(wallet)


def test_link_asks_for_exactly_what_is_due() -> None:
    # EIP-681: ethereum:<contract>@<chain>/transfer?address=…&uint256=…
    assert payment_link(BASE, MINE.address.lower(), 12_345_678) == (
        "ethereum:0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913@8453/transfer"
        f"?address={MINE.address}&uint256=12345678"
    )


def test_qr_code_is_plain_svg() -> None:
    svg = qr_svg(payment_link(BASE, MINE.address, 1))
    assert svg.startswith("<svg ")
    assert "viewBox" in svg
    assert "script" not in svg


def test_a_text_lasts_as_long_as_the_clock_table_says() -> None:
    assert LIFETIME == clocks.WALLET_PROOF.length == timedelta(minutes=15)
