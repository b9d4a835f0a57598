"""Dead letters as they lie in their topics: found, described, looked into."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bloxtr8.messaging import decoding, envelope, metadata
from bloxtr8.messaging.inspection import Inspector, Record, Start, TopicUnknown
from bloxtr8.messaging.signatures import Keyring, SignatureInvalid
from bloxtr8.messaging.topics import BY_NAME
from proto.bloxtr8.common.v1.common_pb2 import DeadLetter, DeadLetterKind

Place = tuple[str, int, int]

_KIND_PREFIX = "DEAD_LETTER_KIND_"


@dataclass(frozen=True, slots=True)
class Found:
    """Letters by id, and what is wrong with records that are none."""

    letters: dict[str, DeadLetter]
    complaints: list[str]


async def read(broker: Inspector, topics: Iterable[str], keyring: Keyring, last: int) -> Found:
    """Return the newest letters of `topics`, at most `last` of each of their partitions.

    One that was written twice stands once. Raises TimeoutError when the broker stops sending.
    """
    found = Found({}, [])
    for topic in topics:
        try:
            async for record in broker.records(BY_NAME[topic].dlq, Start(last=last)):
                _take(found, record, keyring)
        except TopicUnknown:
            continue
    return found


def _take(found: Found, record: Record, keyring: Keyring) -> None:
    message, wrong = decoding.decode(record, keyring)
    if wrong:
        found.complaints.append(f"{record.topic} {record.partition}:{record.offset}: {wrong}")
    if isinstance(message, DeadLetter):
        found.letters[message.metadata.message_id] = message


def place(letter: DeadLetter) -> Place:
    """Return where the original message stands: topic, partition, offset."""
    return letter.topic, letter.partition, letter.offset


def kind(letter: DeadLetter) -> str:
    return DeadLetterKind.Name(letter.error_type).removeprefix(_KIND_PREFIX)


def key(letter: DeadLetter) -> str:
    return letter.key.decode(errors="replace")


def original(letter: DeadLetter) -> Record:
    """Return the message that could not be handled."""
    return Record(
        topic=letter.topic,
        partition=letter.partition,
        offset=letter.offset,
        at=metadata.moment(letter.failed_at),
        key=letter.key,
        value=letter.value,
        headers={header.name: header.value for header in letter.headers},
    )


def headers(letter: DeadLetter) -> dict[str, str]:
    """Return the message's headers: as text where they are, else in hex."""
    return {header.name: _text(header.value) for header in letter.headers}


def content(letter: DeadLetter, keyring: Keyring) -> tuple[dict[str, Any] | None, str]:
    """Return the message's fields, None when it cannot be read, and what is wrong with it."""
    message, wrong = decoding.decode(original(letter), keyring)
    return (None if message is None else decoding.to_dict(message)), wrong


def obstacle(letter: DeadLetter, keyring: Keyring) -> str | None:
    """Return why the message would come back at once if it were sent again, None if it may not."""
    record = original(letter)
    spec = BY_NAME.get(letter.topic)
    if spec is None:
        return f"There is no topic {letter.topic}"
    try:
        envelope.decode(spec, record.key, record.value, record.headers, keyring)
    except (envelope.Malformed, SignatureInvalid) as error:
        return str(error)
    return None


def _text(value: bytes) -> str:
    text = value.decode(errors="replace")
    return text if text.isprintable() else value.hex()
