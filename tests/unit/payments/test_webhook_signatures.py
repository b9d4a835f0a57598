"""Calls of Stripe: only what it signed lately gets in, and nothing that is sent breaks anything."""

import contextlib
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from stripe import WebhookSignature

from bloxtr8.errors import WebhookSignatureInvalid
from bloxtr8.payments.facts import facts_of
from bloxtr8.payments.stripe_objects import BadObject
from bloxtr8.payments.webhook_signatures import (
    BODY_BYTES_MAX,
    BadWebhook,
    name_stripe,
    verify_stripe,
    without_secrets,
)

NEW, OLD = SecretStr("whsec_new"), SecretStr("whsec_old")
EVENT = {
    "id": "evt_1",
    "object": "event",
    "type": "charge.dispute.created",
    "data": {"object": {"id": "du_1", "object": "dispute", "payment_intent": "pi_1"}},
}
BODY = json.dumps(EVENT).encode()

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["id", "object", "status", "amount", "metadata", "payment_intent", "currency", "reason",
     "amount_received", "amount_reversed", "last_payment_error", "latest_charge"]
)  # fmt: skip
TYPES = st.sampled_from(
    ["payment_intent.succeeded", "payment_intent.payment_failed", "charge.refunded",
     "refund.updated", "transfer.created", "transfer.reversed", "charge.dispute.closed",
     "account.updated", "unknown"]
)  # fmt: skip


def signed(body: bytes, secret: SecretStr = NEW, *, age_s: int = 0) -> str:
    header: str = WebhookSignature.generate_signature_header(
        body.decode(), secret.get_secret_value(), int(time.time()) - age_s
    )
    return header


@pytest.mark.parametrize("secret", [NEW, OLD])
def test_either_secret_fits_during_rotation(secret: SecretStr) -> None:
    verify_stripe(BODY, signed(BODY, secret), [NEW, OLD])


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=,v1=",
        "t=1,v1=00",
        "v1=00",
        "t=nan,v1=00",
        pytest.param(f"t={'9' * 5000},v1=00", id="huge time"),
        "t=99999999999999999999,v1=00",
        "t=1;v1=\u00fc",
        pytest.param(signed(BODY, SecretStr("whsec_other")), id="another secret"),
        pytest.param(signed(BODY, age_s=301), id="too old"),
        pytest.param(signed(BODY + b" "), id="another body"),
        pytest.param(signed(BODY).replace("v1=", "v0="), id="another scheme"),
        pytest.param("x" * 5000, id="long"),
    ],
)
def test_anything_else_is_refused_alike(header: str) -> None:
    with pytest.raises(WebhookSignatureInvalid) as caught:
        verify_stripe(BODY, header, [NEW])
    assert caught.value.detail == WebhookSignatureInvalid.title


def test_no_secret_lets_nobody_in() -> None:
    for secrets in ([], [SecretStr("")]):
        with pytest.raises(WebhookSignatureInvalid):
            verify_stripe(BODY, signed(BODY, SecretStr("")), secrets)


def test_a_body_beyond_the_limit_or_not_text_is_refused() -> None:
    for body in (b"x" * (BODY_BYTES_MAX + 1), b"\xff\xfe"):
        with pytest.raises(WebhookSignatureInvalid):
            verify_stripe(body, "t=1,v1=00", [NEW])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.text(max_size=80))
def test_no_bytes_break_the_verifier(body: bytes, header: str) -> None:
    with pytest.raises(WebhookSignatureInvalid):
        verify_stripe(body, header, [NEW, OLD])


def test_calls_about_one_payment_share_its_key() -> None:
    name = name_stripe(BODY)
    assert (name.provider_event_id, name.provider_payment_id) == ("evt_1", "pi_1")
    intent = {**EVENT, "data": {"object": {"id": "pi_1", "object": "payment_intent"}}}
    assert name_stripe(json.dumps(intent).encode()).provider_payment_id == "pi_1"
    expanded = {"id": "ch_1", "object": "charge", "payment_intent": {"id": "pi_1"}}
    charge = {**EVENT, "data": {"object": expanded}}
    assert name_stripe(json.dumps(charge).encode()).provider_payment_id == "pi_1"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"id": 1}',
        b'{"id": "evt", "type": ""}',
        b'{"id": "evt", "type": "\xc3\xbc"}',
        b'{"id": "evt", "type": "t", "data": []}',
        b"[" * 200_000,
        b'{"id": "evt", "type": "' + b"t" * 200 + b'"}',
    ],
)
def test_what_is_no_event_has_no_name(body: bytes) -> None:
    with pytest.raises(BadWebhook):
        name_stripe(body)


@settings(max_examples=300, deadline=None)
@given(TYPES, st.dictionaries(FIELDS, JSON_VALUES))
def test_no_object_breaks_the_readers(kind: str, subject: dict[str, object]) -> None:
    body = json.dumps({**EVENT, "type": kind, "data": {"object": subject}}).encode()
    try:
        name = name_stripe(body)
        assert 0 < len(name.provider_payment_id) <= 255
    except BadWebhook:
        pass
    with contextlib.suppress(BadObject):
        facts_of(body)


def test_client_secrets_go_no_further() -> None:
    subject = {"id": "pi_1", "client_secret": "pi_1_secret_x", "list": [{"client_secret": "y"}]}
    body = json.dumps({**EVENT, "data": {"object": subject}}).encode()
    clean = without_secrets(body)
    assert b"secret" not in clean
    assert name_stripe(clean) == name_stripe(body)
    assert without_secrets(BODY) is BODY
