"""Nodes that lag, lie, or fall silent: they can delay money, never invent it or lose it."""

import pytest

from bloxtr8.payments.usdc.chain import ChainUnavailable
from bloxtr8.payments.usdc.deposits import (
    Paid,
    Seen,
    State,
    Status,
    Vanished,
    Withdrawn,
)
from bloxtr8.payments.usdc.watcher import REREAD_BLOCKS
from bloxtr8.sandbox.chain import LocalChain, wire
from bloxtr8.sandbox.chain import wallets as people
from bloxtr8.sandbox.chain.rpc import Lies
from bloxtr8.sandbox.chain.token import TRANSFER_TOPIC
from bloxtr8.sandbox.faults import Fault, FaultRule
from tests.integration.usdc.world import DUE, World


async def test_node_that_lags_only_delays(world: World) -> None:
    account = await world.account()
    await world.watcher.step()
    world.pay(account.address, DUE)
    world.finalize()
    world.local.rpc.lies = Lies(lag=20)
    await world.watcher.step()
    assert world.facts() == []
    world.local.rpc.lies = Lies()
    await world.watcher.step()
    assert len(world.facts(Paid)) == 1


async def test_head_that_goes_backwards_takes_nothing_back(world: World) -> None:
    account = await world.account()
    await world.watcher.step()
    world.pay(account.address, DUE)
    world.finalize()
    await world.watcher.step()
    for lag in (1, 5, 14, 40):
        world.local.rpc.lies = Lies(lag=lag)
        for _ in range(3):
            await world.watcher.step()
    assert world.facts(Vanished) == world.facts(Withdrawn) == []
    assert len(world.facts(Paid)) == 1


async def test_cursor_never_goes_back(world: World) -> None:
    world.mine(100)
    await world.watcher.step()
    world.local.rpc.lies = Lies(lag=90)
    await world.watcher.step()
    assert await world.accounts.cursor() == 100


async def test_what_came_long_before_the_first_look_is_found(world: World) -> None:
    account = await world.account()
    world.pay(account.address, DUE)
    world.mine(2 * REREAD_BLOCKS)
    world.finalize()
    await world.watcher.step()
    assert len(world.facts(Paid)) == 1


@pytest.mark.parametrize("times", [1, 3, 10])
async def test_hidden_logs_are_found_when_the_blocks_are_read_again(
    world: World, times: int
) -> None:
    account = await world.account()
    await world.watcher.step()
    world.pay(account.address, DUE)
    world.local.rpc.lies = Lies(hide_logs=times)
    world.finalize()
    for _ in range(times):
        await world.watcher.step()
    assert world.facts() == []
    await world.watcher.step()
    assert len(world.facts(Paid)) == 1


async def test_logs_hidden_after_they_were_seen_withdraw_nothing(world: World) -> None:
    account = await world.account()
    await world.watcher.step()
    world.pay(account.address, DUE)
    await world.watcher.step()
    world.local.rpc.lies = Lies(hide_logs=5)
    for _ in range(5):
        await world.watcher.step()
    assert [type(fact) for fact in world.facts()] == [Seen]


async def test_forged_log_without_a_receipt_is_not_believed(world: World) -> None:
    account = await world.account()
    await world.watcher.step()
    world.mine(3)
    world.local.rpc.lies = Lies(forged_logs=[_forged(world, account.address)])
    world.finalize()
    for _ in range(3):
        await world.watcher.step()
    assert world.facts() == []


def _forged(world: World, address: str) -> wire.JSON:
    return {
        "address": people.USDC.hex,
        "topics": [
            "0x" + TRANSFER_TOPIC.hex(),
            "0x" + "00" * 12 + "11" * 20,
            "0x" + "00" * 12 + address[2:],
        ],
        "data": "0x" + DUE.to_bytes(32, "big").hex(),
        "blockNumber": hex(world.local.chain.head.number),
        "blockHash": "0x" + world.local.chain.head.hash.hex(),
        "transactionHash": "0x" + "77" * 32,
        "transactionIndex": "0x0",
        "logIndex": "0x0",
        "removed": False,
    }


