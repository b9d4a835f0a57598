"""The mirror agent in a real worker: repeats, a message that never fits, a lost database."""

import asyncio
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from agents import mirror
from bloxtr8.config import PostgresSettings, Settings
from bloxtr8.dev.postgres import EmbeddedPostgres
from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.messaging.topics import ESCROW_EVENTS, PAYMENTS_EVENTS
from bloxtr8.store import database
from bloxtr8.store.migrate import migrate
from bloxtr8.store.verify import verify
from tests.integration.story import Story
from tests.integration.streams.worker import records, running, until, until_true


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres()
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def app(server: EmbeddedPostgres, settings: Settings) -> BloxtrApp:
    dsn = SecretStr(server.create_database("mirror"))
    settings = settings.model_copy(update={"postgres": PostgresSettings(dsn=dsn)})
    await migrate(settings)
    app = BloxtrApp(settings)
    app.is_transient = database.is_transient
    app.on_open(lambda: database.open_database(settings))
    app.on_close(database.close_database)
    mirror.register(app)
    return app


async def publish(app: BloxtrApp, story: Story) -> None:
    for event in story.events:
        await app.publisher.publish(ESCROW_EVENTS, event)
    for fact in story.facts:
        await app.publisher.publish(PAYMENTS_EVENTS, fact)


async def state_of(story: Story) -> str | None:
    try:
        row = await database.fetchrow("SELECT state FROM escrows WHERE id = $1", story.escrow_id)
    except database.DatabaseUnavailable:
        return None
    return None if row is None else row["state"]


async def test_everything_twice_is_everything_once(app: BloxtrApp) -> None:
    stories = [Story().create().pay(fee_minor=300).deliver() for _ in range(5)]
    async with running(app):
        for _ in range(2):
            await asyncio.gather(*(publish(app, story) for story in stories))
        for story in stories:
            story.events.clear()
            story.facts.clear()
            await publish(app, story.release().paid_out())

        async def all_released() -> bool:
            return [await state_of(story) for story in stories] == ["RELEASED"] * 5

        await until_true(all_released)

        async def fees_booked() -> bool:
            rows = await database.fetch(
                "SELECT balance_minor FROM ledger_accounts WHERE account = 'provider_fees'"
            )
            return [row["balance_minor"] for row in rows] == [-1_500]

        await until_true(fees_booked)
        report = await verify()
        assert report.counts() == {"operations confirmed released_minor": 5}
        assert report.events == sum(story.escrow.sequence for story in stories)


async def test_a_database_that_crashes_is_waited_for(
    app: BloxtrApp, server: EmbeddedPostgres
) -> None:
    before, during = Story().create(), Story().create().pay().refund()
    async with running(app):
        await publish(app, before)

        async def mirrored() -> bool:
            return await state_of(before) == "AWAIT_FUNDS"

        await until_true(mirrored)
        restart = asyncio.create_task(asyncio.to_thread(server.restart, immediate=True))
        await publish(app, during)
        await restart

        async def caught_up() -> bool:
            return await state_of(during) == "REFUNDING"

        await until_true(caught_up)
        assert await records(app.settings, ESCROW_EVENTS.dlq) == []


async def test_an_event_after_a_gap_is_dead_lettered_and_others_go_on(
    app: BloxtrApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "PATIENCE_S", 0.0)
    gap, fine = Story().create().pay(), Story().create().pay()
    del gap.events[0]
    async with running(app):
        await publish(app, gap)
        await publish(app, fine)

        async def done() -> bool:
            letters = await records(app.settings, ESCROW_EVENTS.dlq)
            return len(letters) == len(gap.events) and await state_of(fine) == "FUNDS_HELD"

        await until_true(done)
        assert await state_of(gap) is None


async def test_money_waits_for_the_escrow_that_it_is_about(app: BloxtrApp) -> None:
    story = Story().create().pay(fee_minor=300)
    async with running(app):
        for fact in story.facts:
            await app.publisher.publish(PAYMENTS_EVENTS, fact)
        await until(lambda: app.waiting)
        await publish(app, story)

        async def fee_booked() -> bool:
            rows = await database.fetch(
                "SELECT balance_minor FROM ledger_accounts WHERE account = 'provider_fees'"
            )
            return [row["balance_minor"] for row in rows] == [-300]

        await until_true(fee_booked)
        assert await records(app.settings, PAYMENTS_EVENTS.dlq) == []


async def test_money_without_an_escrow_is_dead_lettered_in_the_end(
    app: BloxtrApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "PATIENCE_S", 0.0)
    story = Story().create().pay(fee_minor=300)
    async with running(app):
        for fact in story.facts:
            await app.publisher.publish(PAYMENTS_EVENTS, fact)

        async def dead_lettered() -> bool:
            return len(await records(app.settings, PAYMENTS_EVENTS.dlq)) == len(story.facts)

        await until_true(dead_lettered)
