"""Reading the books, by function and by command: balances, trial balance, statements, strays."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from bloxtr8.cli.main import main
from bloxtr8.clock import SharedOffsetClock, SystemClock
from bloxtr8.config import PostgresSettings, Settings
from bloxtr8.ledger import reading
from bloxtr8.store import database
from bloxtr8.store.mirror import Mirror
from tests.integration.story import PRICE_MINOR, START, Story
from tests.integration.test_ledger import BUYER_FEE, RECEIVED, SELLER_FEE

LATER = START + timedelta(days=1)
FEES = BUYER_FEE + SELLER_FEE


class Books:
    """A released and a held trade; commands see them through the database's address."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.released = Story().create().pay(fee_minor=3_015).deliver().release().paid_out()
        self.held = Story().create().pay()

    async def command(self, *words: str, **environment: str) -> Result:
        """Run `bloxtr8 ledger …` as a process of its own would."""
        await database.close_database()
        try:
            return await asyncio.to_thread(
                CliRunner().invoke,
                main,
                ["ledger", *words],
                env={"BLOXTR8_POSTGRES__DSN": self.dsn, **environment},
            )
        finally:
            await database.open_database(Settings(postgres=PostgresSettings(dsn=self.dsn)))


@pytest.fixture
async def books(postgres_dsn: str) -> AsyncIterator[Books]:
    await database.open_database(Settings(postgres=PostgresSettings(dsn=postgres_dsn)))
    made = Books(postgres_dsn)
    for story in (made.released, made.held):
        fates = await Mirror(SystemClock()).apply([*story.events, *story.facts])
        assert set(fates) == {None}
    yield made
    await database.close_database()


async def test_balances(books: Books) -> None:
    rows = await reading.balances()
    assert {row["account"].partition(":")[0]: row["balance_minor"] for row in rows} == {
        "escrow_held": RECEIVED,
        "platform_fees": FEES,
        "provider_clearing": -(RECEIVED + FEES - 3_015),
        "provider_fees": -3_015,
    }
    assert await reading.balances("seller:") == []
    (seller,) = await reading.balances("seller:", zero=True)
    assert seller["floor_minor"] == 0
    assert await reading.balances(currency="USDC") == []


async def test_the_trial_balance_has_two_equal_sides(books: Books) -> None:
    lines = {line.account_class: line for line in await reading.trial()}
    assert lines["escrow_held"].credit_minor == RECEIVED
    assert lines["provider_fees"].debit_minor == 3_015
    total = RECEIVED + FEES
    assert reading.totals(list(lines.values())) == {"USD": (total, total)}
    assert await reading.trial(START) == []


async def test_entries_are_found_by_account_trade_and_time(books: Books) -> None:
    found = await reading.entries("escrow_held:", books.held.escrow_id)
    assert [row["amount_minor"] for row in found] == [RECEIVED]
    assert len(await reading.entries(limit=3)) == 3
    assert await reading.entries(since=LATER) == []
    assert await reading.entries(until=START) == []


async def test_a_users_statement_opens_runs_and_closes(books: Books) -> None:
    story = Story().create().pay().stray(777)
    await Mirror(SystemClock()).apply([*story.events, *story.facts])
    whole = await reading.statement(story.buyer_id, START, LATER)
    assert [line.amount_minor for line in whole.lines] == [RECEIVED, -RECEIVED, 777]
    assert [line.balance_minor for line in whole.lines] == [RECEIVED, 0, 777]
    assert (whole.opening, whole.closing) == ({}, {"USD": 777})
    after = await reading.statement(story.buyer_id, LATER, LATER + timedelta(days=1))
    assert (after.opening, after.lines, after.closing) == ({"USD": 777}, (), {"USD": 777})


async def test_a_statement_is_of_one_user_only(books: Books) -> None:
    seller = await reading.statement(books.released.seller_id, START, LATER)
    paid = PRICE_MINOR - SELLER_FEE
    assert [line.amount_minor for line in seller.lines] == [paid, -paid]
    assert {line.escrow_id for line in seller.lines} == {books.released.escrow_id}
    nobody = await reading.statement(str(uuid4()), START, LATER)
    assert (nobody.lines, nobody.closing) == ((), {})


