"""The port to whoever holds the keys: a custodian, or this service itself."""

from dataclasses import dataclass
from typing import Protocol

from bloxtr8.payments.rails import Absent, Confirmed, Failed, MovementOutcome, Pending, Unknown
from bloxtr8.payments.usdc.deposits import Account, Deposit
from bloxtr8.payments.usdc.watcher import Arrival


@dataclass(frozen=True, slots=True)
class DepositAddress:
    """`address` in lower case."""

    address: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """USDC to send, in minor units. `reference` is that of the deposit address it came in by."""

    operation_id: str
    reference: str
    to: str
    amount_minor: int

    def __post_init__(self) -> None:
        assert self.amount_minor > 0, "nothing is not sent"
        assert self.to == self.to.lower(), "addresses are compared in lower case"


class Custody(Protocol):
    """Nothing here raises for what a chain or a custodian does or leaves undone."""

    async def deposit_address(self, reference: str) -> DepositAddress | Failed | Unknown:
        """Return the address for `reference` (an escrow's id), always the same one."""
        ...

    async def transfer(self, order: Transfer) -> MovementOutcome:
        """Send; at most once for each operation id, whatever happens in between."""
        ...

    async def look_up(self, operation_id: str) -> Confirmed | Pending | Failed | Absent | Unknown:
        """Tell what became of a transfer, without any effect of its own on the amount sent."""
        ...

    async def arrived(self, account: Account, proven: list[Deposit]) -> Arrival:
        """Tell whether deposits that the chain proves have really come to the address."""
        ...
