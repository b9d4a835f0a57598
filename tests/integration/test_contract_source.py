"""Who is paid by a new escrow: the seller's default method, once it may be paid."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from bloxtr8 import ids
from bloxtr8.config import PostgresSettings, Settings
from bloxtr8.contracts.source import executed_contract
from bloxtr8.payments.payout_methods import USABLE_AFTER, set_verified
from bloxtr8.store import database

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
async def contract_id(postgres_dsn: str) -> AsyncIterator[UUID]:
    await database.open_database(Settings(postgres=PostgresSettings(dsn=postgres_dsn)))
    yield await _contract()
    await database.close_database()


async def _contract() -> UUID:
    buyer, seller, contract = ids.uuid7(), ids.uuid7(), ids.uuid7()
    async with database.transaction() as tx:
        for user in (buyer, seller):
            await tx.execute(
                "INSERT INTO users (id, display_name, tier) VALUES ($1, 'Someone', 'TIER_1')", user
            )
        await tx.execute(
            "INSERT INTO contracts (id, ref, offer_id, listing_id, buyer_id, seller_id, escrow_id,"
            " status, price_minor, rail, settle_currency, settle_minor, fee_schedule,"
            " buyer_fee_minor, seller_fee_minor) VALUES ($1, 'C-ABC123', $2, $3, $4, $5, $6,"
            " 'PENDING_SIGNATURE', 100, 'USDC_BASE', 'USDC', 1000000, 'v1', 0, 5000)",
            contract,
            ids.uuid7(),
            ids.uuid7(),
            buyer,
            seller,
            ids.uuid7(),
        )
        await tx.execute(
            "INSERT INTO payout_methods (id, user_id, kind, external_ref)"
            " VALUES ($1, $2, 'BASE_WALLET', '0xabc')",
            contract,
            seller,
        )
        row = await set_verified(tx, contract, NOW)
    assert row["is_default"]
    return contract


async def test_a_fresh_method_is_no_payee_until_a_day_has_passed(contract_id: UUID) -> None:
    """Whoever has taken over an account must not get the next payout."""
    early = await executed_contract(contract_id, NOW + USABLE_AFTER - timedelta(seconds=1))
    assert early is not None
    assert early.payee is None
    later = await executed_contract(contract_id, NOW + USABLE_AFTER)
    assert later is not None
    assert later.payee is not None
    assert later.payee.destination == "0xabc"
