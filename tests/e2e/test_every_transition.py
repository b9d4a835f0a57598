"""Every row of the transition table is reached by somebody's trade, through the real thing."""

import asyncio

import pytest

from bloxtr8.dev.demo.observer import Observer
from bloxtr8.dev.play import Stage
from bloxtr8.escrow.transitions import ROWS
from bloxtr8.store.verify import verify
from tests.e2e.coverage import Coverage
from tests.e2e.stories import Teller

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(400)]


async def test_every_transition_is_reached(own_stage: Stage, observer: Observer) -> None:
    coverage = Coverage()
    observer.on_record(coverage.listen)
    teller = await Teller.on(own_stage, observer)

    async with asyncio.TaskGroup() as together:
        for story in (
            teller.paid_slowly_after_a_declined_card,
            teller.overpaid_approved_and_released,
            teller.underpaid_and_sent_back,
            teller.paid_in_another_currency,
            teller.called_off,
            teller.refunded_then_charged_back,
            teller.refunded_after_delivery,
            teller.disputed_withdrawn_and_decided,
            teller.settled_after_some_talk,
            teller.held_lifted_and_given_more_time,
            teller.paid_elsewhere,
            teller.charged_back_and_won,
            teller.charged_back_after_release,
        ):
            together.create_task(story())
    await teller.paid_while_it_was_being_cancelled()
    await teller.overpaid_while_it_was_being_cancelled()
    await teller.payout_fails_until_staff_help()
    await teller.refund_fails_until_staff_help()
    await teller.time_decides()

    assert await observer.quiet(1.0, timeout_seconds=90)
    report = await verify()
    assert report.ok, report.differences
    assert observer.dead_letters == []

    await teller.money_comes_that_nobody_asked_for()
    assert {row.number for row in ROWS} - coverage.rows() == set()
