"""Ethereum's JSON: quantities and data in hexadecimal, blocks, transactions, receipts, logs.

Source: the Ethereum JSON-RPC specification, github.com/ethereum/execution-apis.
"""

from typing import Any

from eth.abc import SignedTransactionAPI
from eth_utils.address import to_checksum_address

from bloxtr8.sandbox.chain.evm import GAS_LIMIT, Log, Outcome
from bloxtr8.sandbox.chain.ledger import Block

JSON = dict[str, Any]
_EMPTY_BLOOM = "0x" + "00" * 256
_ZERO_HASH = "0x" + "00" * 32
_BLOCK_TAGS_MAX = 66


class RpcError(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def body(self) -> JSON:
        return {"code": self.code, "message": str(self)}


def bad_params(message: str) -> RpcError:
    return RpcError(-32602, message)


def quantity(value: int) -> str:
    return hex(value)


def data(value: bytes) -> str:
    return "0x" + value.hex()


def read_quantity(value: object) -> int:
    """Raises RpcError."""
    if not isinstance(value, str) or not value.startswith("0x") or len(value) > _BLOCK_TAGS_MAX:
        raise bad_params("a quantity is hexadecimal")
    try:
        return int(value, 16)
    except ValueError:
        raise bad_params("a quantity is hexadecimal") from None


def read_data(value: object, size: int | None = None) -> bytes:
    """Raises RpcError."""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise bad_params("data is hexadecimal")
    try:
        read = bytes.fromhex(value[2:])
    except ValueError:
        raise bad_params("data is hexadecimal") from None
    if size is not None and len(read) != size:
        raise bad_params(f"{size} bytes are wanted")
    return read


def block(made: Block, *, full: bool = False) -> JSON:
    transactions = [
        transaction(outcome.transaction, made, index) if full else data(outcome.transaction.hash)
        for index, outcome in enumerate(made.outcomes)
    ]
    return {
        "number": quantity(made.number),
        "hash": data(made.hash),
        "parentHash": data(made.parent_hash),
        "timestamp": quantity(made.place.timestamp),
        "baseFeePerGas": quantity(made.place.base_fee_wei),
        "stateRoot": data(made.place.state_root),
        "gasLimit": quantity(GAS_LIMIT),
        "gasUsed": quantity(sum(outcome.gas_used for outcome in made.outcomes)),
        "miner": to_checksum_address(bytes(20)),
        "difficulty": "0x0",
        "extraData": "0x",
        "logsBloom": _EMPTY_BLOOM,
        "mixHash": _ZERO_HASH,
        "nonce": "0x0000000000000000",
        "receiptsRoot": _ZERO_HASH,
        "transactionsRoot": _ZERO_HASH,
        "sha3Uncles": _ZERO_HASH,
        "size": "0x0",
        "uncles": [],
        "transactions": transactions,
    }


def transaction(sent: SignedTransactionAPI, made: Block | None, index: int) -> JSON:
    """`made` is the block that it is in; None while it waits."""
    return {
        "hash": data(sent.hash),
        "type": quantity(getattr(sent, "type_id", None) or 0),
        "chainId": quantity(sent.chain_id or 0),
        "nonce": quantity(sent.nonce),
        "from": to_checksum_address(sent.sender),
        "to": to_checksum_address(sent.to) if sent.to else None,
        "value": quantity(sent.value),
        "input": data(sent.data),
        "gas": quantity(sent.gas),
        "gasPrice": quantity(sent.max_fee_per_gas),
        "maxFeePerGas": quantity(sent.max_fee_per_gas),
        "maxPriorityFeePerGas": quantity(sent.max_priority_fee_per_gas),
        "blockHash": None if made is None else data(made.hash),
        "blockNumber": None if made is None else quantity(made.number),
        "transactionIndex": None if made is None else quantity(index),
        "v": "0x0",
        "r": quantity(sent.r),
        "s": quantity(sent.s),
    }


def log(entry: Log, made: Block, log_index: int, index: int, transaction_hash: bytes) -> JSON:
    return {
        "address": to_checksum_address(entry.address),
        "topics": [data(topic) for topic in entry.topics],
        "data": data(entry.data),
        "blockNumber": quantity(made.number),
        "blockHash": data(made.hash),
        "transactionHash": data(transaction_hash),
        "transactionIndex": quantity(index),
        "logIndex": quantity(log_index),
        "removed": False,
    }


def receipt(made: Block, index: int) -> JSON:
    outcome: Outcome = made.outcomes[index]
    sent = outcome.transaction
    logs = [
        log(entry, made, log_index, position, bytes(owner.transaction.hash))
        for log_index, position, owner, entry in made.logs()
        if position == index
    ]
    return {
        "transactionHash": data(sent.hash),
        "transactionIndex": quantity(index),
        "blockHash": data(made.hash),
        "blockNumber": quantity(made.number),
        "from": to_checksum_address(sent.sender),
        "to": to_checksum_address(sent.to) if sent.to else None,
        "status": quantity(outcome.status),
        "gasUsed": quantity(outcome.gas_used),
        "cumulativeGasUsed": quantity(sum(entry.gas_used for entry in made.outcomes[: index + 1])),
        "effectiveGasPrice": quantity(outcome.price_wei),
        "contractAddress": None,
        "logs": logs,
        "logsBloom": _EMPTY_BLOOM,
        "type": quantity(getattr(sent, "type_id", None) or 0),
    }
