"""`faust -A app` over a broker and a database that hold what went wrong, as an operator runs it."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from bloxtr8.clock import SystemClock
from bloxtr8.config import Settings
from bloxtr8.environment import to_environment
from bloxtr8.messaging import envelope, handling, metadata
from bloxtr8.messaging.handling import Delivery
from bloxtr8.messaging.publisher import Publisher
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.messaging.topics import ESCROW_COMMANDS
from bloxtr8.store import database
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands

ROOT = Path(__file__).resolve().parents[2]
_COMMAND_SECONDS_MAX = 200


class Operator:
    """Someone at a terminal. `command` is in the log; letters can be made of it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.escrow_id = str(uuid4())
        self.keyring = Keyring.load(settings.keys.directory, create=True)
        self.publisher = Publisher(settings.kafka, self.keyring)
        self.command = commands.EscrowCommand(
            metadata=metadata.new(common.PRODUCER_WEB, SystemClock().now()),
            escrow_id=self.escrow_id,
            actor=common.Actor(kind=common.ACTOR_KIND_USER, user_id=str(uuid4())),
            release_funds=commands.ReleaseFunds(),
        )

    @property
    def wire(self) -> envelope.Wire:
        signer = self.keyring.signer(common.PRODUCER_WEB)
        return envelope.encode(ESCROW_COMMANDS, self.command, signer)

    async def runs(self, *arguments: str) -> tuple[int, str, str]:
        """Return exit code, output and complaints of `faust -A app …`."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "faust", "-A", "app", *arguments),
            cwd=ROOT,
            env=to_environment(self.settings) | {"PYTHONPATH": str(ROOT)},
            stdout=PIPE,
            stderr=PIPE,
        )
        async with asyncio.timeout(_COMMAND_SECONDS_MAX):
            output, errors = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode(), errors.decode()

    async def asks(self, *arguments: str) -> Any:
        """Return what a command prints with --json; it must succeed."""
        code, output, errors = await self.runs(*arguments, "--json")
        assert code == 0, errors
        return [json.loads(line) for line in output.splitlines()]

    async def dead_letter(self, offset: int, wire: envelope.Wire) -> None:
        delivery = Delivery(ESCROW_COMMANDS.name, 0, offset, wire.key, wire.value, wire.headers)

        async def fail(_message: Any, _delivery: Delivery) -> None:
            raise handling.Refused(common.DEAD_LETTER_KIND_HANDLER, "[no] such luck")

        policy = handling.Policy(SystemClock(), self.publisher, stop=_must_not_stop)
        await handling.deliver(ESCROW_COMMANDS, self.command, delivery, fail, policy)


def _must_not_stop(reason: str, detail: str) -> None:
    raise AssertionError(f"{reason}: {detail}")


@pytest.fixture
async def operator(settings: Settings) -> AsyncIterator[Operator]:
    operator = Operator(settings)
    await operator.publisher.publish(ESCROW_COMMANDS, operator.command)
    await database.open_database(settings)
    yield operator
    await database.close_database()
    await operator.publisher.stop()


async def test_tail_decodes_filters_and_shows_what_cannot_be_read(operator: Operator) -> None:
    await operator.publisher.publish_raw(ESCROW_COMMANDS.name, b"k", b"garbage", {})

    (mine,) = await operator.asks(
        "tail", ESCROW_COMMANDS.name, "--from", "earliest", "--key", operator.escrow_id
    )
    everything = await operator.asks("tail", ESCROW_COMMANDS.name, "--from", "2020-01-01")

    assert (mine["type"], mine["error"]) == ("ReleaseFunds", None)
    assert mine["message"]["metadata"]["message_id"] == operator.command.metadata.message_id
    assert sorted(entry["error"] is None for entry in everything) == [False, True]
    assert "SignatureInvalid" in next(e["error"] for e in everything if e["error"])


async def test_topics_tell_what_the_broker_knows(operator: Operator) -> None:
    (found,) = await operator.asks("topics")

    known = {topic["topic"]: topic for topic in found}
    commands_topic = known[ESCROW_COMMANDS.name]
    assert commands_topic["partitions"] == operator.settings.kafka.partitions
    assert commands_topic["records"] == commands_topic["end_offset"] == 1
    # The in-process cluster has no configurations to tell of, and nobody has committed.
    assert (commands_topic["retention_s"], commands_topic["lag"]) == (None, None)


async def test_a_letter_is_replayed_once_with_its_signature(operator: Operator) -> None:
    await operator.dead_letter(0, operator.wire)
    ((letter,),) = await operator.asks("dlq", "list")
    assert (letter["status"], letter["error"]) == ("OPEN", "[no] such luck")

    await operator.asks("dlq", "replay", letter["id"])
    again, _, complaint = await operator.runs("dlq", "replay", letter["id"])

    both = await operator.asks("tail", ESCROW_COMMANDS.name, "--from", "earliest")
    assert [entry["error"] for entry in both] == [None, None]
    assert both[0]["message"] == both[1]["message"]
    assert again == 1
    assert "replayed before" in complaint
    assert await operator.asks("dlq", "list") == [[]]
    rows = await database.fetch("SELECT action, escrow_id::text AS escrow_id FROM audit_log")
    assert rows == [{"action": "deadletter.replayed", "escrow_id": operator.escrow_id}]


async def test_what_would_come_back_is_not_replayed_and_discarding_needs_a_reason(
    operator: Operator,
) -> None:
    forged = envelope.Wire(operator.wire.key, operator.wire.value, {})
    await operator.dead_letter(1, forged)
    ((letter,),) = await operator.asks("dlq", "list")

    refused, _, complaint = await operator.runs("dlq", "replay", letter["id"])
    nameless, _, asked = await operator.runs("dlq", "discard", letter["id"])
    await operator.asks("dlq", "discard", letter["id"], "--reason", "a forgery")

    assert refused == 1
    assert "It would come back" in complaint
    assert nameless == 2
    assert "--reason" in asked
    (row,) = await database.fetch("SELECT action, reason FROM audit_log")
    assert row == {"action": "deadletter.discarded", "reason": "a forgery"}
    ((listed,),) = await operator.asks("dlq", "list", "--all")
    assert listed["status"] == "DISCARDED"


_NOBODY = "00000000-0000-4000-8000-000000000000"
_EXIT_CODES = {
    ("tail", "no.such.topic"): 3,
    ("escrow", _NOBODY): 3,
    ("timeline", _NOBODY): 3,
    ("dlq", "show", _NOBODY): 3,
    ("escrow", "not-an-id"): 2,
    ("tail", "x", "--from", "yesterday"): 2,
    ("escrows", "--older", "soon"): 2,
}


async def test_exit_codes(operator: Operator) -> None:
    answers = await asyncio.gather(*(operator.runs(*arguments) for arguments in _EXIT_CODES))

    for wanted, (code, output, complaint) in zip(_EXIT_CODES.values(), answers, strict=True):
        assert (code, output) == (wanted, ""), complaint
        assert complaint
        assert "Traceback" not in complaint


async def test_without_a_broker_the_exit_code_says_so(operator: Operator) -> None:
    operator.settings.kafka.bootstrap = "127.0.0.1:1"

    code, _, complaint = await operator.runs("topics")

    assert code == 4
    assert "Not to be had" in complaint
    assert "Traceback" not in complaint
