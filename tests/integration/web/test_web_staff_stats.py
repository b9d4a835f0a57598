"""Figures for staff, counted from trades that the rules made."""

from datetime import timedelta

from bloxtr8.access import StaffRole
from tests.integration.web.world import STATEMENT, World, problem

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
    assert [said["text"] for said in case["statements"]] == [STATEMENT]
    assert case["disputes"][0]["status"] == "OPEN"
    await problem(await world.get(trade.staff_path, trade.buyer_person), 403, "forbidden")