async def test_stray_money_is_listed_until_it_is_back(books: Books) -> None:
    escrow_id = uuid4()
    async with database.transaction() as tx:
        for ref, status in (("pi_1", "RECEIVED"), ("pi_2", "STRAY"), ("pi_3", "FOREIGN")):
            await tx.execute(
                "INSERT INTO payment_artifacts (id, provider, kind, ref, escrow_id, amount_minor,"
                " currency, status) VALUES ($1, 'STRIPE', 'INTENT', $2, $3, 500, 'USD', $4)",
                uuid4(),
                ref,
                escrow_id,
                status,
            )
    assert {row["ref"]: row["refund_status"] for row in await reading.stray()} == {
        "pi_2": None,
        "pi_3": None,
    }
    answer = await books.command("stray", "--json")
    assert [row["refund"] for row in json.loads(answer.output)] == ["not ordered"] * 2
    async with database.transaction() as tx:
        await _returned(tx, escrow_id, "pi_2")
    assert [row["ref"] for row in await reading.stray()] == ["pi_3"]


async def _returned(tx: Any, escrow_id: Any, ref: str) -> None:
    await tx.execute(
        "INSERT INTO escrow_funds (escrow_id, currency, stray_received_minor)"
        " VALUES ($1, 'USD', 500)",
        escrow_id,
    )
    await tx.execute(
        "INSERT INTO payment_operations (operation_id, escrow_id, kind, generation, rail,"
        " provider, amount_minor, currency, status, payment_ref, fencing_token, escrow_sequence,"
        " command_id, requested_at) VALUES ($1, $2, 'STRAY_REFUND', 1, 'STRIPE', 'STRIPE', 500,"
        " 'USD', 'CONFIRMED', $3, 1, 1, $1, $4)",
        uuid4(),
        escrow_id,
        ref,
        START,
    )


async def test_commands_print_tables_json_and_csv(books: Books) -> None:
    table = await books.command("balance", "--account", "platform_fees")
    assert "29.80" in table.output
    answer = await books.command("trial", "--csv")
    rows = list(csv.DictReader(io.StringIO(answer.output)))
    assert rows[-1]["class"] == "total"
    assert rows[-1]["debit"] == rows[-1]["credit"]
    listed = await books.command("entries", "--escrow", books.held.escrow_id, "--json")
    assert sum(row["amount_minor"] for row in json.loads(listed.output)) == 0


async def test_a_statement_ends_now_by_the_clock_of_the_settings(
    books: Books, tmp_path: Path
) -> None:
    moved = tmp_path / "clock"
    ahead = SharedOffsetClock(moved).advance(timedelta(days=400))
    words = ("statement", books.released.seller_id, "--from", "2026-11-22", "--json")
    answer = await books.command(*words, BLOXTR8_CLOCK__OFFSET_FILE=str(moved))
    assert json.loads(answer.output)[-1]["at"] >= ahead.isoformat()


async def test_the_statement_as_a_file(books: Books) -> None:
    user = books.released.seller_id
    words = ("statement", user, "--from", "2026-11-22", "--to", "2026-11-23", "--csv")
    rows = list(csv.DictReader(io.StringIO((await books.command(*words)).output)))
    assert [row["kind"] for row in rows] == ["escrow_released", "escrow_released", "closing"]
    assert (rows[0]["amount"], rows[-1]["balance"]) == ("999.50", "0.00")
    wrong = await books.command("statement", user, "--from", "2026-11-23", "--to", "2026-11-22")
    assert wrong.exit_code == 2
    assert (await books.command("statement", "someone", "--from", "2026-11-22")).exit_code == 2


async def test_checking_finds_what_was_tampered_with(books: Books) -> None:
    good = await books.command("check", "--json")
    assert (good.exit_code, json.loads(good.output)) == (0, [])
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE ledger_accounts SET balance_minor = balance_minor + 1"
            " WHERE account = 'platform_fees'"
        )
    bad = await books.command("check", "--json")
    assert bad.exit_code == 1
    assert [row["subject"] for row in json.loads(bad.output)] == ["platform_fees"]


async def test_without_a_database_the_command_says_so() -> None:
    answer = await asyncio.to_thread(
        CliRunner().invoke,
        main,
        ["ledger", "balance"],
        env={"BLOXTR8_POSTGRES__DSN": "postgresql://nobody@127.0.0.1:1/none"},
    )
    assert answer.exit_code == 4
