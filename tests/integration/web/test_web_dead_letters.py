"""Staff look at messages that nothing could handle, send them again, or discard them."""

import asyncio
import secrets
from typing import Any
from uuid import uuid4

import pytest

from bloxtr8.access import StaffRole
from bloxtr8.messaging import envelope, handling, metadata
from bloxtr8.messaging.envelope import Wire
from bloxtr8.messaging.handling import Delivery
from bloxtr8.messaging.topics import ESCROW_COMMANDS
from bloxtr8.store import database, outbox
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from tests.integration.web.world import REASON, World, problem

LETTERS = "/api/v1/staff/dead-letters"
WALLET = "0x52908400098527886E0F7030069857D2E4169EE7"


def _command(world: World, escrow_id: str) -> commands.EscrowCommand:
    payee = types.Payee(payout_method_id=str(uuid4()), destination=WALLET)
    return commands.EscrowCommand(
        metadata=metadata.new(common.PRODUCER_WEB, world.clock.now()),
        escrow_id=escrow_id,
        actor=common.Actor(kind=common.ACTOR_KIND_USER, user_id=str(uuid4())),
        set_payee=commands.SetPayee(payee=payee),
    )


def _wire(world: World, escrow_id: str) -> Wire:
    signer = world.process.keyring.signer(common.PRODUCER_WEB)
    return envelope.encode(ESCROW_COMMANDS, _command(world, escrow_id), signer)


async def _dead(world: World, wire: Wire, why: str = "no such luck") -> str:
    """Let a message become a dead letter; return the letter's id."""
    offset = secrets.randbelow(2**40)
    delivery = Delivery(ESCROW_COMMANDS.name, 0, offset, wire.key, wire.value, wire.headers)

    async def fail(_message: Any, _delivery: Delivery) -> None:
        raise handling.Refused(common.DEAD_LETTER_KIND_HANDLER, why)

    def stop(reason: str, detail: str) -> None:
        raise AssertionError(f"{reason}: {detail}")

    policy = handling.Policy(world.clock, world.process.publisher.inner, stop=stop)
    message = commands.EscrowCommand.FromString(wire.value)
    await handling.deliver(ESCROW_COMMANDS, message, delivery, fail, policy)
    admin = await world.person(StaffRole.ADMIN)
    found = await (await world.get(f"{LETTERS}?limit=100", admin)).json()
    return next(str(item["id"]) for item in found["items"] if item["offset"] == str(offset))


async def _decide(world: World, letter_id: str, name: str, **more: Any) -> Any:
    admin = more.pop("who", None) or await world.person(StaffRole.ADMIN)
    return await world.post(f"{LETTERS}/{letter_id}/{name}", admin, {"reason": REASON}, **more)


async def test_a_letter_is_shown_without_personal_data(world: World) -> None:
    escrow_id, support = str(uuid4()), await world.person(StaffRole.SUPPORT)
    wire = _wire(world, escrow_id)
    letter_id = await _dead(world, wire)
    answer = await world.get(f"{LETTERS}/{letter_id}", support)
    letter = await answer.json()
    assert answer.status == 200, letter
    assert (letter["key"], letter["class"], letter["status"]) == (escrow_id, "HANDLER", "OPEN")
    assert (letter["error"], letter["attempts"]) == ("no such luck", 1)
    assert (letter["topic"], letter["bytes"]) == (ESCROW_COMMANDS.name, len(wire.value))
    assert letter["message"]["escrow_id"] == escrow_id
    assert letter["message"]["set_payee"]["payee"]["destination"] == "(hidden)"
    assert WALLET not in await answer.text()
    assert set(letter["headers"]) == set(wire.headers)
    assert (letter["unreadable"], letter["handled_by"]) == (None, None)


async def test_lists_are_filtered_and_paged(world: World) -> None:
    mine = [await _dead(world, _wire(world, str(uuid4()))) for _ in range(3)]
    await _decide(world, mine[0], "discard")
    support = await world.person(StaffRole.SUPPORT)

    async def listed(query: str) -> list[str]:
        found: list[str] = []
        path = f"{LETTERS}?limit=2&{query}"
        while True:
            page = await (await world.get(path, support)).json()
            found += [item["id"] for item in page["items"]]
            if page["next_cursor"] is None:
                return [letter_id for letter_id in found if letter_id in mine]
            path = f"{LETTERS}?limit=2&{query}&cursor={page['next_cursor']}"

    assert sorted(await listed("class=HANDLER")) == sorted(mine)
    assert sorted(await listed("status=OPEN")) == sorted(mine[1:])
    assert await listed("status=DISCARDED") == mine[:1]
    assert sorted(await listed(f"topic={ESCROW_COMMANDS.name}")) == sorted(mine)
    assert await listed("topic=payments.events.v1") == []
    assert await listed("class=POISON") == []
    for query in ("topic=none", "class=x", "status=x", "kind=HANDLER", "limit=0"):
        assert (await world.get(f"{LETTERS}?{query}", support)).status == 422


