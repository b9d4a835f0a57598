"""Everything at once, by seed: deposits and payouts on a chain that reorganises, lags and fails.

`BLOXTR8_STORM_SEEDS` says how many seeds are tried.
"""

import contextlib
import os
import random
from uuid import uuid4

import pytest

from bloxtr8.payments.rails import Confirmed
from bloxtr8.payments.usdc.chain import ChainUnavailable
from bloxtr8.payments.usdc.custody import Transfer
from bloxtr8.payments.usdc.deposits import Paid, Partial, State, Status, Stray, Vanished
from bloxtr8.payments.usdc.onchain import OnchainCustodian
from bloxtr8.payments.usdc.sending import BUMP_AFTER_BLOCKS
from bloxtr8.sandbox.chain import wallets as people
from bloxtr8.sandbox.chain.ledger import Fate
from bloxtr8.sandbox.chain.rpc import Lies
from bloxtr8.sandbox.faults import Fault, FaultRule
from tests.integration.usdc.world import USDC, World

SEEDS = int(os.environ.get("BLOXTR8_STORM_SEEDS", "12"))
_ACTIONS = 60
_QUICK_FAULTS = [
    Fault.DISCONNECT_BEFORE,
    Fault.DISCONNECT_AFTER,
    Fault.ERROR_BEFORE,
    Fault.ERROR_AFTER,
    Fault.GARBAGE,
    Fault.RATE_LIMIT,
    Fault.REFUSE,
]


def trouble(world: World, chance: random.Random) -> None:
    """Do one of the things that chains and nodes do."""
    chain = world.local.chain
    kind = chance.randrange(6)
    if kind == 0:
        # Never as deep as what is final.
        depth = chance.randint(1, min(chain.finality_depth - 1, 20))
        if chain.head.number > depth + 1:
            chain.reorganise(depth, chance.choice([Fate.KEEP, Fate.WAIT]))
    elif kind == 1:
        world.local.rpc.lies = Lies(lag=chance.choice([0, 1, 3, 9]), hide_logs=chance.randrange(3))
    elif kind == 2:
        world.local.faults.add(FaultRule("RPC *", chance.choice(_QUICK_FAULTS), seconds=0.0))
    elif kind == 3:
        chain.auto_mine = not chain.auto_mine
    else:
        chain.mine(chance.randint(1, 4))


def calm(world: World) -> None:
    world.local.rpc.lies = Lies()
    world.local.faults.clear()
    world.local.chain.auto_mine = True
    world.mine(1)
    world.finalize()


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_deposits_in_a_storm_count_once(world: World, seed: int) -> None:
    chance = random.Random(seed)
    world.local.chain.finality_depth = 25
    world.mine(30)
    addresses = [(await world.account(due=100 * USDC)).address for _ in range(3)]
    await world.watcher.step()
    for name in ("a", "b"):
        world.pay(people.named(name).address, 10_000 * USDC, wallet=name)
    world.finalize()
    for _ in range(_ACTIONS):
        if chance.random() < 0.2:
            to, amount = chance.choice(addresses), chance.randint(1, 80) * USDC
            world.local.bank.spend(chance.choice("ab"), people.USDC, to, amount)
        elif chance.random() < 0.4:
            with contextlib.suppress(ChainUnavailable):
                await world.watcher.step()
        elif chance.random() < 0.1:
            world.watcher = world.new_watcher()
        else:
            trouble(world, chance)
    calm(world)
    for _ in range(4):
        await world.watcher.step()
    for address in addresses:
        account = await world.state(address)
        assert account.accepted_minor == await world.balance(address), f"seed {seed}"
        assert account.with_status(Status.SEEN) == []
        assert (account.state is State.PAID) == (account.accepted_minor >= account.due_minor)
        facts = [t.fact for t in world.accounts.told if t.escrow_id == account.escrow_id]
        strays = sum(fact.deposit.amount_minor for fact in facts if isinstance(fact, Stray))
        paid = [fact for fact in facts if isinstance(fact, Paid)]
        parts = [fact.received_minor for fact in facts if isinstance(fact, Partial)]
        received = paid[0].received_minor if paid else max(parts, default=0)
        assert len(paid) <= 1
        assert received + strays == account.accepted_minor, "what was told is what is there"
        assert not any(isinstance(fact, Vanished) for fact in facts), "final is final"


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_payouts_in_a_storm_are_paid_once(world: World, seed: int) -> None:
    chance = random.Random(1000 + seed)
    world.local.chain.finality_depth = 25
    world.fund_hot(1_000 * USDC)
    world.mine(30)
    orders = [
        Transfer(str(uuid4()), "escrow", people.named(f"s{n}").address.lower(), (n + 1) * USDC)
        for n in range(5)
    ]
    for _ in range(_ACTIONS):
        if chance.random() < 0.5:
            custodian = OnchainCustodian(world.numbers, world.new_sender(), world.network)
            order = chance.choice(orders)
            if chance.random() < 0.5:
                await custodian.transfer(order)
            else:
                await custodian.look_up(order.operation_id)
        else:
            trouble(world, chance)
    calm(world)
    custodian = OnchainCustodian(world.numbers, world.new_sender(), world.network)
    for _ in range(4):
        for order in orders:
            await custodian.transfer(order)
        world.mine(BUMP_AFTER_BLOCKS)
        world.finalize()
    for order in orders:
        assert isinstance(await custodian.look_up(order.operation_id), Confirmed), f"seed {seed}"
        assert await world.balance(order.to) == order.amount_minor
    assert await world.chain.next_nonce(world.hot) == len(orders)
