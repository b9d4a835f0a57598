"""Self-custody: one nonce for one thing, whatever crashes, sticks or is reorganised in between."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from bloxtr8.payments.rails import Absent, Confirmed, Failed, Pending, Unknown
from bloxtr8.payments.usdc.chain import Chain
from bloxtr8.payments.usdc.custody import Transfer
from bloxtr8.payments.usdc.onchain import OnchainCustodian, transfer_call
from bloxtr8.payments.usdc.outgoing import MemoryOutgoing, Outgoing
from bloxtr8.payments.usdc.sending import BUMP_AFTER_BLOCKS
from bloxtr8.payments.usdc.sweeps import Alarms, Sweeper
from bloxtr8.payments.usdc.wallets import Wallets
from bloxtr8.sandbox.chain import wallets as people
from bloxtr8.sandbox.chain.ledger import Fate
from bloxtr8.sandbox.chain.rpc import Lies
from bloxtr8.sandbox.faults import Fault, FaultRule
from tests.integration.payments_bench import until
from tests.integration.usdc.world import USDC, World

SELLER = people.named("seller").address.lower()


def order(amount: int = 100 * USDC, to: str = SELLER) -> Transfer:
    return Transfer(str(uuid4()), "escrow", to, amount)


async def settled(world: World, operation_id: str) -> object:
    world.finalize()
    return await world.onchain.look_up(operation_id)


async def test_payout_is_confirmed_when_it_is_final(world: World) -> None:
    world.fund_hot(1000 * USDC)
    wanted = order()
    assert isinstance(await world.onchain.transfer(wanted), Pending)
    assert isinstance(await world.onchain.look_up(wanted.operation_id), Pending)
    done = await settled(world, wanted.operation_id)
    assert isinstance(done, Confirmed)
    assert (done.amount_minor, done.currency, done.destination) == (100 * USDC, "USDC", SELLER)
    assert await world.balance(SELLER) == 100 * USDC


async def test_repeated_payout_is_the_same_payout(world: World) -> None:
    world.fund_hot(1000 * USDC)
    wanted = order()
    for _ in range(5):
        assert isinstance(await world.onchain.transfer(wanted), Pending)
    world.finalize()
    for _ in range(3):
        assert isinstance(await world.onchain.transfer(wanted), Confirmed)
    assert await world.balance(SELLER) == 100 * USDC


async def test_unknown_operation_is_absent(world: World) -> None:
    assert await world.onchain.look_up(str(uuid4())) == Absent()


async def test_other_terms_under_the_same_id_are_never_sent(world: World) -> None:
    world.fund_hot(1000 * USDC)
    wanted = order()
    await world.onchain.transfer(wanted)
    for other in (
        replace(wanted, amount_minor=1),
        replace(wanted, to=people.named("thief").address.lower()),
    ):
        assert await world.onchain.transfer(other) == Unknown("TERMS_DIFFER")
    await settled(world, wanted.operation_id)
    assert await world.balance(people.named("thief").address.lower()) == 0


async def test_payout_waits_for_money_and_gas(world: World) -> None:
    wanted = order()
    assert await world.onchain.transfer(wanted) == Unknown("HOT_WALLET_SHORT", asked=False)
    world.local.bank.give(world.hot, people.USDC, 1000 * USDC)
    assert await world.onchain.transfer(wanted) == Unknown("NO_GAS", asked=False)
    assert world.outgoing.kept == {}, "nothing is reserved, so nothing blocks the nonce"
    world.fund_hot()
    assert isinstance(await world.onchain.transfer(wanted), Pending)


async def test_promised_money_is_not_promised_twice(world: World) -> None:
    world.fund_hot(150 * USDC)
    world.local.chain.auto_mine = False
    assert isinstance(await world.onchain.transfer(order()), Pending)
    assert await world.onchain.transfer(order()) == Unknown("HOT_WALLET_SHORT", asked=False)


async def test_reverted_payout_failed_and_nothing_happened(world: World) -> None:
    world.fund_hot(1000 * USDC)
    world.local.bank.blacklist(people.USDC, SELLER)
    wanted = order()
    assert isinstance(await world.onchain.transfer(wanted), Pending)
    assert await settled(world, wanted.operation_id) == Failed("REVERTED", nothing_happened=True)
    # The nonce was used up; the next payout is not held up by it.
    other = order(to=people.named("other-seller").address.lower())
    await world.onchain.transfer(other)
    assert isinstance(await settled(world, other.operation_id), Confirmed)


# Crashes: the process ends at a step, another one goes on with what is stored.


class Crash(Exception):
    pass


class CrashingStore(MemoryOutgoing):
    """Ends the process before or after the n-th write."""

    def __init__(self, at: int, *, after: bool) -> None:
        super().__init__()
        self.left = at
        self.after = after

    def _count(self) -> bool:
        self.left -= 1
        return self.left == 0

    async def reserve(self, wanted: Outgoing, mined_nonce: int) -> Outgoing:
        dies = self._count()
        if dies and not self.after:
            raise Crash
        made = await super().reserve(wanted, mined_nonce)
        if dies:
            raise Crash
        return made

    async def put(self, outgoing: Outgoing, was: Outgoing) -> bool:
        dies = self._count()
        if dies and not self.after:
            raise Crash
        kept = await super().put(outgoing, was)
        if dies:
            raise Crash
        return kept


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", [1, 2, 3])
async def test_crash_at_every_write_pays_exactly_once(world: World, step: int, after: bool) -> None:
    world.fund_hot(1000 * USDC)
    world.outgoing = CrashingStore(step, after=after)
    wanted = order()
    crashes = 0
    for _ in range(6):
        # A new process each time: nothing is left but what is stored.
        custodian = OnchainCustodian(world.numbers, world.new_sender(), world.network)
        try:
            await custodian.transfer(wanted)
        except Crash:
            crashes += 1
        world.finalize()
    assert crashes == 1, "the crash came about"
    custodian = OnchainCustodian(world.numbers, world.new_sender(), world.network)
    assert isinstance(await custodian.look_up(wanted.operation_id), Confirmed)
    assert await world.balance(SELLER) == 100 * USDC
    assert await world.chain.next_nonce(world.hot) == 1


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize(
    "method",
    [
        "eth_sendRawTransaction",
        "eth_getTransactionCount",
        "eth_getBlockByNumber",
        "eth_maxPriorityFeePerGas",
        "eth_getTransactionReceipt",
    ],
)
async def test_every_fault_of_the_node_pays_at_most_once(
    world: World, method: str, fault: Fault
) -> None:
    world.fund_hot(1000 * USDC)
    wanted = order()
    world.local.faults.add(FaultRule(f"RPC {method}", fault, seconds=1.2))
    for _ in range(3):
        assert isinstance(await world.onchain.transfer(wanted), Pending | Unknown)
    world.local.faults.clear()
    world.mine(BUMP_AFTER_BLOCKS)
    await world.onchain.transfer(wanted)
    assert isinstance(await settled(world, wanted.operation_id), Confirmed)
    assert await world.balance(SELLER) == 100 * USDC
    assert await world.chain.next_nonce(world.hot) == 1


async def test_many_payouts_at_once_have_nonces_of_their_own(world: World) -> None:
    world.fund_hot(1000 * USDC)
    wanted = [order(USDC) for _ in range(12)]
    await asyncio.gather(*(world.onchain.transfer(entry) for entry in wanted))
    nonces = sorted(entry.nonce for entry in world.outgoing.kept.values())
    assert nonces == list(range(12))
    world.finalize()
    for _ in range(3):
        for entry in wanted:
            await world.onchain.transfer(entry)
        world.finalize()
    assert await world.balance(SELLER) == 12 * USDC


async def test_reserved_and_never_sent_is_sent_by_the_sweeper(world: World) -> None:
    world.fund_hot(1000 * USDC)
    world.outgoing = CrashingStore(1, after=True)
    wanted = order()
    custodian = OnchainCustodian(world.numbers, world.new_sender(), world.network)
    with pytest.raises(Crash):
        await custodian.transfer(wanted)
    await _sweeper(world).step([])
    assert await world.balance(SELLER) == 100 * USDC


class Meeting(Wallets):
    """Holds back who signs first until a second one has come as far, or `open` is set."""

    def __init__(self, seed: bytes) -> None:
        super().__init__(seed)
        self.came = 0
        self.open = asyncio.Event()

    async def sign(self, number: int | None, digest: bytes) -> Any:
        self.came += 1
        if self.came == 2:
            self.open.set()
        await asyncio.wait_for(self.open.wait(), 10)
        return await super().sign(number, digest)


async def test_executor_and_sweeper_at_once_lose_no_version(world: World) -> None:
    world.fund_hot(1000 * USDC)
    world.outgoing = CrashingStore(1, after=True)
    wanted = order()
    with pytest.raises(Crash):
        await OnchainCustodian(world.numbers, world.new_sender(), world.network).transfer(wanted)
    world.keys = meeting = Meeting(bytes(range(32)))
    chain = world.local.chain
    chain.auto_mine = False
    executor = OnchainCustodian(world.numbers, world.new_sender(), world.network)
    first = asyncio.create_task(executor.look_up(wanted.operation_id))
    await until(lambda: meeting.came == 1)
    # The other one offers more: another transaction of the same nonce.
    chain.base_fee_wei *= 3
    chain.mine(1)
    await _sweeper(world).step([])
    await first
    (kept,) = world.outgoing.kept.values()
    sent = {"0x" + bytes(entry.hash).hex() for entry in chain.waiting}
    assert sent <= set(kept.hashes), "what was sent is known"
    chain.base_fee_wei //= 3
    world.finalize()
    assert isinstance(await executor.look_up(wanted.operation_id), Confirmed)
    assert await world.balance(SELLER) == 100 * USDC


def _sweeper(world: World) -> Sweeper:
    return Sweeper(world.new_sender(), world.numbers, world.network, Alarms(0, 0))


# Stuck, replaced, reorganised.


async def test_stuck_payout_is_replaced_by_a_better_offer(world: World) -> None:
    world.fund_hot(1000 * USDC)
    chain = world.local.chain
    wanted = order()
    chain.auto_mine = False
    await world.onchain.transfer(wanted)
    chain.base_fee_wei *= 10
    chain.mine(BUMP_AFTER_BLOCKS)
    (first,) = world.outgoing.kept.values()
    await world.onchain.look_up(wanted.operation_id)
    (second,) = world.outgoing.kept.values()
    assert second.nonce == first.nonce
    assert len(second.hashes) == 2
    assert second.fee_max_wei >= first.fee_max_wei * 11 // 10
    chain.mine(1)
    assert isinstance(await settled(world, wanted.operation_id), Confirmed)
    assert await world.balance(SELLER) == 100 * USDC


async def test_offer_has_a_limit(world: World) -> None:
    world.fund_hot(1000 * USDC)
    chain = world.local.chain
    wanted = order()
    chain.auto_mine = False
    await world.onchain.transfer(wanted)
    chain.base_fee_wei = 100 * 10**9
    for _ in range(12):
        chain.mine(BUMP_AFTER_BLOCKS)
        assert isinstance(await world.onchain.look_up(wanted.operation_id), Pending)
    (kept,) = world.outgoing.kept.values()
    assert kept.fee_max_wei <= 5 * 10**9
    chain.base_fee_wei = 10**7
    chain.mine(1)
    assert isinstance(await settled(world, wanted.operation_id), Confirmed)


async def test_first_version_mined_after_the_second_was_made(world: World) -> None:
    world.fund_hot(1000 * USDC)
    chain = world.local.chain
    wanted = order()
    chain.auto_mine = False
    await world.onchain.transfer(wanted)
    raw = chain.waiting[0]
    chain.mine(1)
    chain.reorganise(1, Fate.WAIT)
    chain.base_fee_wei *= 10
    chain.mine(BUMP_AFTER_BLOCKS)
    await world.onchain.look_up(wanted.operation_id)
    assert len(next(iter(world.outgoing.kept.values())).hashes) == 2
    # A miner had the first version and takes that one.
    chain.base_fee_wei //= 10
    chain._pool = {(raw.sender, raw.nonce): raw}
    chain.mine(1)
    done = await settled(world, wanted.operation_id)
    assert isinstance(done, Confirmed)
    assert done.ref == "0x" + bytes(raw.hash).hex()
    assert await world.balance(SELLER) == 100 * USDC


@pytest.mark.parametrize("fate", list(Fate))
@pytest.mark.parametrize("depth", [1, 3, 8, 20])
async def test_reorganised_payout_is_paid_once(world: World, depth: int, fate: Fate) -> None:
    world.local.chain.finality_depth = 30
    world.fund_hot(1000 * USDC)
    world.finalize()
    wanted = order()
    await world.onchain.transfer(wanted)
    world.mine(depth)
    assert isinstance(await world.onchain.look_up(wanted.operation_id), Pending)
    world.local.chain.reorganise(depth + 1, fate)
    for _ in range(3):
        await world.onchain.look_up(wanted.operation_id)
    assert isinstance(await settled(world, wanted.operation_id), Confirmed)
    assert await world.balance(SELLER) == 100 * USDC


async def test_node_that_hides_the_receipt_does_not_make_it_pay_again(world: World) -> None:
    world.fund_hot(1000 * USDC)
    wanted = order()
    await world.onchain.transfer(wanted)
    world.finalize()
    world.local.rpc.lies = Lies(lag=20)
    for _ in range(3):
        assert isinstance(await world.onchain.transfer(wanted), Pending)
    world.local.rpc.lies = Lies()
    assert isinstance(await world.onchain.look_up(wanted.operation_id), Confirmed)
    assert await world.balance(SELLER) == 100 * USDC


async def test_dead_node_is_unknown_and_harmless(world: World) -> None:
    world.fund_hot(1000 * USDC)
    world.sender.prover._chains = [Chain("http://127.0.0.1:9", world.settings, world.clock)]
    assert isinstance(await world.onchain.transfer(order()), Unknown)
    assert world.outgoing.kept == {}


# Keys.


async def test_addresses_are_those_of_bip_44_and_stay(world: World) -> None:
    first = await world.onchain.deposit_address("one")
    second = await world.onchain.deposit_address("two")
    assert first == await world.onchain.deposit_address("one") != second
    assert len({world.keys.deposit(number).address for number in range(5)} | {world.hot}) == 6


def test_call_data_of_a_transfer() -> None:
    assert transfer_call("0x" + "ab" * 20, 5) == (
        "0xa9059cbb" + "00" * 12 + "ab" * 20 + "00" * 31 + "05"
    )
