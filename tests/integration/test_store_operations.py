"""Commands on their way: accepted once, sent at least once, ended by what the stream says."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from bloxtr8.clock import ManualClock
from bloxtr8.config import PostgresSettings, Settings
from bloxtr8.errors import AlreadyDecided, IdempotencyKeyReused, NotFound
from bloxtr8.messaging import metadata
from bloxtr8.messaging.publisher import PublishTimeout
from bloxtr8.messaging.topics import TopicSpec
from bloxtr8.store import database, idempotency, operations
from bloxtr8.store.idempotency import Claim
from bloxtr8.store.operations import Outcome, Submission, Sweeper, submit_command
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Broker:
    def __init__(self) -> None:
        self.published: list[str] = []
        self.silent = False

    async def publish(self, spec: TopicSpec, message: Any) -> None:
        if self.silent:
            raise PublishTimeout(spec.name)
        self.published.append(message.metadata.message_id)


@pytest.fixture
async def clock(postgres_dsn: str) -> AsyncIterator[ManualClock]:
    await database.open_database(Settings(postgres=PostgresSettings(dsn=postgres_dsn)))
    yield ManualClock(NOW)
    await database.close_database()


def command(escrow_id: str = "") -> commands.EscrowCommand:
    return commands.EscrowCommand(
        metadata=metadata.new(common.PRODUCER_WEB, NOW),
        escrow_id=escrow_id or str(uuid4()),
        actor=common.Actor(kind=common.ACTOR_KIND_USER, user_id=str(uuid4())),
        release_funds=commands.ReleaseFunds(),
    )


def claim(fingerprint: bytes = b"1", key: str = "k" * 16) -> Claim:
    return Claim("user", "POST /release", key, fingerprint, NOW + timedelta(days=90))


def keyed(asked: commands.EscrowCommand, key: Claim) -> Submission:
    return Submission(asked, None, "WEB", key, lambda row: {"id": str(row["id"])})


async def submit(
    broker: Broker, clock: ManualClock, requester: UUID | None = None, **fields: Any
) -> operations.Row:
    submitted = await submit_command(
        broker, clock, Submission(command(), requester, "WEB", **fields)
    )
    assert submitted.operation is not None
    return submitted.operation


async def status_of(row: operations.Row) -> tuple[str, str | None]:
    now = await operations.get(row["id"])
    assert now is not None
    return now["status"], now["error_code"]


def outcome(row: operations.Row, *, error: str | None = None, version: int = 7) -> Outcome:
    return Outcome(row["id"], "RELEASING", version, error, NOW + timedelta(seconds=1))


async def finish(*outcomes: Outcome) -> None:
    async with database.transaction() as tx:
        await operations.finish(tx, outcomes)


async def take_back(operation_id: UUID, requester: UUID, now: datetime) -> operations.Row:
    async with database.transaction() as tx:
        return await operations.take_back(tx, operation_id, requester, now)


async def test_a_command_is_sent_and_marked(clock: ManualClock) -> None:
    broker = Broker()
    row = await submit(broker, clock)
    assert row["status"] == "SENT"
    assert await status_of(row) == ("SENT", None)
    assert broker.published == [str(row["id"])]


async def test_the_sweeper_sends_what_a_silent_broker_did_not_take(clock: ManualClock) -> None:
    broker = Broker()
    broker.silent = True
    row = await submit(broker, clock)
    assert row["status"] == "ACCEPTED"
    broker.silent = False
    sweeper = Sweeper(broker, clock)
    assert await sweeper.sweep() == 0, "not before five seconds"
    clock.advance(timedelta(seconds=6))
    assert await sweeper.sweep() == 1
    assert broker.published == [str(row["id"])]
    assert await status_of(row) == ("SENT", None)


async def test_two_sweepers_do_not_send_the_same_at_once(clock: ManualClock) -> None:
    broker = Broker()
    broker.silent = True
    for _ in range(20):
        await submit(broker, clock)
    broker.silent = False
    clock.advance(timedelta(seconds=6))
    sent = await asyncio.gather(*(Sweeper(broker, clock).sweep() for _ in range(4)))
    assert sum(sent) == 20
    assert len(set(broker.published)) == len(broker.published) == 20


async def test_after_a_day_it_is_given_up(clock: ManualClock) -> None:
    broker = Broker()
    broker.silent = True
    row = await submit(broker, clock)
    clock.advance(timedelta(hours=24))
    assert await Sweeper(broker, clock).sweep() == 0
    assert await status_of(row) == ("REJECTED", "not_sent")


async def test_no_answer_is_a_task_until_the_answer_comes(clock: ManualClock) -> None:
    broker = Broker()
    row = await submit(broker, clock)
    clock.advance(timedelta(minutes=5, seconds=1))
    await Sweeper(broker, clock).sweep()
    assert await status_of(row) == ("STALLED", None)
    (task,) = await database.fetch("SELECT kind, status FROM staff_tasks")
    assert task == {"kind": "STALLED_OPERATION", "status": "OPEN"}
    await finish(outcome(row))
    assert await status_of(row) == ("SUCCEEDED", None)
    (task,) = await database.fetch("SELECT kind, status FROM staff_tasks")
    assert task["status"] == "CLOSED"


async def test_what_the_stream_says_first_stands(clock: ManualClock) -> None:
    broker = Broker()
    row = await submit(broker, clock)
    await finish(outcome(row, version=7))
    await finish(outcome(row, error="WRONG_STATE", version=8), outcome(row, version=6))
    assert await status_of(row) == ("SUCCEEDED", None)
    finished = await operations.wait(row["id"], 0)
    assert finished is not None
    assert finished["escrow_version"] == 7


async def test_only_the_requester_takes_back_and_only_what_is_not_sent(
    clock: ManualClock,
) -> None:
    broker, requester = Broker(), uuid4()
    broker.silent = True
    row = await submit(broker, clock, requester)
    with pytest.raises(NotFound):
        await take_back(row["id"], uuid4(), NOW)
    taken = await take_back(row["id"], requester, NOW)
    assert (taken["status"], taken["error_code"]) == ("REJECTED", "taken_back")
    with pytest.raises(AlreadyDecided):
        await take_back(row["id"], requester, NOW)
    clock.advance(timedelta(seconds=6))
    broker.silent = False
    assert await Sweeper(broker, clock).sweep() == 0


async def test_a_command_that_was_out_after_all_tells_the_truth(clock: ManualClock) -> None:
    broker, requester = Broker(), uuid4()
    broker.silent = True
    row = await submit(broker, clock, requester)
    await take_back(row["id"], requester, NOW)
    await finish(outcome(row))
    assert await status_of(row) == ("SUCCEEDED", None)


async def test_taking_back_against_the_sweeper(clock: ManualClock) -> None:
    broker, requester = Broker(), uuid4()
    for _ in range(10):
        broker.silent = True
        row = await submit(broker, clock, requester)
        broker.silent = False
        clock.advance(timedelta(seconds=6))
        taken, _ = await asyncio.gather(
            take_back(row["id"], requester, NOW),
            Sweeper(broker, clock).sweep(),
            return_exceptions=True,
        )
        status, _ = await status_of(row)
        assert (status == "SENT") == isinstance(taken, AlreadyDecided)


async def test_the_same_key_gives_the_same_answer_once(clock: ManualClock) -> None:
    broker = Broker()
    first = await submit_command(broker, clock, keyed(command(), claim()))
    again = await submit_command(broker, clock, keyed(command(), claim()))
    assert first.operation is not None
    assert again.operation is None
    assert again.replayed == idempotency.Stored(202, {"id": str(first.operation["id"])})
    assert len(broker.published) == 1
    with pytest.raises(IdempotencyKeyReused):
        await submit_command(broker, clock, keyed(command(), claim(b"2")))


async def test_one_of_many_with_the_same_key_wins(clock: ManualClock) -> None:
    broker = Broker()
    results = await asyncio.gather(
        *(submit_command(broker, clock, keyed(command(), claim())) for _ in range(16))
    )
    (winner,) = [result.operation for result in results if result.operation is not None]
    answers = {str(result.replayed.document["id"]) for result in results if result.replayed}
    assert answers == {str(winner["id"])}
    assert len(broker.published) == 1


async def test_a_refusal_leaves_no_key(clock: ManualClock) -> None:
    broker = Broker()

    async def refuse(_: Any) -> None:
        raise NotFound

    with pytest.raises(NotFound):
        await submit_command(
            broker, clock, Submission(command(), None, "WEB", claim(), also=refuse)
        )
    assert await database.fetch("SELECT FROM idempotency_keys") == []
    assert await database.fetch("SELECT FROM operations") == []
    assert broker.published == []


async def test_a_key_can_be_used_again_after_its_end(clock: ManualClock) -> None:
    broker = Broker()
    await submit_command(broker, clock, keyed(command(), claim()))
    clock.advance(timedelta(days=91))
    assert await idempotency.purge(clock.now()) == 1
    again = await submit_command(broker, clock, keyed(command(), claim(b"2")))
    assert again.operation is not None


async def test_an_operation_that_waits_for_approval_is_not_sent(clock: ManualClock) -> None:
    broker = Broker()
    row = await submit(broker, clock, approval_id=uuid4())
    clock.advance(timedelta(hours=1))
    assert await Sweeper(broker, clock).sweep() == 0
    assert await status_of(row) == ("PENDING_APPROVAL", None)
    approved = commands.EscrowCommand.FromString(row["command"])
    approved.approvals.add(user_id=str(uuid4()), staff_role=common.STAFF_ROLE_ADMIN)
    async with database.transaction() as tx:
        await operations.approve(tx, approved, clock.now())
    await operations.send(broker, clock, approved)
    assert await status_of(row) == ("SENT", None)
    with pytest.raises(AlreadyDecided):
        async with database.transaction() as tx:
            await operations.approve(tx, approved, clock.now())


async def test_a_person_sees_their_own_newest_first(clock: ManualClock) -> None:
    broker, requester = Broker(), uuid4()
    rows = []
    for _ in range(3):
        clock.advance(timedelta(seconds=1))
        rows.append(await submit(broker, clock, requester))
    await submit(broker, clock, uuid4())
    newest = [row["id"] for row in reversed(rows)]
    page = await operations.list_operations(requester, limit=2)
    assert [row["id"] for row in page] == newest[:2]
    last = (page[-1]["created_at"], page[-1]["id"])
    rest = await operations.list_operations(requester, before=last)
    assert [row["id"] for row in rest] == newest[2:]


async def test_waiting_ends_when_the_operation_does(clock: ManualClock) -> None:
    row = await submit(Broker(), clock)
    waiting = asyncio.create_task(operations.wait(row["id"], 100))
    await finish(outcome(row))
    async with asyncio.timeout(60):
        finished = await waiting
    assert finished is not None
    assert finished["status"] == "SUCCEEDED"