async def test_a_replay_repeats_the_bytes_once(world: World) -> None:
    escrow_id = str(uuid4())
    wire = _wire(world, escrow_id)
    letter_id = await _dead(world, wire)
    admin, key = await world.person(StaffRole.ADMIN), secrets.token_hex(16)
    first = await _decide(world, letter_id, "replay", who=admin, key=key)
    document = await first.json()
    assert first.status == 202, document
    assert (document["status"], document["handled_by"]) == ("REPLAYED", admin.id)
    again = await _decide(world, letter_id, "replay", who=admin, key=key)
    assert (again.status, await again.json()) == (202, document)
    assert again.headers["Idempotency-Replayed"] == "true"
    for name in ("replay", "discard"):
        refused = await problem(await _decide(world, letter_id, name), 409, "already_decided")
        assert refused["current_status"] == "REPLAYED"

    sent: list[tuple[str, bytes, bytes, dict[str, bytes]]] = []

    class Keeper:
        async def publish_raw(
            self, topic: str, key: bytes, value: bytes, headers: dict[str, bytes]
        ) -> None:
            sent.append((topic, key, value, headers))

    assert await outbox.Relay(Keeper(), world.clock).drain() == 1  # type: ignore[arg-type]
    assert sent == [(ESCROW_COMMANDS.name, wire.key, wire.value, wire.headers)]
    (row,) = await database.fetch(
        "SELECT actor_id, subject_id, reason, escrow_id FROM audit_log"
        " WHERE action LIKE 'deadletter.%'"
    )
    assert (str(row["actor_id"]), row["subject_id"]) == (admin.id, letter_id)
    assert (row["reason"], str(row["escrow_id"])) == (REASON, escrow_id)


async def test_what_would_come_back_is_not_sent_again_but_can_be_discarded(world: World) -> None:
    wire = _wire(world, str(uuid4()))
    letter_id = await _dead(world, Wire(wire.key, wire.value, {}))
    support = await world.person(StaffRole.SUPPORT)
    letter = await (await world.get(f"{LETTERS}/{letter_id}", support)).json()
    assert letter["message"] is None
    assert letter["unreadable"]
    document = await problem(await _decide(world, letter_id, "replay"), 409, "invalid_state")
    assert document["detail"].startswith("It would come back")
    assert await database.fetch("SELECT 1 FROM outbox WHERE event_type = 'again'") == []
    discarded = await (await _decide(world, letter_id, "discard")).json()
    assert discarded["status"] == "DISCARDED"


@pytest.mark.usefixtures("patient_database")
async def test_of_many_who_decide_one_does(world: World) -> None:
    letter_id = await _dead(world, _wire(world, str(uuid4())))
    admins = [await world.person(StaffRole.ADMIN) for _ in range(4)]
    answers = await asyncio.gather(
        *(
            _decide(world, letter_id, "replay" if number % 2 else "discard", who=admin)
            for number, admin in enumerate(admins)
        )
    )
    assert sorted(answer.status for answer in answers) == [202, 409, 409, 409]
    won = next(answer for answer in answers if answer.status == 202)
    rows = await database.fetch("SELECT 1 FROM outbox WHERE event_type = 'again'")
    assert len(rows) == ((await won.json())["status"] == "REPLAYED")
    audited = await database.fetch("SELECT 1 FROM audit_log WHERE action LIKE 'deadletter.%'")
    assert len(audited) == 1


async def test_who_is_part_of_the_trade_does_not_decide(world: World) -> None:
    trade = await world.held()
    letter_id = await _dead(world, _wire(world, trade.escrow_id))
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO staff_members (user_id, role, granted_at) VALUES ($1, 'ADMIN', $2)",
            trade.buyer_id,
            world.clock.now(),
        )
    involved = await world.sign_in(trade.buyer_id, StaffRole.ADMIN, mfa=True)
    for name in ("replay", "discard"):
        refused = await _decide(world, letter_id, name, who=involved)
        await problem(refused, 403, "conflict_of_interest")


async def test_who_may_and_what_is_not_there(world: World) -> None:
    letter_id = await _dead(world, _wire(world, str(uuid4())))
    moderator, admin = await world.person(StaffRole.MODERATOR), await world.person(StaffRole.ADMIN)
    await problem(await _decide(world, letter_id, "replay", who=moderator), 403, "forbidden")
    await problem(await world.get(LETTERS, await world.person()), 403, "forbidden")
    for unknown in (str(uuid4()), "x"):
        await problem(await world.get(f"{LETTERS}/{unknown}", admin), 404, "not_found")
        await problem(await _decide(world, unknown, "discard", who=admin), 404, "not_found")
    short = await world.post(f"{LETTERS}/{letter_id}/discard", admin, {"reason": "because"})
    await problem(short, 422, "validation_failed")


@pytest.mark.parametrize("path", [LETTERS, f"{LETTERS}/01890000-0000-7000-8000-000000000000"])
async def test_a_broker_that_does_not_answer_is_told_as_such(world: World, path: str) -> None:
    world.deps.dead_letters._settings = world.process.settings.kafka.model_copy(
        update={"bootstrap": "127.0.0.1:1"}
    )
    answer = await world.get(path, await world.person(StaffRole.SUPPORT))
    await problem(answer, 503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
