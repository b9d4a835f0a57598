"""Reconciliation against PostgreSQL and the stand-in: found, made up for, told once."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from bloxtr8.ledger.check import check
from bloxtr8.payments.reconciliation.model import ProviderSilent, Report
from bloxtr8.sandbox.faults import Fault, FaultRule
from bloxtr8.store import database
from tests.integration.payments_bench import SELLER
from tests.integration.reconciliation_bench import Desk, Trade, open_desk


@pytest.fixture
async def desk(postgres_dsn: str) -> AsyncIterator[Desk]:
    async with open_desk(postgres_dsn) as made:
        yield made


async def quiet(desk: Desk) -> Report:
    """Let everything that is under way count, and reconcile; nothing may differ."""
    desk.bench.clock.advance(timedelta(minutes=10))
    report = await desk.daily()
    assert report.findings == []
    assert await check() == []
    return report


async def test_whole_trades_differ_in_nothing(desk: Desk) -> None:
    released = await (await (await desk.trade()).fund()).release()
    refunded = await (await (await desk.trade()).fund()).refund()
    held = await (await desk.trade()).fund()
    assert [trade.state for trade in (released, refunded, held)] == [
        "RELEASED",
        "REFUNDED",
        "FUNDS_HELD",
    ]
    report = await quiet(desk)
    assert (report.escrows, report.repaired, report.silent) == (3, 0, [])
    assert report.lines == 5
    assert (await quiet(desk)).lines == 0


# --- what was missed -------------------------------------------------------------------------


async def test_a_payment_whose_webhook_never_came_is_found(desk: Desk) -> None:
    trade = await desk.trade()
    desk.bench.stripe.world.pay(trade.intent_ref)
    desk.bench.clock.advance(timedelta(minutes=10))
    report = await desk.hourly()
    assert report.repaired > 0
    await trade.settle()
    assert trade.state == "FUNDS_HELD"
    before = await trade.words()
    await trade.hear()
    assert await trade.words() == before, "the call that came after all changed nothing"
    assert (await desk.hourly()).repaired == 0
    await quiet(desk)


async def test_an_escrow_alone_is_made_up_for(desk: Desk) -> None:
    trade = await desk.trade()
    desk.bench.stripe.world.pay(trade.intent_ref)
    trade.lose_calls()
    assert (await desk.escrow(trade)).repaired == 1
    await trade.settle()
    assert trade.state == "FUNDS_HELD"


@pytest.mark.parametrize("by_calls", [True, False])
async def test_a_chargeback_that_nobody_told_of(desk: Desk, by_calls: bool) -> None:
    trade = await (await desk.trade()).fund()
    (charge,) = desk.bench.stripe.world.all("charge")
    case = desk.bench.stripe.world.open_dispute(charge["id"], "fraudulent")
    desk.bench.stripe.world.close_dispute(case["id"], won=False)
    trade.lose_calls()
    desk.bench.clock.advance(timedelta(minutes=10))
    report = await (desk.hourly() if by_calls else desk.escrow(trade))
    assert report.repaired > 0
    await trade.settle()
    assert (await trade.words())[-2:] == ["chargeback_opened", "chargeback_closed"]
    assert trade.state == "REFUNDED"
    await quiet(desk)
    rows = await database.fetch(
        "SELECT kind, amount_minor FROM ledger_entries"
        " WHERE account = 'provider_fees' AND kind = 'statement_adjustment'"
    )
    assert [row["amount_minor"] for row in rows] == [-1500], "the bank's fee, once"


async def test_a_payout_that_nobody_heard_of(desk: Desk) -> None:
    trade = await (await desk.trade()).fund()
    rule = FaultRule("POST /v1/transfers", Fault.DISCONNECT_AFTER, times=2)
    desk.bench.stripe.faults.add(rule)
    await trade.release()
    assert trade.state == "RELEASING"
    desk.bench.clock.advance(timedelta(minutes=6))
    report = await desk.hourly()
    assert [repair.what for repair in report.repairs if repair.what == "answer"] == ["answer"]
    await trade.settle()
    assert trade.state == "RELEASED"
    assert len(desk.bench.stripe.world.all("transfer")) == 1
    await quiet(desk)


async def test_what_is_young_is_left_alone(desk: Desk) -> None:
    trade = await desk.trade()
    desk.bench.stripe.world.pay(trade.intent_ref)
    report = await desk.hourly()
    assert (report.calls, report.operations, report.repaired) == (0, 0, 0)


async def test_reversals_are_told_by_their_sum(desk: Desk) -> None:
    trade = await (await (await desk.trade()).fund()).release()
    (transfer,) = desk.bench.stripe.world.all("transfer")
    await _reverse(desk, transfer["id"], 300)
    await trade.hear()
    await _reverse(desk, transfer["id"], 500)
    trade.lose_calls()
    assert (await desk.escrow(trade)).repaired == 1
    await trade.settle()
    said = [
        e.transfer_reversed.amount.minor
        for e in await trade.events()
        if e.HasField("transfer_reversed")
    ]
    assert said == [300, 500]
    await quiet(desk)


async def _reverse(desk: Desk, ref: str, amount_minor: int) -> None:
    from bloxtr8.sandbox.stripe.resources import reverse_transfer

    reverse_transfer(desk.bench.stripe.world, {"amount": str(amount_minor)}, ref)


async def test_no_client_secret_is_kept(desk: Desk) -> None:
    trade = await desk.trade()
    intent = desk.bench.stripe.world.pay(trade.intent_ref)
    trade.lose_calls()
    desk.bench.clock.advance(timedelta(minutes=10))
    await desk.hourly()
    await desk.escrow(trade)
    secret = intent["client_secret"].encode()
    for table, column in (("webhook_events", "raw"), ("outbox", "payload")):
        rows = await database.fetch(f"SELECT {column} AS kept FROM {table}")
        assert rows
        assert not any(secret in row["kept"] for row in rows)


async def test_a_sellers_account_that_became_usable(desk: Desk) -> None:
    await desk.trade()
    account = desk.bench.stripe.world.get("account", SELLER)
    desk.bench.stripe.world.emit("account.updated", account)
    desk.bench.take_calls()
    async with database.transaction() as tx:
        user_id = await tx.fetchval(
            "INSERT INTO users (id, display_name) VALUES (gen_random_uuid(), 'Sam') RETURNING id"
        )
        await tx.execute(
            "INSERT INTO payout_methods (id, user_id, kind, external_ref, status)"
            " VALUES (gen_random_uuid(), $1, 'STRIPE_ACCOUNT', $2, 'PENDING')",
            user_id,
            SELLER,
        )
    desk.bench.clock.advance(timedelta(minutes=10))
    await desk.hourly()
    (row,) = await database.fetch("SELECT status FROM payout_methods")
    assert row["status"] == "VERIFIED"


# --- what is told ----------------------------------------------------------------------------


async def test_a_transfer_that_nobody_ordered_is_told_and_nothing_moves(desk: Desk) -> None:
    trade = await (await desk.trade()).fund()
    _transfer(desk, trade, 700)
    trade.lose_calls()
    desk.bench.clock.advance(timedelta(minutes=10))
    moved = len(desk.bench.stripe.world.objects["balance_transaction"])
    await desk.daily()
    told = ("TRANSFER", "payout", "nothing", f"7.00 USD to {SELLER}")
    held = ("BALANCE", "ledger and statement", "1029.30 USD", "992.15 USD")
    found = await desk.open()
    assert told in found
    assert [entry[:2] for entry in found] == [held[:2], told[:2]]
    assert await desk.cases() == 2
    assert (await trade.words())[-2:] == ["discrepancy_found"] * 2
    # Seen again it is the same, and still nothing has moved.
    await desk.daily()
    assert await desk.cases() == 2
    assert (await trade.words()).count("discrepancy_found") == 2
    assert len(desk.bench.stripe.world.objects["balance_transaction"]) == moved
    assert trade.state == "FUNDS_HELD"


def _transfer(desk: Desk, trade: Trade, amount_minor: int) -> None:
    from bloxtr8.sandbox.stripe.resources import create_transfer

    (charge,) = desk.bench.stripe.world.all("charge", transfer_group=trade.escrow_id)
    params = {
        "amount": str(amount_minor),
        "currency": "usd",
        "destination": SELLER,
        "source_transaction": charge["id"],
        "transfer_group": trade.escrow_id,
    }
    create_transfer(desk.bench.stripe.world, params, "")


async def test_what_is_right_again_is_resolved(desk: Desk) -> None:
    trade = await (await (await desk.trade()).fund()).release()
    (transfer,) = desk.bench.stripe.world.all("transfer")
    right = transfer["amount"]
    transfer["amount"] = right - 1
    report = await desk.escrow(trade)
    (finding,) = report.findings
    assert (finding.what, finding.expected) == ("payout", f"999.50 USD to {SELLER}")
    assert finding.actual == f"999.49 USD to {SELLER}"
    assert await desk.cases() == 1
    transfer["amount"] = right
    assert (await desk.escrow(trade)).findings == []
    assert await desk.open() == []
    assert await desk.cases() == 0


async def test_a_receipt_of_another_amount(desk: Desk) -> None:
    trade = await (await desk.trade()).fund()
    desk.bench.stripe.world.get("payment_intent", trade.intent_ref)["amount_received"] = 5
    (finding,) = (await desk.escrow(trade)).findings
    assert (finding.kind, finding.expected, finding.actual) == (
        "PAYMENT",
        "1029.30 USD",
        "0.05 USD",
    )


async def test_a_refund_and_a_payout_that_the_provider_does_not_know(desk: Desk) -> None:
    released = await (await (await desk.trade()).fund()).release()
    refunded = await (await (await desk.trade()).fund()).refund()
    desk.bench.stripe.world.objects["transfer"].clear()
    desk.bench.stripe.world.objects["refund"].clear()
    (payout,) = (await desk.escrow(released)).findings
    (refund,) = (await desk.escrow(refunded)).findings
    assert (payout.what, payout.actual) == ("payout", "nothing")
    assert (refund.what, refund.actual) == ("refund", "nothing")


async def test_our_own_parts_disagree(desk: Desk) -> None:
    trade = await (await desk.trade()).fund()
    async with database.transaction() as tx:
        await tx.execute("UPDATE escrows SET version = version + 1")
    desk.bench.clock.advance(timedelta(minutes=10))
    (finding,) = (await desk.escrow(trade)).findings
    assert (finding.kind, finding.what) == ("STATE", "mirror's version")


async def test_money_of_no_trade_on_the_statement(desk: Desk) -> None:
    await (await desk.trade()).fund()
    desk.bench.clock.advance(timedelta(minutes=1))
    world = desk.bench.stripe.world
    odd = world.make("charge", "ch", amount=4_200, currency="usd")
    world.book("charge", odd, 4_200, 100)
    payout = world.make("charge", "po", amount=1_000, currency="usd")
    world.book("payout", payout, -1_000)
    world.book("stripe_fee", payout, -25)
    desk.bench.clock.advance(timedelta(minutes=10))
    report = await desk.daily()
    (finding,) = report.findings
    assert (finding.what, finding.escrow_id) == ("of no trade", "")
    assert finding.actual == f"charge of 42.00 USD by {odd['id']}"
    rows = await database.fetch(
        "SELECT balance_minor FROM ledger_accounts WHERE account = 'provider_clearing:bank'"
    )
    assert [row["balance_minor"] for row in rows] == [-1_000], "negative: it is there"
    assert await check() == []
    events = await database.fetch("SELECT FROM outbox WHERE event_type = 'discrepancy_found'")
    assert len(events) == 1


async def test_a_statement_that_is_not_the_balance(desk: Desk) -> None:
    await (await desk.trade()).fund()
    await quiet(desk)
    world = desk.bench.stripe.world
    hidden = world.make("charge", "ch", amount=10, currency="usd")
    ref = world.book("charge", hidden, 10)
    world.objects["balance_transaction"][ref]["created"] = 1
    desk.bench.clock.advance(timedelta(hours=2))
    report = Report()
    await desk.reconciler.daily(desk.bench.clock.now() - timedelta(hours=1), report)
    assert [finding.what for finding in report.findings] == ["statement and balance"]


async def test_a_fee_that_the_event_did_not_know_comes_from_the_statement(desk: Desk) -> None:
    trade = await desk.trade()
    desk.bench.stripe.world.pay(trade.intent_ref)
    (charge,) = desk.bench.stripe.world.all("charge")
    booked, charge["balance_transaction"] = charge["balance_transaction"], None
    await trade.hear()
    assert not (await trade.events())[-1].payment_succeeded.HasField("provider_fee")
    charge["balance_transaction"] = booked
    await quiet(desk)
    await quiet(desk)
    fee = desk.bench.stripe.world.get("balance_transaction", booked)["fee"]
    rows = await database.fetch(
        "SELECT amount_minor FROM ledger_entries WHERE account = 'provider_fees'"
    )
    assert [row["amount_minor"] for row in rows] == [-fee]


async def test_a_fee_that_is_not_the_one_booked(desk: Desk) -> None:
    await (await desk.trade()).fund()
    (line,) = desk.bench.stripe.world.all("balance_transaction")
    line["fee"] += 7
    line["net"] -= 7
    desk.bench.clock.advance(timedelta(minutes=10))
    whats = {finding.what for finding in (await desk.daily()).findings}
    assert whats == {"fee", "ledger and statement"}


# --- a provider that is not there ------------------------------------------------------------


async def test_a_provider_that_does_not_answer_is_no_difference(desk: Desk) -> None:
    trade = await (await desk.trade()).fund()
    desk.bench.clock.advance(timedelta(minutes=10))
    desk.bench.stripe.faults.add(FaultRule("GET *", Fault.ERROR_BEFORE, times=100))
    with pytest.raises(ProviderSilent):
        await desk.hourly()
    report = await desk.escrow(trade)
    assert report.findings == []
    assert len(report.silent) == 1
    assert await desk.open() == []


async def test_an_open_difference_stays_while_the_provider_is_silent(desk: Desk) -> None:
    trade = await (await desk.trade()).fund()
    desk.bench.stripe.world.get("payment_intent", trade.intent_ref)["amount_received"] = 5
    await desk.escrow(trade)
    rule = FaultRule("GET /v1/transfers*", Fault.ERROR_BEFORE, times=4)
    desk.bench.stripe.faults.add(rule)
    assert len((await desk.escrow(trade)).silent) == 1
    assert await desk.cases() == 1
