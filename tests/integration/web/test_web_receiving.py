"""The group that a game is to be handed to: named by the buyer, checked with Roblox, told."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from aiohttp import ClientResponse
from pydantic import SecretStr

from bloxtr8 import ids
from bloxtr8.clock import ManualClock
from bloxtr8.config import Settings
from bloxtr8.contracts import receiving
from bloxtr8.contracts.receiving import Sight
from bloxtr8.errors import InvalidState, NotFound, NotOwner
from bloxtr8.market.actors import Actor, Channel
from bloxtr8.market.place import Change
from bloxtr8.messaging.metadata import new_traceparent
from bloxtr8.roblox import api
from bloxtr8.sandbox.faults import Fault, FaultRule
from bloxtr8.sandbox.roblox import Group, RobloxStandIn
from bloxtr8.sandbox.roblox import server as roblox_server
from bloxtr8.sandbox.roblox.world import Member
from bloxtr8.store import database
from tests.integration.story import START
from tests.integration.web.world import Someone, Trade, World, problem

BUYER, SELLER = 7001, 7002
GROUP = "35111222"
SIGHT = Sight(api.Group(int(GROUP), "Skyline Studio", BUYER, False), BUYER, "Mira", SELLER, True)

pytestmark = pytest.mark.usefixtures("patient_database")


@pytest.fixture
async def roblox() -> AsyncIterator[RobloxStandIn]:
    stand_in = RobloxStandIn(ManualClock(START))
    await stand_in.start()
    stand_in.add_group(
        Group(
            id=int(GROUP),
            name="Skyline Studio",
            owner_id=BUYER,
            members={SELLER: Member(role_id=9)},
        )
    )
    yield stand_in
    await stand_in.stop()


@pytest.fixture
def web_settings(web_settings: Settings, roblox: RobloxStandIn) -> Settings:
    web_settings.roblox.apis_base = roblox.base_url
    web_settings.roblox.api_key = SecretStr(roblox_server.API_KEY)
    return web_settings


async def _linked(person: Someone, roblox_id: int) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO accounts (id, user_id, provider, external_id, username, linked_at)"
            " VALUES ($1, $2, 'ROBLOX', $3, $4, $5)",
            ids.uuid7(),
            UUID(person.id),
            str(roblox_id),
            f"Builder{roblox_id}",
            START,
        )


async def _held(world: World) -> Trade:
    trade = await world.held()
    await _linked(trade.buyer_person, BUYER)
    await _linked(trade.seller_person, SELLER)
    return trade


async def _name(
    world: World, trade: Trade, group_id: str = GROUP, who: Someone | None = None
) -> ClientResponse:
    return await world.client.put(
        f"{trade.path}/receiving-group",
        json={"group_id": group_id},
        headers=(who or trade.buyer_person).bearer,
    )


async def _rows(sql: str, *args: Any) -> list[dict[str, Any]]:
    return await database.fetch(sql, *args)


async def _told(trade: Trade) -> list[str]:
    rows = await _rows(
        "SELECT user_id FROM notification_deliveries WHERE template = 'receiving_group_set'"
        " AND channel = 'INBOX'"
    )
    assert {str(row["user_id"]) for row in rows} <= {trade.seller_id}
    return [str(row["user_id"]) for row in rows]


async def _said() -> list[str]:
    """Return the contracts about which the topic is told."""
    rows = await _rows("SELECT key FROM outbox WHERE event_type = 'receiving_group_set'")
    return [row["key"] for row in rows]


async def _kept(trade: Trade) -> dict[str, Any]:
    rows = await _rows(
        "SELECT receiving_group_id, version FROM contracts WHERE id = $1", UUID(trade.contract_id)
    )
    return rows[0]


async def test_the_group_is_kept_shown_and_told(world: World) -> None:
    trade = await _held(world)
    before = await (await world.get(trade.path, trade.buyer_person)).json()
    assert before["receiving_group"] is None
    assert "name_receiving_group" in before["allowed_actions"]
    answer = await _name(world, trade)
    group = await answer.json()
    assert answer.status == 200, group
    assert group == {
        "id": GROUP,
        "name": "Skyline Studio",
        "locked": False,
        "owner": {"id": str(BUYER), "name": f"Builder{BUYER}"},
        "seller_is_member": True,
        "at": group["at"],
    }
    for path in (trade.path, f"/api/v1/contracts/{trade.contract_id}"):
        for person in (trade.buyer_person, trade.seller_person):
            assert (await (await world.get(path, person)).json())["receiving_group"] == group
    seen = await (await world.get(trade.path, trade.seller_person)).json()
    assert "name_receiving_group" not in seen["allowed_actions"]
    assert await _told(trade) == [trade.seller_id]
    assert await _said() == [trade.contract_id]
    audited = await _rows(
        "SELECT actor_id, subject_id, escrow_id FROM audit_log"
        " WHERE action = 'contract.receiving_group_set'"
    )
    assert [str(row["actor_id"]) for row in audited] == [trade.buyer_id]
    assert (audited[0]["subject_id"], str(audited[0]["escrow_id"])) == (
        trade.contract_id,
        trade.escrow_id,
    )


async def test_the_timeline_has_it_after_what_went_before(world: World) -> None:
    trade = await _held(world)
    assert (await _name(world, trade)).status == 200
    world.clock.advance(timedelta(minutes=1))
    trade.deliver()
    await trade.mirror()
    timeline = f"{trade.path}/timeline"
    whole = (await (await world.get(timeline, trade.seller_person)).json())["items"]
    kinds = [item["kind"] for item in whole]
    place = kinds.index("ReceivingGroupSet")
    assert kinds[place - 1 : place + 2] == [
        "EscrowFundsHeld",
        "ReceivingGroupSet",
        "EscrowDelivered",
    ]
    item = whole[place]
    assert (item["actor"], item["from"], item["to"]) == ("BUYER", "FUNDS_HELD", "FUNDS_HELD")
    assert item["data"] == {"group_id": GROUP, "seller_is_member": True}
    # Page by page nothing is lost and nothing comes twice.
    path, pages = f"{timeline}?limit=1", []
    while True:
        page = await (await world.get(path, trade.seller_person)).json()
        pages += page["items"]
        if page["next_cursor"] is None:
            break
        path = f"{timeline}?limit=1&cursor={page['next_cursor']}"
    assert pages == whole


async def test_the_same_group_again_is_no_news_another_one_is(
    world: World, roblox: RobloxStandIn
) -> None:
    trade = await _held(world)
    roblox.add_group(Group(id=99, name="Second", owner_id=BUYER))
    for group_id, told in ((GROUP, 1), (GROUP, 1), ("99", 2), (GROUP, 3)):
        assert (await _name(world, trade, group_id)).status == 200
        assert len(await _told(trade)) == told
    assert (await _kept(trade))["version"] == 5
    assert len(await _said()) == 3


@pytest.mark.parametrize(
    ("group_id", "status", "code"),
    [
        ("44", 409, "not_owner"),
        ("45", 409, "not_owner"),
        ("46", 404, "not_found"),
        ("0", 422, "validation_failed"),
        ("12x", 422, "validation_failed"),
        ("1" * 19, 422, "validation_failed"),
    ],
)
async def test_a_group_that_is_not_the_buyers_is_refused(
    world: World, roblox: RobloxStandIn, group_id: str, status: int, code: str
) -> None:
    roblox.add_group(Group(id=44, name="The seller's", owner_id=SELLER))
    roblox.add_group(Group(id=45, name="Nobody's", members={BUYER: Member(role_id=9)}))
    trade = await _held(world)
    await problem(await _name(world, trade, group_id), status, code)
    assert await _kept(trade) == {"receiving_group_id": None, "version": 1}
    assert await _told(trade) == []


async def test_when_roblox_does_not_answer_nothing_is_kept(
    world: World, roblox: RobloxStandIn
) -> None:
    trade = await _held(world)
    roblox.faults.add(FaultRule(f"GET /cloud/v2/groups/{GROUP}", Fault.ERROR_BEFORE, times=10))
    answer = await _name(world, trade)
    await problem(answer, 503, "upstream_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert (await _kept(trade))["receiving_group_id"] is None


async def test_a_membership_that_roblox_does_not_tell_is_unknown(
    world: World, roblox: RobloxStandIn
) -> None:
    trade = await _held(world)
    route = f"GET /cloud/v2/groups/{GROUP}/memberships"
    roblox.faults.add(FaultRule(route, Fault.REFUSE, times=10, code="403"))
    group = await (await _name(world, trade)).json()
    assert (group["id"], group["seller_is_member"]) == (GROUP, None)


async def test_it_is_named_while_the_money_is_held(world: World) -> None:
    trade = await _held(world)
    trade.deliver()
    await trade.mirror()
    assert (await _name(world, trade)).status == 200
    trade.dispute()
    await trade.mirror()
    document = await problem(await _name(world, trade), 409, "invalid_state")
    assert document["current_status"] == "DISPUTED"
    unpaid = await world.trade()
    await problem(await _name(world, unpaid), 409, "invalid_state")


async def test_who_has_no_roblox_account_names_none(world: World) -> None:
    trade = await world.held()
    document = await problem(await _name(world, trade), 403, "tier_required")
    assert document["required_tier"] == "TIER_1"


async def test_many_at_once_tell_the_seller_once(world: World) -> None:
    trade = await _held(world)
    answers = await asyncio.gather(*(_name(world, trade) for _ in range(16)))
    assert {answer.status for answer in answers} == {200}
    assert len(await _told(trade)) == 1
    assert (await _kept(trade))["version"] == 17


async def _directly(world: World, trade: Trade, person: Someone) -> None:
    actor = Actor(user_id=UUID(person.id), channel=Channel.WEB, traceparent=new_traceparent())

    async def work(tx: database.Transaction) -> None:
        change = Change(tx, actor, world.deps.place, world.clock.now())
        await receiving.name(change, UUID(trade.escrow_id), SIGHT)

    await database.run_in_transaction(work)


async def test_what_has_changed_since_roblox_was_asked_counts(world: World) -> None:
    trade = await _held(world)
    with pytest.raises(NotOwner):
        await _directly(world, trade, trade.seller_person)
    stranger = await world.person()
    await _linked(stranger, 7003)
    with pytest.raises(NotOwner):
        await _directly(world, trade, stranger)
    async with database.transaction() as tx:
        await tx.execute("UPDATE accounts SET unlinked_at = $1 WHERE external_id = '7001'", START)
    with pytest.raises(NotOwner):
        await _directly(world, trade, trade.buyer_person)
    await _linked(trade.buyer_person, BUYER)
    trade.deliver().dispute()
    await trade.mirror()
    with pytest.raises(InvalidState):
        await _directly(world, trade, trade.buyer_person)
    other = await world.held()
    with pytest.raises(NotFound):
        await _directly(world, other, trade.buyer_person)
