"""Stripe on the wire: what is asked and how answers are read, against its public documents.

Sources: docs.stripe.com/api (Authentication, Versioning, Idempotent requests, Errors, Pagination,
PaymentIntents, Transfers, Transfer reversals, Refunds, Disputes, Events), docs.stripe.com/search,
docs.stripe.com/webhooks ("Verify webhook signatures manually") and
docs.stripe.com/connect/separate-charges-and-transfers. The library `stripe` is generated from
Stripe's OpenAPI document; its declarations are what the stand-in's objects are held against.
"""

import hashlib
import hmac
import json
import time
import typing
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest
import stripe
from pydantic import SecretStr
from stripe.params._webhook_endpoint_create_params import WebhookEndpointCreateParams

from bloxtr8.clock import ManualClock
from bloxtr8.config import StripeSettings
from bloxtr8.payments.facts import ACCOUNT_UPDATED, EVENT_TYPES
from bloxtr8.payments.operations import Kind, Operation
from bloxtr8.payments.rails import (
    Confirmed,
    Failed,
    Instrument,
    InstrumentStatus,
    Pending,
    Unknown,
)
from bloxtr8.payments.stripe_calls import API_VERSION, CallLimits
from bloxtr8.payments.stripe_objects import read_intent
from bloxtr8.payments.stripe_rail import StripeRail, read_refund
from bloxtr8.payments.webhook_signatures import verify_stripe
from bloxtr8.sandbox.stripe.control import add_account
from bloxtr8.sandbox.stripe.server import StripeStandIn
from tests.integration.wire.recorder import Asked, Recorder

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ESCROW, OPERATION = "59d24d1a-5ed5-594c-b538-5898d84e6b96", "0b0f7a52-21d2-5b60-8a2a-6f3b0a4a1d11"
CONTRACT = "6f1c9c57-7c1f-4c39-9f6f-0e6f5a0d9b10"
META = [
    ("metadata[escrow_id]", ESCROW),
    ("metadata[operation_id]", OPERATION),
    ("metadata[contract_id]", CONTRACT),
]
# As the API reference shows them, with values of ours.
INTENT: dict[str, Any] = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount": 10_329,
    "amount_received": 0,
    "currency": "usd",
    "client_secret": "pi_1_secret_x",
    "latest_charge": None,
    "livemode": False,
    "metadata": {},
    "status": "requires_payment_method",
    "transfer_group": ESCROW,
}
TRANSFER: dict[str, Any] = {
    "id": "tr_1",
    "object": "transfer",
    "amount": 9_950,
    "amount_reversed": 0,
    "balance_transaction": "txn_1",
    "created": 1_678_043_844,
    "currency": "usd",
    "description": None,
    "destination": "acct_1",
    "destination_payment": "py_1",
    "livemode": False,
    "metadata": {"operation_id": OPERATION},
    "reversals": {"object": "list", "data": [], "has_more": False, "url": "/v1/x"},
    "reversed": False,
    "source_transaction": "ch_1",
    "source_type": "card",
    "transfer_group": ESCROW,
}
REFUND: dict[str, Any] = {
    "id": "re_1",
    "object": "refund",
    "amount": 10_329,
    "charge": "ch_1",
    "created": 1_678_043_844,
    "currency": "usd",
    "metadata": {"operation_id": OPERATION},
    "payment_intent": "pi_1",
    "reason": None,
    "status": "succeeded",
}
CHARGE: dict[str, Any] = {
    "id": "ch_1",
    "object": "charge",
    "amount": 10_329,
    "amount_refunded": 0,
    "currency": "usd",
    "balance_transaction": {
        "id": "txn_1",
        "object": "balance_transaction",
        "amount": 10_329,
        "fee": 330,
        "currency": "usd",
    },
}


@pytest.fixture
async def rail(provider: Recorder) -> AsyncIterator[StripeRail]:
    settings = StripeSettings(api_base=provider.base_url, api_key=SecretStr("sk_test_wire"))
    made = StripeRail(settings, ManualClock(NOW), CallLimits(tries=1))
    yield made
    await made.close()


def operation(kind: Kind, amount: int, **fields: Any) -> Operation:
    return Operation(
        operation_id=OPERATION,
        escrow_id=ESCROW,
        kind=kind,
        generation=1,
        rail="STRIPE",
        provider="STRIPE",
        amount_minor=amount,
        currency="USD",
        command_id=CONTRACT,
        contract_id=CONTRACT,
        requested_at=NOW,
        not_before=NOW,
        **fields,
    )


def form(asked: Asked) -> list[tuple[str, str]]:
    return parse_qsl(asked.body.decode(), keep_blank_values=True)


def listed(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"object": "list", "url": "/v1/x", "has_more": False, "data": list(entries)}


