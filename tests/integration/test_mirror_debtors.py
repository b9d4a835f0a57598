"""A seller whose trade is charged back after the payout is frozen, once, and staff are told.

The mirror tells staff and books the debt; freezing is one thing, whoever does it.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from bloxtr8.clock import SystemClock
from bloxtr8.config import PostgresSettings, Settings
from bloxtr8.escrow.authority import permits
from bloxtr8.market.debtors import freeze_seller, is_owed
from bloxtr8.market.events import Events
from bloxtr8.market.freezing import Freezing
from bloxtr8.messaging.topics import ESCROW_COMMANDS, MARKETPLACE_EVENTS, TopicSpec
from bloxtr8.store import database
from bloxtr8.store.mirror import Mirror
from proto.bloxtr8.common.v1 import common_pb2 as common
from tests.integration.payments_bench import KEYRING
from tests.integration.story import Story

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
async def mirror(postgres_dsn: str) -> AsyncIterator[Mirror]:
    await database.open_database(Settings(postgres=PostgresSettings(dsn=postgres_dsn)))
    yield Mirror(SystemClock())
    await database.close_database()


async def join(story: Story) -> None:
    async with database.transaction() as tx:
        for user_id in (story.buyer_id, story.seller_id):
            await tx.execute(
                "INSERT INTO users (id, display_name, tier) VALUES ($1, 'Someone', 'TIER_1')",
                UUID(user_id),
            )


async def status_of(user_id: str) -> str:
    row = await database.fetchrow("SELECT status FROM users WHERE id = $1", UUID(user_id))
    assert row is not None
    return str(row["status"])


async def frozen_rows(story: Story) -> int:
    rows = await database.fetch(
        "SELECT 1 FROM audit_log WHERE action = 'user.frozen' AND subject_id = $1",
        story.seller_id,
    )
    return len(rows)


async def freeze(story: Story, *, times: int = 1) -> list[bool]:
    """Hand the story's chargebacks to the debtors agent's work."""
    events = Events(KEYRING.signer(common.PRODUCER_WEB))
    freezing = Freezing(events, KEYRING.signer(common.PRODUCER_OPERATOR))
    done = []
    for event in [event for event in story.events if is_owed(event)] * times:
        async with database.transaction() as tx:
            done.append(await freeze_seller(tx, freezing, event, NOW))
    return done


async def said(topic: TopicSpec) -> list[Any]:
    rows = await database.fetch(
        "SELECT payload FROM outbox WHERE topic = $1 ORDER BY id", topic.name
    )
    return [topic.message.FromString(row["payload"]) for row in rows]


async def test_a_chargeback_after_the_payout_freezes_the_seller_once(mirror: Mirror) -> None:
    story = Story().create().pay().deliver().release().paid_out()
    await join(story)
    story.charge_back(story.due_minor)
    for _ in range(2):
        await mirror.apply(story.events)
    assert await freeze(story, times=2) == [True, False]
    assert await status_of(story.seller_id) == "FROZEN"
    assert await status_of(story.buyer_id) == "ACTIVE"
    assert await frozen_rows(story) == 1
    (event,) = await said(MARKETPLACE_EVENTS)
    assert (event.WhichOneof("body"), event.subject_id) == ("user_frozen", story.seller_id)
    tasks = await database.fetch(
        "SELECT subject_id, status FROM staff_tasks WHERE kind = 'CHARGEBACK'"
    )
    assert [(task["subject_id"], task["status"]) for task in tasks] == [(story.escrow_id, "OPEN")]
    receivable = await database.fetchrow(
        "SELECT balance_minor FROM ledger_accounts WHERE account = $1",
        f"receivable:{story.seller_id}",
    )
    assert receivable is not None
    assert receivable["balance_minor"] == -story.due_minor


async def test_the_other_trades_of_who_owes_are_held(mirror: Mirror) -> None:
    story = Story().create().pay().deliver().release().paid_out()
    other = Story().create().pay().deliver()
    await join(story)
    story.charge_back(story.due_minor)
    await mirror.apply([*story.events, *other.events])
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE escrows SET seller_id = $1 WHERE id = $2",
            UUID(story.seller_id),
            UUID(other.escrow_id),
        )
    await freeze(story)
    (hold,) = await said(ESCROW_COMMANDS)
    assert (hold.escrow_id, hold.WhichOneof("body")) == (other.escrow_id, "place_hold")
    assert hold.actor.kind == common.ACTOR_KIND_SYSTEM
    assert permits(hold.metadata.producer, hold)


async def test_who_has_very_many_trades_has_all_of_them_held(mirror: Mirror) -> None:
    story = Story().create().pay().deliver().release().paid_out()
    other = Story().create().pay().deliver()
    await join(story)
    story.charge_back(story.due_minor)
    await mirror.apply([*story.events, *other.events])
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE escrows SET seller_id = $1 WHERE id = $2",
            UUID(story.seller_id),
            UUID(other.escrow_id),
        )
        await tx.execute(
            "INSERT INTO escrows SELECT (jsonb_populate_record(e, jsonb_build_object("
            "'id', gen_random_uuid(), 'contract_id', gen_random_uuid()))).*"
            " FROM escrows e, generate_series(1, 1200) WHERE e.id = $1",
            UUID(other.escrow_id),
        )
    await freeze(story)
    held = {hold.escrow_id for hold in await said(ESCROW_COMMANDS)}
    assert len(held) == 1_201


async def test_who_was_unfrozen_is_not_frozen_again_by_the_same_chargeback(mirror: Mirror) -> None:
    story = Story().create().pay().deliver().release().paid_out()
    await join(story)
    story.charge_back(story.due_minor)
    await mirror.apply(story.events)
    await freeze(story)
    async with database.transaction() as tx:
        await tx.execute("UPDATE users SET status = 'ACTIVE'")
    assert await freeze(story) == [False]
    assert await status_of(story.seller_id) == "ACTIVE"


async def test_a_trade_that_the_mirror_lacks_is_waited_for(mirror: Mirror) -> None:
    story = Story().create().pay().deliver().release().paid_out().charge_back(1_000)
    with pytest.raises(LookupError):
        await freeze(story)


async def test_a_seller_stays_frozen_when_the_bank_decides(mirror: Mirror) -> None:
    story = Story().create().pay().deliver().release().paid_out()
    await join(story)
    story.charge_back(story.due_minor).chargeback_closed(story.due_minor, won=True)
    await mirror.apply(story.events)
    await freeze(story)
    assert await status_of(story.seller_id) == "FROZEN"
    assert await frozen_rows(story) == 1


async def test_before_the_payout_nobody_owes_anything(mirror: Mirror) -> None:
    story = Story().create().pay().deliver()
    await join(story)
    story.charge_back(story.due_minor)
    await mirror.apply(story.events)
    assert await freeze(story) == []
    assert await status_of(story.seller_id) == "ACTIVE"
