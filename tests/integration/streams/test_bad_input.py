"""What does not belong on a topic is dead-lettered with the reason; nothing else is touched."""

from dataclasses import dataclass
from typing import Any

from aiokafka.record.util import calc_crc32c

from bloxtr8 import ids
from bloxtr8.config import Settings
from bloxtr8.messaging import envelope, partitioning
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.messaging.topics import (
    ESCROW_COMMANDS,
    ESCROW_EVENTS,
    MESSAGE_BYTES_MAX,
    PAYMENTS_COMMANDS,
    changelog_name,
)
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from tests.integration.streams.trade import Trade, escrow_app
from tests.integration.streams.worker import messages, raw_producer, records, running, until_true

MALFORMED = common.DEAD_LETTER_KIND_MALFORMED
UNAUTHENTIC = common.DEAD_LETTER_KIND_UNAUTHENTIC


@dataclass
class Bad:
    """A record as somebody wrote it, and what its dead letter must say."""

    name: str
    value: bytes
    kind: int
    reason: str
    headers: dict[str, bytes] | None = None
    key: bytes = b""
    partition: int | None = None


class Forger:
    """Writes what nobody should, with the keys of whoever is named."""

    def __init__(self, ring: Keyring, trade: Trade) -> None:
        self.ring, self.trade = ring, trade

    def signed(self, value: bytes, producer: int = common.PRODUCER_WEB) -> dict[str, bytes]:
        return self.ring.signer(producer).sign(ESCROW_COMMANDS.name, self.trade.key, value)

    def all(self, partitions: int) -> list[Bad]:
        cancel = self.trade.cancel()
        value = cancel.SerializeToString()
        good = envelope.encode(ESCROW_COMMANDS, cancel, self.ring.signer(common.PRODUCER_WEB))
        cut, huge = value[:-3], value + b"\x00" * MESSAGE_BYTES_MAX
        unknown = commands.EscrowCommand(metadata=cancel.metadata, escrow_id=cancel.escrow_id)
        unknown_value = unknown.SerializeToString() + b"\xba\x3e\x00"
        stranger = Keyring.generate().signer(common.PRODUCER_WEB)
        strangers = stranger.sign(ESCROW_COMMANDS.name, self.trade.key, value)
        elsewhere = self.ring.signer(common.PRODUCER_WEB).sign("other", self.trade.key, value)
        here = partitioning.partition_of(self.trade.key, partitions)
        other_key = str(ids.uuid7()).encode()
        web = self.ring.signer(common.PRODUCER_WEB)
        create = self.trade.create()
        create.metadata.producer = common.PRODUCER_WEB
        created = create.SerializeToString()
        return [
            Bad("garbage", b"\xff" * 50, MALFORMED, "not a", self.signed(b"\xff" * 50)),
            Bad("unsigned", value, UNAUTHENTIC, "unsigned"),
            Bad("a stranger's", value, UNAUTHENTIC, "does not fit", strangers),
            Bad("another topic's", value, UNAUTHENTIC, "does not fit", elsewhere),
            Bad("truncated", cut, MALFORMED, "not a", self.signed(cut)),
            Bad("huge", huge, MALFORMED, "more than a message", self.signed(huge)),
            Bad("unknown body", unknown_value, MALFORMED, "kind", self.signed(unknown_value)),
            Bad(
                "another's key",
                value,
                MALFORMED,
                "the key is not",
                web.sign(ESCROW_COMMANDS.name, other_key, value),
                other_key,
                here,
            ),
            Bad(
                "another partition",
                good.value,
                MALFORMED,
                "partition of other keys",
                good.headers,
                self.trade.key,
                (here + 1) % partitions,
            ),
            Bad(
                "a command that the web may not send",
                created,
                UNAUTHENTIC,
                "not a command that this producer",
                self.signed(created),
            ),
            Bad("empty", b"", MALFORMED, "body", self.signed(b"")),
        ]


async def test_everything_bad_is_dead_lettered_and_the_partition_goes_on(
    settings: Settings,
) -> None:
    trade = Trade()
    async with running(escrow_app(settings)) as worker, raw_producer(settings) as raw:
        publisher = worker.app.publisher
        await publisher.publish(ESCROW_COMMANDS, trade.create())
        await until_true(lambda: messages(settings, PAYMENTS_COMMANDS))
        bad = Forger(worker.app.keyring, trade).all(settings.kafka.partitions)
        for one in bad:
            await raw.send_and_wait(
                ESCROW_COMMANDS.name,
                one.value,
                key=one.key or trade.key,
                partition=one.partition,
                headers=list((one.headers or {}).items()),
            )
        await publisher.publish(ESCROW_COMMANDS, trade.says("stranger", release_funds={}))
        await until_true(lambda: _said(settings, 3))
        letters = await _letters(settings, len(bad))
    for one in bad:
        (letter,) = [found for found in letters if _is(found, one)]
        assert letter.error_type == one.kind, one.name
        assert one.reason in letter.error, one.name
        assert letter.topic == ESCROW_COMMANDS.name
    said = [event.WhichOneof("body") for event in await messages(settings, ESCROW_EVENTS)]
    assert said == ["escrow_created", "escrow_await_funds", "escrow_command_rejected"]
    changelog = changelog_name(settings.kafka.app_id, "escrows")
    assert len(await records(settings, changelog)) == 2, "the creation and the refusal"
    assert worker.stops == []


def _is(letter: common.DeadLetter, bad: Bad) -> bool:
    headers = {header.name: header.value for header in letter.headers}
    return (
        letter.value == bad.value[:MESSAGE_BYTES_MAX]
        and letter.key == (bad.key or letter.key)
        and headers == (bad.headers or {})
    )


async def test_a_header_name_that_is_no_text_does_not_stop_the_reader(settings: Settings) -> None:
    trade = Trade()
    create = trade.create()
    async with running(escrow_app(settings)) as worker, raw_producer(settings) as raw:
        signer = worker.app.keyring.signer(create.metadata.producer)
        wire = envelope.encode(ESCROW_COMMANDS, create, signer)
        batch = raw.create_batch()
        headers = [*wire.headers.items(), ("spoil", b"x")]
        batch.append(key=wire.key, value=wire.value, timestamp=None, headers=headers)
        batch._builder = _Spoiled(batch._builder)
        partition = partitioning.partition_of(trade.key, settings.kafka.partitions)
        await (await raw.send_batch(batch, ESCROW_COMMANDS.name, partition=partition))
        await worker.app.publisher.publish(ESCROW_COMMANDS, trade.cancel())
        await until_true(lambda: _said(settings, 3))
    assert await records(settings, ESCROW_COMMANDS.dlq) == []
    assert worker.stops == []


class _Spoiled:
    """A batch builder that gives the header "spoil" a name that is not UTF-8."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._builder, name)

    def build(self) -> bytearray:
        data = bytearray(self._builder.build())
        data[:] = data.replace(b"spoil", b"\xff\xfeoil")
        # Kafka's record batch: the CRC-32C at 17 is of all that follows it.
        data[17:21] = calc_crc32c(data[21:]).to_bytes(4)
        return data


async def _letters(settings: Settings, count: int) -> list[common.DeadLetter]:
    async def all_there() -> bool:
        return len(await records(settings, ESCROW_COMMANDS.dlq)) >= count

    await until_true(all_there)
    found = await records(settings, ESCROW_COMMANDS.dlq)
    assert len(found) == count
    return [common.DeadLetter.FromString(record.value) for record in found]


async def _said(settings: Settings, count: int) -> Any:
    return len(await messages(settings, ESCROW_EVENTS)) >= count
