"""Figures for staff, counted from trades that the rules made."""

from datetime import timedelta

from aiokafka import AIOKafkaConsumer, TopicPartition

from bloxtr8 import ids
from bloxtr8.access import StaffRole
from bloxtr8.market import audit
from bloxtr8.market.actors import Actor
from bloxtr8.market.audit import Deed
from bloxtr8.messaging import inspection
from bloxtr8.messaging.partitioning import partition_of
from bloxtr8.messaging.topics import ESCROW_COMMANDS
from bloxtr8.store import database
from tests.integration.web.world import STATEMENT, World, accepted, problem

STATS = "/api/v1/staff/stats"
PROPOSAL = {"seller_amount": {"minor": 50_000, "currency": "USD"}}


async def test_staff_see_what_is_where_and_what_waits(world: World) -> None:
    staff = await world.person(StaffRole.SUPPORT)
    await world.held()
    await world.disputed()
    await world.large_disputed()
    answer = await world.get(f"{STATS}?bucket=hour&group=rail", staff)
    figures = await answer.json()
    assert answer.status == 200, figures
    by_rail = {item["key"]: item for item in figures["series"]}
    assert (by_rail["STRIPE"]["trades"], by_rail["STRIPE"]["disputed"]) == (2, 1)
    assert by_rail["USDC_BASE"]["trades"] == 1
    states = {item["state"]: item for item in figures["states"]}
    assert (states["FUNDS_HELD"]["trades"], states["DISPUTED"]["trades"]) == (1, 2)
    assert figures["troubles"]["open_tasks"] == 2
    assert figures["funnel"]["listed"] == 0
    grouped = await (await world.get(f"{STATS}?group=status", staff)).json()
    assert {item["key"] for item in grouped["series"]} == {"FUNDS_HELD", "DISPUTED"}
    grouped = await (await world.get(f"{STATS}?group=guild", staff)).json()
    assert {item["key"] for item in grouped["series"]} == {"PUBLIC"}

    await world.held()
    again = await (await world.get(f"{STATS}?bucket=hour&group=rail", staff)).json()
    assert again == figures, "remembered for half a minute"


async def test_how_long_trades_are_in_a_state(world: World) -> None:
    staff = await world.person(StaffRole.SUPPORT)
    trade = await world.trade()
    world.clock.advance(timedelta(minutes=30))
    trade.pay()
    world.clock.advance(timedelta(hours=2))
    trade.deliver()
    await trade.mirror()
    staff = await world.sign_in(staff.id, StaffRole.SUPPORT, mfa=True)
    until = (world.clock.now() + timedelta(hours=1)).isoformat().replace("+", "%2B")
    figures = await (await world.get(f"{STATS}?to={until}", staff)).json()
    states = {item["state"]: item for item in figures["states"]}
    assert (states["DELIVERED"]["trades"], states["DELIVERED"]["left"]) == (1, 0)
    # The clock of a story ticks with every message.
    assert states["AWAIT_FUNDS"]["left"] == 1
    assert 1800 <= states["AWAIT_FUNDS"]["p50_s"] < 1810
    assert states["FUNDS_HELD"]["trades"] == 0
    assert 7200 <= states["FUNDS_HELD"]["p95_s"] < 7210


async def test_figures_are_for_staff_and_of_a_bounded_span(world: World) -> None:
    await problem(await world.get(STATS, await world.person()), 403, "forbidden")
    staff = await world.person(StaffRole.SUPPORT)
    since = (world.clock.now() - timedelta(days=32)).isoformat().replace("+", "%2B")
    answer = await world.get(f"{STATS}?bucket=hour&from={since}", staff)
    await problem(answer, 422, "validation_failed")
    assert (await world.get(f"{STATS}?bucket=day&from={since}", staff)).status == 200


async def test_staff_see_a_case_whole(world: World) -> None:
    staff = await world.person(StaffRole.SUPPORT)
    trade = await world.disputed()
    said = {"text": STATEMENT}
    await world.post(f"{trade.path}/dispute/statements", trade.buyer_person, said)
    await world.post(f"{trade.path}/settlements", trade.seller_person, PROPOSAL)
    await trade.answer()
    case = await (await world.get(trade.staff_path, staff)).json()
    assert (case["id"], case["status"]) == (trade.escrow_id, "DISPUTED")
    assert [command["kind"] for command in case["commands"]] == ["PROPOSE_SETTLEMENT"]
    assert sum(line["amount"]["minor"] for line in case["entries"]) == 0
    assert any(line["account"].startswith("escrow_held:") for line in case["entries"])
    assert [(one["side"], one["id"]) for one in case["people"]] == [
        ("BUYER", trade.buyer_id),
        ("SELLER", trade.seller_id),
    ]
    assert case["people"][0]["stats"] == {"sales": 0, "purchases": 0, "disputes_lost": 0}
    assert [said["text"] for said in case["statements"]] == [STATEMENT]
    assert case["disputes"][0]["status"] == "OPEN"
    await problem(await world.get(trade.staff_path, trade.buyer_person), 403, "forbidden")


async def test_how_often_roblox_did_not_say(world: World) -> None:
    staff = await world.person(StaffRole.SUPPORT)
    actor = Actor.system()
    before = await (await world.get(STATS, staff)).json()
    assert before["troubles"]["roblox_unknown_bps"] is None
    now = world.clock.now()
    async with database.transaction() as tx:
        for action in ("done", "done", "unknown"):
            deed = Deed(f"verification.{action}", ("user", staff.id))
            await audit.record(tx, actor, deed, now - timedelta(hours=1))
        old = Deed("verification.unknown", ("user", staff.id))
        await audit.record(tx, actor, old, now - timedelta(days=30))
    after = await (await world.get(f"{STATS}?bucket=hour", staff)).json()
    assert after["troubles"]["roblox_unknown_bps"] == 3_333


async def test_the_lag_is_null_where_no_broker_answers(world: World) -> None:
    kafka = world.process.settings.kafka
    kafka.bootstrap = "127.0.0.1:1"
    staff = await world.person(StaffRole.SUPPORT)
    figures = await (await world.get(STATS, staff)).json()
    assert figures["troubles"]["consumer_lag"] is None


async def test_the_lag_counts_what_is_not_acknowledged(world: World) -> None:
    kafka = world.process.settings.kafka
    kafka.app_id = f"lag-{ids.uuid7()}"
    trade = await world.delivered()
    assert await inspection.consumer_lag(kafka, [ESCROW_COMMANDS.name], 60.0) is None
    body = {"confirm": True}
    await accepted(await world.post(f"{trade.path}/release", trade.buyer_person, body))
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap, group_id=kafka.app_id, enable_auto_commit=False
    )
    await consumer.start()
    key = trade.escrow_id.encode()
    place = TopicPartition(ESCROW_COMMANDS.name, partition_of(key, kafka.partitions))
    consumer.assign([place])
    end = (await consumer.end_offsets([place]))[place]
    await consumer.commit({place: end - 1})
    await consumer.stop()
    assert await inspection.consumer_lag(kafka, [ESCROW_COMMANDS.name], 60.0) == 1
