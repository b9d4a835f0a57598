import json
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from bloxtr8.errors import WebhookSignatureInvalid
from bloxtr8.payments.usdc.custodian_webhooks import (
    BODY_BYTES_MAX,
    BadCall,
    CustodianCall,
    name_custodian,
    verify_custodian,
)
from bloxtr8.sandbox.custodian.webhooks import sign

NOW = datetime(2026, 7, 1, tzinfo=UTC)
STAMP = int(NOW.timestamp())
SECRETS = [SecretStr("old"), SecretStr("new")]
BODY = json.dumps({"id": "e1", "type": "deposit.confirmed", "data": {"address": "0xa"}}).encode()


@pytest.mark.parametrize("secret", ["old", "new"])
@pytest.mark.parametrize("age", [0, 300, -300])
def test_either_secret_within_the_tolerance(secret: str, age: int) -> None:
    verify_custodian(BODY, str(STAMP), sign(secret, STAMP, BODY), SECRETS, NOW + timedelta(0, age))


@pytest.mark.parametrize(
    ("body", "stamp", "signature"),
    [
        (BODY, str(STAMP), sign("other", STAMP, BODY)),
        (BODY + b" ", str(STAMP), sign("new", STAMP, BODY)),
        (BODY, str(STAMP + 1), sign("new", STAMP, BODY)),
        (BODY, str(STAMP - 301), sign("new", STAMP - 301, BODY)),
        (BODY, str(STAMP + 301), sign("new", STAMP + 301, BODY)),
        (BODY, "", sign("new", STAMP, BODY)),
        (BODY, "1e9", sign("new", STAMP, BODY)),
        (BODY, "9" * 5000, sign("new", STAMP, BODY)),
        (BODY, "１２３", sign("new", STAMP, BODY)),
        (BODY, str(STAMP), ""),
        (BODY, str(STAMP), "ü" * 64),
        (b"x" * (BODY_BYTES_MAX + 1), str(STAMP), sign("new", STAMP, b"x" * (BODY_BYTES_MAX + 1))),
    ],
)
def test_anything_else_is_refused(body: bytes, stamp: str, signature: str) -> None:
    with pytest.raises(WebhookSignatureInvalid):
        verify_custodian(body, stamp, signature, SECRETS, NOW)


def test_without_a_secret_nothing_is_good() -> None:
    with pytest.raises(WebhookSignatureInvalid):
        verify_custodian(BODY, str(STAMP), sign("", STAMP, BODY), [], NOW)


def test_calls_are_named_after_what_they_are_about() -> None:
    assert name_custodian(BODY) == CustodianCall("e1", "deposit.confirmed", "0xa")
    sent = {"id": "e2", "type": "transfer.failed", "data": {"reference": "op"}}
    assert name_custodian(json.dumps(sent).encode()) == CustodianCall("e2", "transfer.failed", "op")
    other = {"id": "e3", "type": "something.new", "data": {}}
    assert name_custodian(json.dumps(other).encode()).about == "e3"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"id": 1, "type": "x"}',
        b'{"id": "a", "type": "deposit.failed"}',
        b'{"id": "a", "type": "deposit.failed", "data": []}',
        '{"id": "ü", "type": "x"}'.encode(),
        b"[" * 200_000,
    ],
)
def test_bodies_that_are_no_calls(body: bytes) -> None:
    with pytest.raises(BadCall):
        name_custodian(body)
