"""More than are taken at once: those that are stuck do not keep the others from their turn."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta

import pytest
from pydantic import SecretStr

from bloxtr8.clock import ManualClock
from bloxtr8.config import PostgresSettings, Settings
from bloxtr8.payments.pg_store import PostgresStore
from bloxtr8.payments.usdc.deposits import Account
from bloxtr8.payments.usdc.outgoing import Outgoing
from bloxtr8.payments.usdc.pg_accounts import _UNSWEPT, PostgresAccounts
from bloxtr8.payments.usdc.pg_outgoing import PostgresOutgoing
from bloxtr8.payments.usdc.store import WATCHED_PAGE
from bloxtr8.store import database
from bloxtr8.store.mirror import Mirror
from proto.bloxtr8.common.v1 import common_pb2 as common
from tests.integration.payments_bench import KEYRING, NOW
from tests.integration.story import Story
from tests.integration.usdc.world import DUE, World

# One more than are taken at once; each turn leaves one of them out.
CROWD = 1_001
# Chance leaves the same one out once in a while, never as often as this in a row.
TURNS = 20
# The last one comes behind all that have been there for longer.
_CROWD = """
INSERT INTO deposit_accounts (address, escrow_id, operation_id, due_minor, first_block, deposits,
  waiting, accepted_minor, updated_at)
SELECT '0x' || lpad(to_hex(row_number() OVER ()), 40, '0'), e.id, gen_random_uuid(), 1, 0, '[]',
  true, 1, $1::timestamptz + row_number() OVER () * interval '1 second'
FROM escrows e
"""
LAST = f"0x{CROWD:040x}"


@pytest.fixture
async def accounts(postgres_dsn: str) -> AsyncIterator[PostgresAccounts]:
    """Accounts of many held trades, with money that is accepted and not swept."""
    await database.open_database(Settings(postgres=PostgresSettings(dsn=SecretStr(postgres_dsn))))
    clock = ManualClock(NOW)
    story = Story().create().pay()
    await Mirror(clock).apply(story.events)
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO escrows SELECT (jsonb_populate_record(e, jsonb_build_object("
            "'id', gen_random_uuid(), 'contract_id', gen_random_uuid()))).*"
            " FROM escrows e, generate_series(2, $1::int)",
            CROWD,
        )
        await tx.execute(_CROWD, NOW - timedelta(days=1))
    store = PostgresStore(KEYRING.signer(common.PRODUCER_PAYMENTS), clock)
    yield PostgresAccounts(store, 8453, clock, lambda: None)
    await database.close_database()


async def _comes_up(take: Callable[[], Awaitable[Sequence[Account]]], address: str) -> bool:
    for _ in range(TURNS):
        taken = await take()
        assert len(taken) == CROWD - 1
        if address in {account.address for account in taken}:
            return True
    return False


async def test_every_waiting_account_gets_its_turn(accounts: PostgresAccounts) -> None:
    assert await _comes_up(accounts.waiting, LAST)


async def test_every_unswept_account_gets_its_turn(accounts: PostgresAccounts) -> None:
    assert await _comes_up(accounts.unswept, LAST)


async def test_sweeps_are_found_by_the_address_that_they_empty(accounts: PostgresAccounts) -> None:
    """Reading all transactions for each address would take minutes after some thousand trades."""
    async with database.transaction() as tx:
        await tx.execute("SET LOCAL enable_seqscan = off")
        plan = await tx.fetch(f"EXPLAIN {_UNSWEPT}", 1)
    steps = [str(row["QUERY PLAN"]) for row in plan]
    assert any("Index Cond" in step and "signer" in step for step in steps), steps


async def test_an_account_that_is_swept_is_left_alone(accounts: PostgresAccounts) -> None:
    outgoing = PostgresOutgoing(ManualClock(NOW))
    for key, signer in ((f"sweep:{LAST}:0", LAST), (f"gas:{LAST}:0", f"0x{CROWD - 1:040x}")):
        await outgoing.reserve(_swept(key, signer), 0)
    left = {account.address for account in await accounts.unswept()}
    assert len(left) == CROWD - 1
    assert LAST not in left


def _swept(key: str, signer: str) -> Outgoing:
    return Outgoing(key, signer, 1, 0, "0xusdc", "0x", 0, 1, 1, 1, amount_minor=1)


async def test_watched_addresses_come_in_pages(accounts: PostgresAccounts) -> None:
    first = await accounts.watched("")
    assert len(first) == CROWD <= WATCHED_PAGE
    assert list(first) == sorted(first)
    assert await accounts.watched(first[-2]) == [LAST]
    assert await accounts.watched(LAST) == []


async def test_a_signer_that_is_stuck_does_not_hide_another(postgres_dsn: str) -> None:
    await database.open_database(Settings(postgres=PostgresSettings(dsn=SecretStr(postgres_dsn))))
    outgoing = PostgresOutgoing(ManualClock(NOW))
    to = "0x" + "aa" * 20
    for signer, number in (("0x" + "00" * 20, 4), ("0x" + "ff" * 20, 2)):
        for n in range(number):
            await outgoing.reserve(Outgoing(f"{signer}{n}", signer, None, 0, to, "", 0, 1, 1, 1), 0)
    found = [(entry.signer[2], entry.nonce) for entry in await outgoing.unfinished(3)]
    await database.close_database()
    assert set(found[:2]) == {("0", 0), ("f", 0)}
    assert found[2][1] == 1


async def test_the_watcher_reads_all_pages(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bloxtr8.payments.usdc.store.WATCHED_PAGE", 1)
    paid = [await world.account() for _ in range(3)]
    await world.watcher.step()
    for account in paid:
        world.pay(account.address, DUE)
    world.finalize()
    await world.watcher.step()
    for account in paid:
        assert (await world.state(account.address)).received_minor == DUE
