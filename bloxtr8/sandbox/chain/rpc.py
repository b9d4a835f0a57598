"""The methods of the local chain's JSON-RPC endpoint, and the lies that it can be told to tell."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bloxtr8.sandbox.chain import wire
from bloxtr8.sandbox.chain.evm import Call, Refused
from bloxtr8.sandbox.chain.ledger import Block, Chain
from bloxtr8.sandbox.chain.wire import JSON, RpcError, bad_params

LOG_BLOCKS_MAX = 10_000
LOGS_MAX = 10_000
_TIP_WEI = 1_000_000
_HISTORY_MAX = 1024
_ZERO_ADDRESS = "0x" + "00" * 20


@dataclass(slots=True)
class Lies:
    """How the node's answers differ from the truth.

    `lag`: it has not seen the last blocks. `head_shift`: added to the block number it reports.
    `finalized_shift`: added to the finalized block's. `hide_logs`: so many log queries find
    nothing. `forged_logs`: found by log queries although no receipt has them.
    """

    lag: int = 0
    head_shift: int = 0
    finalized_shift: int = 0
    hide_logs: int = 0
    forged_logs: list[JSON] = field(default_factory=list)


class Rpc:
    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.lies = Lies()
        self._methods: dict[str, Callable[[list[Any]], Any]] = {
            "eth_chainId": lambda _: wire.quantity(chain.chain_id),
            "net_version": lambda _: str(chain.chain_id),
            "eth_syncing": lambda _: False,
            "web3_clientVersion": lambda _: "bloxtr8-sandbox",
            "eth_blockNumber": self._block_number,
            "eth_getBlockByNumber": self._get_block,
            "eth_getBlockByHash": self._get_block_by_hash,
            "eth_getLogs": self._get_logs,
            "eth_getTransactionByHash": self._get_transaction,
            "eth_getTransactionReceipt": self._get_receipt,
            "eth_getTransactionCount": self._get_nonce,
            "eth_getBalance": self._get_balance,
            "eth_getCode": self._get_code,
            "eth_call": self._call,
            "eth_estimateGas": self._estimate,
            "eth_gasPrice": lambda _: wire.quantity(chain.base_fee_wei + _TIP_WEI),
            "eth_maxPriorityFeePerGas": lambda _: wire.quantity(_TIP_WEI),
            "eth_feeHistory": self._fee_history,
            "eth_sendRawTransaction": self._send,
        }

    def answer(self, method: object, params: object) -> Any:
        """Return the result of a call; raises RpcError."""
        handler = self._methods.get(method) if isinstance(method, str) else None
        if handler is None:
            raise RpcError(-32601, f"the method {str(method)[:60]} does not exist")
        if not isinstance(params, list):
            raise bad_params("params are a list")
        try:
            return handler(params)
        except Refused as error:
            reverted = str(error) == "execution reverted"
            raise RpcError(3 if reverted else -32000, str(error)) from None
        except IndexError:
            raise bad_params("missing value for a required argument") from None

    # Which block.

    @property
    def head(self) -> Block:
        """The newest block that this node admits to know."""
        return self._existing(max(0, self.chain.head.number - self.lies.lag))

    def _existing(self, number: int) -> Block:
        found = self.chain.block(number)
        assert found is not None, "blocks have no gaps"
        return found

    def _block(self, tag: object) -> Block | None:
        head = self.head
        if tag in ("latest", "pending"):
            return head
        if tag == "earliest":
            return self._existing(0)
        if tag == "safe":
            return self._existing(max(0, head.number - self.chain.safe_depth))
        if tag == "finalized":
            wanted = head.number - self.chain.finality_depth + self.lies.finalized_shift
            return self._existing(min(max(0, wanted), head.number))
        number = wire.read_quantity(tag)
        return self.chain.block(number) if number <= head.number else None

    def _known(self, params: list[Any], index: int) -> Block:
        tag = params[index] if len(params) > index else "latest"
        found = self._block(tag)
        if found is None:
            raise RpcError(-32000, "header not found")
        return found

    # Methods.

    def _block_number(self, _: list[Any]) -> str:
        return wire.quantity(max(0, self.head.number + self.lies.head_shift))

    def _get_block(self, params: list[Any]) -> JSON | None:
        found = self._block(params[0])
        return (
            None if found is None else wire.block(found, full=len(params) > 1 and bool(params[1]))
        )

    def _get_block_by_hash(self, params: list[Any]) -> JSON | None:
        wanted = wire.read_data(params[0], 32)
        for number in range(self.head.number, -1, -1):
            found = self._existing(number)
            if found.hash == wanted:
                return wire.block(found, full=len(params) > 1 and bool(params[1]))
        return None

    def _seen(self, transaction_hash: bytes) -> tuple[Block, int] | None:
        found = self.chain.find(transaction_hash)
        return found if found is not None and found[0].number <= self.head.number else None

    def _get_transaction(self, params: list[Any]) -> JSON | None:
        wanted = wire.read_data(params[0], 32)
        found = self._seen(wanted)
        if found is not None:
            block, index = found
            return wire.transaction(block.outcomes[index].transaction, block, index)
        waiting = self.chain.pending(wanted)
        return None if waiting is None else wire.transaction(waiting, None, 0)

    def _get_receipt(self, params: list[Any]) -> JSON | None:
        found = self._seen(wire.read_data(params[0], 32))
        return None if found is None else wire.receipt(*found)

    def _get_logs(self, params: list[Any]) -> list[JSON]:
        wanted = params[0]
        if not isinstance(wanted, dict):
            raise bad_params("a filter is an object")
        blocks = self._range(wanted)
        if self.lies.hide_logs:
            self.lies.hide_logs -= 1
            return []
        addresses = _addresses(wanted.get("address"))
        topics = _topics(wanted.get("topics") or [])
        found: list[JSON] = []
        for block in blocks:
            for log_index, index, outcome, entry in block.logs():
                if addresses and entry.address not in addresses:
                    continue
                if not _match(entry.topics, topics):
                    continue
                sent = bytes(outcome.transaction.hash)
                found.append(wire.log(entry, block, log_index, index, sent))
                if len(found) > LOGS_MAX:
                    raise RpcError(-32005, f"query returned more than {LOGS_MAX} results")
        return found + self.lies.forged_logs

    def _range(self, wanted: JSON) -> list[Block]:
        head = self.head.number
        first = self._number(wanted.get("fromBlock", "latest"))
        last = min(self._number(wanted.get("toBlock", "latest")), head)
        if last - first >= LOG_BLOCKS_MAX:
            raise RpcError(-32005, f"query covers more than {LOG_BLOCKS_MAX} blocks")
        return [self._existing(number) for number in range(first, last + 1)]

    def _number(self, tag: object) -> int:
        if isinstance(tag, str) and tag.startswith("0x"):
            return wire.read_quantity(tag)
        found = self._block(tag)
        return 0 if found is None else found.number

    def _get_nonce(self, params: list[Any]) -> str:
        address = wire.read_data(params[0], 20)
        if len(params) > 1 and params[1] == "pending":
            return wire.quantity(self.chain.pending_nonce(address))
        return wire.quantity(self.chain.nonce(self._known(params, 1), address))

    def _get_balance(self, params: list[Any]) -> str:
        address = wire.read_data(params[0], 20)
        return wire.quantity(self.chain.balance_wei(self._known(params, 1), address))

    def _get_code(self, params: list[Any]) -> str:
        address = wire.read_data(params[0], 20)
        return wire.data(self.chain.code(self._known(params, 1), address))

    def _call(self, params: list[Any]) -> str:
        return wire.data(self.chain.call(self._known(params, 1), _read_call(params[0]))[0])

    def _estimate(self, params: list[Any]) -> str:
        return wire.quantity(self.chain.call(self._known(params, 1), _read_call(params[0]))[1])

    def _send(self, params: list[Any]) -> str:
        return wire.data(self.chain.send(wire.read_data(params[0])))

    def _fee_history(self, params: list[Any]) -> JSON:
        count = params[0] if isinstance(params[0], int) else wire.read_quantity(params[0])
        newest = self._known(params, 1).number
        count = min(max(count, 1), _HISTORY_MAX, newest + 1)
        oldest = newest - count + 1
        fees = [self._existing(number).place.base_fee_wei for number in range(oldest, newest + 1)]
        percentiles = len(params[2]) if len(params) > 2 and isinstance(params[2], list) else 0
        return {
            "oldestBlock": wire.quantity(oldest),
            "baseFeePerGas": [wire.quantity(fee) for fee in (*fees, self.chain.base_fee_wei)],
            "gasUsedRatio": [0.0] * count,
            "reward": [[wire.quantity(_TIP_WEI)] * percentiles] * count,
        }


def _read_call(given: object) -> Call:
    if not isinstance(given, dict):
        raise bad_params("a call is an object")
    text = given.get("data") or given.get("input") or "0x"
    return Call(
        wire.read_data(given.get("from", _ZERO_ADDRESS), 20),
        wire.read_data(given.get("to"), 20),
        wire.read_data(text),
        wire.read_quantity(given.get("value", "0x0")),
    )


def _addresses(given: object) -> set[bytes]:
    entries = given if isinstance(given, list) else [given] if given else []
    return {wire.read_data(entry, 20) for entry in entries}


def _topics(given: object) -> list[set[bytes]]:
    if not isinstance(given, list):
        raise bad_params("topics are a list")
    return [
        {wire.read_data(one, 32) for one in (entry if isinstance(entry, list) else [entry])}
        if entry
        else set()
        for entry in given
    ]


def _match(topics: tuple[bytes, ...], wanted: list[set[bytes]]) -> bool:
    if len(wanted) > len(topics):
        return False
    return all(not one or topics[index] in one for index, one in enumerate(wanted))
