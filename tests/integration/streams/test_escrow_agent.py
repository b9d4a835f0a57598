"""The escrow agent on a real worker: stored before said, said before acknowledged, once."""

from typing import Any

import pytest
from pydantic import SecretStr

from bloxtr8.config import Settings
from bloxtr8.messaging import partitioning
from bloxtr8.messaging.topics import (
    ESCROW_COMMANDS,
    ESCROW_EVENTS,
    PAYMENTS_COMMANDS,
    changelog_name,
)
from bloxtr8.store import database
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.escrow.v1.record_pb2 import EscrowRecord
from tests.integration.streams.trade import Trade, escrow_app
from tests.integration.streams.worker import (
    Gate,
    Worker,
    messages,
    raw_producer,
    records,
    running,
    until,
    until_true,
)


async def names(settings: Settings, trade: Trade) -> list[str]:
    """Return (sequence, body) of every event of `trade`, as often as it was said."""
    return [
        f"{event.sequence} {event.WhichOneof('body')}"
        for event in await messages(settings, ESCROW_EVENTS)
        if event.escrow_id == trade.escrow_id
    ]


async def stored(settings: Settings, trade: Trade) -> list[EscrowRecord]:
    changelog = changelog_name(settings.kafka.app_id, "escrows")
    found = await records(settings, changelog)
    return [EscrowRecord.FromString(r.value) for r in found if r.key == trade.key]


async def sequence_of(worker: Worker, trade: Trade) -> int:
    record = worker.app.escrow_record(trade.escrow_id)
    return 0 if record is None else record.escrow.sequence


async def test_a_changelog_that_is_not_acknowledged_ends_the_process_and_the_input_comes_again(
    settings: Settings,
) -> None:
    trade = Trade()
    async with running(escrow_app(settings)) as worker:
        Gate(worker.app).refused.add(changelog_name(settings.kafka.app_id, "escrows"))
        await worker.app.publisher.publish(ESCROW_COMMANDS, trade.create())
        assert await worker.until_halted() == "changelog_unacknowledged"
        assert await names(settings, trade) == [], "said before it was stored"
        assert await sequence_of(worker, trade) == 0, "in memory before it was stored"
    async with running(escrow_app(settings)) as worker:
        await until(lambda: worker.app.escrow_record(trade.escrow_id))
        await until_true(lambda: _has_said(settings, trade, 2))
    assert await names(settings, trade) == ["1 escrow_created", "2 escrow_await_funds"]


async def test_a_changelog_that_stays_silent_ends_the_process(settings: Settings) -> None:
    settings.kafka.publish_timeout_s = 0.5
    trade = Trade()
    async with running(escrow_app(settings)) as worker:
        Gate(worker.app).silent.add(changelog_name(settings.kafka.app_id, "escrows"))
        await worker.app.publisher.publish(ESCROW_COMMANDS, trade.create())
        assert await worker.until_halted() == "changelog_unacknowledged"
        assert await worker.committed(ESCROW_COMMANDS.name) == {}


@pytest.mark.parametrize("lost", [ESCROW_EVENTS.name, PAYMENTS_COMMANDS.name])
async def test_what_was_stored_and_not_said_is_said_after_recovery(
    settings: Settings, lost: str
) -> None:
    trade = Trade()
    async with running(escrow_app(settings)) as worker:
        Gate(worker.app).refused.add(lost)
        await worker.app.publisher.publish(ESCROW_COMMANDS, trade.create())
        assert await worker.until_halted() == "output_unacknowledged"
        assert len(await stored(settings, trade)) == 1
    async with running(escrow_app(settings)) as worker:
        await until_true(lambda: messages(settings, PAYMENTS_COMMANDS))
        # The input comes again and is a duplicate: the record does not change.
        await until_true(lambda: _all_committed(worker))
        assert len(await stored(settings, trade)) == 1
    said = await names(settings, trade)
    assert set(said) == {"1 escrow_created", "2 escrow_await_funds"}
    orders = await messages(settings, PAYMENTS_COMMANDS)
    assert len({order.SerializeToString(deterministic=True) for order in orders}) == 1


async def test_inputs_that_come_again_after_a_rebalance_are_dropped(settings: Settings) -> None:
    trade = Trade()
    async with running(escrow_app(settings)) as worker:
        publisher = worker.app.publisher
        create = trade.create()
        for message in (create, create, trade.says("stranger", cancel_escrow={"reason": 1})):
            await publisher.publish(ESCROW_COMMANDS, message)
        await publisher.publish(ESCROW_COMMANDS, trade.cancel())
        # Everything is done; nothing of it was committed.
        worker.app.consumer._thread.commit = _no_commit
        await until_true(lambda: _is_at(worker, trade, 4))
        # Stored is not said yet.
        await until_true(lambda: _has_said(settings, trade, 4))
        before = await names(settings, trade)
        worker.freeze()
    async with running(escrow_app(settings)) as worker:
        await until_true(lambda: _all_committed(worker))
        assert await sequence_of(worker, trade) == 4
    after = await names(settings, trade)
    assert before == [
        "1 escrow_created",
        "2 escrow_await_funds",
        "3 escrow_command_rejected",
        "4 escrow_cancelling",
    ]
    # The record's outbox holds the last change only; that alone may be said twice.
    assert after in (before, [*before, "4 escrow_cancelling"])


