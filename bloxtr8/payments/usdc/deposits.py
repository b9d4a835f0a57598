"""What arrives at a deposit address and what it counts for: a pure state machine.

A transfer is SEEN in a block, ACCEPTED once it is proven and deep enough, WITHDRAWN when it
disappears before that, VANISHED when it disappears afterwards. Another token than the canonical
USDC, or one whose events promise more than arrives, is QUARANTINED and never counts.

Accepted deposits add up until what is due is reached: then the account is PAID, and whatever is
accepted later is stray. Every function takes an account and returns the next one and the facts
that are new; the same observation again gives no fact.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from bloxtr8.payments.usdc.chain import TransferLog

# More to one address than anybody sends by intent; a person is told, the rest waits for them.
DEPOSITS_MAX = 200
# Anybody can send worthless tokens anywhere; so many are kept to be looked at.
QUARANTINED_MAX = 20
# Below a cent nothing counts, or filling an account would cost nothing.
DUST_MINOR = 10_000


class Status(StrEnum):
    SEEN = "SEEN"
    ACCEPTED = "ACCEPTED"
    WITHDRAWN = "WITHDRAWN"
    VANISHED = "VANISHED"
    QUARANTINED = "QUARANTINED"


class State(StrEnum):
    OPEN = "OPEN"
    PAID = "PAID"
    CLOSED = "CLOSED"


WRONG_TOKEN = "WRONG_TOKEN"  # noqa: S105 - a reason, no secret
SHORT_BALANCE = "SHORT_BALANCE"


@dataclass(frozen=True, slots=True)
class Deposit:
    """`stray`: accepted after the account was paid or closed, so it can only go back."""

    transfer: TransferLog
    status: Status
    stray: bool = False
    reason: str = ""

    @property
    def ref(self) -> str:
        return self.transfer.ref

    @property
    def amount_minor(self) -> int:
        return self.transfer.amount_minor


@dataclass(frozen=True, slots=True)
class Account:
    """A deposit address (lower case) and everything that came to it, in minor units of USDC.

    `payment_ref` is the deposit with which it was paid, and names the receipt as a whole.
    """

    address: str
    escrow_id: str
    operation_id: str
    contract_id: str
    due_minor: int
    first_block: int
    state: State = State.OPEN
    payment_ref: str = ""
    deposits: tuple[Deposit, ...] = ()
    overfull: bool = False

    def __post_init__(self) -> None:
        assert self.due_minor > 0, "something is due"
        assert len(self.deposits) <= DEPOSITS_MAX, "an account has a limit"
        assert bool(self.payment_ref) == (self.state is State.PAID), "a receipt names its deposit"

    def find(self, ref: str) -> Deposit | None:
        return next((entry for entry in self.deposits if entry.ref == ref), None)

    def with_status(self, *statuses: Status) -> list[Deposit]:
        return [entry for entry in self.deposits if entry.status in statuses]

    @property
    def payments(self) -> list[Deposit]:
        """What counts toward the escrow, vanished or not: it was told to it."""
        counted = (Status.ACCEPTED, Status.VANISHED)
        return [entry for entry in self.with_status(*counted) if not entry.stray]

    @property
    def received_minor(self) -> int:
        return sum(entry.amount_minor for entry in self.payments)

    @property
    def accepted_minor(self) -> int:
        """All that was proven to have arrived, for the escrow or stray."""
        return sum(entry.amount_minor for entry in self.with_status(Status.ACCEPTED))

    @property
    def pending_minor(self) -> int:
        return sum(entry.amount_minor for entry in self.with_status(Status.SEEN))

    @property
    def senders(self) -> list[str]:
        """Who paid what counts, each once."""
        return list(dict.fromkeys(entry.transfer.sender for entry in self.payments))


@dataclass(frozen=True, slots=True)
class Seen:
    """Money is on its way: shown to the buyer, worth nothing yet."""

    deposit: Deposit


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A reorganisation took back what was only seen."""

    deposit: Deposit


@dataclass(frozen=True, slots=True)
class Vanished:
    """A reorganisation took back what had been accepted: a case for people, at once."""

    deposit: Deposit


@dataclass(frozen=True, slots=True)
class Returned:
    """What had vanished is on the chain again."""

    deposit: Deposit


@dataclass(frozen=True, slots=True)
class Quarantined:
    """It does not count, and stays where it is until a person has looked."""

    deposit: Deposit


@dataclass(frozen=True, slots=True)
class Partial:
    """Accepted, and not all that is due yet."""

    deposit: Deposit
    received_minor: int
    due_minor: int


@dataclass(frozen=True, slots=True)
class Paid:
    """All that is due has been accepted; `received_minor` is what it is, perhaps more."""

    payment_ref: str
    received_minor: int
    due_minor: int


@dataclass(frozen=True, slots=True)
class Stray:
    """Accepted after the end."""

    deposit: Deposit


@dataclass(frozen=True, slots=True)
class Overfull:
    """More came than an account keeps; said once."""

    address: str


