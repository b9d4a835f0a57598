"""The chain itself: blocks, the pool of waiting transactions, mining, reorganisations, finality."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from eth.abc import SignedTransactionAPI
from eth_utils.crypto import keccak

from bloxtr8.clock import Clock
from bloxtr8.sandbox.chain.evm import Call, Evm, Log, Outcome, Place, Refused

BLOCKS_MAX = 200_000
TRANSACTIONS_MAX = 50_000
POOL_MAX = 5_000
REORG_DEPTH_MAX = 64
MINE_MAX = 10_000
# A replacement has to offer this much more of both fees, as in geth.
_BUMP_PERCENT = 10
_REORG_BLOCKS_MORE = 1


class Fate(StrEnum):
    """What a reorganisation does with the transactions of the blocks that it drops."""

    KEEP = "keep"  # they are in the new blocks, from the first on
    WAIT = "wait"  # they are back in the pool
    DROP = "drop"  # nobody has them any more


@dataclass(frozen=True, slots=True)
class Block:
    """One block; its hash differs from that of any other, whatever is in it."""

    place: Place
    hash: bytes
    parent_hash: bytes
    outcomes: tuple[Outcome, ...]

    @property
    def number(self) -> int:
        return self.place.number

    def logs(self) -> Iterator[tuple[int, int, Outcome, Log]]:
        """Yield (index of the log in the block, index of its transaction, outcome, log)."""
        index = 0
        for position, outcome in enumerate(self.outcomes):
            for log in outcome.logs:
                yield index, position, outcome, log
                index += 1


class Chain:
    """One node's chain. `base_fee_wei`, `finality_depth` and `auto_mine` may be set at any time.

    `auto_mine`: each transaction is mined as it comes. `paused`: nothing is mined.
    """

    def __init__(self, evm: Evm, clock: Clock) -> None:
        self._evm = evm
        self._clock = clock
        self.base_fee_wei = 10_000_000
        self.finality_depth = 12
        self.safe_depth = 4
        self.auto_mine = True
        self.paused = False
        self._salt = 0
        self._blocks: list[Block] = []
        self._where: dict[bytes, tuple[int, int]] = {}
        self._pool: dict[tuple[bytes, int], SignedTransactionAPI] = {}
        self._append(Place(0, self._time(), self.base_fee_wei, evm.genesis_root), ())

    # Reading.

    @property
    def chain_id(self) -> int:
        return self._evm.chain_id

    @property
    def head(self) -> Block:
        return self._blocks[-1]

    @property
    def transactions(self) -> int:
        return len(self._where)

    @property
    def waiting(self) -> list[SignedTransactionAPI]:
        return list(self._pool.values())

    def block(self, number: int) -> Block | None:
        return self._blocks[number] if 0 <= number < len(self._blocks) else None

    def find(self, transaction_hash: bytes) -> tuple[Block, int] | None:
        """Return the block that a transaction is in and its index there."""
        place = self._where.get(transaction_hash)
        return None if place is None else (self._blocks[place[0]], place[1])

    def pending(self, transaction_hash: bytes) -> SignedTransactionAPI | None:
        for transaction in self._pool.values():
            if transaction.hash == transaction_hash:
                return transaction
        return None

    def call(self, block: Block, call: Call) -> tuple[bytes, int]:
        """Return the output and the gas of a call on the state after `block`; raises Refused."""
        return self._evm.call(block.place, call)

    def balance_wei(self, block: Block, address: bytes) -> int:
        return self._evm.balance_wei(block.place, address)

    def nonce(self, block: Block, address: bytes) -> int:
        return self._evm.nonce(block.place, address)

    def pending_nonce(self, address: bytes) -> int:
        """Return the next nonce after everything of `address` that waits without a gap."""
        nonce = self.nonce(self.head, address)
        while (address, nonce) in self._pool:
            nonce += 1
        return nonce

    def code(self, block: Block, address: bytes) -> bytes:
        return self._evm.code(block.place, address)

    # Changing.

    def send(self, raw: bytes) -> bytes:
        """Take a signed transaction into the pool, and mine it if `auto_mine`; return its hash.

        Raises Refused with the words of geth.
        """
        transaction = self._evm.decode(raw)
        self._check(transaction)
        key = (transaction.sender, transaction.nonce)
        known = self._pool.get(key)
        if known is None and len(self._pool) >= POOL_MAX:
            raise Refused("txpool is full")
        if known is not None:
            _check_bump(known, transaction)
        self._pool[key] = transaction
        if self.auto_mine and not self.paused:
            self.mine()
        return bytes(transaction.hash)

    def _check(self, transaction: SignedTransactionAPI) -> None:
        if transaction.hash in self._where or self.pending(transaction.hash) is not None:
            raise Refused("already known")
        if transaction.nonce < self.nonce(self.head, transaction.sender):
            raise Refused("nonce too low")
        if transaction.gas < transaction.intrinsic_gas:
            raise Refused("intrinsic gas too low")
        cost = transaction.gas * transaction.max_fee_per_gas + transaction.value
        if self.balance_wei(self.head, transaction.sender) < cost:
            raise Refused("insufficient funds for gas * price + value")

    def mine(self, count: int = 1) -> None:
        """Mine `count` blocks; the first takes what waits. Raises Refused when there is no room."""
        if not 1 <= count <= MINE_MAX:
            raise Refused(f"1 to {MINE_MAX} blocks at a time")
        for _ in range(count):
            self._mine_with(self._ready())
        head = self.head
        for key in [key for key in self._pool if key[1] < self.nonce(head, key[0])]:
            del self._pool[key]

    def reorganise(self, depth: int, fate: Fate = Fate.KEEP) -> None:
        """Replace the last `depth` blocks by others, one more of them, as a heavier fork does."""
        if not 1 <= depth <= min(REORG_DEPTH_MAX, len(self._blocks) - 1):
            raise Refused("there are not so many blocks to reorganise")
        dropped = self._blocks[-depth:]
        del self._blocks[-depth:]
        lost = [outcome.transaction for block in dropped for outcome in block.outcomes]
        for transaction in lost:
            del self._where[bytes(transaction.hash)]
        if fate is Fate.WAIT:
            self._pool |= {(entry.sender, entry.nonce): entry for entry in lost}
        self._mine_with(lost if fate is Fate.KEEP else [])
        for _ in range(depth + _REORG_BLOCKS_MORE - 1):
            self._mine_with([])

    def _ready(self) -> list[SignedTransactionAPI]:
        """Return what may be mined now: best tip first, each sender's in order of nonces."""
        fees = self.base_fee_wei
        chosen: list[SignedTransactionAPI] = []
        senders = {sender for sender, _ in self._pool}
        for sender in senders:
            nonce = self.nonce(self.head, sender)
            while (found := self._pool.get((sender, nonce))) is not None:
                if found.max_fee_per_gas < fees:
                    break
                chosen.append(found)
                nonce += 1
        tips = {id(entry): -entry.max_priority_fee_per_gas for entry in chosen}
        first = {
            sender: min(tips[id(entry)] for entry in chosen if entry.sender == sender)
            for sender in {entry.sender for entry in chosen}
        }
        return sorted(chosen, key=lambda entry: (first[entry.sender], entry.sender, entry.nonce))

    def _mine_with(self, transactions: list[SignedTransactionAPI]) -> None:
        if len(self._blocks) >= BLOCKS_MAX or len(self._where) >= TRANSACTIONS_MAX:
            raise Refused("the sandbox's chain is full; start a new one")
        parent = self.head
        timestamp = max(self._time(), parent.place.timestamp + 1)
        start = Place(parent.number + 1, timestamp, self.base_fee_wei, parent.place.state_root)
        if not transactions:
            self._append(start, ())
            return
        root, outcomes = self._evm.run(start, transactions)
        place = Place(start.number, timestamp, self.base_fee_wei, root)
        self._append(place, tuple(outcomes))

    def _append(self, place: Place, outcomes: tuple[Outcome, ...]) -> None:
        self._salt += 1
        parent = self._blocks[-1].hash if self._blocks else bytes(32)
        content = b"".join(bytes(outcome.transaction.hash) for outcome in outcomes)
        numbers = b"".join(
            number.to_bytes(8, "big") for number in (place.number, place.timestamp, self._salt)
        )
        made = bytes(keccak(parent + numbers + place.state_root + content))
        self._blocks.append(Block(place, made, parent, outcomes))
        for index, outcome in enumerate(outcomes):
            self._where[bytes(outcome.transaction.hash)] = (place.number, index)
            self._pool.pop((outcome.transaction.sender, outcome.transaction.nonce), None)

    def _time(self) -> int:
        return int(self._clock.now().timestamp())


def _check_bump(known: SignedTransactionAPI, wanted: SignedTransactionAPI) -> None:
    for name in ("max_fee_per_gas", "max_priority_fee_per_gas"):
        least = getattr(known, name) * (100 + _BUMP_PERCENT)
        if getattr(wanted, name) * 100 < least:
            raise Refused("replacement transaction underpriced")
