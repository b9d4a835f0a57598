"""Deposits on a chain that forgets, nodes that lag and lie: credited once, at depth, or never."""

from types import ModuleType

import pytest

from bloxtr8.payments.usdc import chain as chains
from bloxtr8.payments.usdc import deposits
from bloxtr8.payments.usdc.chain import ChainUnavailable
from bloxtr8.payments.usdc.deposits import (
    Paid,
    Partial,
    Quarantined,
    Returned,
    Seen,
    State,
    Stray,
    Vanished,
    Withdrawn,
)
from bloxtr8.sandbox.chain import LocalChain, rpc
from bloxtr8.sandbox.chain import wallets as people
from bloxtr8.sandbox.chain.ledger import Fate
from bloxtr8.sandbox.chain.token import Token
from bloxtr8.sandbox.faults import Fault, FaultRule
from tests.integration.usdc.world import DUE, USDC, World


async def test_shown_at_one_block_and_accepted_when_final(world: World) -> None:
    account = await world.account()
    await world.watcher.step()
    world.pay(account.address, DUE)
    await world.watcher.step()
    assert [type(fact) for fact in world.facts()] == [Seen]
    world.mine(world.local.chain.finality_depth - 1)
    await world.watcher.step()
    assert (await world.state(account.address)).state is State.OPEN, "one block too early"
    world.mine(1)
    await world.watcher.step()
    after = await world.state(account.address)
    assert (after.state, after.received_minor) == (State.PAID, DUE)
    assert world.facts(Paid) == [Paid(after.payment_ref, DUE, DUE)]


async def test_again_and_again_changes_nothing(world: World) -> None:
    account = await world.account()
    await world.watcher.step()
    world.pay(account.address, DUE)
    world.finalize()
    for _ in range(5):
        await world.watcher.step()
        await world.new_watcher().step()
    assert len(world.facts(Seen)) == len(world.facts(Paid)) == 1
    assert len(world.facts()) == 2


@pytest.mark.parametrize("blocks", [1, 2, 7])
async def test_policy_in_blocks_counts_small_escrows_earlier(
    local: LocalChain, blocks: int
) -> None:
    world = World(local, depths=[f"{100 * USDC}:{blocks}"])
    small, large = await world.account(100 * USDC), await world.account(100 * USDC + 1)
    await world.watcher.step()
    world.pay(small.address, 100 * USDC)
    # The payment of the second deposit mines blocks of its own.
    local.chain.auto_mine = False
    for _ in range(blocks - 1):
        await world.watcher.step()
        assert (await world.state(small.address)).state is State.OPEN
        world.mine(1)
    await world.watcher.step()
    assert (await world.state(small.address)).state is State.PAID
    local.chain.auto_mine = True
    world.pay(large.address, 100 * USDC + 1)
    world.mine(blocks)
    await world.watcher.step()
    assert (await world.state(large.address)).state is State.OPEN, "that one waits to be final"
    await world.close()


