"""A crowd on the Stripe rail: the stand-in over HTTP, every call and webhook in one fault mode."""

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random
from typing import Any

from pydantic import SecretStr

from bloxtr8.clock import ManualClock
from bloxtr8.config import PostgresSettings, Settings, StripeSettings
from bloxtr8.escrow import states
from bloxtr8.payments.executor import Executor
from bloxtr8.payments.pg_store import PostgresStore
from bloxtr8.payments.reconciliation.model import Report
from bloxtr8.payments.reconciliation.run import Parts as BooksParts
from bloxtr8.payments.reconciliation.run import Reconciler
from bloxtr8.payments.reconciliation.stripe_books import StripeBooks
from bloxtr8.payments.service import PaymentService
from bloxtr8.payments.stripe_calls import CallLimits, StripeCalls
from bloxtr8.payments.stripe_rail import StripeRail
from bloxtr8.sandbox.stripe.control import add_account
from bloxtr8.sandbox.stripe.server import StripeStandIn
from bloxtr8.sandbox.stripe.world import World
from bloxtr8.store import database
from proto.bloxtr8.common.v1 import common_pb2 as common
from tests.integration.faults.chance import Chance
from tests.integration.faults.checks import Movement
from tests.integration.faults.crowd import Crowd, Parts
from tests.integration.faults.modes import Mode
from tests.integration.faults.post import Post, name_of_stripe
from tests.integration.faults.trade import Trade, Wish
from tests.integration.payments_bench import KEYRING, NOW, SELLER

_WISHES = (
    *(Wish.RELEASE, Wish.REFUND, Wish.SPLIT, Wish.CANCEL, Wish.RACE),
    *(Wish.DECLINED, Wish.CHARGEBACK_WON, Wish.CHARGEBACK_LOST),
)


class StripeBank:
    """Buyers, their banks, and what has become of money at the stand-in."""

    def __init__(self, world: World, random: Random) -> None:
        self._world = world
        self._random = random

    async def act(self, trade: Trade) -> None:
        state = trade.escrow.state
        if state in (states.AWAIT_FUNDS, states.CANCELLING):
            self._before_funds(trade)
        elif trade.wish in (Wish.CHARGEBACK_WON, Wish.CHARGEBACK_LOST):
            self._charge_back(trade)
        for refund in self._refunds(trade.escrow_id):
            if refund["status"] == "pending" and self._random.random() < 0.5:
                self._world.settle_refund(refund["id"], succeeded=True)

    async def go_on(self) -> None:
        self._world.slow_refunds = self._random.random() < 0.3

    def moved(self) -> list[Movement]:
        """Return every transfer and every refund that succeeded."""
        return [
            Movement(
                entry["metadata"]["escrow_id"],
                entry["metadata"]["operation_id"],
                kind == "transfer",
                entry["amount"],
            )
            for kind in ("transfer", "refund")
            for entry in self._world.objects[kind].values()
            if kind == "transfer" or entry["status"] == "succeeded"
        ]

    def received(self) -> dict[str, int]:
        total: dict[str, int] = defaultdict(int)
        for charge in self._world.objects["charge"].values():
            total[charge["transfer_group"]] += charge["amount"]
        return total

    def _before_funds(self, trade: Trade) -> None:
        if trade.wish is Wish.CANCEL:
            trade.notes["calls_off"] = True
            return
        for intent in self._payable(trade):
            if trade.wish is Wish.RACE:
                trade.notes["calls_off"] = True
            if trade.wish is Wish.DECLINED and "declined" not in trade.notes:
                trade.notes["declined"] = True
                self._world.decline(intent["id"])
            elif intent["status"] != "processing" and self._random.random() < 0.2:
                self._world.process(intent["id"])
            else:
                self._world.pay(intent["id"])

    def _charge_back(self, trade: Trade) -> None:
        step = trade.notes.get("bank")
        charges = self._world.all("charge", transfer_group=trade.escrow_id)
        if step is None and charges:
            case = self._world.open_dispute(charges[0]["id"], "fraudulent")
            trade.notes |= {"bank": "opened", "case": case["id"]}
        elif step == "opened" and self._random.random() < 0.4:
            self._world.close_dispute(trade.notes["case"], won=trade.wish is Wish.CHARGEBACK_WON)
            trade.notes["bank"] = "closed"

    def _payable(self, trade: Trade) -> list[dict[str, Any]]:
        mine = self._of(trade.escrow_id)
        return [entry for entry in mine if entry["status"] not in ("succeeded", "canceled")]

    def _of(self, escrow_id: str) -> list[dict[str, Any]]:
        return self._world.all("payment_intent", transfer_group=escrow_id)

    def _refunds(self, escrow_id: str) -> list[dict[str, Any]]:
        refs = {intent["id"] for intent in self._of(escrow_id)}
        return [e for e in self._world.objects["refund"].values() if e["payment_intent"] in refs]


def limits_of(mode: Mode) -> CallLimits:
    """Return limits of a client that pauses for a moment: how long it does is tried elsewhere."""
    return CallLimits(1.0, mode.client_wait_s, tries=2, pause_first_s=0.005, pause_max_s=0.01)


def trades_for(runs: int, random: Random) -> list[Trade]:
    """Return so many trades, each wish as often as any other."""
    return [
        Trade(
            _WISHES[number % len(_WISHES)],
            common.RAIL_STRIPE,
            common.Money(
                minor=random.choice((200, 2_500, 99_999, 900_000)), currency=common.CURRENCY_USD
            ),
            SELLER,
            random,
        )
        for number in range(runs)
    ]


@asynccontextmanager
async def stripe_crowd(
    dsn: str, mode: Mode, runs: int, seed: int
) -> AsyncIterator[tuple[Crowd, StripeBank]]:
    """Yield a crowd that has not started, on a database of its own."""
    random, clock = Random(seed), ManualClock(NOW)
    stripe = StripeStandIn(clock=clock)
    await stripe.start()
    add_account(stripe, SELLER)
    plan, limits = Chance(random, mode), limits_of(mode)
    stripe.faults = plan
    await database.open_database(Settings(postgres=PostgresSettings(dsn=SecretStr(dsn))))
    connection = StripeSettings(api_base=stripe.base_url, api_key=SecretStr(stripe.api_key))
    rail, calls = StripeRail(connection, clock, limits), StripeCalls(connection, clock, limits)
    signer = KEYRING.signer(common.PRODUCER_PAYMENTS)
    store = PostgresStore(signer, clock)
    executor = Executor(store, {"STRIPE": rail}, clock, owner="worker-1")
    service = PaymentService(store, clock, executor.wake)
    post = Post(service, clock, random, mode.way, name_of_stripe)
    stripe.world.on_event = post.take
    bank = StripeBank(stripe.world, random)
    books = BooksParts(store, service, {"STRIPE": rail}, [StripeBooks(calls)], clock, signer)
    reconciler = Reconciler(books)

    async def reconcile() -> None:
        await reconciler.hourly(clock.now() - timedelta(days=20), Report())

    parts = Parts(clock, store, executor, service, post, bank, plan, mode.way, reconcile)
    try:
        yield Crowd(parts, trades_for(runs, random), random), bank
    finally:
        await rail.close()
        await calls.close()
        await database.close_database()
        await stripe.stop()
