"""Moving accepted deposits to the hot wallet: with gas, only what counts, through silence."""

from uuid import uuid4

import pytest

from bloxtr8.payments.rails import Unknown
from bloxtr8.payments.usdc.chain import ChainUnavailable
from bloxtr8.payments.usdc.custody import Transfer
from bloxtr8.payments.usdc.deposits import Account
from bloxtr8.payments.usdc.outgoing import Outgoing, Stage
from bloxtr8.sandbox.chain import wallets as people
from bloxtr8.sandbox.faults import Fault, FaultRule
from tests.integration.usdc.world import DUE, USDC, World

SELLER = people.named("seller").address.lower()


def order(amount: int = 100 * USDC, to: str = SELLER) -> Transfer:
    return Transfer(str(uuid4()), "escrow", to, amount)


async def paid(world: World) -> Account:
    """Return an account on which what was due has come and is final."""
    account = await world.account()
    await world.watcher.step()
    world.pay(account.address, DUE)
    world.finalize()
    await world.watcher.step()
    return account


async def test_sweep_brings_gas_and_then_the_money(world: World) -> None:
    world.fund_hot()
    account = await paid(world)
    for _ in range(4):
        await world.sweeper.step([await world.state(account.address)])
        world.finalize()
    assert await world.balance(account.address) == 0
    assert await world.balance(world.hot) == DUE
    assert await world.onchain.swept_minor(account.address) == DUE
    stages = {entry.key.split(":")[0]: entry.stage for entry in world.outgoing.kept.values()}
    assert stages == {"gas": Stage.MINED, "sweep": Stage.MINED}


async def test_only_what_was_accepted_is_swept_and_the_rest_still_counts(world: World) -> None:
    world.fund_hot()
    account = await world.account()
    await world.watcher.step()
    world.pay(account.address, DUE // 2)
    world.finalize()
    await world.watcher.step()
    world.pay(account.address, DUE // 2)
    for _ in range(3):
        await world.sweeper.step([await world.state(account.address)])
        world.mine(2)
    assert await world.balance(account.address) == DUE // 2
    world.finalize()
    await world.watcher.step()
    assert (await world.state(account.address)).received_minor == DUE
    for _ in range(4):
        world.finalize()
        await world.sweeper.step([await world.state(account.address)])
    assert await world.balance(world.hot) == DUE


async def test_sweep_waits_without_gas(world: World) -> None:
    account = await world.account()
    await world.watcher.step()
    world.pay(account.address, DUE)
    world.finalize()
    await world.watcher.step()
    await world.sweeper.step([await world.state(account.address)])
    assert world.outgoing.kept == {}
    found = await world.sweeper.balances()
    assert (found.wei, found.usdc_minor, found.unfinished) == (0, 0, 0)


async def test_unfinished_work_survives_a_silent_chain(world: World) -> None:
    world.fund_hot(1000 * USDC)
    await world.onchain.transfer(order())
    world.local.faults.add(FaultRule("RPC *", Fault.ERROR_BEFORE, times=1))
    with pytest.raises(ChainUnavailable):
        await world.sweeper.step([])
    world.finalize()
    await world.sweeper.step([])
    assert (await world.sweeper.balances()).unfinished == 0


async def test_one_that_nobody_can_sign_for_does_not_hold_up_the_others(world: World) -> None:
    """The hot wallet was replaced while one of its transactions was under way."""
    world.fund_hot()
    account = await paid(world)
    before = people.named("the hot wallet before").address.lower()
    left = Outgoing("payout:left", before, None, 0, people.USDC.hex, "0x", 0, 100_000, 0, 0)
    await world.outgoing.reserve(left, 0)
    for _ in range(4):
        with pytest.raises(ChainUnavailable):
            await world.sweeper.step([await world.state(account.address)])
        world.finalize()
    assert await world.balance(world.hot) == DUE
    assert (await world.onchain.look_up("left")) == Unknown("CHAIN: keys: they are another's")
