"""A seller whose trade is charged back after the payout is frozen, once, and staff are told."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from bloxtr8.clock import SystemClock
from bloxtr8.config import PostgresSettings, Settings
from bloxtr8.store import database
from bloxtr8.store.mirror import Mirror
from tests.integration.story import Story


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


async def test_a_chargeback_after_the_payout_freezes_the_seller_once(mirror: Mirror) -> None:
    story = Story().create().pay().deliver().release().paid_out()
    await join(story)
    await mirror.apply(story.events)
    assert await status_of(story.seller_id) == "ACTIVE"
    story.charge_back(story.due_minor)
    for _ in range(2):
        await mirror.apply(story.events)
    assert await status_of(story.seller_id) == "FROZEN"
    assert await status_of(story.buyer_id) == "ACTIVE"
    assert await frozen_rows(story) == 1
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


async def test_a_seller_stays_frozen_when_the_bank_decides(mirror: Mirror) -> None:
    story = Story().create().pay().deliver().release().paid_out()
    await join(story)
    story.charge_back(story.due_minor).chargeback_closed(story.due_minor, won=True)
    await mirror.apply(story.events)
    assert await status_of(story.seller_id) == "FROZEN"
    assert await frozen_rows(story) == 1


async def test_before_the_payout_nobody_owes_anything(mirror: Mirror) -> None:
    story = Story().create().pay().deliver()
    await join(story)
    story.charge_back(story.due_minor)
    await mirror.apply(story.events)
    assert await status_of(story.seller_id) == "ACTIVE"