async def test_a_payment_intent_is_asked_for(provider: Recorder, rail: StripeRail) -> None:
    provider.answers["POST /v1/payment_intents"] = (200, INTENT)
    made = await rail.create_intent(operation(Kind.INTENT, 10_329))
    assert made == Instrument("pi_1", InstrumentStatus.OPEN)
    (asked,) = provider.asked
    assert sorted(form(asked)) == sorted(
        [
            ("amount", "10329"),
            ("currency", "usd"),
            ("automatic_payment_methods[enabled]", "true"),
            ("capture_method", "automatic"),
            ("transfer_group", ESCROW),
            *META,
        ]
    )
    assert asked.headers["authorization"] == "Bearer sk_test_wire"
    assert asked.headers["idempotency-key"] == OPERATION
    assert asked.headers["stripe-version"] == API_VERSION
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"


async def test_a_transfer_draws_on_the_charge(provider: Recorder, rail: StripeRail) -> None:
    provider.answers["POST /v1/transfers"] = (200, TRANSFER)
    ordered = operation(Kind.PAYOUT, 9_950, destination="acct_1", payment_ref="ch_1")
    assert await rail.payout(ordered) == Confirmed("tr_1", 9_950, "USD", "acct_1")
    (asked,) = provider.asked
    assert sorted(form(asked)) == sorted(
        [
            ("amount", "9950"),
            ("currency", "usd"),
            ("destination", "acct_1"),
            ("source_transaction", "ch_1"),
            ("transfer_group", ESCROW),
            *META,
        ]
    )
    assert asked.headers["idempotency-key"] == OPERATION


async def test_a_refund_after_a_payout_reverses_the_transfer_first(
    provider: Recorder, rail: StripeRail
) -> None:
    paid = INTENT | {"status": "succeeded", "latest_charge": CHARGE, "amount_received": 10_329}
    reversal = {"id": "trr_1", "object": "transfer_reversal", "amount": 9_950, "transfer": "tr_1"}
    provider.answers |= {
        "GET /v1/payment_intents/pi_1": (200, paid),
        "GET /v1/transfers": (200, listed(TRANSFER)),
        "POST /v1/transfers/tr_1/reversals": (200, reversal),
        "POST /v1/refunds": (200, REFUND),
    }
    ordered = operation(Kind.REFUND, 10_329, payment_ref="pi_1")
    assert await rail.refund(ordered) == Confirmed("re_1", 10_329, "USD")
    intent, transfers, reversed_, refund = provider.asked
    assert parse_qsl(intent.query) == [("expand[0]", "latest_charge")]
    assert sorted(parse_qsl(transfers.query)) == [("limit", "100"), ("transfer_group", ESCROW)]
    assert sorted(form(reversed_)) == sorted([("amount", "9950"), *META])
    assert reversed_.headers["idempotency-key"] == f"{OPERATION}:tr_1"
    assert sorted(form(refund)) == sorted([("payment_intent", "pi_1"), ("amount", "10329"), *META])
    assert refund.headers["idempotency-key"] == OPERATION


async def test_a_cancellation_that_comes_too_late(provider: Recorder, rail: StripeRail) -> None:
    """An error object as documented: type, code, message, and the PaymentIntent as it is."""
    paid = INTENT | {"status": "succeeded", "latest_charge": CHARGE, "amount_received": 10_329}
    error = {
        "error": {
            "type": "invalid_request_error",
            "code": "payment_intent_unexpected_state",
            "message": "You cannot cancel this PaymentIntent.",
            "payment_intent": paid,
        }
    }
    provider.answers["POST /v1/payment_intents/pi_1/cancel"] = (400, error)
    provider.answers["GET /v1/payment_intents/pi_1"] = (200, paid)
    found = await rail.cancel(operation(Kind.CANCEL, 0, payment_ref="pi_1", attempts=1))
    assert isinstance(found, Instrument)
    assert found.receipt is not None
    assert (found.receipt.amount_minor, found.receipt.fee_minor) == (10_329, 330)
    assert parse_qsl(provider.asked[-1].query) == [
        ("expand[0]", "latest_charge.balance_transaction")
    ]


async def test_an_intent_is_searched_for_in_the_documented_language(
    provider: Recorder, rail: StripeRail
) -> None:
    result = {"object": "search_result", "url": "/x", "has_more": False, "data": [INTENT]}
    provider.answers["GET /v1/payment_intents/search"] = (200, result)
    provider.answers["GET /v1/payment_intents/pi_1"] = (200, INTENT)
    assert isinstance(await rail.look_up(operation(Kind.INTENT, 10_329)), Instrument)
    query = dict(parse_qsl(provider.asked[0].query))
    assert query == {"query": f"metadata['operation_id']:'{OPERATION}'", "limit": "1"}


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (400, {"type": "invalid_request_error", "code": "balance_insufficient"}, Failed),
        (402, {"type": "card_error", "code": "card_declined"}, Failed),
        (404, {"type": "invalid_request_error", "code": "resource_missing"}, Failed),
        (400, {"type": "idempotency_error"}, Unknown),
        (401, {"type": "invalid_request_error"}, Unknown),
        (409, {"type": "idempotency_error", "code": "idempotency_key_in_use"}, Unknown),
        (429, {"type": "invalid_request_error", "code": "rate_limit"}, Unknown),
        (500, {"type": "api_error"}, Unknown),
    ],
)
async def test_errors_say_no_or_nothing(
    provider: Recorder, rail: StripeRail, status: int, error: dict[str, str], expected: type
) -> None:
    """The HTTP statuses and error types of docs.stripe.com/api/errors."""
    provider.answers["POST /v1/transfers"] = (status, {"error": {"message": "no", **error}})
    ordered = operation(Kind.PAYOUT, 9_950, destination="acct_1", payment_ref="ch_1")
    assert isinstance(await rail.payout(ordered), expected)


