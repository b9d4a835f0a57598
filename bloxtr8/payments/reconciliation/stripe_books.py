"""Stripe's side of reconciliation: events, objects of one escrow, balance transactions.

Sources: docs.stripe.com/api/events, /api/balance_transactions, /api/balance.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bloxtr8.messaging.envelope import is_uuid
from bloxtr8.payments import disputes, facts
from bloxtr8.payments import stripe_objects as objects
from bloxtr8.payments.rails import Confirmed, Failed, InstrumentStatus, Unknown
from bloxtr8.payments.reconciliation.model import ProviderSilent
from bloxtr8.payments.reconciliation.provider import (
    Call,
    Charged,
    Line,
    Movements,
    Received,
    Sent,
)
from bloxtr8.payments.stripe_calls import StripeCalls
from bloxtr8.payments.stripe_objects import BadObject
from bloxtr8.payments.stripe_rail import read_refund
from bloxtr8.payments.webhook_signatures import BadWebhook, name_stripe, without_secrets

JSON = dict[str, Any]
_PAGE = 100
# Two million objects: more than a day, or an escrow, can have.
_PAGES_MAX = 20_000
# At most 20 can be asked for at once.
_TYPES = (
    *sorted(facts.EVENT_TYPES),
    facts.ACCOUNT_UPDATED,
)


class StripeBooks:
    name = "STRIPE"
    place = "stripe"
    # Facts are booked when their events are, which is a little later than they are facts.
    settled_after = timedelta(minutes=5)
    hourly = False

    def __init__(self, calls: StripeCalls) -> None:
        self._calls = calls
        self._v1 = calls.v1

    async def close(self) -> None:
        await self._calls.close()

    async def catch_up(self, escrow_id: str) -> list[str]:
        return []

    async def calls(self, since: datetime, until: datetime) -> AsyncIterator[list[Call]]:
        params: JSON = {"types": list(_TYPES), "created": _span(since, until)}
        async for page in self._pages("event_list", self._v1.events.list_async, params):
            yield [_call(event) for event in page]

    async def movements(self, escrow_id: str, instruments: Sequence[str]) -> Movements:
        intents = [await self._intent(ref) for ref in instruments]
        group: JSON = {"transfer_group": escrow_id}
        transfers = await self._all("transfer_list", self._v1.transfers.list_async, group)
        refunds: list[JSON] = []
        cases: list[JSON] = []
        for ref in instruments:
            of_intent: JSON = {"payment_intent": ref}
            refunds += await self._all("refund_list", self._v1.refunds.list_async, of_intent)
            cases += await self._all("dispute_list", self._v1.disputes.list_async, of_intent)
        try:
            return Movements(
                received=tuple(map(_received, intents)),
                charged=tuple(_charged(case) for case in cases if not _is_inquiry(case)),
                payouts=tuple(map(_payout, transfers)),
                refunds=tuple(map(_refund, refunds)),
            )
        except BadObject as error:
            raise ProviderSilent(f"Stripe: {error}") from None

    async def statement(self, since: datetime | None, until: datetime) -> AsyncIterator[list[Line]]:
        params: JSON = {"created": _span(since, until), "expand": ["data.source"]}
        listed = self._v1.balance_transactions.list_async
        async for page in self._pages("balance_transaction_list", listed, params):
            try:
                yield [_line(entry) for entry in page]
            except BadObject as error:
                raise ProviderSilent(f"Stripe: {error}") from None

    async def balance(self) -> dict[str, int]:
        answer = await self._ask("balance_retrieve", self._v1.balance.retrieve_async)
        total: dict[str, int] = {}
        try:
            for part in ("available", "pending"):
                for entry in _objects(answer.get(part) or []):
                    currency = objects.currency(entry)
                    total[currency] = total.get(currency, 0) + _signed(entry, "amount")
        except BadObject as error:
            raise ProviderSilent(f"Stripe: {error}") from None
        return total

    async def _intent(self, ref: str) -> JSON:
        return await self._ask(
            "intent_retrieve", lambda: self._v1.payment_intents.retrieve_async(ref)
        )

    async def _all(
        self, name: str, listed: Callable[..., Awaitable[Any]], params: JSON
    ) -> list[JSON]:
        return [entry async for page in self._pages(name, listed, params) for entry in page]

    async def _pages(
        self, name: str, listed: Callable[..., Awaitable[Any]], params: JSON
    ) -> AsyncIterator[list[JSON]]:
        params = {**params, "limit": _PAGE}
        for _ in range(_PAGES_MAX):
            page = await self._ask(name, lambda: listed(params))  # noqa: B023 - awaited at once
            try:
                entries = _objects(page.get("data"))
                last = objects.text(entries[-1], "id") if entries else ""
            except BadObject as error:
                raise ProviderSilent(f"Stripe: {name}: {error}") from None
            yield entries
            if not page.get("has_more") or not last:
                return
            params = {**params, "starting_after": last}
        raise ProviderSilent(f"Stripe: {name} does not end")

    async def _ask(self, name: str, call: Callable[[], Awaitable[Any]]) -> JSON:
        answer = await self._calls.ask(name, call)
        if isinstance(answer, Failed):
            raise ProviderSilent(f"Stripe: {name}: {answer.code}")
        if isinstance(answer, Unknown):
            raise ProviderSilent(f"Stripe: {name}: {answer.reason}")
        return answer


def _span(since: datetime | None, until: datetime) -> JSON:
    """Return a filter of `created`; Stripe counts in seconds."""
    span: JSON = {"lt": int(until.timestamp())}
    if since is not None:
        span["gte"] = int(since.timestamp())
    return span


def _objects(value: object) -> list[JSON]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise BadObject("not a list of objects")
    return value


def _at(source: JSON) -> datetime:
    seconds = objects.minor(source, "created")
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise BadObject("created is not a time") from None


def _signed(source: JSON, name: str) -> int:
    value = source.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 2**53:
        raise BadObject(f"{name} is not an amount")
    return value


def _call(event: JSON) -> Call:
    try:
        # Nothing that is kept holds a client secret.
        body = without_secrets(json.dumps(event).encode())
        return Call(name_stripe(body), body, _at(event))
    except (BadObject, BadWebhook) as error:
        raise ProviderSilent(f"Stripe: {error}") from None


def _told(type_: str, subject: JSON, *state: object) -> Call:
    """Return the event that would have told of `subject` as it is, under a name of our own."""
    ref, created = objects.text(subject, "id"), objects.minor(subject, "created")
    event_id = ":".join(("reconciliation", type_, ref, *map(str, state)))
    event = {"id": event_id, "type": type_, "created": created, "data": {"object": subject}}
    return _call(event)


def _received(intent: JSON) -> Received:
    read = objects.read_intent(intent)
    call = _told("payment_intent.succeeded", intent, read.status.value)
    if read.status is not InstrumentStatus.PAID or read.receipt is None:
        return Received(read.ref, None, objects.currency(intent), call)
    return Received(read.ref, read.receipt.amount_minor, read.receipt.currency, call)


def _is_inquiry(case: JSON) -> bool:
    # The bank asks; no money is taken.
    return objects.text(case, "status").startswith("warning")


def _charged(case: JSON) -> Charged:
    said = objects.text(case, "status")
    return Charged(
        ref=objects.text(case, "id"),
        amount_minor=objects.minor(case, "amount"),
        currency=objects.currency(case),
        status={"won": disputes.WON, "lost": disputes.LOST}.get(said, disputes.OPENED),
        call=_told("charge.dispute.updated", case, said),
    )


def _payout(transfer: JSON) -> Sent:
    taken_back = objects.minor(transfer, "amount_reversed")
    kind = "transfer.reversed" if taken_back else "transfer.created"
    return Sent(
        ref=objects.text(transfer, "id"),
        operation_id=objects.metadata(transfer).get("operation_id", ""),
        amount_minor=objects.minor(transfer, "amount"),
        currency=objects.currency(transfer),
        status="CONFIRMED",
        call=_told(kind, transfer, taken_back),
        destination=objects.reference(transfer, "destination"),
        taken_back_minor=taken_back,
    )


def _refund(refund: JSON) -> Sent:
    read = read_refund(refund)
    status = "CONFIRMED" if isinstance(read, Confirmed) else "PENDING"
    return Sent(
        ref=objects.text(refund, "id"),
        operation_id=objects.metadata(refund).get("operation_id", ""),
        amount_minor=objects.minor(refund, "amount"),
        currency=objects.currency(refund),
        status="FAILED" if isinstance(read, Failed) else status,
        call=_told("refund.updated", refund, objects.text(refund, "status")),
    )


def _line(entry: JSON) -> Line:
    source = entry.get("source")
    subject = source if isinstance(source, dict) else {}
    return Line(
        ref=objects.text(entry, "id"),
        kind=objects.text(entry, "type"),
        source=objects.reference(entry, "source"),
        about=next(_about(subject), ""),
        escrow_id=next(_named(subject), ""),
        currency=objects.currency(entry),
        amount_minor=_signed(entry, "amount"),
        fee_minor=_signed(entry, "fee"),
        at=_at(entry),
    )


def _about(subject: JSON) -> Iterator[str]:
    for name in ("payment_intent", "transfer", "charge"):
        ref = objects.reference(subject, name)
        if ref:
            yield ref


def _named(subject: JSON) -> Iterator[str]:
    for named in (subject.get("transfer_group"), objects.metadata(subject).get("escrow_id")):
        if isinstance(named, str) and is_uuid(named):
            yield named