async def test_node_that_calls_everything_final_is_overruled_by_a_witness(
    local: LocalChain,
) -> None:
    witness = LocalChain(beside=local)
    await witness.start()
    world = World(local, witnesses=(witness,))
    world.mine(20)
    account = await world.account()
    await world.watcher.step()
    local.rpc.lies = Lies(finalized_shift=1000)
    world.pay(account.address, DUE)
    for _ in range(3):
        await world.watcher.step()
    assert world.facts(Paid) == [], "only the liar calls it final"
    world.finalize()
    await world.watcher.step()
    assert len(world.facts(Paid)) == 1
    await world.close()
    await witness.stop()


async def test_node_on_another_chain_proves_nothing(local: LocalChain) -> None:
    foreign = LocalChain(chain_id=1)
    await foreign.start()
    world = World(local, witnesses=(foreign,))
    account = await world.account()
    await world.watcher.step()
    world.pay(account.address, DUE)
    world.finalize()
    for _ in range(3):
        await world.watcher.step()
    assert [type(fact) for fact in world.facts()] == [Seen]
    await world.close()
    await foreign.stop()


@pytest.fixture
async def paid_world(world: World) -> World:
    account = await world.account()
    await world.watcher.step()
    world.pay(account.address, DUE)
    world.finalize()
    return world


_FAULTS = [fault for fault in Fault if fault not in (Fault.DELAY,)]


@pytest.mark.parametrize("fault", _FAULTS)
@pytest.mark.parametrize(
    "method", ["eth_getBlockByNumber", "eth_getLogs", "eth_getTransactionReceipt", "eth_call"]
)
async def test_every_fault_of_a_node_only_delays(
    paid_world: World, method: str, fault: Fault
) -> None:
    # Longer than the time-out of a call where the fault is to wait.
    paid_world.local.faults.add(FaultRule(f"RPC {method}", fault, seconds=3.0))
    for _ in range(3):
        try:
            await paid_world.watcher.step()
        except ChainUnavailable:
            continue
    assert paid_world.local.faults.rules == (), "the fault was met"
    assert len(paid_world.facts(Paid)) == 1
    assert len(paid_world.facts()) == 2


async def test_a_long_pause_is_caught_up_in_pieces(world: World) -> None:
    account = await world.account()
    await world.watcher.step()
    world.pay(account.address, DUE)
    world.mine(world.log_blocks * 3)
    await world.watcher.step()
    assert len(world.facts(Paid)) == 1
    assert await world.accounts.cursor() == world.local.chain.head.number


async def test_deposit_below_what_is_read_again_is_proven_before_it_counts(world: World) -> None:
    world.local.chain.finality_depth = REREAD_BLOCKS + 50
    account = await world.account()
    await world.watcher.step()
    world.pay(account.address, DUE)
    await world.watcher.step()
    world.mine(REREAD_BLOCKS + 10)
    await world.watcher.step()
    deposit = (await world.state(account.address)).deposits[0]
    assert deposit.status is Status.SEEN
    world.mine(50)
    await world.watcher.step()
    assert (await world.state(account.address)).state is State.PAID


async def test_reread_tells_when_the_balance_is_not_explained(world: World) -> None:
    account = await world.account()
    await world.watcher.step()
    world.pay(account.address, DUE)
    world.local.rpc.lies = Lies(hide_logs=1)
    assert (await world.watcher.reread(account.address))[1] is False
    found, explained = await world.watcher.reread(account.address)
    assert explained
    assert found.pending_minor == DUE


async def test_dust_and_empty_transfers_are_not_kept(world: World) -> None:
    account = await world.account()
    await world.watcher.step()
    world.pay(account.address, 9_999)
    world.pay(account.address, 0)
    world.finalize()
    await world.watcher.step()
    assert world.facts() == []
    assert (await world.watcher.reread(account.address))[1], "known, though it does not count"
