"""The mirror under what a stream does: repeats, gaps, zombies, batches, a bad one among many."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from bloxtr8 import telemetry
from bloxtr8.clock import SystemClock
from bloxtr8.config import PostgresSettings, Settings
from bloxtr8.store import database, mirror_check, operations
from bloxtr8.store.mirror import Mirror
from bloxtr8.store.mirror_fold import MirrorConflict, MirrorGap
from bloxtr8.store.verify import verify
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowEvent
from proto.bloxtr8.escrow.v1.record_pb2 import Escrow
from tests.integration.story import Story


@pytest.fixture
async def mirror(postgres_dsn: str) -> AsyncIterator[Mirror]:
    await database.open_database(Settings(postgres=PostgresSettings(dsn=postgres_dsn)))
    yield Mirror(SystemClock())
    await database.close_database()


async def row_of(story: Story) -> dict[str, Any]:
    row = await database.fetchrow("SELECT * FROM escrows WHERE id = $1", story.escrow_id)
    assert row is not None
    return row


async def count(table: str) -> int:
    rows = await database.fetch(f"SELECT count(*) AS n FROM {table}")
    return int(rows[0]["n"])


def counted(outcome: str) -> float:
    value = telemetry.REGISTRY.get_sample_value("bloxtr8_mirror_events_total", {"outcome": outcome})
    return value or 0.0


async def test_the_row_is_the_record(mirror: Mirror) -> None:
    story = Story().create().pay().deliver().dispute()
    for event in story.events:
        await mirror.write(event)
    row = await row_of(story)
    assert Escrow.FromString(row["state_bytes"]) == story.escrow
    assert (row["state"], row["version"]) == ("DISPUTED", story.escrow.sequence)
    assert (row["currency"], row["price_minor"]) == ("USD", 100_000)
    assert row["held_minor"] == story.due_minor
    assert (str(row["buyer_id"]), str(row["seller_id"])) == (story.buyer_id, story.seller_id)
    assert row["dispute_reason"] == "NOT_AS_DESCRIBED"
    assert row["deadline_kind"] == "DISPUTE"
    report = await verify(table_records={story.escrow_id: story.record})  # type: ignore[dict-item]
    assert [d for d in report.differences if "operations" not in d.what] == []
    assert (report.escrows, report.events) == (1, len(story.events))


async def test_every_event_again_changes_nothing(mirror: Mirror) -> None:
    story = Story().create().pay().deliver().release().paid_out()
    await mirror.apply(story.events)
    before, audit = await row_of(story), await count("audit_log")
    for event in reversed(story.events):
        await mirror.write(event)
    await mirror.apply([*story.events, *story.events])
    assert await row_of(story) == before
    assert await count("escrow_events") == len(story.events)
    assert await count("audit_log") == audit == len(story.events)


async def test_an_event_waits_for_its_predecessor(mirror: Mirror) -> None:
    story = Story().create().pay()
    first, *rest = story.events
    with pytest.raises(MirrorGap):
        await mirror.write(rest[0])
    assert await count("escrows") == 0
    await mirror.write(first)
    await mirror.apply(rest)
    assert (await row_of(story))["version"] == len(story.events)


async def test_a_gap_of_one_escrow_does_not_hold_up_another(mirror: Mirror) -> None:
    late, fine = Story().create().pay(), Story().create().pay()
    fates = await mirror.apply([late.events[1], *fine.events])
    assert isinstance(fates[0], MirrorGap)
    assert set(fates[1:]) == {None}
    assert (await row_of(fine))["state"] == "FUNDS_HELD"


async def test_the_higher_token_replaces_what_a_paused_worker_wrote(mirror: Mirror) -> None:
    story = Story(fencing_token=5).create().pay()
    await mirror.apply(story.events)
    zombie, owner = _fork(story), _fork(story)
    zombie.deliver().release()
    await mirror.apply(zombie.events)
    assert (await row_of(story))["state"] == "RELEASING"

    owner.fencing_token = 6
    owner.refund()
    await mirror.apply(owner.events)
    row = await row_of(story)
    assert (row["state"], row["fencing_token"]) == ("REFUNDING", 6)
    assert Escrow.FromString(row["state_bytes"]) == owner.escrow

    owner.repaid()
    await mirror.apply(owner.events)
    assert (await row_of(story))["state"] == "REFUNDED"
    everything = len(story.events) + len(zombie.events) + len(owner.events)
    assert await count("escrow_events") == everything, "no row is ever lost"
    assert (await verify()).counts() == {"operations confirmed refunded_minor": 1}


async def test_the_lower_token_is_dropped_and_counted(mirror: Mirror) -> None:
    story = Story(fencing_token=5).create().pay()
    await mirror.apply(story.events)
    zombie, owner = _fork(story), _fork(story)
    owner.fencing_token = 6
    owner.deliver()
    await mirror.apply(owner.events)
    fenced = counted("fenced")
    zombie.refund().repaid()
    for event in zombie.events:
        await mirror.write(event)
    assert counted("fenced") == fenced + len(zombie.events)
    assert (await row_of(story))["state"] == "DELIVERED"
    assert Escrow.FromString((await row_of(story))["state_bytes"]) == owner.escrow


async def test_money_booked_by_a_replaced_event_is_booked_back(mirror: Mirror) -> None:
    story = Story(fencing_token=5).create()
    await mirror.apply(story.events)
    zombie, owner = _fork(story), _fork(story)
    zombie.pay()
    await mirror.apply(zombie.events)
    owner.fencing_token = 6
    owner.tell(
        owner.buyer,
        cancel_escrow=commands.CancelEscrow(reason=types.CANCEL_REASON_CHANGED_MIND),
    )
    await mirror.apply(owner.events)
    rows = await database.fetch("SELECT DISTINCT balance_minor FROM ledger_accounts")
    assert [row["balance_minor"] for row in rows] == [0]
    assert (await verify()).ok


async def test_two_truths_under_one_token_are_refused(mirror: Mirror) -> None:
    story = Story().create().pay()
    await mirror.apply(story.events)
    forged = EscrowEvent.FromString(story.events[-1].SerializeToString())
    forged.escrow_funds_held.received_minor += 1
    with pytest.raises(MirrorConflict):
        await mirror.write(forged)


async def test_an_event_that_cannot_be_folded_does_not_take_others_with_it(
    mirror: Mirror,
) -> None:
    good, bad = Story().create(), Story().create()
    broken = EscrowEvent.FromString(bad.events[0].SerializeToString())
    broken.escrow_id = "not-a-uuid"
    results = await asyncio.gather(
        mirror.write(broken), *(mirror.write(good.events[0]),), return_exceptions=True
    )
    assert isinstance(results[0], Exception)
    assert results[1] is None
    assert (await row_of(good))["version"] == 1


async def test_what_comes_together_is_written_together(mirror: Mirror) -> None:
    stories = [Story().create() for _ in range(40)]
    for step in range(2):
        await asyncio.gather(*(mirror.write(story.events[step]) for story in stories))
    rows = await database.fetch("SELECT DISTINCT xmin::text FROM escrow_events")
    assert len(rows) < 10, "eighty events in a few transactions"
    assert await count("escrows") == 40


async def test_two_mirrors_at_once_write_each_event_once(mirror: Mirror) -> None:
    story = Story().create().pay().deliver().release().paid_out()
    other = Mirror(SystemClock())

    async def run(writer: Mirror) -> None:
        for event in story.events:
            for _ in range(50):
                try:
                    await writer.write(event)
                    break
                except Exception:
                    await asyncio.sleep(0.01)

    await asyncio.gather(run(mirror), run(other))
    assert await count("escrow_events") == len(story.events)
    assert (await row_of(story))["state"] == "RELEASED"


async def test_a_refusal_of_an_unknown_escrow_only_answers_who_asked(mirror: Mirror) -> None:
    story = Story()
    command_id = str(uuid4())
    (refusal,) = story.tell(story.buyer, command_id, release_funds=commands.ReleaseFunds())
    await _operation(story, command_id)
    await mirror.apply([refusal, refusal])
    await mirror.write(refusal)
    assert (await count("escrows"), await count("escrow_events")) == (0, 0)
    assert await count("audit_log") == 1
    row = await operations.get(UUID(command_id))
    assert row is not None
    assert (row["status"], row["error_code"]) == ("REJECTED", "ESCROW_NOT_FOUND")


async def test_a_command_is_finished_by_its_event(mirror: Mirror) -> None:
    story = Story().create().pay()
    await mirror.apply(story.events)
    done, refused = str(uuid4()), str(uuid4())
    await _operation(story, done)
    await _operation(story, refused)
    story.events.clear()
    story.tell(
        story.seller,
        done,
        mark_delivered=commands.MarkDelivered(method=types.DELIVERY_METHOD_OTHER),
    )
    story.tell(story.seller, refused, release_funds=commands.ReleaseFunds())
    await mirror.apply(story.events)
    row = await operations.get(UUID(done))
    assert row is not None
    assert row["status"] == "SUCCEEDED"
    assert row["escrow_version"] == story.escrow.sequence - 1
    assert '"DELIVERED"' in row["result"]
    row = await operations.get(UUID(refused))
    assert row is not None
    assert (row["status"], row["error_code"]) == ("REJECTED", "NOT_ALLOWED")


async def test_disputes_and_tasks_follow_the_escrow(mirror: Mirror) -> None:
    story = Story().create().pay().deliver().dispute()
    await mirror.apply(story.events)
    (dispute,) = await database.fetch("SELECT * FROM disputes")
    assert (dispute["status"], dispute["wanted"]) == ("OPEN", "REFUND")
    assert str(dispute["opened_by"]) == story.buyer_id
    (task,) = await database.fetch("SELECT * FROM staff_tasks")
    assert (task["kind"], task["status"], task["amount_usd_minor"]) == ("DISPUTE", "OPEN", 100_000)

    story.events.clear()
    story.tell(story.buyer, withdraw_dispute=commands.WithdrawDispute())
    story.dispute().settle(1_000)
    await mirror.apply(story.events)
    rows = await database.fetch("SELECT status FROM disputes ORDER BY opened_at")
    assert [row["status"] for row in rows] == ["WITHDRAWN", "RESOLVED"]
    rows = await database.fetch("SELECT status FROM staff_tasks")
    assert [row["status"] for row in rows] == ["CLOSED", "CLOSED"]


async def test_the_audit_names_actor_and_cause(mirror: Mirror) -> None:
    story = Story().create().pay().deliver()
    await mirror.apply(story.events)
    rows = await database.fetch("SELECT * FROM audit_log ORDER BY id")
    assert [row["action"] for row in rows] == [
        f"escrow.{event.WhichOneof('body')}" for event in story.events
    ]
    assert str(rows[-1]["actor_id"]) == story.seller_id
    assert [json.loads(row["data"])["causation_id"] for row in rows] == [
        event.metadata.causation_id for event in story.events
    ]


async def test_a_lost_provider_fee_is_booked_when_its_escrow_is_there(mirror: Mirror) -> None:
    story = Story().create().pay(fee_minor=300)
    with pytest.raises(MirrorGap):
        await mirror.write(story.facts[0])
    await mirror.apply(story.events)
    await mirror.write(story.facts[0])
    await mirror.write(story.facts[0])
    rows = await database.fetch(
        "SELECT balance_minor FROM ledger_accounts WHERE account = 'provider_fees'"
    )
    assert [row["balance_minor"] for row in rows] == [-300]


async def test_verify_finds_a_changed_event_and_a_changed_balance(mirror: Mirror) -> None:
    story = Story().create().pay()
    await mirror.apply(story.events)
    async with database.transaction() as tx:
        await tx.execute("ALTER TABLE escrow_events DISABLE TRIGGER USER")
        forged = EscrowEvent.FromString(story.events[-1].SerializeToString())
        forged.escrow_funds_held.received_minor -= 100
        await tx.execute(
            "UPDATE escrow_events SET payload = $2 WHERE escrow_id = $1 AND sequence = $3",
            story.escrow_id,
            forged.SerializeToString(),
            forged.sequence,
        )
        await tx.execute(
            "UPDATE ledger_accounts SET balance_minor = balance_minor - 5"
            " WHERE account LIKE 'escrow_held:%'"
        )
    assert set((await verify()).counts()) == {
        "hash chain is whole",
        "refolded events equal mirror",
        "account balance is the sum of its lines",
        "ledger holds what the escrow holds",
    }


async def test_verify_finds_a_payout_that_no_operation_made(mirror: Mirror) -> None:
    story = Story().create().pay().deliver().release().paid_out()
    await mirror.apply(story.events)
    assert (await verify(story.escrow_id)).counts() == {"operations confirmed released_minor": 1}


async def test_an_escrow_that_knows_less_than_its_mirror_is_found(mirror: Mirror) -> None:
    story, other = Story().create().pay(), Story().create()
    await mirror.apply([*story.events, *other.events])
    sequences = {story.escrow_id: story.escrow.sequence - 1, other.escrow_id: 2}
    behind = await mirror_check.escrows_behind(sequences, lambda _: True)
    assert behind == [story.escrow_id]


async def _operation(story: Story, command_id: str) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO operations (id, kind, escrow_id, channel, status, command, traceparent,"
            " not_after) VALUES ($1, 'release_funds', $2, 'WEB', 'SENT', '', '', now())",
            command_id,
            story.escrow_id,
        )


def _fork(story: Story) -> Story:
    """Return a second worker's view of the same escrow."""
    fork = Story(fencing_token=story.fencing_token)
    fork.contract_id, fork.escrow_id = story.contract_id, story.escrow_id
    fork.buyer_id, fork.seller_id = story.buyer_id, story.seller_id
    fork.record = story.record
    fork.clock.advance(story.clock.now() - fork.clock.now())
    return fork
