"""Provider calls: signature, bytes, limits, broker; all without a database."""

import hashlib
import hmac
import json
import time

import aiokafka
import pytest
from pydantic import SecretStr

from bloxtr8 import ids
from bloxtr8.messaging import envelope
from bloxtr8.messaging.signatures import SignatureInvalid
from bloxtr8.messaging.topics import WEBHOOK_EVENTS
from bloxtr8.store import database
from proto.bloxtr8.common.v1 import common_pb2 as common
from tests.integration.web.conftest import WEBHOOK_SECRET
from tests.integration.web.world import World, problem

PATH = "/webhooks/stripe"


def event(event_id: str = "evt_1") -> bytes:
    intent = {"id": "pi_7", "object": "payment_intent", "metadata": {}}
    return json.dumps(
        {
            "id": event_id,
            "object": "event",
            "type": "payment_intent.succeeded",
            "data": {"object": intent},
        }
    ).encode()


def signed(body: bytes, *, age_s: int = 0, secret: str = WEBHOOK_SECRET) -> dict[str, str]:
    at = int(time.time()) - age_s
    mac = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={at},v1={mac}", "Content-Type": "application/json"}


async def test_a_call_is_on_the_broker_before_it_is_answered(world: World) -> None:
    body = event("evt_broker")
    await database.close_database()  # not needed here
    try:
        answer = await world.client.post(PATH, data=body, headers=signed(body))
    finally:
        await database.open_database(world.process.settings)
    assert (answer.status, await answer.json()) == (200, {"received": True})

    consumer = aiokafka.AIOKafkaConsumer(
        WEBHOOK_EVENTS.name,
        bootstrap_servers=world.process.settings.kafka.bootstrap,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        async for found in consumer:
            headers = dict(found.headers)
            if headers["key_id"] not in (b"web-1",):
                continue
            try:
                message = envelope.decode(
                    WEBHOOK_EVENTS, found.key, found.value, headers, world.process.keyring
                )
            except SignatureInvalid:
                continue  # another test's keys
            if message.call.provider_event_id == "evt_broker":
                break
    finally:
        await consumer.stop()
    assert message.call.raw == body
    assert message.provider_payment_id == "pi_7"
    assert message.metadata.producer == common.PRODUCER_WEB
    assert message.metadata.message_id == str(ids.derived("webhook", "stripe", "evt_broker"))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Stripe-Signature": ""},
        {"Stripe-Signature": "t=1,v1=00"},
        {"Stripe-Signature": "v1=" + "0" * 64},
        signed(event(), secret="whsec_other"),
        signed(event(), age_s=301),
        signed(event(), age_s=-3_600),
        signed(event("evt_another")),
    ],
)
async def test_calls_that_are_not_stripes(world: World, headers: dict[str, str]) -> None:
    answer = await world.client.post(PATH, data=event(), headers=headers)
    await problem(answer, 400, "webhook_signature_invalid")
    assert world.process.publisher.sent == []


async def test_both_secrets_are_good_during_rotation(world: World) -> None:

    world.process.settings.stripe.webhook_secrets.append(SecretStr("whsec_new"))
    for secret in (WEBHOOK_SECRET, "whsec_new"):
        body = event()
        answer = await world.client.post(PATH, data=body, headers=signed(body, secret=secret))
        assert answer.status == 200


async def test_what_is_too_large_or_no_event(world: World) -> None:
    large = b"x" * (256 * 1024 + 1)
    answer = await world.client.post(PATH, data=large, headers=signed(large))
    await problem(answer, 413, "body_too_large")
    for body in (b"", b"{", b"[]", b"{}", b'{"id": 1}', b"[" * 50_000):
        answer = await world.client.post(PATH, data=body, headers=signed(body))
        await problem(answer, 400, "malformed_json")
    assert world.process.publisher.sent == []


@pytest.mark.parametrize("event_id", ["evt_\x00", "evt_\ud800", "evt_\n"])
async def test_names_that_no_database_takes(world: World, event_id: str) -> None:
    body = event(event_id)
    answer = await world.client.post(PATH, data=body, headers=signed(body))
    await problem(answer, 400, "malformed_json")
    assert world.process.publisher.sent == []


async def test_a_body_that_is_not_what_its_encoding_says(world: World) -> None:
    body = b"\x1f\x8b no gzip at all"
    headers = signed(body) | {"Content-Encoding": "gzip"}
    answer = await world.client.post(PATH, data=body, headers=headers)
    await problem(answer, 400, "malformed_json")
    assert world.process.publisher.sent == []


async def test_a_repeated_call_is_taken_again_under_the_same_id(world: World) -> None:
    body = event("evt_twice")
    for _ in range(2):
        assert (await world.client.post(PATH, data=body, headers=signed(body))).status == 200
    taken = [message.metadata.message_id for _, message in world.process.publisher.sent]
    assert len(taken) == 2
    assert len(set(taken)) == 1


async def test_without_the_broker_stripe_must_call_again(world: World) -> None:
    world.process.publisher.silent = True
    body = event()
    answer = await world.client.post(PATH, data=body, headers=signed(body))
    document = await problem(answer, 503, "unavailable")
    assert int(answer.headers["Retry-After"]) == document["retry_after_s"]


async def test_unknown_providers_and_methods(world: World) -> None:
    await problem(await world.client.post("/webhooks/nobody", data=b"{}"), 404, "not_found")
    await problem(await world.get(PATH), 405, "method_not_allowed")
