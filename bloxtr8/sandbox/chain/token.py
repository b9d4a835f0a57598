"""An ERC-20 token of our own for the local chain, with what matters of USDC's behaviour.

Sources: EIP-20 for the functions and events; Circle's FiatToken for `mint` by a minter and
`blacklist`, after which nothing can be sent to or from an address.

Storage: the balance of an address lies at the address itself, its blacklist flag at the address
plus 2^160, an allowance at keccak(owner ‖ spender).
"""

from dataclasses import dataclass

from eth_utils.crypto import keccak

from bloxtr8.sandbox.chain.assembler import assemble

DECIMALS = 6
_BPS = 10_000


def selector(signature: str) -> bytes:
    """Return the four bytes that name a function, e.g. of "transfer(address,uint256)"."""
    return bytes(keccak(text=signature)[:4])


TRANSFER = selector("transfer(address,uint256)")
TRANSFER_FROM = selector("transferFrom(address,address,uint256)")
APPROVE = selector("approve(address,uint256)")
BALANCE_OF = selector("balanceOf(address)")
ALLOWANCE = selector("allowance(address,address)")
MINT = selector("mint(address,uint256)")
BLACKLIST = selector("blacklist(address)")
DECIMALS_OF = selector("decimals()")
SYMBOL = selector("symbol()")
TRANSFER_TOPIC = bytes(keccak(text="Transfer(address,address,uint256)"))
APPROVAL_TOPIC = bytes(keccak(text="Approval(address,address,uint256)"))


@dataclass(frozen=True, slots=True)
class Token:
    """`fee_bps`: of each transfer this much never arrives, while the event says it did."""

    symbol: str
    address: bytes
    fee_bps: int = 0

    @property
    def hex(self) -> str:
        return "0x" + self.address.hex()


def runtime_code(token: Token, minter: bytes) -> bytes:
    """Return the byte code of `token`; only `minter` may mint and blacklist."""
    assert len(token.symbol) <= 31, "a symbol fits in a word"
    return assemble(_SOURCE.format(**_numbers(token, minter)))


def _numbers(token: Token, minter: bytes) -> dict[str, str]:
    symbol = token.symbol.encode()
    fee = f"{_BPS} {token.fee_bps} 0x40 MLOAD MUL DIV SWAP1 SUB" if token.fee_bps else ""
    return {
        "transfer": _hex(TRANSFER),
        "transfer_from": _hex(TRANSFER_FROM),
        "approve": _hex(APPROVE),
        "balance_of": _hex(BALANCE_OF),
        "allowance": _hex(ALLOWANCE),
        "mint": _hex(MINT),
        "blacklist": _hex(BLACKLIST),
        "decimals_of": _hex(DECIMALS_OF),
        "symbol_of": _hex(SYMBOL),
        "transfer_topic": _hex(TRANSFER_TOPIC),
        "approval_topic": _hex(APPROVAL_TOPIC),
        "minter": _hex(minter),
        "decimals": str(DECIMALS),
        "symbol_length": str(len(symbol)),
        "symbol": _hex(symbol.ljust(32, b"\0")),
        "less_fee": fee,
    }


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


# Memory: 0x00 from, 0x20 to, 0x40 amount.
_SOURCE = """
    0 CALLDATALOAD 0xe0 SHR
    DUP1 {transfer} EQ @transfer JUMPI
    DUP1 {transfer_from} EQ @transfer_from JUMPI
    DUP1 {approve} EQ @approve JUMPI
    DUP1 {balance_of} EQ @balance_of JUMPI
    DUP1 {allowance} EQ @allowance JUMPI
    DUP1 {mint} EQ @mint JUMPI
    DUP1 {blacklist} EQ @blacklist JUMPI
    DUP1 {decimals_of} EQ @decimals_of JUMPI
    DUP1 {symbol_of} EQ @symbol_of JUMPI
fail:
    0 0 REVERT

transfer:
    CALLER 0 MSTORE
    4 CALLDATALOAD 0x20 MSTORE
    36 CALLDATALOAD 0x40 MSTORE
    @move JUMP

transfer_from:
    4 CALLDATALOAD 0 MSTORE
    CALLER 0x20 MSTORE
    68 CALLDATALOAD                     ; amount
    0x40 0 KECCAK256 SLOAD              ; amount allowed
    DUP2 DUP2 LT @fail JUMPI            ; allowed < amount
    SUB
    0x40 0 KECCAK256 SSTORE
    36 CALLDATALOAD 0x20 MSTORE
    68 CALLDATALOAD 0x40 MSTORE
    @move JUMP

move:
    0 MLOAD 1 160 SHL OR SLOAD @fail JUMPI
    0x20 MLOAD 1 160 SHL OR SLOAD @fail JUMPI
    0x20 MLOAD ISZERO @fail JUMPI
    0x40 MLOAD 0 MLOAD SLOAD            ; amount balance
    DUP2 DUP2 LT @fail JUMPI            ; balance < amount
    SUB 0 MLOAD SSTORE
    @credit JUMP

mint:
    CALLER {minter} EQ ISZERO @fail JUMPI
    4 CALLDATALOAD 0x20 MSTORE
    36 CALLDATALOAD 0x40 MSTORE
    @credit JUMP

credit:
    0x40 MLOAD {less_fee}
    0x20 MLOAD SLOAD ADD 0x20 MLOAD SSTORE
    0x20 MLOAD 0 MLOAD {transfer_topic} 0x20 0x40 LOG3
    @true JUMP

approve:
    CALLER 0 MSTORE
    4 CALLDATALOAD 0x20 MSTORE
    36 CALLDATALOAD DUP1 0x40 MSTORE
    0x40 0 KECCAK256 SSTORE
    0x20 MLOAD 0 MLOAD {approval_topic} 0x20 0x40 LOG3
    @true JUMP

blacklist:
    CALLER {minter} EQ ISZERO @fail JUMPI
    1 4 CALLDATALOAD 1 160 SHL OR SSTORE
    @true JUMP

true:
    1 @word JUMP

balance_of:
    4 CALLDATALOAD SLOAD @word JUMP

allowance:
    4 CALLDATALOAD 0 MSTORE
    36 CALLDATALOAD 0x20 MSTORE
    0x40 0 KECCAK256 SLOAD @word JUMP

decimals_of:
    {decimals} @word JUMP

word:
    0 MSTORE 0x20 0 RETURN

symbol_of:
    0x20 0 MSTORE
    {symbol_length} 0x20 MSTORE
    {symbol} 0x40 MSTORE
    0x60 0 RETURN
"""
