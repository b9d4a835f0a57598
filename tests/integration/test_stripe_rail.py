"""The Stripe adapter against the stand-in over HTTP: every call, in every way it can fail."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from bloxtr8 import ids
from bloxtr8.clock import ManualClock
from bloxtr8.config import StripeSettings
from bloxtr8.payments.operations import Kind, Operation
from bloxtr8.payments.rails import Absent, Confirmed, Failed, Instrument, Outcome, Pending, Unknown
from bloxtr8.payments.stripe_calls import CallLimits
from bloxtr8.payments.stripe_rail import StripeRail
from bloxtr8.sandbox.faults import Fault, FaultRule
from bloxtr8.sandbox.stripe.control import add_account
from bloxtr8.sandbox.stripe.server import StripeStandIn

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PATIENT = CallLimits(connect_s=10, total_s=10, tries=3, pause_first_s=0.01, pause_max_s=0.02)
# For answers that do not come. On a busy machine one that comes may be too late for it, too.
HASTY = replace(PATIENT, total_s=0.4)
AFTER = [Fault.TIMEOUT_AFTER, Fault.DISCONNECT_AFTER, Fault.ERROR_AFTER, Fault.GARBAGE]
BEFORE = [Fault.TIMEOUT_BEFORE, Fault.DISCONNECT_BEFORE, Fault.ERROR_BEFORE]
SELLER = "acct_seller1"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
async def stripe(clock: ManualClock) -> AsyncIterator[StripeStandIn]:
    stand_in = StripeStandIn(clock=clock)
    await stand_in.start()
    add_account(stand_in, SELLER)
    yield stand_in
    await stand_in.stop()


@asynccontextmanager
async def opened(
    clock: ManualClock, api_base: str, api_key: str, limits: CallLimits = PATIENT
) -> AsyncIterator[StripeRail]:
    adapter = StripeRail(
        StripeSettings(api_base=api_base, api_key=SecretStr(api_key)), clock, limits
    )
    try:
        yield adapter
    finally:
        await adapter.close()


@pytest.fixture
async def rail(stripe: StripeStandIn, clock: ManualClock) -> AsyncIterator[StripeRail]:
    async with opened(clock, stripe.base_url, stripe.api_key) as adapter:
        yield adapter


@pytest.fixture
async def hasty(stripe: StripeStandIn, clock: ManualClock) -> AsyncIterator[StripeRail]:
    async with opened(clock, stripe.base_url, stripe.api_key, HASTY) as adapter:
        yield adapter


def operation(kind: Kind, amount_minor: int = 10_329, **fields: object) -> Operation:
    escrow_id = str(ids.derived("escrow", "c1"))
    made = Operation(
        operation_id=ids.operation_id_for(escrow_id, kind, 1),
        escrow_id=escrow_id,
        kind=kind,
        generation=1,
        rail="STRIPE",
        provider="STRIPE",
        amount_minor=amount_minor,
        currency="USD",
        command_id=str(ids.uuid7()),
        requested_at=NOW,
        not_before=NOW,
        contract_id=str(ids.derived("contract", "c1")),
        sent_at=NOW,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


async def paid(rail: StripeRail, stripe: StripeStandIn) -> Instrument:
    made = await rail.create_intent(operation(Kind.INTENT))
    assert isinstance(made, Instrument)
    stripe.world.pay(made.ref)
    found = await rail.look_up(operation(Kind.INTENT, provider_ref=made.ref))
    assert isinstance(found, Instrument)
    assert found.receipt is not None
    return found


def payout_of(instrument: Instrument) -> Operation:
    assert instrument.receipt is not None
    charge = instrument.receipt.charge_ref
    return operation(Kind.PAYOUT, 9_950, destination=SELLER, payment_ref=charge)


async def test_a_payment_is_read_with_its_fee_and_metadata(
    rail: StripeRail, stripe: StripeStandIn
) -> None:
    found = await paid(rail, stripe)
    assert found.receipt is not None
    assert found.receipt.amount_minor == 10_329
    assert found.receipt.fee_minor == 330  # 2.9 % rounded up, plus 30
    assert found.receipt.metadata["operation_id"] == operation(Kind.INTENT).operation_id
    assert found.receipt.metadata["contract_id"] == operation(Kind.INTENT).contract_id


@pytest.mark.parametrize("fault", AFTER + BEFORE)
async def test_a_payout_in_trouble_is_one_transfer(
    rail: StripeRail, hasty: StripeRail, stripe: StripeStandIn, fault: Fault
) -> None:
    payout = payout_of(await paid(rail, stripe))
    stripe.faults.add(FaultRule("POST /v1/transfers", fault, times=2))
    outcome: Outcome = await hasty.payout(payout)
    if not isinstance(outcome, Confirmed):
        assert isinstance(outcome, Unknown)
        outcome = await rail.look_up(payout)
    if isinstance(outcome, Absent):
        outcome = await rail.payout(payout)
    assert isinstance(outcome, Confirmed)
    assert (outcome.amount_minor, outcome.destination) == (9_950, SELLER)
    assert len(stripe.world.objects["transfer"]) == 1


@pytest.mark.parametrize("fault", AFTER + BEFORE)
async def test_a_refund_in_trouble_is_one_refund(
    rail: StripeRail, hasty: StripeRail, stripe: StripeStandIn, fault: Fault
) -> None:
    refund = operation(Kind.REFUND, payment_ref=(await paid(rail, stripe)).ref)
    stripe.faults.add(FaultRule("POST /v1/refunds", fault, times=3))
    outcome: Outcome = await hasty.refund(refund)
    if not isinstance(outcome, Confirmed):
        outcome = await rail.look_up(refund)
    if isinstance(outcome, Absent):
        outcome = await rail.refund(refund)
    assert isinstance(outcome, Confirmed)
    assert len(stripe.world.objects["refund"]) == 1


async def test_a_sticky_error_stays_unknown_and_leaves_nothing(
    rail: StripeRail, stripe: StripeStandIn
) -> None:
    payout = payout_of(await paid(rail, stripe))
    stripe.faults.add(FaultRule("POST /v1/transfers", Fault.ERROR_STICKY))
    assert isinstance(await rail.payout(payout), Unknown)
    assert isinstance(await rail.look_up(payout), Absent)
    assert isinstance(await rail.payout(payout), Unknown)
    assert not stripe.world.objects["transfer"]


async def test_the_providers_no_is_a_failure_in_its_words(
    rail: StripeRail, stripe: StripeStandIn
) -> None:
    payout = payout_of(await paid(rail, stripe))
    stranger = replace(payout, destination="acct_nobody")
    assert await rail.payout(stranger) == Failed("resource_missing", nothing_happened=True)
    # The same key with other parameters says nothing about what the key did.
    assert isinstance(await rail.payout(payout), Unknown)


async def test_waiting_as_long_as_the_provider_asks(
    rail: StripeRail, stripe: StripeStandIn
) -> None:
    payout = payout_of(await paid(rail, stripe))
    stripe.faults.add(FaultRule("POST /v1/transfers", Fault.RATE_LIMIT, times=2, seconds=0))
    assert isinstance(await rail.payout(payout), Confirmed)


async def test_cancelling_what_is_open_paid_or_gone(
    rail: StripeRail, stripe: StripeStandIn
) -> None:
    made = await rail.create_intent(operation(Kind.INTENT))
    assert isinstance(made, Instrument)
    cancel = operation(Kind.CANCEL, 0, payment_ref=made.ref)
    cancelled = await rail.cancel(cancel)
    assert isinstance(cancelled, Instrument)
    assert cancelled.status == "CANCELLED"
    again = replace(cancel, operation_id=str(ids.uuid7()))
    assert await rail.cancel(again) == cancelled
    gone = replace(again, operation_id=str(ids.uuid7()), payment_ref="pi_gone")
    assert await rail.cancel(gone) == Failed("resource_missing")


async def test_cancelling_too_late_shows_the_payment(
    rail: StripeRail, stripe: StripeStandIn
) -> None:
    found = await paid(rail, stripe)
    outcome = await rail.cancel(operation(Kind.CANCEL, 0, payment_ref=found.ref))
    assert outcome == found


async def test_a_refund_after_the_payout_takes_the_transfer_back_first(
    rail: StripeRail, hasty: StripeRail, stripe: StripeStandIn
) -> None:
    found = await paid(rail, stripe)
    assert isinstance(await rail.payout(payout_of(found)), Confirmed)
    stripe.faults.add(FaultRule("POST /v1/transfers/*/reversals", Fault.TIMEOUT_AFTER))
    refund = operation(Kind.REFUND, payment_ref=found.ref)
    assert isinstance(await hasty.refund(refund), Confirmed)
    (transfer,) = stripe.world.objects["transfer"].values()
    assert transfer["amount_reversed"] == 9_950
    assert len(stripe.world.objects["transfer_reversal"]) == 1


async def test_a_partial_refund_beside_a_payout_takes_nothing_back(
    rail: StripeRail, stripe: StripeStandIn
) -> None:
    found = await paid(rail, stripe)
    assert isinstance(await rail.payout(payout_of(found)), Confirmed)
    refund = operation(Kind.REFUND, 379, payment_ref=found.ref)
    assert isinstance(await rail.refund(refund), Confirmed)
    assert not stripe.world.objects["transfer_reversal"]


async def test_a_slow_refund_is_pending_until_the_bank_says_how_it_ended(
    rail: StripeRail, stripe: StripeStandIn
) -> None:
    stripe.world.slow_refunds = True
    refund = operation(Kind.REFUND, payment_ref=(await paid(rail, stripe)).ref)
    outcome = await rail.refund(refund)
    assert isinstance(outcome, Pending)
    assert await rail.look_up(refund) == outcome
    stripe.world.settle_refund(outcome.ref, succeeded=False)
    assert await rail.look_up(refund) == Failed("expired_or_canceled_card")


async def test_the_look_up_reads_every_page(rail: StripeRail, stripe: StripeStandIn) -> None:
    found = await paid(rail, stripe)
    first = operation(Kind.REFUND, 1, payment_ref=found.ref)
    assert isinstance(await rail.refund(first), Confirmed)
    for _ in range(120):
        stripe.world.make(
            "refund", "re", payment_intent=found.ref, metadata={}, status="succeeded",
            amount=1, currency="usd",
        )  # fmt: skip
    assert isinstance(await rail.look_up(first), Confirmed)


async def test_an_intent_is_found_again_by_its_operation(
    rail: StripeRail, hasty: StripeRail, stripe: StripeStandIn
) -> None:
    assert isinstance(await rail.look_up(operation(Kind.INTENT)), Absent)
    stripe.faults.add(FaultRule("POST /v1/payment_intents", Fault.TIMEOUT_AFTER, times=3))
    assert isinstance(await hasty.create_intent(operation(Kind.INTENT)), Instrument | Unknown)
    found = await rail.look_up(operation(Kind.INTENT))
    assert isinstance(found, Instrument)
    assert list(stripe.world.objects["payment_intent"]) == [found.ref]


async def test_a_dead_provider_is_left_alone_and_then_asked_once(
    rail: StripeRail, stripe: StripeStandIn, clock: ManualClock
) -> None:
    stripe.faults.add(FaultRule("* /v1/*", Fault.ERROR_BEFORE, times=15))
    intent = operation(Kind.INTENT)
    for _ in range(5):
        assert await rail.create_intent(intent) == Unknown("HTTP_500")
    assert await rail.create_intent(intent) == Unknown("CIRCUIT_OPEN")
    clock.advance(timedelta(seconds=31))
    assert isinstance(await rail.create_intent(intent), Instrument)
    assert isinstance(await rail.create_intent(intent), Instrument)


async def test_wrong_credentials_are_our_trouble_not_a_failure(
    stripe: StripeStandIn, clock: ManualClock
) -> None:
    async with opened(clock, stripe.base_url, "sk_test_wrong") as adapter:
        outcome = await adapter.create_intent(operation(Kind.INTENT))
    assert isinstance(outcome, Unknown)


async def test_nobody_listening_is_unknown(clock: ManualClock) -> None:
    async with opened(clock, "http://127.0.0.1:9", "sk_test_x") as adapter:
        outcome = await adapter.create_intent(operation(Kind.INTENT))
    assert isinstance(outcome, Unknown)