Fact = Overfull | Seen | Withdrawn | Vanished | Returned | Quarantined | Partial | Paid | Stray
Step = tuple[Account, list[Fact]]
Change = Callable[[Account], Step]


def observe(account: Account, transfers: Iterable[TransferLog], usdc: str) -> Step:
    """Take in transfers that a node reports; those known already only change their block."""
    facts: list[Fact] = []
    for transfer in sorted(transfers, key=_order):
        assert transfer.recipient == account.address, "a transfer belongs to its recipient"
        # Worthless transfers are sent around to be mistaken for real ones.
        if transfer.amount_minor >= DUST_MINOR or account.find(transfer.ref) is not None:
            account, more = _observe_one(account, transfer, usdc)
            facts += more
    return account, facts


def _observe_one(account: Account, transfer: TransferLog, usdc: str) -> Step:
    known = account.find(transfer.ref)
    if known is None:
        return _add(account, transfer, usdc)
    moved = replace(known, transfer=transfer)
    if known.status is Status.WITHDRAWN:
        back = replace(moved, status=Status.SEEN)
        return _put(account, back), [Seen(back)]
    if known.status is Status.VANISHED:
        back = replace(moved, status=Status.ACCEPTED)
        return _put(account, back), [Returned(back)]
    return _put(account, moved), []


def _add(account: Account, transfer: TransferLog, usdc: str) -> Step:
    real = transfer.token == usdc
    if not real and len(account.with_status(Status.QUARANTINED)) >= QUARANTINED_MAX:
        return account, []
    if len(account.deposits) >= DEPOSITS_MAX:
        told = [] if account.overfull else [Overfull(account.address)]
        return replace(account, overfull=True), [*told]
    made = Deposit(
        transfer,
        Status.SEEN if real else Status.QUARANTINED,
        reason="" if real else WRONG_TOKEN,
    )
    added = replace(account, deposits=(*account.deposits, made))
    return added, [Seen(made) if real else Quarantined(made)]


def lose(account: Account, refs: Collection[str]) -> Step:
    """Take back deposits that are proven not to be on the chain any more."""
    facts: list[Fact] = []
    for deposit in account.deposits:
        if deposit.ref not in refs:
            continue
        if deposit.status is Status.SEEN:
            gone = replace(deposit, status=Status.WITHDRAWN)
            account, facts = _put(account, gone), [*facts, Withdrawn(gone)]
        elif deposit.status is Status.ACCEPTED:
            gone = replace(deposit, status=Status.VANISHED)
            account, facts = _put(account, gone), [*facts, Vanished(gone)]
    return account, facts


def accept(account: Account, refs: Sequence[str]) -> Step:
    """Count deposits that are proven and deep enough, in the order of the chain."""
    facts: list[Fact] = []
    chosen = [entry for entry in account.with_status(Status.SEEN) if entry.ref in refs]
    for deposit in sorted(chosen, key=lambda entry: _order(entry.transfer)):
        account, fact = _accept_one(account, deposit)
        facts.append(fact)
    return account, facts


def _accept_one(account: Account, deposit: Deposit) -> tuple[Account, Fact]:
    if account.state is not State.OPEN:
        late = replace(deposit, status=Status.ACCEPTED, stray=True)
        return _put(account, late), Stray(late)
    counted = replace(deposit, status=Status.ACCEPTED)
    account = _put(account, counted)
    received = account.received_minor
    if received < account.due_minor:
        return account, Partial(counted, received, account.due_minor)
    paid = replace(account, state=State.PAID, payment_ref=deposit.ref)
    return paid, Paid(deposit.ref, received, account.due_minor)


def quarantine(account: Account, ref: str, reason: str) -> Step:
    """Set a seen deposit aside: its events promise what is not there."""
    deposit = account.find(ref)
    if deposit is None or deposit.status is not Status.SEEN:
        return account, []
    aside = replace(deposit, status=Status.QUARANTINED, reason=reason)
    return _put(account, aside), [Quarantined(aside)]


def close(account: Account) -> Step:
    """End the account unpaid; only when nothing has come and nothing is on its way."""
    closable = account.state is State.OPEN and not account.payments and not account.pending_minor
    return (replace(account, state=State.CLOSED) if closable else account), []


def settle_partial(account: Account) -> Step:
    """End the account with what has come so far, which is less than is due; it goes back."""
    if account.state is not State.OPEN or not account.payments or account.pending_minor:
        return account, []
    last = max(account.payments, key=lambda entry: _order(entry.transfer))
    paid = replace(account, state=State.PAID, payment_ref=last.ref)
    return paid, [Paid(last.ref, account.received_minor, account.due_minor)]


def _put(account: Account, deposit: Deposit) -> Account:
    entries = tuple(deposit if entry.ref == deposit.ref else entry for entry in account.deposits)
    return replace(account, deposits=entries)


def _order(transfer: TransferLog) -> tuple[int, str, int]:
    return transfer.block_number, transfer.tx_hash, transfer.position
