"""Who is on the local chain from the start: the minter with everything, and people by name."""

from eth_account import Account as Keys
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from bloxtr8.sandbox.chain import token as tokens
from bloxtr8.sandbox.chain.evm import Account, Call
from bloxtr8.sandbox.chain.ledger import Chain
from bloxtr8.sandbox.chain.token import Token

WEI = 10**18
GAS = 150_000
USDC = Token("USDC", keccak(text="bloxtr8/sandbox/usdc")[-20:])
OTHER = Token("EURX", keccak(text="bloxtr8/sandbox/other")[-20:])
FEE = Token("FEEX", keccak(text="bloxtr8/sandbox/fee")[-20:], fee_bps=100)
TOKENS = {"usdc": USDC, "other": OTHER, "fee": FEE}
_TREASURY_WEI = 10**9 * WEI


def named(name: str) -> LocalAccount:
    """Return the wallet of somebody on the local chain; the same name is the same wallet."""
    account: LocalAccount = Keys.from_key(keccak(text=f"bloxtr8/sandbox/wallet/{name}"))
    return account


def raw(address: str) -> bytes:
    """Return an address as its 20 bytes; raises ValueError."""
    value = bytes.fromhex(address.removeprefix("0x"))
    if len(value) != 20:
        raise ValueError("an address has 20 bytes")
    return value


MINTER = named("minter")


def founders(*, usdc_takes_fee: bool = False) -> dict[bytes, Account]:
    """Return the accounts of the first block: the minter and the three tokens.

    `usdc_takes_fee`: the canonical token was replaced by one that takes a fee of each transfer.
    """
    minter = raw(MINTER.address)
    first = Token(USDC.symbol, USDC.address, FEE.fee_bps) if usdc_takes_fee else USDC
    made = {entry.address: entry for entry in (first, OTHER, FEE)}
    accounts = {
        address: Account(code=tokens.runtime_code(entry, minter)) for address, entry in made.items()
    }
    return {minter: Account(_TREASURY_WEI), **accounts}


def word(value: bytes | int) -> bytes:
    """Return an argument of a call."""
    return value.to_bytes(32, "big") if isinstance(value, int) else value.rjust(32, b"\0")


class Bank:
    """Sends transactions for the people of the local chain."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    def give(self, to: str, token: Token, amount_minor: int) -> bytes:
        """Mint `amount_minor` of `token`; return the transaction's hash."""
        return self.send(MINTER, token.address, tokens.MINT + word(raw(to)) + word(amount_minor))

    def give_gas(self, to: str, wei: int) -> bytes:
        return self.send(MINTER, raw(to), b"", wei)

    def balance(self, token: Token, address: str) -> int:
        """Return what `address` has of `token`, in minor units."""
        data = tokens.BALANCE_OF + word(raw(address))
        call = Call(raw(MINTER.address), token.address, data)
        return int.from_bytes(self._chain.call(self._chain.head, call)[0], "big")

    def blacklist(self, token: Token, address: str) -> bytes:
        return self.send(MINTER, token.address, tokens.BLACKLIST + word(raw(address)))

    def pay(self, name: str, token: Token, to: str, amount_minor: int) -> bytes:
        """Send tokens from the wallet `name`, which gets both them and gas from the minter first.

        Return the transaction's hash.
        """
        payer = named(name)
        if self._chain.balance_wei(self._chain.head, raw(payer.address)) < WEI // 100:
            self.give_gas(payer.address, WEI)
        self.give(payer.address, token, amount_minor)
        return self.spend(name, token, to, amount_minor)

    def spend(self, name: str, token: Token, to: str, amount_minor: int) -> bytes:
        """Send tokens that the wallet `name` has; return the transaction's hash."""
        data = tokens.TRANSFER + word(raw(to)) + word(amount_minor)
        return self.send(named(name), token.address, data)

    def send(self, sender: LocalAccount, to: bytes, data: bytes, value_wei: int = 0) -> bytes:
        """Sign and send a transaction; raises Refused."""
        fee = self._chain.base_fee_wei * 2 + 1
        signed = sender.sign_transaction(
            {
                "type": 2,
                "chainId": self._chain.chain_id,
                "nonce": self._chain.pending_nonce(raw(sender.address)),
                "to": to_checksum_address(to),
                "value": value_wei,
                "data": data,
                "gas": GAS,
                "maxFeePerGas": fee,
                "maxPriorityFeePerGas": 1,
            }
        )
        return self._chain.send(bytes(signed.raw_transaction))


def sign_text(name: str, text: str) -> str:
    """Return the EIP-191 signature of `text` by the wallet `name`."""
    return "0x" + bytes(named(name).sign_message(encode_defunct(text=text)).signature).hex()
