"""A nonce of ours in a transaction that we did not send: people are told at once."""

from uuid import uuid4

from pydantic import SecretStr

from bloxtr8.clock import ManualClock
from bloxtr8.config import PostgresSettings, Settings
from bloxtr8.payments.rails import Pending
from bloxtr8.payments.usdc.custody import Transfer
from bloxtr8.payments.usdc.outgoing import Outgoing
from bloxtr8.payments.usdc.pg_outgoing import PostgresOutgoing
from bloxtr8.sandbox.chain import wallets as people
from bloxtr8.store import database
from bloxtr8.telemetry import REGISTRY
from tests.integration.payments_bench import NOW
from tests.integration.usdc.world import USDC, World

SELLER = people.named("seller").address.lower()


async def test_nonce_used_by_somebody_else_is_not_a_payout(world: World) -> None:
    world.fund_hot(1000 * USDC)
    world.local.chain.auto_mine = False
    wanted = Transfer(str(uuid4()), "escrow", SELLER, 100 * USDC)
    await world.onchain.transfer(wanted)
    world.local.chain._pool.clear()
    world.local.chain.auto_mine = True
    world.local.bank.send(world.keys.hot, people.raw(SELLER), b"", 1)
    world.finalize()
    assert isinstance(await world.onchain.look_up(wanted.operation_id), Pending)
    assert world.outgoing.foreign == set(), "it may have been mined just now"
    assert isinstance(await world.onchain.look_up(wanted.operation_id), Pending)
    assert world.outgoing.foreign == {f"payout:{wanted.operation_id}"}
    await world.sweeper.balances()
    assert REGISTRY.get_sample_value("bloxtr8_nonces_used_elsewhere") == 1
    world.sweeper.forget()
    assert await world.balance(SELLER) == 0


async def test_a_key_that_is_used_elsewhere_is_a_task(postgres_dsn: str) -> None:
    await database.open_database(Settings(postgres=PostgresSettings(dsn=SecretStr(postgres_dsn))))
    key = "0x" + "ab" * 20
    outgoing = Outgoing("payout:1", key, None, 7, key, "0x", 0, 1, 1, 1)
    for _ in range(2):
        await PostgresOutgoing(ManualClock(NOW)).report_foreign(outgoing)
    tasks = await database.fetch("SELECT kind, subject_id, priority FROM staff_tasks")
    await database.close_database()
    assert [tuple(task.values()) for task in tasks] == [("KEY_USED_ELSEWHERE", f"{key}:7", 100)]
