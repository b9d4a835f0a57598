"""The schema on a real PostgreSQL: migrations, and the guards that no code can go around."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from tortoise.models import Model

from bloxtr8.config import PostgresSettings, Settings
from bloxtr8.dev.postgres import EmbeddedPostgres
from bloxtr8.store import database, migrate, models
from bloxtr8.store.models import User


@pytest.fixture
async def db(postgres_dsn: str) -> AsyncIterator[Settings]:
    settings = Settings(postgres=PostgresSettings(dsn=postgres_dsn))
    await database.open_database(settings)
    yield settings
    await database.close_database()


async def test_models_and_migrations_agree() -> None:
    assert [writer.operations for writer in await migrate.changes()] == []


async def test_two_processes_may_migrate_at_once(postgres_server: EmbeddedPostgres) -> None:
    dsn = postgres_server.create_database(f"m_{uuid4().hex[:12]}")
    settings = Settings(postgres=PostgresSettings(dsn=dsn))
    first, second = await asyncio.gather(migrate.migrate(settings), migrate.migrate(settings))
    assert sorted(first + second)[:2] == ["0001_initial", "0002_guards"]
    assert not (first and second), "one of them found nothing to do"
    assert await migrate.pending(settings) == []
    postgres_server.drop_database(dsn)


async def test_every_constraint_of_the_models_is_in_the_database(db: Settings) -> None:
    declared = {
        constraint.name
        for model in vars(models).values()
        if isinstance(model, type) and issubclass(model, Model)
        for constraint in model._meta.constraints
    }
    rows = await database.fetch(
        "SELECT conname::text AS name FROM pg_constraint UNION SELECT indexname FROM pg_indexes"
    )
    assert len(declared) > 40
    assert declared <= {row["name"] for row in rows}


async def test_every_reference_can_be_followed_back_by_an_index(db: Settings) -> None:
    """Else a person's rows, and each delete of what is referred to, read the whole table."""
    found = await database.fetch(
        "SELECT c.conrelid::regclass || '.' || a.attname AS reference"
        " FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid"
        " AND a.attnum = c.conkey[1] WHERE c.contype = 'f' AND NOT EXISTS ("
        "  SELECT 1 FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = a.attnum"
        "  AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid)"
        "   = format('(%I IS NOT NULL)', a.attname))) ORDER BY 1"
    )
    assert [row["reference"] for row in found] == []


async def test_models_read_what_sql_wrote(db: Settings) -> None:
    user_id = uuid4()
    async with database.transaction() as tx:
        await tx.execute("INSERT INTO users (id, display_name) VALUES ($1, 'Ada')", user_id)
    user = await User.get(id=user_id)
    assert (user.display_name, user.tier, user.status) == ("Ada", "TIER_0", "ACTIVE")


@pytest.mark.parametrize("table", ["escrow_events", "ledger_entries", "audit_log"])
@pytest.mark.parametrize("verb", ["DELETE FROM {}", "UPDATE {} SET created_at = now()"])
async def test_append_only_rows_stay(db: Settings, table: str, verb: str) -> None:
    await _one_row(table)
    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        async with database.transaction() as tx:
            await tx.execute(verb.format(table))
    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        async with database.transaction() as tx:
            await tx.execute(f"TRUNCATE {table}")


async def test_a_ledger_transaction_that_does_not_balance_is_not_committed(db: Settings) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="sum to zero"):
        async with database.transaction() as tx:
            await _ledger_lines(tx, uuid4(), 100, -99)
    assert await database.fetch("SELECT FROM ledger_entries") == []


async def test_an_escrow_never_pays_more_than_it_received(db: Settings) -> None:
    escrow_id = uuid4()
    await _funds(escrow_id, received=1_000)
    await _operation(escrow_id, "PAYOUT", 1, 900, fees=60)
    await _operation(escrow_id, "REFUND", 1, 40)
    with pytest.raises(asyncpg.CheckViolationError, match="exceed"):
        await _operation(escrow_id, "REFUND", 2, 1)


async def test_a_failed_operation_frees_what_it_took_and_cannot_come_back(db: Settings) -> None:
    escrow_id = uuid4()
    await _funds(escrow_id, received=1_000)
    failed = await _operation(escrow_id, "PAYOUT", 1, 1_000)
    await _set_status(failed, "FAILED")
    await _operation(escrow_id, "PAYOUT", 2, 1_000)
    with pytest.raises(asyncpg.CheckViolationError, match="exceed"):
        await _set_status(failed, "CONFIRMED")


