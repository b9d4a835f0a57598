"""The assembler and the token's byte code, on py-evm without a chain around it."""

import pytest
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address

from bloxtr8.sandbox.chain import token as tokens
from bloxtr8.sandbox.chain.assembler import assemble
from bloxtr8.sandbox.chain.evm import Account, Call, Evm, Outcome, Place, Refused
from bloxtr8.sandbox.chain.token import Token, runtime_code
from bloxtr8.sandbox.chain.wallets import named, raw, word

ANN, BOB, MINTER = named("ann"), named("bob"), named("minter")


def who(account: LocalAccount) -> bytes:
    return raw(account.address)


class Bench:
    def __init__(self, fee_bps: int = 0) -> None:
        self.token = Token("USDC", b"\xaa" * 20, fee_bps)
        rich = Account(10**20)
        accounts = {who(one): rich for one in (ANN, BOB, MINTER)}
        code = runtime_code(self.token, who(MINTER))
        self.evm = Evm(7, {**accounts, self.token.address: Account(code=code)})
        self.root = self.evm.genesis_root
        self.number = 0

    @property
    def place(self) -> Place:
        return Place(self.number, 1000 + self.number, 0, self.root)

    def do(self, sender: LocalAccount, data: bytes) -> Outcome:
        self.number += 1
        signed = sender.sign_transaction(
            {
                "type": 2,
                "chainId": 7,
                "nonce": self.evm.nonce(self.place, who(sender)),
                "to": to_checksum_address(self.token.address),
                "value": 0,
                "data": data,
                "gas": 150_000,
                "maxFeePerGas": 1,
                "maxPriorityFeePerGas": 1,
            }
        )
        transaction = self.evm.decode(bytes(signed.raw_transaction))
        self.root, (outcome,) = self.evm.run(self.place, [transaction])
        return outcome

    def read(self, data: bytes) -> bytes:
        return self.evm.call(self.place, Call(who(ANN), self.token.address, data))[0]

    def balance(self, account: LocalAccount) -> int:
        return int.from_bytes(self.read(tokens.BALANCE_OF + word(who(account))), "big")

    def mint(self, to: LocalAccount, amount: int) -> Outcome:
        return self.do(MINTER, tokens.MINT + word(who(to)) + word(amount))

    def transfer(self, sender: LocalAccount, to: bytes, amount: int) -> Outcome:
        return self.do(sender, tokens.TRANSFER + word(to) + word(amount))


def test_transfer_moves_and_says_so() -> None:
    bench = Bench()
    bench.mint(ANN, 1000)
    done = bench.transfer(ANN, who(BOB), 400)
    assert done.status == 1
    (log,) = done.logs
    assert log.topics == (tokens.TRANSFER_TOPIC, word(who(ANN)), word(who(BOB)))
    assert log.data == word(400)
    assert (bench.balance(ANN), bench.balance(BOB)) == (600, 400)


@pytest.mark.parametrize("amount", [1001, 2**255])
def test_nobody_sends_what_they_do_not_have(amount: int) -> None:
    bench = Bench()
    bench.mint(ANN, 1000)
    failed = bench.transfer(ANN, who(BOB), amount)
    assert (failed.status, failed.logs) == (0, ())
    assert bench.balance(ANN) == 1000


def test_to_oneself_and_to_nobody() -> None:
    bench = Bench()
    bench.mint(ANN, 1000)
    assert bench.transfer(ANN, who(ANN), 1000).status == 1
    assert bench.balance(ANN) == 1000
    assert bench.transfer(ANN, bytes(20), 1).status == 0


def test_allowance_is_used_up() -> None:
    bench = Bench()
    bench.mint(ANN, 1000)
    bench.do(ANN, tokens.APPROVE + word(who(BOB)) + word(100))
    asked = tokens.ALLOWANCE + word(who(ANN)) + word(who(BOB))
    assert bench.read(asked) == word(100)
    take = tokens.TRANSFER_FROM + word(who(ANN)) + word(who(BOB)) + word(60)
    assert bench.do(BOB, take).status == 1
    assert bench.read(asked) == word(40)
    assert bench.do(BOB, take).status == 0
    assert (bench.balance(ANN), bench.balance(BOB)) == (940, 60)


def test_only_the_minter_mints_and_blacklists() -> None:
    bench = Bench()
    assert bench.do(ANN, tokens.MINT + word(who(ANN)) + word(1)).status == 0
    assert bench.do(ANN, tokens.BLACKLIST + word(who(BOB))).status == 0


def test_blacklisted_neither_sends_nor_gets() -> None:
    bench = Bench()
    bench.mint(ANN, 1000)
    bench.transfer(ANN, who(BOB), 100)
    bench.do(MINTER, tokens.BLACKLIST + word(who(BOB)))
    assert bench.transfer(ANN, who(BOB), 1).status == 0
    assert bench.transfer(BOB, who(ANN), 1).status == 0
    assert bench.transfer(ANN, who(MINTER), 1).status == 1


def test_fee_token_promises_more_than_arrives() -> None:
    bench = Bench(fee_bps=100)
    bench.mint(ANN, 10_000)
    assert bench.balance(ANN) == 9_900
    done = bench.transfer(ANN, who(BOB), 1_000)
    assert done.logs[0].data == word(1_000)
    assert bench.balance(BOB) == 990


def test_names_itself() -> None:
    bench = Bench()
    assert bench.read(tokens.DECIMALS_OF) == word(6)
    assert bench.read(tokens.SYMBOL) == word(32) + word(4) + b"USDC".ljust(32, b"\0")
    with pytest.raises(Refused):
        bench.read(b"\x00\x00\x00\x00")


def test_assembler_knows_numbers_labels_and_comments() -> None:
    assert assemble("1 256 ADD ; comment 7") == bytes.fromhex("600161010001")
    assert assemble("@end JUMP end:").hex() == "610004565b"


@pytest.mark.parametrize("source", ["FLY", "@nowhere JUMP", "a: a:", "0x" + "1" * 65])
def test_assembler_refuses(source: str) -> None:
    with pytest.raises(ValueError):
        assemble(source)
