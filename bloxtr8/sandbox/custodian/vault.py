"""What the custodian keeps: addresses with their keys, deposits that it saw, transfers it makes."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC
from decimal import Decimal
from typing import Any

from eth_account import Account as Keys
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from bloxtr8 import ids
from bloxtr8.clock import Clock
from bloxtr8.sandbox.chain import token as tokens
from bloxtr8.sandbox.custodian.node import Node, NodeError

JSON = dict[str, Any]
OBJECTS_MAX = 50_000
_REREAD_BLOCKS = 64
_TICK_S = 0.05
_GAS = 120_000
_GAS_WEI = 10**16
_DECIMALS = 6


class Full(Exception):
    """The stand-in keeps no more."""


@dataclass(slots=True)
class Address:
    id: str
    reference: str
    keys: LocalAccount
    created_at: str
    nonce: int = 0

    @property
    def hex(self) -> str:
        return str(self.keys.address).lower()


@dataclass(slots=True)
class Job:
    """A transfer, and the signed transaction that makes it once there is one."""

    body: JSON
    raw: bytes = b""
    block: int = -1


@dataclass(slots=True)
class Ways:
    """How the custodian behaves. `frozen`: transfers are taken and not made. `claims_completed`:
    they are said to be complete although nothing was sent."""

    confirmations: int = 1
    frozen: bool = False
    claims_completed: bool = False
    fails_with: str = ""


@dataclass(slots=True)
class Vault:
    """`emit` hears of what webhooks tell: type and data."""

    node: Node
    token: str
    chain: str
    asset: str
    clock: Clock
    emit: Callable[[str, JSON], None]
    ways: Ways = field(default_factory=Ways)
    addresses: dict[str, Address] = field(default_factory=dict)
    deposits: dict[str, JSON] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    _read_to: int = -1
    # One look at a time: what is half done would be done twice.
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self) -> None:
        """Watch and send until cancelled."""
        while True:
            with contextlib.suppress(NodeError):
                await self.tick()
            await asyncio.sleep(_TICK_S)

    async def tick(self) -> None:
        """Look at the chain once and go on with what is to be sent. Raises NodeError."""
        async with self._busy:
            head = int(await self.node.call("eth_blockNumber"), 16)
            await self._watch(head)
            for job in list(self.jobs.values()):
                await self._go_on(job, head)

    # Addresses and deposits.

    def address(self, reference: str) -> Address:
        """Return the address of `reference`, made at the first time; raises Full."""
        known = self.find_reference(reference)
        if known is not None:
            return known
        if len(self.addresses) >= OBJECTS_MAX:
            raise Full
        keys = Keys.from_key(keccak(text=f"bloxtr8/sandbox/custodian/{reference}"))
        made = Address(
            f"addr_{ids.derived('custodian', reference).hex}", reference, keys, self.now()
        )
        self.addresses[made.hex] = made
        return made

    def find_reference(self, reference: str) -> Address | None:
        found = (entry for entry in self.addresses.values() if entry.reference == reference)
        return next(found, None)

    def deposits_of(self, address: str) -> list[JSON]:
        return [entry for entry in self.deposits.values() if entry["address"] == address]

    async def _watch(self, head: int) -> None:
        if not self.addresses:
            return
        first = max(0, min(self._read_to, head) - _REREAD_BLOCKS)
        topics = ["0x" + tokens.TRANSFER_TOPIC.hex(), None, [_topic(e) for e in self.addresses]]
        wanted = {"fromBlock": hex(first), "toBlock": hex(head), "address": self.token}
        logs = await self.node.call("eth_getLogs", {**wanted, "topics": topics})
        seen = {self._deposit(log, head) for log in logs}
        for key, deposit in self.deposits.items():
            gone = key not in seen and deposit["block_number"] >= first
            if gone and deposit["status"] != "failed":
                self._tell(deposit, "failed")
        self._read_to = max(self._read_to, head)

    def _deposit(self, log: JSON, head: int) -> str:
        key = f"{log['transactionHash']}:{int(log['logIndex'], 16)}"
        number = int(log["blockNumber"], 16)
        depth = head - number + 1
        known = self.deposits.get(key)
        if known is None:
            if len(self.deposits) >= OBJECTS_MAX:
                raise NodeError("full")
            known = self._new_deposit(key, log)
            self.emit("deposit.detected", dict(known))
        known["block_number"], known["confirmations"] = number, depth
        if known["status"] == "failed":
            known["status"] = "detected"
        if known["status"] == "detected" and depth >= self.ways.confirmations:
            self._tell(known, "confirmed")
        return key

    def _new_deposit(self, key: str, log: JSON) -> JSON:
        made = {
            "id": f"dep_{ids.derived('custodian-deposit', key).hex}",
            "address": "0x" + log["topics"][2][-40:],
            "from": "0x" + log["topics"][1][-40:],
            "amount": decimal(int(log["data"], 16)),
            "asset": self.asset,
            "chain": self.chain,
            "tx_hash": log["transactionHash"],
            "log_index": int(log["logIndex"], 16),
            "block_number": int(log["blockNumber"], 16),
            "confirmations": 0,
            "status": "detected",
            "created_at": self.now(),
        }
        self.deposits[key] = made
        return made

    def _tell(self, deposit: JSON, status: str) -> None:
        deposit["status"] = status
        self.emit(f"deposit.{status}", dict(deposit))

    # Transfers.

    def transfer(self, order: JSON) -> JSON:
        """Take on a transfer and return it; raises Full."""
        if len(self.jobs) >= OBJECTS_MAX:
            raise Full
        body = {
            "id": f"tr_{ids.uuid7().hex}",
            **order,
            "status": "pending",
            "tx_hash": None,
            "failure_code": None,
            "created_at": self.now(),
        }
        self.jobs[body["id"]] = Job(body)
        if self.ways.claims_completed:
            body |= {"status": "completed", "tx_hash": "0x" + ids.uuid7().hex * 2}
        return body

    def transfers_of(self, reference: str) -> list[JSON]:
        return [job.body for job in self.jobs.values() if job.body["reference"] == reference]

    async def _go_on(self, job: Job, head: int) -> None:
        status = job.body["status"]
        settled = status == "completed" and job.block <= head - _REREAD_BLOCKS
        if (
            status == "failed"
            or settled
            or self.ways.frozen
            or (status != "pending" and not job.raw)
        ):
            return
        if self.ways.fails_with:
            self._end(job, "failed", self.ways.fails_with)
            return
        if not job.raw:
            await self._sign(job)
        if job.raw:
            await self._push(job)

    async def _sign(self, job: Job) -> None:
        source = self.find_reference(job.body["from_reference"])
        assert source is not None, "the reference was checked when the transfer was taken on"
        amount = minor(job.body["amount"])
        call = {"to": self.token, "data": "0x" + (tokens.BALANCE_OF + _word(source.hex)).hex()}
        if int(await self.node.call("eth_call", call, "latest"), 16) < amount:
            self._end(job, "failed", "insufficient_funds")
            return
        if int(await self.node.call("eth_getBalance", source.hex, "latest"), 16) < _GAS_WEI // 2:
            await self.node.give_gas(source.hex, _GAS_WEI)
            return
        price = int(await self.node.call("eth_gasPrice"), 16)
        data = tokens.TRANSFER + _word(job.body["to"]) + amount.to_bytes(32, "big")
        signed = source.keys.sign_transaction(
            {
                "type": 2,
                "chainId": int(await self.node.call("eth_chainId"), 16),
                "nonce": source.nonce,
                "to": to_checksum_address(self.token),
                "value": 0,
                "data": data,
                "gas": _GAS,
                "maxFeePerGas": 2 * price,
                "maxPriorityFeePerGas": 1,
            }
        )
        source.nonce += 1
        job.raw = bytes(signed.raw_transaction)
        job.body["tx_hash"] = "0x" + bytes(signed.hash).hex()

    async def _push(self, job: Job) -> None:
        receipt = await self.node.call("eth_getTransactionReceipt", job.body["tx_hash"])
        if receipt is None:
            # Again and again: a reorganisation may have dropped it.
            with contextlib.suppress(NodeError):
                await self.node.call("eth_sendRawTransaction", "0x" + job.raw.hex())
            return
        job.block = int(receipt["blockNumber"], 16)
        if job.body["status"] == "pending":
            done = int(receipt["status"], 16) == 1
            self._end(job, "completed" if done else "failed", None if done else "reverted")

    def _end(self, job: Job, status: str, failure_code: str | None) -> None:
        job.body |= {"status": status, "failure_code": failure_code}
        self.emit(f"transfer.{status}", dict(job.body))

    def now(self) -> str:
        return self.clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def decimal(amount_minor: int) -> str:
    return f"{Decimal(amount_minor).scaleb(-_DECIMALS):.{_DECIMALS}f}"


def minor(amount: str) -> int:
    return int(Decimal(amount).scaleb(_DECIMALS))


def _word(address: str) -> bytes:
    return bytes.fromhex(address.removeprefix("0x")).rjust(32, b"\0")


def _topic(address: str) -> str:
    return "0x" + _word(address).hex()