async def test_received_funds_cannot_shrink_below_what_is_ordered(db: Settings) -> None:
    escrow_id = uuid4()
    await _funds(escrow_id, received=1_000)
    await _operation(escrow_id, "REFUND", 1, 1_000)
    with pytest.raises(asyncpg.CheckViolationError, match="exceed"):
        async with database.transaction() as tx:
            await tx.execute(
                "UPDATE escrow_funds SET received_minor = 999 WHERE escrow_id = $1", escrow_id
            )


async def test_stray_money_is_counted_apart(db: Settings) -> None:
    escrow_id = uuid4()
    await _funds(escrow_id, received=1_000, stray=50)
    await _operation(escrow_id, "PAYOUT", 1, 1_000)
    await _operation(escrow_id, "STRAY_REFUND", 1, 50)
    with pytest.raises(asyncpg.CheckViolationError, match="exceed"):
        await _operation(escrow_id, "STRAY_REFUND", 2, 1)


async def test_of_two_payouts_at_once_one_is_refused(db: Settings) -> None:
    escrow_id = uuid4()
    await _funds(escrow_id, received=1_000)
    results = await asyncio.gather(
        _operation(escrow_id, "PAYOUT", 1, 1_000),
        _operation(escrow_id, "REFUND", 1, 1_000),
        return_exceptions=True,
    )
    refused = [result for result in results if isinstance(result, asyncpg.CheckViolationError)]
    assert len(refused) == 1


async def test_a_generation_exists_once(db: Settings) -> None:
    escrow_id = uuid4()
    await _funds(escrow_id, received=1_000)
    await _operation(escrow_id, "PAYOUT", 1, 1)
    with pytest.raises(asyncpg.UniqueViolationError):
        await _operation(escrow_id, "PAYOUT", 1, 1)


async def _funds(escrow_id: UUID, *, received: int, stray: int = 0) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO escrow_funds (escrow_id, currency, received_minor, stray_received_minor)"
            " VALUES ($1, 'USD', $2, $3)",
            escrow_id,
            received,
            stray,
        )


async def _operation(
    escrow_id: UUID, kind: str, generation: int, amount: int, fees: int = 0
) -> UUID:
    operation_id = uuid4()
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO payment_operations (operation_id, escrow_id, kind, generation, rail,"
            " provider, amount_minor, fees_minor, currency, fencing_token, escrow_sequence,"
            " command_id, requested_at) VALUES ($1, $2, $3, $4, 'STRIPE', 'STRIPE', $5, $6,"
            " 'USD', 1, 1, $1, now())",
            operation_id,
            escrow_id,
            kind,
            generation,
            amount,
            fees,
        )
    return operation_id


async def _set_status(operation_id: UUID, status: str) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE payment_operations SET status = $2 WHERE operation_id = $1",
            operation_id,
            status,
        )


async def _ledger_lines(tx: Any, transaction_id: UUID, *amounts: int) -> None:
    for line, amount in enumerate(amounts):
        await tx.execute(
            "INSERT INTO ledger_entries (transaction_id, line, kind, account, currency,"
            " amount_minor, event_id, occurred_at)"
            " VALUES ($1, $2, 'receipt', $3, 'USD', $4, $1, now())",
            transaction_id,
            line,
            f"account:{line}",
            amount,
        )


async def _one_row(table: str) -> None:
    async with database.transaction() as tx:
        if table == "ledger_entries":
            await _ledger_lines(tx, uuid4(), 5, -5)
        elif table == "audit_log":
            await tx.execute(
                "INSERT INTO audit_log (at, actor_type, channel, action, subject_type,"
                " subject_id, data, trace_id) VALUES (now(), 'SYSTEM', 'SYSTEM', 'test',"
                " 'escrow', 'x', '{}', '')"
            )
        else:
            await tx.execute(
                "INSERT INTO escrow_events (escrow_id, sequence, fencing_token, message_id,"
                " causation_id, correlation_id, trace_id, type, state, actor_kind, occurred_at,"
                " payload, prev_hash, hash) VALUES ($1, 1, 1, $1, '', '', '', 'EscrowCreated',"
                " 'AWAIT_FUNDS', 'SYSTEM', now(), '', '', '')",
                uuid4(),
            )