def test_every_documented_status_of_an_intent_is_read() -> None:
    expected = {
        "requires_payment_method": InstrumentStatus.OPEN,
        "requires_confirmation": InstrumentStatus.OPEN,
        "requires_action": InstrumentStatus.OPEN,
        "requires_capture": InstrumentStatus.OPEN,
        "processing": InstrumentStatus.PROCESSING,
        "canceled": InstrumentStatus.CANCELLED,
        "succeeded": InstrumentStatus.PAID,
    }
    assert set(_literals(stripe.PaymentIntent.__annotations__["status"])) == set(expected)
    for status, meant in expected.items():
        body = INTENT | {"status": status, "latest_charge": "ch_1"}
        assert read_intent(body).status is meant


def test_every_documented_status_of_a_refund_is_read() -> None:
    """pending, requires_action, succeeded, failed, canceled (docs.stripe.com/refunds)."""
    read = {
        status: type(read_refund(REFUND | {"status": status}))
        for status in ("pending", "requires_action", "succeeded", "failed", "canceled")
    }
    assert read == {
        "pending": Pending,
        "requires_action": Pending,
        "succeeded": Confirmed,
        "failed": Failed,
        "canceled": Failed,
    }


def test_every_event_that_is_handled_can_be_subscribed_to() -> None:
    known = set(_literals(WebhookEndpointCreateParams.__annotations__["enabled_events"]))
    assert known >= EVENT_TYPES | {ACCOUNT_UPDATED}


def test_signatures_are_made_as_documented() -> None:
    """HMAC-SHA256 over timestamp, a point and the raw body; unknown schemes are passed over."""
    body, at = b'{"id": "evt_1"}', int(time.time())
    digest = hmac.new(b"whsec_1", f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    header = f"t={at},v1={'0' * 64},v1={digest},v0={'f' * 64}"
    verify_stripe(body, header, [SecretStr("whsec_1")])


async def test_the_stand_in_answers_with_documented_fields_only() -> None:
    stand_in = StripeStandIn(clock=ManualClock(NOW))
    await stand_in.start()
    settings = StripeSettings(api_base=stand_in.base_url, api_key=SecretStr(stand_in.api_key))
    rail = StripeRail(settings, ManualClock(NOW))
    try:
        add_account(stand_in, "acct_1")
        await rail.create_intent(operation(Kind.INTENT, 10_329))
        (intent,) = stand_in.world.objects["payment_intent"].values()
        stand_in.world.pay(intent["id"])
        (charge,) = stand_in.world.objects["charge"].values()
        stand_in.world.open_dispute(charge["id"], "fraudulent")
        drawn = operation(Kind.PAYOUT, 9_950, destination="acct_1", payment_ref=charge["id"])
        drawn = replace(drawn, operation_id=ESCROW)
        assert isinstance(await rail.payout(drawn), Confirmed)
        given = operation(Kind.REFUND, 10_329, payment_ref=intent["id"])
        given = replace(given, operation_id=CONTRACT)
        assert isinstance(await rail.refund(given), Confirmed)
    finally:
        await rail.close()
        await stand_in.stop()
    for name, body in _objects(stand_in):
        declared = _DECLARED[name]
        undocumented = set(body) - _names(declared)
        assert not undocumented, f"{name}: {undocumented}"
    assert {name for name, _ in _objects(stand_in)} == set(_DECLARED)


_DECLARED: dict[str, type] = {
    "payment_intent": stripe.PaymentIntent,
    "charge": stripe.Charge,
    "transfer": stripe.Transfer,
    "transfer_reversal": stripe.TransferReversal,
    "refund": stripe.Refund,
    "account": stripe.Account,
    "dispute": stripe.Dispute,
    "balance_transaction": stripe.BalanceTransaction,
    "event": stripe.Event,
}


def _objects(stand_in: StripeStandIn) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, entries in stand_in.world.objects.items():
        for body in entries.values():
            yield name, json.loads(json.dumps(body))
    for event in stand_in.world.events:
        yield "event", event


def _names(declared: type) -> set[str]:
    return {name for parent in declared.__mro__ for name in getattr(parent, "__annotations__", {})}


def _literals(annotation: Any) -> list[str]:
    """Return the literal values anywhere in a type."""
    if typing.get_origin(annotation) is typing.Literal:
        return list(typing.get_args(annotation))
    return [text for part in typing.get_args(annotation) for text in _literals(part)]