async def test_an_older_record_behind_a_newer_one_is_not_believed(settings: Settings) -> None:
    trade = Trade()
    changelog = changelog_name(settings.kafka.app_id, "escrows")
    async with running(escrow_app(settings)) as worker:
        await worker.app.publisher.publish(ESCROW_COMMANDS, trade.create())
        await until_true(lambda: _is_at(worker, trade, 2))
    (record,) = await stored(settings, trade)
    # Somebody who slept past his session still wrote what he had decided.
    stale = EscrowRecord()
    stale.CopyFrom(record)
    stale.fencing_token = record.fencing_token - 1
    stale.escrow.sequence = 9
    stale.escrow.state = types.ESCROW_STATE_RELEASED
    partition = partitioning.partition_of(trade.key, settings.kafka.partitions)
    async with raw_producer(settings) as raw:
        await raw.send_and_wait(
            changelog, stale.SerializeToString(), key=trade.key, partition=partition
        )
    async with running(escrow_app(settings)) as worker:
        recovered = worker.app.escrow_record(trade.escrow_id)
        assert recovered is not None
        assert recovered.escrow == record.escrow


async def test_a_payment_fact_of_an_unknown_escrow_is_kept_for_people(settings: Settings) -> None:
    from bloxtr8.messaging.topics import PAYMENTS_EVENTS

    trade = Trade()
    async with running(escrow_app(settings)) as worker:
        await worker.app.publisher.publish(PAYMENTS_EVENTS, trade.paid(1))
        await until_true(lambda: records(settings, PAYMENTS_EVENTS.dlq))
    (letter,) = await records(settings, PAYMENTS_EVENTS.dlq)
    assert common.DeadLetter.FromString(letter.value).error_type == common.DEAD_LETTER_KIND_HANDLER


async def test_a_record_behind_its_mirror_is_not_served(
    settings: Settings, postgres_dsn: str
) -> None:
    settings.postgres.dsn = SecretStr(postgres_dsn)
    trade, other = Trade(), Trade()
    async with running(escrow_app(settings)) as worker:
        for one in (trade, other):
            await worker.app.publisher.publish(ESCROW_COMMANDS, one.create())
        await until_true(lambda: _is_at(worker, trade, 2))
        await until_true(lambda: _is_at(worker, other, 2))
        await _mirror_says(trade, version=5)
        await _mirror_says(other, version=2)
    async with running(escrow_app(settings)) as worker:
        for one in (trade, other):
            await worker.app.publisher.publish(ESCROW_COMMANDS, one.cancel())
        await until_true(lambda: _is_at(worker, other, 3))
        await until_true(lambda: records(settings, ESCROW_COMMANDS.dlq))
        assert await sequence_of(worker, trade) == 2
    (letter,) = await records(settings, ESCROW_COMMANDS.dlq)
    assert letter.key == trade.key
    assert b"behind its mirror" in letter.value


async def _mirror_says(trade: Trade, *, version: int) -> None:
    """Write the row that a mirror would have at `version`."""
    async with database.transaction() as tx:
        await tx.execute(
            """
            INSERT INTO escrows (id, state, version, fencing_token, rail, currency, price_minor,
                buyer_fee_minor, seller_fee_minor, received_minor, held_minor, released_minor,
                refunded_minor, fees_minor, state_bytes, chain_hash)
            VALUES ($1::uuid, 'AWAIT_FUNDS', $2, 1, 'STRIPE', 'USD', 125000,
                0, 0, 0, 0, 0, 0, 0, ''::bytea, ''::bytea)
            """,
            trade.escrow_id,
            version,
        )


async def _no_commit(_offsets: Any) -> bool:
    return False


async def _is_at(worker: Worker, trade: Trade, sequence: int) -> bool:
    return await sequence_of(worker, trade) == sequence


async def _has_said(settings: Settings, trade: Trade, count: int) -> bool:
    return len(await names(settings, trade)) >= count


async def _all_committed(worker: Worker) -> bool:
    """Tell whether the one partition with commands is committed to its end."""
    from faust.types import TP

    consumer = worker.app.consumer
    tps = {TP(ESCROW_COMMANDS.name, p) for p in range(worker.app.settings.kafka.partitions)}
    ends = await consumer.end_offsets(tps)
    committed = await consumer.committed(tps)
    return all((committed[tp] or 0) == end for tp, end in ends.items())
