"""People who leave while they trade, staff who take the same task: 64 callers at once.

`BLOXTR8_RACE_ROUNDS` sets how often each race is run (100 for the long run).
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from bloxtr8 import ids
from bloxtr8.access.identity import StaffRole
from bloxtr8.disputes import statements
from bloxtr8.errors import Bloxtr8Error
from bloxtr8.market import closing, roblox_accounts, states, tasks
from bloxtr8.market.actors import Actor
from bloxtr8.market.roblox_accounts import Tools
from bloxtr8.market.states import Wanted
from bloxtr8.market.tasks import Seen
from bloxtr8.store import database, idempotency
from bloxtr8.store.database import Transaction
from bloxtr8.store.idempotency import Claim
from bloxtr8.store.staff_tasks import Task, open_tasks
from tests.integration.trading.test_races import CALLERS, ROUNDS, at_once
from tests.integration.trading.world import POLICY, World

pytestmark = pytest.mark.usefixtures("patient_database")


@pytest.fixture
def connections() -> int:
    """One for each caller."""
    return CALLERS


async def _codes(*attempts: Awaitable[Any]) -> list[str]:
    """Return what came of each attempt; anything but a refusal is a failure of the test."""
    outcomes = await at_once(*attempts)
    return [o.code if isinstance(o, Bloxtr8Error) else "won" for o in outcomes]


async def _open_matters(user_id: UUID) -> int:
    row = await database.fetchrow(
        "SELECT (SELECT count(*) FROM listings WHERE seller_id = $1"
        " AND status IN ('ACTIVE', 'INACTIVE', 'RESERVED'))"
        " + (SELECT count(*) FROM offers WHERE $1 IN (buyer_id, seller_id)"
        " AND status = 'PENDING') AS n",
        user_id,
    )
    assert row is not None
    return int(row["n"])


def _unlink(world: World, actor: Actor) -> Awaitable[Any]:
    tools = Tools(POLICY, world.place.events)
    return world.change(actor, lambda c: roblox_accounts.unlink(c.tx, actor, tools, c.now))


def _close(world: World, actor: Actor) -> Awaitable[Any]:
    events = world.place.events
    return world.change(actor, lambda c: closing.close(c.tx, actor, POLICY, events, c.now))


@pytest.mark.parametrize("leave", [_unlink, _close])
@pytest.mark.parametrize("_round", range(ROUNDS))
async def test_who_leaves_while_listing_and_offering_has_nothing_open(
    world: World, leave: Any, _round: int
) -> None:
    person, seller = await world.person(), await world.person()
    listing = await world.listing(seller)
    half = CALLERS // 2
    codes = await _codes(
        *(
            attempt
            for number in range(half // 2)
            for attempt in (
                leave(world, person),
                world.listing(person),
                leave(world, person),
                world.offer(person, listing),
            )
        )
    )
    left = [code for number, code in enumerate(codes) if number % 2 == 0]
    traded = [code for number, code in enumerate(codes) if number % 2 == 1]
    if "won" in left:
        assert left.count("won") == 1
        assert await _open_matters(person.id) == 0
        gone = {"tier_required", "forbidden", "account_frozen", "not_owner"}
        assert set(traded) <= gone
    else:
        assert set(left) <= {"unlink_blocked", "close_blocked"}
        assert traded.count("won") == await _open_matters(person.id) > 0
    row = await database.fetchrow(
        "SELECT count(*) AS n FROM accounts WHERE user_id = $1 AND provider = 'ROBLOX'"
        " AND unlinked_at IS NULL",
        person.id,
    )
    assert row is not None
    assert row["n"] == ("won" not in left)
    said = await world.said(person.id)
    assert said.count("account_unlinked") == left.count("won")


@pytest.mark.parametrize("_round", range(ROUNDS))
async def test_a_state_that_64_browsers_tabs_bring_back_is_used_once(
    world: World, _round: int
) -> None:
    async with database.transaction() as tx:
        handshake = await states.begin(tx, Wanted("DISCORD", "LOGIN"), world.clock.now())

    async def consume() -> bool:
        async with database.transaction() as tx:
            found = await states.consume(tx, handshake, "DISCORD", world.clock.now())
        return found is not None

    outcomes = await asyncio.gather(*(consume() for _ in range(CALLERS)))
    assert Counter(outcomes) == {True: 1, False: CALLERS - 1}


@pytest.mark.parametrize("_round", range(ROUNDS))
async def test_of_64_who_take_a_task_one_has_it(world: World, _round: int) -> None:
    staff = [replace(await world.person(), role=StaffRole.MODERATOR) for _ in range(8)]
    subject = str(ids.uuid7())
    async with database.transaction() as tx:
        await open_tasks(tx, [Task("REPORT", "report", subject, None)], world.clock.now())
    task = await database.fetchrow("SELECT * FROM staff_tasks WHERE subject_id = $1", subject)
    assert task is not None
    seen = Seen(task["id"], task["version"])

    def claim(who: Actor) -> Awaitable[Any]:
        return world.change(who, lambda c: tasks.claim(c.tx, who, seen, c.now))

    codes = Counter(await _codes(*(claim(staff[number % 8]) for number in range(CALLERS))))
    assert codes == {"won": CALLERS // 8, "already_decided": CALLERS - CALLERS // 8}
    assert await world.audited(task["id"]) == ["task.claimed"]


@pytest.mark.parametrize("_round", range(ROUNDS))
async def test_of_64_who_take_a_dispute_one_has_it(world: World, _round: int) -> None:
    staff = [replace(await world.person(), role=StaffRole.MODERATOR) for _ in range(8)]
    dispute_id, escrow_id, now = ids.uuid7(), ids.uuid7(), world.clock.now()
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO escrows (id, buyer_id, seller_id, state, version, fencing_token, rail,"
            " currency, price_minor, buyer_fee_minor, seller_fee_minor, received_minor,"
            " held_minor, released_minor, refunded_minor, fees_minor, state_bytes, chain_hash)"
            " VALUES ($1, gen_random_uuid(), gen_random_uuid(), 'DISPUTED', 1, 1, 'STRIPE', 'USD',"
            " 1, 0, 0, 0, 0, 0, 0, 0, '', '')",
            escrow_id,
        )
        await tx.execute(
            "INSERT INTO disputes (id, escrow_id, status, reason, opened_kind, from_state,"
            " opened_at) VALUES ($1, $2, 'OPEN', 'OTHER', 'USER', 'DELIVERED', $3)",
            dispute_id,
            escrow_id,
            now,
        )

    def claim(who: Actor) -> Awaitable[Any]:
        return world.change(who, lambda c: statements.claim(c.tx, who, dispute_id, c.now))

    codes = Counter(await _codes(*(claim(staff[number % 8]) for number in range(CALLERS))))
    assert codes == {"won": CALLERS // 8, "already_decided": CALLERS - CALLERS // 8}
    assert await world.audited(dispute_id) == ["dispute.claimed"]


@pytest.mark.parametrize("_round", range(ROUNDS))
async def test_of_64_requests_with_one_key_one_has_an_effect(world: World, _round: int) -> None:
    person = await world.person()
    until = world.clock.now().replace(year=2099)
    key = Claim(str(person.id), "POST /notes", ids.uuid7().hex, b"same", until)
    subject = ids.uuid7()

    async def request() -> str:
        async def work(tx: Transaction) -> str:
            stored = await idempotency.claim(tx, key, world.clock.now())
            if stored is not None:
                return "replayed"
            await tx.execute(
                "INSERT INTO staff_notes (id, user_id, author_id, text, created_at)"
                " VALUES ($1, $2, $2, 'x', $3)",
                subject,
                person.id,
                world.clock.now(),
            )
            await idempotency.keep(tx, key, 201, {"id": str(subject)})
            return "made"

        return await database.run_in_transaction(work)

    outcomes = Counter(await asyncio.gather(*(request() for _ in range(CALLERS))))
    assert outcomes == {"made": 1, "replayed": CALLERS - 1}
