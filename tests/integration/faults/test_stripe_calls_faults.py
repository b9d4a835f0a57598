"""Calls to Stripe that no trade of a crowd makes, in every mode that spoils requests.

A refund after the payout takes the transfer back first; an account is made once for a person.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest
from pydantic import SecretStr

from bloxtr8.clock import ManualClock
from bloxtr8.config import StripeSettings
from bloxtr8.errors import UpstreamUnavailable
from bloxtr8.payments.operations import Kind, Operation
from bloxtr8.payments.rails import Absent, Confirmed, LookUpOutcome
from bloxtr8.payments.stripe_accounts import StripeAccounts
from bloxtr8.payments.stripe_rail import StripeRail
from bloxtr8.sandbox.faults import Fault
from bloxtr8.sandbox.stripe.control import add_account
from bloxtr8.sandbox.stripe.resources import create_intent, create_transfer
from bloxtr8.sandbox.stripe.server import StripeStandIn
from tests.integration.faults.chance import Chance
from tests.integration.faults.loop import run_timeless
from tests.integration.faults.modes import MODES, SEED, Mode
from tests.integration.faults.stripe import limits_of
from tests.integration.payments_bench import NOW, SELLER

_SPOILING = [mode for mode in MODES if mode.share]
_AT_ONCE = 32
_TRIES_MAX = 60
# After that the breaker lets somebody try again.
_PAUSE = timedelta(seconds=31)


@dataclass
class Calls:
    """Both adapters on one stand-in that fails by chance."""

    stripe: StripeStandIn
    rail: StripeRail
    accounts: StripeAccounts
    clock: ManualClock
    random: Random
    plan: Chance

    def paid_out(self, number: int) -> Operation:
        """Return the refund of a trade whose seller was paid already."""
        world, escrow_id = self.stripe.world, str(UUID(int=self.random.getrandbits(128)))
        form = {"amount": "10000", "currency": "usd", "transfer_group": escrow_id}
        intent = create_intent(world, form, "")
        world.pay(intent["id"])
        drawn = form | {"amount": "9500", "destination": SELLER}
        create_transfer(world, drawn | {"source_transaction": intent["latest_charge"]}, "")
        return Operation(
            operation_id=str(UUID(int=number)),
            escrow_id=escrow_id,
            kind=Kind.REFUND,
            generation=1,
            rail="STRIPE",
            provider="STRIPE",
            amount_minor=10_000,
            currency="USD",
            command_id=escrow_id,
            payment_ref=intent["id"],
            requested_at=NOW,
            not_before=NOW,
        )


@asynccontextmanager
async def calls(mode: Mode) -> AsyncIterator[Calls]:
    clock, random = ManualClock(NOW), Random(SEED)
    stripe = StripeStandIn(clock=clock)
    await stripe.start()
    add_account(stripe, SELLER)
    plan, limits = Chance(random, mode), limits_of(mode)
    settings = StripeSettings(api_base=stripe.base_url, api_key=SecretStr(stripe.api_key))
    rail, accounts = StripeRail(settings, clock, limits), StripeAccounts(settings, clock, limits)
    try:
        yield Calls(stripe, rail, accounts, clock, random, plan)
    finally:
        await rail.close()
        await accounts.close()
        await stripe.stop()


async def _refunded(rail: StripeRail, operation: Operation, clock: ManualClock) -> Confirmed:
    """Ask and act as the executor does, until there is an end."""
    outcome: LookUpOutcome = Absent()
    for attempt in range(_TRIES_MAX):
        tried = replace(operation, attempts=attempt + 1)
        found = await rail.look_up(tried) if attempt else Absent()
        outcome = await rail.refund(tried) if isinstance(found, Absent) else found
        if isinstance(outcome, Confirmed):
            return outcome
        clock.advance(_PAUSE)
    raise AssertionError(f"{operation.operation_id} never ends: {outcome}")


@pytest.mark.parametrize("mode", _SPOILING, ids=str)
def test_refunds_after_the_payout(mode: Mode) -> None:
    run_timeless(_refunds_after_the_payout(mode))


async def _refunds_after_the_payout(mode: Mode) -> None:
    print(f"refunds {mode}, seed {SEED}")
    async with calls(mode) as made:
        refunds = [made.paid_out(number) for number in range(mode.runs)]
        made.stripe.faults = made.plan
        for start in range(0, len(refunds), _AT_ONCE):
            batch = refunds[start : start + _AT_ONCE]
            ended = await asyncio.gather(*(_refunded(made.rail, e, made.clock) for e in batch))
            assert len({outcome.ref for outcome in ended}) == len(batch)
        world = made.stripe.world
        # 500 of each charge were still there: the seller gives back the rest, once.
        assert [e["amount_reversed"] for e in world.all("transfer")] == [9_500] * len(refunds)
        assert [e["amount"] for e in world.all("refund")] == [10_000] * len(refunds)
        assert made.plan.hits["POST /v1/transfers/*/reversals"] > 0


@pytest.mark.parametrize("mode", _SPOILING, ids=str)
def test_accounts_are_made_once(mode: Mode) -> None:
    run_timeless(_accounts_are_made_once(mode))


async def _accounts_are_made_once(mode: Mode) -> None:
    print(f"accounts {mode}, seed {SEED}")
    async with calls(mode) as made:
        before = len(made.stripe.world.all("account"))
        people = [str(UUID(int=number)) for number in range(mode.runs)]
        made.stripe.faults = made.plan
        # An error that the provider keeps is got round once an hour.
        pause = timedelta(hours=1) if mode.fault is Fault.ERROR_AFTER else _PAUSE

        async def account(user_id: str) -> str | None:
            for _ in range(_TRIES_MAX):
                try:
                    return await made.accounts.create(user_id)
                except UpstreamUnavailable:
                    made.clock.advance(pause)
            return None

        for start in range(0, len(people), _AT_ONCE):
            batch = people[start : start + _AT_ONCE]
            found = await asyncio.gather(*(account(user_id) for user_id in batch))
            assert all(found)
        world = made.stripe.world
        owners = [e["metadata"].get("user_id") for e in world.all("account")[before:]]
        assert set(owners) == set(people)
        if mode.fault is not Fault.ERROR_AFTER:
            assert len(owners) == len(people)
        assert made.plan.hits["POST /v1/accounts"] > 0
