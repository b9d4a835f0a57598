"""Reading a chain over JSON-RPC with web3, and nothing else: every answer has a limit and a type.

A node may lag, lie or fall silent. Silence is ChainUnavailable here; lag and lies are for the
callers, who look twice before they believe what costs money.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
from eth_typing import ChecksumAddress, HexStr
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from web3 import AsyncWeb3
from web3.exceptions import BlockNotFound, TransactionNotFound, Web3Exception, Web3RPCError
from web3.types import FilterParams, TxParams

from bloxtr8 import telemetry
from bloxtr8.clock import Clock
from bloxtr8.config import BaseChainSettings
from bloxtr8.payments.breaker import Breaker, BreakerState
from bloxtr8.payments.usdc.node_http import NodeHttp

TRANSFER_TOPIC = "0x" + keccak(text="Transfer(address,address,uint256)").hex()
_BALANCE_OF = "0x" + keccak(text="balanceOf(address)")[:4].hex()
_TRANSFER_TOPICS = 3
_WORD_BYTES = 32
_RECIPIENTS_MAX = 500
_LOGS_MAX = 10_000
# A node's no to a transaction, and its errors and limits, which are about the node itself.
_REFUSALS = (-32000, -32003)
_LIMIT = -32005
_NODE_FAILS = (-32603, _LIMIT)

T = TypeVar("T")
# The library writes addresses of nodes, which often contain a key, and whole answers at DEBUG.
logging.getLogger("web3").setLevel(logging.WARNING)


class ChainUnavailable(Exception):
    """The node did not answer, or not in a way that can be read. Nothing is known."""


class TooMuch(ChainUnavailable):
    """There are more logs than a node gives, or than are read, at once; fewer can be asked for."""


class Rejected(Exception):
    """The node refused a transaction, in its own words."""


@dataclass(frozen=True, slots=True)
class Head:
    """A block, in lower-case hexadecimal."""

    number: int
    hash: str
    parent_hash: str
    timestamp: int
    base_fee_wei: int


@dataclass(frozen=True, slots=True)
class TransferLog:
    """An ERC-20 `Transfer`. `position` counts the logs of its own transaction.

    Not the log's index in its block: a reorganisation may put the same transaction behind others,
    and then the same payment must still be the same.
    """

    tx_hash: str
    position: int
    block_number: int
    block_hash: str
    token: str
    sender: str
    recipient: str
    amount_minor: int

    @property
    def ref(self) -> str:
        return f"{self.tx_hash}:{self.position}"


@dataclass(frozen=True, slots=True)
class Receipt:
    """`transfers` are those of its logs that are ERC-20 transfers."""

    tx_hash: str
    succeeded: bool
    block_number: int
    block_hash: str
    transfers: tuple[TransferLog, ...]


@dataclass(frozen=True, slots=True)
class Fees:
    """Wei per gas: what the block takes, and what a miner is usually given on top."""

    base_wei: int
    tip_wei: int


class Chain:
    """One node. All methods raise ChainUnavailable, at once while its breaker is open."""

    def __init__(self, url: str, settings: BaseChainSettings, clock: Clock) -> None:
        timeout = aiohttp.ClientTimeout(
            total=settings.timeout_s, sock_connect=settings.connect_timeout_s
        )
        # No repetition inside: callers look again by themselves, and know when they may.
        self._provider = NodeHttp(url, timeout)
        self._eth = AsyncWeb3(self._provider).eth
        self._limit_s = settings.timeout_s
        self._breaker = Breaker("BASE", clock)

    @property
    def answers(self) -> bool:
        """Whether it is worth asking: it has not just failed again and again."""
        return self._breaker.state is not BreakerState.OPEN

    async def close(self) -> None:
        await self._provider.disconnect()

    async def chain_id(self) -> int:
        return int(await self._ask(self._eth.chain_id))

    async def latest(self) -> Head:
        return _required(await self._block("latest"))

    async def finalized(self) -> Head:
        return _required(await self._block("finalized"))

    async def block(self, number: int) -> Head | None:
        return await self._block(number)

    async def _block(self, tag: Any) -> Head | None:
        try:
            found = await self._ask(self._eth.get_block(tag))
        except BlockNotFound:
            return None
        return _read(_head, found)

    async def transfers_to(
        self, recipients: Sequence[str], first: int, last: int, *, token: str = ""
    ) -> list[tuple[str, int]]:
        """Return (transaction, block) of each ERC-20 transfer to one of `recipients`, of one token
        or ("") of any.

        Where in its transaction a transfer stands is in the receipt only. Raises TooMuch.
        """
        found: set[tuple[str, int]] = set()
        for start in range(0, len(recipients), _RECIPIENTS_MAX):
            some = recipients[start : start + _RECIPIENTS_MAX]
            wanted: FilterParams = {
                "fromBlock": first,
                "toBlock": last,
                "topics": [HexStr(TRANSFER_TOPIC), None, [_topic(entry) for entry in some]],
            }
            if token:
                wanted["address"] = _checksum(token)
            found |= await self._places(wanted)
        return _in_order(found)

    async def receipt(self, tx_hash: str) -> Receipt | None:
        try:
            found = await self._ask(self._eth.get_transaction_receipt(HexStr(tx_hash)))
        except TransactionNotFound:
            return None
        return _read(_receipt, found)

    async def is_contract(self, address: str) -> bool:
        return bool(await self._ask(self._eth.get_code(_checksum(address))))

    async def transfers_by(
        self, token: str, addresses: Sequence[str], first: int, last: int
    ) -> list[str]:
        """Return the transactions with transfers of `token` from or to one of `addresses`.

        Raises TooMuch.
        """
        some = [_topic(entry) for entry in addresses]
        found: set[tuple[str, int]] = set()
        for topics in ([HexStr(TRANSFER_TOPIC), some], [HexStr(TRANSFER_TOPIC), None, some]):
            wanted: FilterParams = {
                "fromBlock": first,
                "toBlock": last,
                "address": _checksum(token),
                "topics": topics,
            }
            found |= await self._places(wanted)
        return [tx_hash for tx_hash, _ in _in_order(found)]

    async def _places(self, wanted: FilterParams) -> set[tuple[str, int]]:
        """Return (transaction, block) of the logs that are there; raises TooMuch."""
        logs = await self._ask(self._eth.get_logs(wanted), limited=True)
        if len(logs) > _LOGS_MAX:
            raise TooMuch("more logs than anybody can read")
        return {_read(_log_place, entry) for entry in logs if not entry.get("removed")}

    async def token_balance(self, token: str, address: str, block: int | None = None) -> int:
        """Return a balance in minor units, as of `block` (None: the newest)."""
        call: TxParams = {
            "to": _checksum(token),
            "data": HexStr(_BALANCE_OF + _topic(address)[2:]),
        }
        at: Any = "latest" if block is None else block
        answer = bytes(await self._ask(self._eth.call(call, at)))
        if len(answer) != _WORD_BYTES:
            raise ChainUnavailable("a balance is one word")
        return int.from_bytes(answer, "big")

    async def balance_wei(self, address: str) -> int:
        return int(await self._ask(self._eth.get_balance(_checksum(address))))

    async def next_nonce(self, address: str) -> int:
        """Return the nonce after everything that is mined."""
        return int(await self._ask(self._eth.get_transaction_count(_checksum(address), "latest")))

    async def fees(self) -> Fees:
        head = await self.latest()
        return Fees(head.base_fee_wei, int(await self._ask(self._eth.max_priority_fee)))

    async def send(self, raw: bytes) -> None:
        """Hand in a signed transaction. Raises Rejected; "already known" is no refusal."""
        try:
            await self._ask(self._eth.send_raw_transaction(raw), refusable=True)
        except Rejected as error:
            if "already known" not in str(error):
                raise

    async def _ask(
        self, call: Coroutine[Any, Any, T], *, refusable: bool = False, limited: bool = False
    ) -> T:
        """`refusable` raises Rejected, `limited` TooMuch, for what the node says no to."""
        started, result = time.monotonic(), "unknown"
        try:
            found = await self._answer(call, refusable=refusable, limited=limited)
            result = "ok"
        except (Rejected, BlockNotFound, TransactionNotFound):
            result = "ok"
            raise
        finally:
            telemetry.PROVIDER_CALL.labels(provider="BASE", call="rpc", result=result).observe(
                time.monotonic() - started
            )
        return found

    async def _answer(self, call: Coroutine[Any, Any, T], *, refusable: bool, limited: bool) -> T:
        if not self._breaker.allows():
            call.close()
            raise ChainUnavailable("CIRCUIT_OPEN")
        try:
            async with asyncio.timeout(self._limit_s):
                found = await call
        except (BlockNotFound, TransactionNotFound):
            self._breaker.succeeded()
            raise
        except Web3RPCError as error:
            code = _code(error)
            answered = code not in _NODE_FAILS or (limited and code == _LIMIT)
            (self._breaker.succeeded if answered else self._breaker.failed)()
            if refusable and code in _REFUSALS:
                raise Rejected(_words(error)) from None
            if limited and answered:
                # Nodes have many codes for it; whatever else they mean is as well asked again.
                raise TooMuch(_words(error)) from None
            raise ChainUnavailable(_words(error)) from None
        except (aiohttp.ClientError, TimeoutError, OSError, Web3Exception, ValueError) as error:
            self._breaker.failed()
            raise ChainUnavailable(type(error).__name__) from None
        self._breaker.succeeded()
        return found


async def in_parts(ask: Callable[[int, int], Awaitable[list[T]]], first: int, last: int) -> list[T]:
    """Return what `ask` finds in blocks `first` to `last`, in halves where it is TooMuch at once.

    Raises TooMuch for a block that is too much by itself.
    """
    try:
        return await ask(first, last)
    except TooMuch:
        if first == last:
            raise
    middle = (first + last) // 2
    return [*await in_parts(ask, first, middle), *await in_parts(ask, middle + 1, last)]


def _code(error: Web3RPCError) -> Any:
    return _body(error).get("code")


def _words(error: Web3RPCError) -> str:
    return str(_body(error).get("message", "error"))[:200]


def _body(error: Web3RPCError) -> dict[str, Any]:
    answer: Any = error.rpc_response or {}
    body = answer.get("error")
    return body if isinstance(body, dict) else {}


def _read(reader: Callable[[Any], T], found: Any) -> T:
    try:
        return reader(found)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ChainUnavailable(f"unreadable: {type(error).__name__}") from None


def _required(found: Head | None) -> Head:
    if found is None:
        raise ChainUnavailable("the node knows no such block")
    return found


def _head(block: Any) -> Head:
    return Head(
        int(block["number"]),
        _hex(block["hash"]),
        _hex(block["parentHash"]),
        int(block["timestamp"]),
        int(block.get("baseFeePerGas") or 0),
    )


def _in_order(places: set[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(places, key=lambda place: (place[1], place[0]))


def _log_place(log: Any) -> tuple[str, int]:
    return _hex(log["transactionHash"]), int(log["blockNumber"])


def _receipt(receipt: Any) -> Receipt:
    number, block_hash = int(receipt["blockNumber"]), _hex(receipt["blockHash"])
    tx_hash = _hex(receipt["transactionHash"])
    transfers = []
    for position, log in enumerate(receipt["logs"]):
        topics, data = log["topics"], bytes(log["data"])
        # ERC-721 has the same event with one topic more and no data.
        if len(topics) != _TRANSFER_TOPICS or len(data) != _WORD_BYTES:
            continue
        if _hex(topics[0]) != TRANSFER_TOPIC:
            continue
        transfers.append(
            TransferLog(
                tx_hash,
                position,
                number,
                block_hash,
                str(log["address"]).lower(),
                _address(topics[1]),
                _address(topics[2]),
                int.from_bytes(data, "big"),
            )
        )
    return Receipt(tx_hash, int(receipt["status"]) == 1, number, block_hash, tuple(transfers))


def _hex(value: Any) -> str:
    return "0x" + bytes(value).hex()


def _address(topic: Any) -> str:
    return "0x" + bytes(topic)[-20:].hex()


def _topic(address: str) -> str:
    return "0x" + address.lower().removeprefix("0x").rjust(64, "0")


def _checksum(address: str) -> ChecksumAddress:
    return to_checksum_address(address)
