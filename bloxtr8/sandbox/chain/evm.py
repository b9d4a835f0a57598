"""Running transactions on py-evm: from a state root and a list of transactions to the next root.

States are never changed in place, so a block that is abandoned costs nothing: whatever is mined
next starts from the older root.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eth.abc import SignedTransactionAPI
from eth.consensus.context import ConsensusContext
from eth.constants import BLANK_ROOT_HASH
from eth.db.atomic import AtomicDB
from eth.db.chain import ChainDB
from eth.exceptions import VMError
from eth.vm.chain_context import ChainContext
from eth.vm.forks.shanghai import ShanghaiVM
from eth.vm.forks.shanghai.blocks import ShanghaiBlockHeader
from eth_typing import Address, BlockNumber, Hash32
from eth_utils.exceptions import ValidationError

GAS_LIMIT = 30_000_000
_INTRINSIC_GAS = 21_000
_ZERO = Address(bytes(20))


class Refused(Exception):
    """The transaction can never be in a block as things stand; its message says why."""


@dataclass(frozen=True, slots=True)
class Account:
    """What an account has in the first block: wei, and code when it is a contract."""

    balance_wei: int = 0
    code: bytes = b""


@dataclass(frozen=True, slots=True)
class Log:
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a transaction did. `status` 0: it failed, and cost its gas all the same."""

    transaction: SignedTransactionAPI
    status: int
    gas_used: int
    price_wei: int
    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a block stands."""

    number: int
    timestamp: int
    base_fee_wei: int
    state_root: bytes


@dataclass(frozen=True, slots=True)
class Call:
    sender: bytes
    to: bytes
    data: bytes
    value_wei: int = 0


class Evm:
    def __init__(self, chain_id: int, accounts: Mapping[bytes, Account]) -> None:
        self.chain_id = chain_id
        self._chaindb = ChainDB(AtomicDB())
        self._context = ChainContext(chain_id)
        self.genesis_root = self._found(accounts)

    def _found(self, accounts: Mapping[bytes, Account]) -> bytes:
        vm = self._vm(Place(0, 0, 0, BLANK_ROOT_HASH))
        for address, account in accounts.items():
            vm.state.set_balance(Address(address), account.balance_wei)
            if account.code:
                vm.state.set_code(Address(address), account.code)
        vm.state.persist()
        return bytes(vm.state.state_root)

    def _vm(self, place: Place, gas_used: int = 0) -> ShanghaiVM:
        header = ShanghaiBlockHeader(
            difficulty=0,
            block_number=BlockNumber(place.number),
            gas_limit=GAS_LIMIT,
            timestamp=place.timestamp,
            coinbase=_ZERO,
            gas_used=gas_used,
            base_fee_per_gas=place.base_fee_wei,
            state_root=Hash32(place.state_root),
        )
        consensus = ConsensusContext(self._chaindb.db)
        return ShanghaiVM(header, self._chaindb, self._context, consensus)

    def decode(self, raw: bytes) -> SignedTransactionAPI:
        """Return the signed transaction that `raw` encodes. Raises Refused."""
        try:
            transaction = ShanghaiVM.get_transaction_builder().decode(raw)
            transaction.validate()
            assert len(transaction.sender) == len(_ZERO), "a signature names its signer"
        except Exception as error:
            raise Refused(f"rlp: {type(error).__name__}") from None
        if transaction.chain_id != self.chain_id:
            raise Refused("invalid chain id for signer")
        return transaction

    def run(
        self, place: Place, transactions: Sequence[SignedTransactionAPI]
    ) -> tuple[bytes, list[Outcome]]:
        """Run `transactions` on `place.state_root`; return the next root and what each did.

        What cannot be run here (nonce, balance, fee, room) is left out.
        """
        vm = self._vm(place)
        outcomes: list[Outcome] = []
        gas_used = 0
        for transaction in transactions:
            if gas_used + transaction.gas > GAS_LIMIT:
                continue
            vm.state.lock_changes()
            try:
                computation = vm.state.apply_transaction(transaction)
            except (ValidationError, VMError):
                continue
            receipt = vm.make_receipt(vm.get_header(), transaction, computation, vm.state)
            logs = tuple(
                Log(log.address, tuple(topic.to_bytes(32, "big") for topic in log.topics), log.data)
                for log in receipt.logs
            )
            price = vm.state.get_gas_price(transaction)
            status = 0 if computation.is_error else 1
            outcomes.append(Outcome(transaction, status, receipt.gas_used, price, logs))
            gas_used += receipt.gas_used
        vm.state.persist()
        return bytes(vm.state.state_root), outcomes

    def call(self, place: Place, call: Call) -> tuple[bytes, int]:
        """Run a call without keeping what it does; return its output and the gas it needs.

        Raises Refused when it reverts.
        """
        state = self._vm(place).state
        vm = self._vm(place)
        computation = vm.execute_bytecode(
            origin=Address(call.sender),
            gas_price=0,
            gas=GAS_LIMIT,
            to=Address(call.to),
            sender=Address(call.sender),
            value=call.value_wei,
            data=call.data,
            code=state.get_code(Address(call.to)),
        )
        if computation.is_error:
            raise Refused("execution reverted")
        data_gas = sum(16 if byte else 4 for byte in call.data)
        return bytes(computation.output), _INTRINSIC_GAS + data_gas + computation.get_gas_used()

    def balance_wei(self, place: Place, address: bytes) -> int:
        return int(self._vm(place).state.get_balance(Address(address)))

    def nonce(self, place: Place, address: bytes) -> int:
        return int(self._vm(place).state.get_nonce(Address(address)))

    def code(self, place: Place, address: bytes) -> bytes:
        return bytes(self._vm(place).state.get_code(Address(address)))