async def test_several_deposits_add_up_two_in_one_block(world: World) -> None:
    account = await world.account()
    await world.watcher.step()
    for wallet in ("one", "two"):
        world.pay(people.named(wallet).address, DUE, wallet=wallet)
    world.local.chain.auto_mine = False
    for wallet in ("one", "two"):
        world.local.bank.spend(wallet, people.USDC, account.address, DUE // 4)
    world.mine(1)
    assert len(world.local.chain.head.outcomes) == 2, "both in one block"
    world.finalize()
    await world.watcher.step()
    assert [fact.received_minor for fact in world.facts(Partial)] == [DUE // 4, DUE // 2]  # type: ignore[union-attr]
    world.local.chain.auto_mine = True
    world.pay(account.address, DUE // 2, wallet="two")
    world.finalize()
    await world.watcher.step()
    after = await world.state(account.address)
    assert (after.state, after.received_minor) == (State.PAID, DUE)
    assert len(after.senders) == 2


async def test_deposits_to_two_addresses_stay_apart(world: World) -> None:
    first, second = await world.account(), await world.account()
    await world.watcher.step()
    world.pay(first.address, DUE)
    world.pay(second.address, DUE // 2)
    world.finalize()
    await world.watcher.step()
    assert (await world.state(first.address)).received_minor == DUE
    assert (await world.state(second.address)).received_minor == DUE // 2


async def test_above_and_late_deposits(world: World) -> None:
    account = await world.account()
    await world.watcher.step()
    world.pay(account.address, DUE + 7)
    world.finalize()
    await world.watcher.step()
    assert world.facts(Paid) == [
        Paid((await world.state(account.address)).payment_ref, DUE + 7, DUE)
    ]
    world.pay(account.address, 5 * USDC)
    world.finalize()
    await world.watcher.step()
    (stray,) = world.facts(Stray)
    assert isinstance(stray, Stray)
    assert stray.deposit.amount_minor == 5 * USDC
    after = await world.state(account.address)
    assert after.received_minor == DUE + 7, "what is stray does not count"


async def test_another_token_is_quarantined_and_never_counts(world: World) -> None:
    account = await world.account()
    await world.watcher.step()
    world.pay(account.address, DUE, token=people.OTHER)
    world.finalize()
    for _ in range(3):
        await world.watcher.step()
    (fact,) = world.facts()
    assert isinstance(fact, Quarantined)
    assert fact.deposit.reason == "WRONG_TOKEN"
    assert (await world.state(account.address)).received_minor == 0


@pytest.mark.parametrize("depth", range(1, 21))
async def test_reorganised_deposit_that_is_kept_counts_once(world: World, depth: int) -> None:
    world.local.chain.finality_depth = 30
    world.mine(30)
    account = await world.account()
    await world.watcher.step()
    world.pay(account.address, DUE)
    world.mine(max(1, depth - 1))
    await world.watcher.step()
    world.local.chain.reorganise(depth, Fate.KEEP)
    await world.watcher.step()
    world.finalize()
    for _ in range(3):
        await world.watcher.step()
    after = await world.state(account.address)
    assert (after.state, after.received_minor) == (State.PAID, DUE)
    assert len(after.deposits) == 1
    assert len(world.facts(Paid)) == 1
    assert await world.balance(account.address) == DUE


@pytest.mark.parametrize("depth", range(1, 21))
async def test_reorganised_deposit_that_is_dropped_is_withdrawn(world: World, depth: int) -> None:
    world.local.chain.finality_depth = 30
    world.mine(30)
    account = await world.account()
    await world.watcher.step()
    world.pay(account.address, DUE)
    world.mine(depth)
    await world.watcher.step()
    assert len(world.facts(Seen)) == 1
    world.local.chain.reorganise(depth + 1, Fate.DROP)
    world.finalize()
    for _ in range(3):
        await world.watcher.step()
    after = await world.state(account.address)
    assert (after.state, after.received_minor) == (State.OPEN, 0)
    assert len(world.facts(Withdrawn)) == 1
    assert world.facts(Paid) == []


@pytest.mark.parametrize("depth", [1, 2, 5, 12, 20])
async def test_reorganisation_after_acceptance_is_reported_and_repaired(
    local: LocalChain, depth: int
) -> None:
    # Accepted after one block only, so that the chain can still change its mind.
    local.chain.finality_depth = 60
    world = World(local, depths=[f"{DUE}:1"])
    world.mine(25)
    account = await world.account()
    await world.watcher.step()
    world.pay(account.address, DUE)
    world.mine(depth)
    await world.watcher.step()
    assert (await world.state(account.address)).state is State.PAID
    local.chain.reorganise(depth + 1, Fate.WAIT)
    for _ in range(3):
        await world.watcher.step()
    assert len(world.facts(Vanished)) == 1
    assert (await world.state(account.address)).received_minor == DUE, "the escrow was told so"
    world.mine(1)
    await world.watcher.step()
    assert len(world.facts(Returned)) == 1
    assert len(world.facts(Paid)) == 1, "the same money is not paid twice"
    await world.close()


async def test_mined_behind_other_logs_it_is_still_the_same_deposit(local: LocalChain) -> None:
    world = World(local, depths=[f"{DUE}:1"])
    world.mine(5)
    account = await world.account()
    await world.watcher.step()
    world.pay(account.address, DUE)
    await world.watcher.step()
    assert len(world.facts(Paid)) == 1
    before = (await world.state(account.address)).deposits[0].ref
    local.chain.reorganise(2, Fate.WAIT)
    local.chain.auto_mine = False
    for _ in range(3):
        local.bank.give(people.named("noise").address, people.USDC, 1)
    world.mine(1)
    for _ in range(4):
        await world.watcher.step()
    after = await world.state(account.address)
    assert [entry.ref for entry in after.deposits] == [before]
    assert world.facts(Stray) == []
    await world.close()


async def test_address_is_used_again_after_it_was_closed(world: World) -> None:
    account = await world.account(escrow_id="same")
    assert (await world.account(escrow_id="same")).address == account.address
    await world.accounts.change(account.address, deposits.close)
    await world.watcher.step()
    world.pay(account.address, DUE)
    world.finalize()
    await world.watcher.step()
    assert [type(fact) for fact in world.facts()] == [Seen, Stray]


async def test_token_that_takes_a_fee_is_never_credited() -> None:
    local = LocalChain(usdc_takes_fee=True)
    await local.start()
    world = World(local)
    account = await world.account()
    await world.watcher.step()
    # The buyer needs a little more to be able to send all of it.
    local.bank.give(people.named("buyer").address, people.USDC, DUE)
    world.pay(account.address, DUE)
    world.finalize()
    for _ in range(3):
        await world.watcher.step()
    after = await world.state(account.address)
    assert await world.balance(account.address) == DUE * 99 // 100, "the event promised all"
    assert (after.state, after.received_minor) == (State.OPEN, 0)
    (fact,) = world.facts(Quarantined)
    assert isinstance(fact, Quarantined)
    assert fact.deposit.reason == "SHORT_BALANCE"
    await world.close()
    await local.stop()


async def test_one_question_without_an_answer_does_not_hold_up_the_others(world: World) -> None:
    accounts = [await world.account() for _ in range(5)]
    await world.watcher.step()
    start = await world.accounts.cursor()
    for account in accounts:
        world.pay(account.address, DUE)
    world.finalize()
    world.local.faults.add(FaultRule("RPC eth_getTransactionReceipt", Fault.ERROR_BEFORE))
    with pytest.raises(ChainUnavailable):
        await world.watcher.step()
    assert len(world.facts(Paid)) == len(accounts) - 1
    assert await world.accounts.cursor() == start, "what is missing is read again"
    await world.watcher.step()
    assert len(world.facts(Paid)) == len(accounts)
    assert await world.accounts.cursor() == world.local.chain.head.number


async def test_an_account_is_not_closed_while_something_is_missing(world: World) -> None:
    account = await world.account()
    world.pay(account.address, DUE)
    world.local.faults.add(FaultRule("RPC eth_getTransactionReceipt", Fault.ERROR_BEFORE))
    with pytest.raises(ChainUnavailable):
        await world.watcher.reread(account.address)


@pytest.mark.parametrize(("module", "limit"), [(rpc, "LOGS_MAX"), (chains, "_LOGS_MAX")])
@pytest.mark.parametrize("token", [people.OTHER, people.USDC])
async def test_a_flood_of_transfers_holds_up_nobodys_payment(
    world: World, monkeypatch: pytest.MonkeyPatch, module: ModuleType, limit: str, token: Token
) -> None:
    monkeypatch.setattr(module, limit, 5)
    flooded, account = await world.account(), await world.account()
    for _ in range(9):
        world.pay(flooded.address, 20_000, token=token, wallet="mallory")
    world.pay(account.address, DUE)
    world.finalize()
    await world.watcher.step()
    assert (await world.state(account.address)).state is State.PAID
    assert await world.accounts.cursor() == world.local.chain.head.number
    assert world.chain.answers


async def test_more_usdc_than_can_be_read_in_one_block_is_still_silence(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chains, "_LOGS_MAX", 0)
    account = await world.account()
    world.pay(account.address, DUE)
    world.finalize()
    with pytest.raises(ChainUnavailable):
        await world.watcher.step()
    assert (await world.state(account.address)).state is State.OPEN
