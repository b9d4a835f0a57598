"""Figures for staff, counted from trades that the rules made."""

from datetime import timedelta

from bloxtr8.access import StaffRole
from tests.integration.web.world import World, problem

STATS = "/api/v1/staff/stats"


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
