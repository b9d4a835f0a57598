"""What counts and what does not, as a state machine that only sums and never forgets."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bloxtr8.payments.usdc import deposits
from bloxtr8.payments.usdc.chain import TransferLog
from bloxtr8.payments.usdc.deposits import (
    DEPOSITS_MAX,
    DUST_MINOR,
    QUARANTINED_MAX,
    Account,
    Overfull,
    Paid,
    Partial,
    Quarantined,
    Returned,
    Seen,
    State,
    Status,
    Stray,
    Vanished,
    Withdrawn,
)

USDC = "0x" + "aa" * 20
OTHER = "0x" + "bb" * 20
HERE = "0x" + "cc" * 20
DUE = 1_000_000


def transfer(number: int, amount: int = DUE, *, token: str = USDC, block: int = 5) -> TransferLog:
    return TransferLog(
        tx_hash=f"0x{number:064x}",
        position=0,
        block_number=block,
        block_hash=f"0x{block:064x}",
        token=token,
        sender="0x" + "dd" * 20,
        recipient=HERE,
        amount_minor=amount,
    )


def account(due: int = DUE) -> Account:
    return Account(HERE, "escrow", "operation", "contract", due, 0)


def through(start: Account, *changes: deposits.Change) -> tuple[Account, list[deposits.Fact]]:
    told: list[deposits.Fact] = []
    for change in changes:
        start, facts = change(start)
        told += facts
    return start, told


def see(*transfers: TransferLog) -> deposits.Change:
    return lambda entry: deposits.observe(entry, transfers, USDC)


def take(*transfers: TransferLog) -> deposits.Change:
    return lambda entry: deposits.accept(entry, [one.ref for one in transfers])


def drop(*transfers: TransferLog) -> deposits.Change:
    return lambda entry: deposits.lose(entry, {one.ref for one in transfers})


@pytest.mark.parametrize(
    ("amounts", "received", "state"),
    [
        ([DUE], DUE, State.PAID),
        ([DUE - 1], DUE - 1, State.OPEN),
        ([DUE + 1], DUE + 1, State.PAID),
        ([DUE // 2, DUE // 2], DUE, State.PAID),
        ([DUE // 2, DUE // 4], DUE // 2 + DUE // 4, State.OPEN),
        ([DUE, DUE], DUE, State.PAID),
        ([DUE // 2, DUE, DUE], DUE // 2 + DUE, State.PAID),
    ],
)
def test_what_is_accepted_adds_up_to_what_is_due(
    amounts: list[int], received: int, state: State
) -> None:
    came = [transfer(number, amount) for number, amount in enumerate(amounts)]
    after, told = through(account(), see(*came), take(*came))
    assert (after.received_minor, after.state) == (received, state)
    assert sum(isinstance(fact, Paid) for fact in told) == (state is State.PAID)


def test_the_same_observation_says_nothing_new() -> None:
    one = transfer(1)
    after, told = through(account(), see(one), see(one), take(one), take(one), see(one))
    assert [type(fact) for fact in told] == [Seen, Paid]
    assert after.received_minor == DUE


def test_what_comes_after_the_end_is_stray() -> None:
    one, late = transfer(1), transfer(2, 5 * DUST_MINOR)
    after, told = through(account(), see(one), take(one), see(late), take(late))
    assert [type(fact) for fact in told] == [Seen, Paid, Seen, Stray]
    assert (after.received_minor, after.accepted_minor) == (DUE, DUE + 5 * DUST_MINOR)


def test_an_empty_account_is_closed_and_one_with_money_is_not() -> None:
    one = transfer(1)
    assert deposits.close(account())[0].state is State.CLOSED
    seen, _ = through(account(), see(one))
    assert deposits.close(seen)[0].state is State.OPEN
    partly, _ = through(account(2 * DUE), see(one), take(one))
    assert deposits.close(partly)[0].state is State.OPEN
    ended, told = deposits.settle_partial(partly)
    assert (ended.state, told) == (State.PAID, [Paid(one.ref, DUE, 2 * DUE)])
    coming, _ = through(partly, see(transfer(2)))
    assert deposits.settle_partial(coming) == (coming, [])


def test_reorganised_before_acceptance_is_withdrawn_and_may_come_back() -> None:
    one = transfer(1)
    after, told = through(account(), see(one), drop(one), drop(one))
    assert [type(fact) for fact in told] == [Seen, Withdrawn]
    assert after.pending_minor == 0
    after, told = through(after, take(one))
    assert (after.received_minor, told) == (0, []), "what is gone is not accepted"
    after, told = through(after, see(transfer(1, block=9)), take(one))
    assert [type(fact) for fact in told] == [Seen, Paid]


def test_reorganised_after_acceptance_is_reported_and_still_counted() -> None:
    one = transfer(1)
    after, told = through(account(), see(one), take(one), drop(one), drop(one))
    assert [type(fact) for fact in told] == [Seen, Paid, Vanished]
    assert (after.received_minor, after.accepted_minor) == (DUE, 0)
    after, told = through(after, see(transfer(1, block=9)))
    assert [type(fact) for fact in told] == [Returned]
    assert after.accepted_minor == DUE


def test_other_tokens_are_set_aside_and_forgotten_beyond_a_number() -> None:
    came = [transfer(number, token=OTHER) for number in range(QUARANTINED_MAX + 5)]
    after, told = through(account(), see(*came), take(*came))
    assert [type(fact) for fact in told] == [Quarantined] * QUARANTINED_MAX
    assert after.received_minor == 0
    real = transfer(900)
    after, told = through(after, see(real), take(real))
    assert after.state is State.PAID, "they are in nobody's way"


def test_an_account_that_is_full_says_so_once() -> None:
    came = [transfer(number, DUST_MINOR) for number in range(DEPOSITS_MAX + 3)]
    after, told = through(account(10**12), see(*came), see(*came))
    assert sum(isinstance(fact, Overfull) for fact in told) == 1
    assert len(after.deposits) == DEPOSITS_MAX


@pytest.mark.parametrize("amount", [0, 1, DUST_MINOR - 1])
def test_dust_is_nothing(amount: int) -> None:
    assert through(account(), see(transfer(1, amount))) == (account(), [])


def test_quarantine_takes_only_what_is_seen() -> None:
    one = transfer(1)
    aside, told = through(
        account(), see(one), lambda entry: deposits.quarantine(entry, one.ref, "SHORT_BALANCE")
    )
    assert [type(fact) for fact in told] == [Seen, Quarantined]
    assert through(aside, take(one)) == (aside, [])
    done, _ = through(account(), see(one), take(one))
    assert deposits.quarantine(done, one.ref, "X") == (done, [])


@given(st.permutations(range(6)), st.lists(st.integers(1, 6), min_size=6, max_size=6))
def test_any_grouping_of_the_same_deposits_receives_the_same(
    order: list[int], sizes: list[int]
) -> None:
    """However acceptance is batched, nothing of what was accepted is lost."""
    came = [transfer(n, (n + 1) * 100_000, block=n) for n in range(6)]
    after, _ = through(account(500_000), see(*came))
    for start in range(0, 6, sizes[0]):
        after, _ = through(after, take(*(came[n] for n in order[start : start + sizes[0]])))
    assert after.accepted_minor == sum(entry.amount_minor for entry in came)
    assert after.state is State.PAID
    assert after.received_minor >= 500_000


class DepositMachine(RuleBasedStateMachine):
    """A chain that forgets and a watcher that repeats itself."""

    def __init__(self) -> None:
        super().__init__()
        self.account = account(3 * DUE)
        self.told: list[deposits.Fact] = []
        self.next = 0

    def _do(self, change: deposits.Change) -> None:
        before = self.account
        self.account, facts = change(before)
        self.told += facts
        if before.state is not State.OPEN:
            assert self.account.state is before.state, "ended is ended"
            assert self.account.payment_ref == before.payment_ref

    @rule(amount=st.integers(1, 4 * DUE), real=st.booleans(), block=st.integers(1, 50))
    def arrive(self, amount: int, real: bool, block: int) -> None:
        self.next += 1
        token = USDC if real else OTHER
        self._do(see(transfer(self.next, amount, token=token, block=block)))

    @precondition(lambda self: self.next)
    @rule(data=st.data(), block=st.integers(1, 50))
    def report_again(self, data: st.DataObject, block: int) -> None:
        known = self._some(data)
        if known is not None:
            self._do(see(replace(known.transfer, block_number=block)))

    @rule(data=st.data())
    def accept(self, data: st.DataObject) -> None:
        known = self._some(data)
        if known is not None:
            self._do(take(known.transfer))

    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        known = self._some(data)
        if known is not None:
            self._do(drop(known.transfer))

    @rule(data=st.data())
    def set_aside(self, data: st.DataObject) -> None:
        known = self._some(data)
        if known is not None:
            self._do(lambda entry: deposits.quarantine(entry, known.ref, "SHORT_BALANCE"))

    @rule()
    def close(self) -> None:
        self._do(deposits.close)

    @rule()
    def settle_partial(self) -> None:
        self._do(deposits.settle_partial)

    def _some(self, data: st.DataObject) -> deposits.Deposit | None:
        if not self.account.deposits:
            return None
        return data.draw(st.sampled_from(self.account.deposits))

    @invariant()
    def each_deposit_is_counted_at_most_once(self) -> None:
        counted = [fact.deposit.ref for fact in self.told if isinstance(fact, Partial | Stray)]
        assert len(counted) == len(set(counted))
        assert sum(isinstance(fact, Paid) for fact in self.told) <= 1

    @invariant()
    def what_was_told_is_what_is_there(self) -> None:
        paid = [fact for fact in self.told if isinstance(fact, Paid)]
        assert bool(paid) == (self.account.state is State.PAID)
        if paid:
            assert paid[0].received_minor == self.account.received_minor
        parts = [fact.received_minor for fact in self.told if isinstance(fact, Partial)]
        assert parts == sorted(parts)

    @invariant()
    def sums_are_sums(self) -> None:
        real = [e for e in self.account.deposits if e.transfer.token == USDC]
        accepted = [e for e in real if e.status in (Status.ACCEPTED, Status.VANISHED)]
        strays = sum(e.amount_minor for e in accepted if e.stray)
        assert self.account.received_minor + strays == sum(e.amount_minor for e in accepted)
        assert all(not e.stray for e in self.account.deposits if e.status is Status.SEEN)


DepositMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestDeposits = DepositMachine.TestCase
