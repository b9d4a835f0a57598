"""Two nodes that do not say the same: what both show counts, what one shows alone waits."""

from collections.abc import AsyncIterator

import pytest

from bloxtr8.payments.breaker import FAILURES_MAX, PAUSE
from bloxtr8.payments.usdc.chain import ChainUnavailable
from bloxtr8.payments.usdc.deposits import Paid, Seen, State, Stray, Vanished
from bloxtr8.payments.usdc.watcher import Arrival
from bloxtr8.sandbox.chain import LocalChain
from bloxtr8.sandbox.chain import wallets as people
from bloxtr8.sandbox.chain.ledger import Fate
from bloxtr8.sandbox.chain.rpc import Lies
from bloxtr8.sandbox.faults import Fault, FaultRule
from tests.integration.usdc.world import DUE, World


@pytest.fixture
async def witness(local: LocalChain) -> AsyncIterator[LocalChain]:
    """Another node of the same chain."""
    node = LocalChain(beside=local)
    await node.start()
    yield node
    await node.stop()


@pytest.fixture
async def both(local: LocalChain, witness: LocalChain) -> AsyncIterator[World]:
    local.chain.finality_depth = 30
    world = World(local, witnesses=(witness,))
    world.mine(40)
    yield world
    await world.close()


async def test_what_only_one_of_two_chains_has_never_counts(local: LocalChain) -> None:
    fork = LocalChain()
    await fork.start()
    world = World(local, witnesses=(fork,))
    account = await world.account()
    await world.watcher.step()
    world.pay(account.address, DUE)
    world.finalize()
    fork.chain.mine(local.chain.head.number + 10)
    for _ in range(5):
        await world.watcher.step()
    assert world.facts(Paid) == [], "the other node has no such transaction"
    assert (await world.state(account.address)).state is State.OPEN
    await world.close()
    await fork.stop()


@pytest.mark.parametrize("lag", range(1, 21))
async def test_a_witness_that_lags_delays_until_it_sees_the_same(
    both: World, witness: LocalChain, lag: int
) -> None:
    account = await both.account()
    await both.watcher.step()
    both.pay(account.address, DUE)
    paid_in = both.local.chain.head.number
    witness.rpc.lies = Lies(lag=lag)
    while both.local.chain.head.number - paid_in < both.local.chain.finality_depth:
        both.mine(1)
    await both.watcher.step()
    assert both.facts(Paid) == [], "final for one of them only"
    both.mine(lag)
    await both.watcher.step()
    assert len(both.facts(Paid)) == 1
    assert (await both.state(account.address)).received_minor == DUE


@pytest.mark.parametrize("depth", range(1, 21))
async def test_two_deposits_of_one_block_through_a_reorganisation(both: World, depth: int) -> None:
    account = await both.account()
    await both.watcher.step()
    chain = both.local.chain
    for name in ("a", "b"):
        both.local.bank.pay(name, people.USDC, people.named(name).address, DUE)
    chain.auto_mine = False
    for name, part in (("a", DUE // 2), ("b", DUE - DUE // 2)):
        both.local.bank.spend(name, people.USDC, account.address, part)
    both.mine(depth)
    chain.auto_mine = True
    await both.watcher.step()
    assert len(both.facts(Seen)) == 2
    chain.reorganise(depth, Fate.KEEP)
    await both.watcher.step()
    both.finalize()
    for _ in range(3):
        await both.watcher.step()
    after = await both.state(account.address)
    assert (after.state, after.received_minor, len(after.deposits)) == (State.PAID, DUE, 2)
    assert len(both.facts(Paid)) == 1
    assert both.facts(Stray) == both.facts(Vanished) == []


async def test_a_node_that_fails_is_passed_over_for_a_while_and_money_waits_for_it(
    both: World, local: LocalChain
) -> None:
    account = await both.account()
    await both.watcher.step()
    both.pay(account.address, DUE)
    both.finalize()
    failing = FaultRule("*", Fault.ERROR_BEFORE, times=FAILURES_MAX)
    local.faults.add(failing)
    for _ in range(FAILURES_MAX):
        with pytest.raises(ChainUnavailable):
            await both.nodes[0].latest()
    assert local.faults.rules == (), "each of them was asked"
    with pytest.raises(ChainUnavailable, match="CIRCUIT_OPEN"):
        await both.nodes[0].latest()
    assert both.prover.first is both.nodes[1]
    await both.watcher.step()
    assert both.facts(Seen), "the other node is read"
    assert both.facts(Paid) == [], "and does not decide alone"
    waiting = await both.state(account.address)
    assert await both.onchain.arrived(waiting, []) is Arrival.COMPLETE, "also for balances"
    both.clock.advance(PAUSE)
    assert both.prover.first is both.nodes[0]
    assert await both.nodes[0].latest(), "one call goes out to try"
    await both.watcher.step()
    assert len(both.facts(Paid)) == 1
