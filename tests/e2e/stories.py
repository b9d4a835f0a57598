"""Ways a trade can go, told so that together they reach every transition."""

import asyncio
from datetime import timedelta
from uuid import uuid4

from bloxtr8.access import StaffRole
from bloxtr8.dev.demo.observer import Observer
from bloxtr8.dev.play import Person, Stage, Trade
from bloxtr8.escrow.lookup import FACTS
from bloxtr8.messaging import metadata
from bloxtr8.messaging.publisher import Publisher
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.messaging.topics import PAYMENTS_EVENTS
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.payments.v1 import payments_pb2 as payments

_ATTEMPTS_MAX = 5
# Back-off between two attempts at the provider is at most an hour.
_NEXT_ATTEMPT = timedelta(hours=1, minutes=1)
_MIRRORED_SECONDS_MAX = 90.0
_POLL_SECONDS = 0.1
_TRANSFERS = "POST /v1/transfers"
_REFUNDS = "POST /v1/refunds"


class Teller:
    """Tells stories on `stage`; `admin` and `moderator` decide where staff must."""

    def __init__(self, stage: Stage, observer: Observer, admin: Person, moderator: Person) -> None:
        self.stage = stage
        self.observer = observer
        self.admin = admin
        self.moderator = moderator

    @classmethod
    async def on(cls, stage: Stage, observer: Observer) -> "Teller":
        admin = await stage.staff(StaffRole.ADMIN)
        return cls(stage, observer, admin, await stage.staff(StaffRole.MODERATOR))

    async def signed(self) -> Trade:
        trade = await self.stage.trade(50_000)
        await trade.sign()
        return trade

    async def funded(self) -> Trade:
        trade = await self.signed()
        await trade.fund()
        return trade

    async def delivered(self) -> Trade:
        trade = await self.funded()
        await trade.deliver()
        return trade

    async def heard(self, trade: Trade, body: str, times: int = 1) -> None:
        await self.observer.heard(trade.escrow_id, body, times=times)

    async def fault(self, route: str, fault: str, **more: object) -> None:
        await self.stage.stripe("POST", "/faults", {"route": route, "fault": fault, **more})

    async def bank_pays(self, trade: Trade, **order: object) -> None:
        await self.stage.stripe("POST", f"/escrows/{trade.escrow_id}/pay", order)

    # Stories that may be told at the same time.

    async def paid_slowly_after_a_declined_card(self) -> None:
        trade = await self.signed()
        await trade.pay(outcome="decline")
        await self.heard(trade, "payment_attempt_failed")
        await self.bank_pays(trade, outcome="processing")
        await self.heard(trade, "payment_processing")
        await self.bank_pays(trade)
        await trade.until("FUNDS_HELD")

    async def overpaid_approved_and_released(self) -> None:
        trade = await self.signed()
        await trade.pay(amount_minor=60_000)
        await trade.until("FUNDS_REVIEW")
        await trade.staff(self.admin, "funds-review", {"decision": "APPROVE"})
        await trade.until("FUNDS_HELD")
        await trade.deliver()
        await trade.release()
        await trade.until("RELEASED")

    async def underpaid_and_sent_back(self) -> None:
        trade = await self.signed()
        await trade.pay(amount_minor=40_000)
        await trade.until("FUNDS_REVIEW")
        await trade.staff(self.admin, "funds-review", {"decision": "REJECT"})
        await trade.until("REFUNDED")

    async def called_off(self) -> None:
        trade = await self.signed()
        await trade.pay_page()
        await trade.cancel(trade.seller)
        await trade.until("CANCELLED")

    async def refunded_then_charged_back(self) -> None:
        trade = await self.funded()
        await trade.refund()
        await trade.until("REFUNDED")
        case = await trade.charge_back()
        await self.heard(trade, "chargeback_recorded")
        await self._close(case, won=True)
        await self.heard(trade, "chargeback_recorded", 2)

    async def paid_in_another_currency(self) -> None:
        trade = await self.signed()
        await trade.pay(currency="eur")
        await trade.until("FUNDS_REVIEW")
        await trade.staff(self.admin, "funds-review", {"decision": "REJECT"})
        await self.heard(trade, "stray_funds_refunded")

    async def refunded_after_delivery(self) -> None:
        trade = await self.delivered()
        await trade.refund()
        await trade.until("REFUNDED")

    async def disputed_withdrawn_and_decided(self) -> None:
        trade = await self.delivered()
        await trade.dispute(trade.buyer)
        await trade.withdraw_dispute(trade.buyer)
        await trade.until("DELIVERED")
        await trade.dispute(trade.seller, "UNRESPONSIVE")
        await trade.resolve(self.moderator, "SPLIT", 20_000)
        await trade.until("SPLIT")

    async def settled_after_some_talk(self) -> None:
        trade = await self.funded()
        first = await trade.propose(trade.buyer, 10_000)
        await trade.answer(trade.seller, first, "reject")
        second = await trade.propose(trade.seller, 40_000)
        await trade.answer(trade.seller, second, "withdraw")
        third = await trade.propose(trade.buyer, 30_000)
        await trade.answer(trade.seller, third, "accept")
        await trade.until("SPLIT")

    async def held_lifted_and_given_more_time(self) -> None:
        trade = await self.funded()
        await trade.staff(self.moderator, "hold", {"kind": "MANUAL"})
        await trade.staff(self.moderator, "unhold", {})
        until = self.stage.stack.clock.now() + timedelta(days=20)
        await trade.staff(self.moderator, "extension", {"until": until.isoformat()})
        await self.heard(trade, "deadline_extended")

    async def paid_elsewhere(self) -> None:
        trade = await self.signed()
        path = f"/escrows/{trade.escrow_id}/payee"
        method = {"payout_method_id": trade.seller.payout_method_id}
        await self.stage.api.act(path, trade.seller, method)
        await self.heard(trade, "payee_set")

    async def charged_back_and_won(self) -> None:
        trade = await self.funded()
        case = await trade.charge_back()
        await trade.until("DISPUTED")
        await self._close(case, won=True)
        await self.heard(trade, "chargeback_recorded", 2)

    async def charged_back_after_release(self) -> None:
        trade = await self.delivered()
        await trade.release()
        await trade.until("RELEASED")
        case = await trade.charge_back()
        await self.heard(trade, "chargeback_recorded")
        await self._close(case, won=False)
        await self.heard(trade, "chargeback_recorded", 2)

    # Stories that need the provider to fail, or time to pass: one after the other.

    async def paid_while_it_was_being_cancelled(self) -> None:
        trade = await self.signed()
        await trade.pay_page()
        await self._cancel_and_pay(trade)
        await trade.until("REFUNDED")

    async def overpaid_while_it_was_being_cancelled(self) -> None:
        trade = await self.signed()
        await trade.pay_page()
        await self._cancel_and_pay(trade, amount=70_000)
        await trade.until("FUNDS_REVIEW")
        await trade.staff(self.admin, "funds-review", {"decision": "APPROVE"})
        await trade.until("REFUNDED")

    async def payout_fails_until_staff_help(self) -> None:
        trade = await self.delivered()
        await self.fault(_TRANSFERS, "refuse", times=_ATTEMPTS_MAX, code="balance_insufficient")
        await trade.release()
        await self._fail(trade, "payout_failed")
        await trade.staff(self.admin, "retry-payout", {})
        await trade.until("RELEASED")

    async def refund_fails_until_staff_help(self) -> None:
        trade = await self.funded()
        await self.fault(_REFUNDS, "refuse", times=_ATTEMPTS_MAX, code="balance_insufficient")
        await trade.refund()
        await self._fail(trade, "refund_failed")
        await trade.staff(self.admin, "retry-refund", {})
        await trade.until("REFUNDED")

    async def time_decides(self) -> None:
        waiting, unsent, unconfirmed = [
            await self.signed(),
            await self.funded(),
            await self.delivered(),
        ]
        argued = await self.funded()
        await argued.dispute(argued.buyer)
        self.stage.travel(timedelta(hours=37))
        await self.heard(waiting, "deadline_approaching")
        self.stage.travel(timedelta(hours=36))
        await waiting.until("CANCELLED")
        self.stage.travel(timedelta(days=5))
        await unsent.until("REFUNDED")
        await unconfirmed.until("RELEASED")
        self.stage.travel(timedelta(days=24))
        await self.heard(argued, "dispute_overdue")

    async def money_comes_that_nobody_asked_for(self) -> None:
        """Stripe never does this, another rail may: receipts that no operation of ours explains.

        They are recorded and their return is ordered; the payments side then refuses it, because
        its own books know of no such receipt.
        """
        for kind in (payments.PaymentSucceeded, payments.FundsUnderReview):
            trade = await self.funded()
            amount = common.Money(minor=5_000, currency=common.CURRENCY_USD)
            await self._say(trade, kind(payment_ref=f"pi_{uuid4().hex}", amount=amount))
            await self.heard(trade, "stray_funds_received")

        trade = await self.signed()
        await trade.pay_page()
        amount = common.Money(minor=53_655, currency=common.CURRENCY_USD)
        unknown = payments.FundsUnderReview(
            payment_ref="0x01:0", amount=amount, reason="RISK", risk="UNKNOWN"
        )
        await self._say(trade, unknown)
        await trade.until("FUNDS_REVIEW")
        await self._say(trade, payments.FundsScreened(payment_ref="0x01:0", risk="HIGH"))
        await self.heard(trade, "escrow_funds_under_review", 2)

        trade = await self.signed()
        await trade.pay_page()
        unknown.payment_ref = "0x02:0"
        await self._say(trade, unknown)
        await trade.until("FUNDS_REVIEW")
        await trade.staff(self.admin, "funds-review", {"decision": "APPROVE"})
        await trade.until("FUNDS_HELD")
        await self._say(trade, payments.FundsScreened(payment_ref="0x02:0", risk="SANCTIONED"))
        await self.heard(trade, "escrow_held_by_staff")

    async def _say(
        self,
        trade: Trade,
        body: payments.PaymentSucceeded | payments.FundsUnderReview | payments.FundsScreened,
    ) -> None:
        settings = self.stage.stack.settings
        publisher = Publisher(settings.kafka, Keyring.load(settings.keys.directory, create=False))
        now = self.stage.stack.clock.now()
        event = payments.PaymentEvent(
            metadata=metadata.new(common.PRODUCER_PAYMENTS, now), escrow_id=trade.escrow_id
        )
        (name,) = (field for field, kind in FACTS.items() if kind == type(body).__name__)
        getattr(event, name).CopyFrom(body)
        try:
            await publisher.publish(PAYMENTS_EVENTS, event)
        finally:
            await publisher.stop()

    async def _close(self, case: str, *, won: bool) -> None:
        await self.stage.stripe("POST", f"/disputes/{case}/close", {"won": won})

    async def _cancel_and_pay(self, trade: Trade, **overrides: int) -> None:
        """Let the bank pay at the moment when the provider is about to cancel the payment."""
        stripe = self.stage.stack.stripe
        (intent,) = stripe.world.all("payment_intent", transfer_group=trade.escrow_id)
        route = f"POST /v1/payment_intents/{intent['id']}/cancel"
        await self.fault(route, "delay", seconds=2)
        async with asyncio.TaskGroup() as together:
            together.create_task(trade.cancel(trade.buyer))
            async with asyncio.timeout(_MIRRORED_SECONDS_MAX):
                while route not in {taken for taken, _ in stripe.faults.taken}:  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_SECONDS)
            stripe.world.pay(intent["id"], **overrides)

    async def _fail(self, trade: Trade, body: str) -> None:
        for attempt in range(1, _ATTEMPTS_MAX + 1):
            await self.heard(trade, body, attempt)
            self.stage.travel(_NEXT_ATTEMPT)
        # Orders are judged by what the mirror shows, which comes after what is heard.
        async with asyncio.timeout(_MIRRORED_SECONDS_MAX):
            while not (await trade.read())["hold"]["active"]:  # noqa: ASYNC110 - over HTTP
                await asyncio.sleep(_POLL_SECONDS)
