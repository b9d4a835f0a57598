"""Reads every topic beside the workers: what was said, how often, how soon, and what is missing."""

import asyncio
import hashlib
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from bloxtr8.config import KafkaSettings
from bloxtr8.messaging import framing
from bloxtr8.messaging.connection import client_options
from bloxtr8.messaging.topics import BY_NAME, DLQ_SUFFIX, ESCROW_COMMANDS, ESCROW_EVENTS, TOPICS
from proto.bloxtr8.common.v1 import common_pb2 as common

_QUIET_POLL_SECONDS = 0.1
_HEARD_SECONDS_MAX = 30.0

Listener = Callable[[ConsumerRecord, Any], Awaitable[None]]


@dataclass(slots=True)
class _Said:
    """All copies of one event of an escrow."""

    causation_id: str
    body: str
    at_ms: int
    contents: set[bytes] = field(default_factory=set)


@dataclass(slots=True)
class _Asked:
    """All copies of one command to an escrow."""

    escrow_id: str
    at_ms: int
    producer: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What was observed of some escrows; latencies are command to first event."""

    commands: int
    events: int
    duplicates: int
    lost: int
    doubled: int
    latencies_ms: tuple[int, ...]

    def percentile(self, percent: int) -> int:
        """Return the latency in ms that `percent` % of the commands did not exceed."""
        return percentile(self.latencies_ms, percent)


class Observer:
    """A consumer without a group: it changes nothing and sees everything from the beginning."""

    def __init__(self, settings: KafkaSettings) -> None:
        names = [name for spec in TOPICS for name in (spec.name, spec.dlq)]
        self._consumer = AIOKafkaConsumer(
            *names,
            **client_options(settings),
            group_id=None,
            auto_offset_reset="earliest",
            metadata_max_age_ms=1000,
            fetch_max_wait_ms=int(settings.fetch_wait_s * 1000),
        )
        self._reading: asyncio.Task[None] | None = None
        self._copies: Counter[tuple[str, str]] = Counter()
        self._asked: dict[str, _Asked] = {}
        self._said: dict[str, dict[int, _Said]] = defaultdict(dict)
        self._refused: set[str] = set()
        self._listeners: list[Listener] = []
        self._escrow_of: dict[tuple[str, str], str] = {}
        self._last_at = 0.0
        self.dead_letters: list[str] = []

    async def start(self) -> None:
        await self._consumer.start()
        self._reading = asyncio.create_task(self._read())

    async def stop(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            with suppress(asyncio.CancelledError):
                await self._reading
        await self._consumer.stop()

    def on_record(self, listener: Listener) -> Callable[[], None]:
        """Call `listener(record, message)` for each record from now on; return what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def quiet(self, seconds: float, *, timeout_seconds: float) -> bool:
        """Wait until nothing was said for `seconds`; tell whether that came to be."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_seconds
        while loop.time() < until:
            if loop.time() - self._last_at >= seconds:
                return True
            await asyncio.sleep(_QUIET_POLL_SECONDS)
        return False

    async def heard(self, escrow_id: str, body: str, *, times: int) -> None:
        """Wait until the escrow has had `times` different events of kind `body`.

        Raises TimeoutError after 30 s.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + _HEARD_SECONDS_MAX
        while loop.time() < until:
            if sum(said.body == body for said in self._said[escrow_id].values()) >= times:
                return
            await asyncio.sleep(_QUIET_POLL_SECONDS)
        raise TimeoutError(f"{body} was not said {times} times about escrow {escrow_id}")

    def copies(self, escrow_id: str) -> dict[str, list[int]]:
        """Return, for each topic, how often each of the escrow's messages stands there."""
        found: dict[str, list[int]] = defaultdict(list)
        for (topic, message_id), count in self._copies.items():
            if self._escrow_of.get((topic, message_id)) == escrow_id:
                found[topic].append(count)
        return found

    def figures(self, escrow_ids: set[str]) -> Figures:
        """Return what was observed of the escrows named."""
        commands = {i: c for i, c in self._asked.items() if c.escrow_id in escrow_ids}
        answers: dict[str, list[tuple[str, int, _Said]]] = defaultdict(list)
        for escrow_id in escrow_ids:
            for sequence, said in self._said[escrow_id].items():
                answers[said.causation_id].append((escrow_id, sequence, said))
        return Figures(
            commands=len(commands),
            events=sum(len(self._said[escrow_id]) for escrow_id in escrow_ids),
            duplicates=self._duplicates(escrow_ids),
            lost=self._gaps(escrow_ids) + self._unanswered(commands, answers),
            doubled=self._conflicts(escrow_ids) + _repeated(answers),
            latencies_ms=tuple(
                max(0, min(said.at_ms for _, _, said in answers[command_id]) - command.at_ms)
                for command_id, command in commands.items()
                if command_id in answers
            ),
        )

    def all_duplicates(self) -> int:
        """Return how many records were a repetition of another."""
        return sum(count - 1 for count in self._copies.values())

    def _duplicates(self, escrow_ids: set[str]) -> int:
        return sum(
            count - 1
            for key, count in self._copies.items()
            if self._escrow_of.get(key) in escrow_ids
        )

    def _gaps(self, escrow_ids: set[str]) -> int:
        return sum(
            max(self._said[escrow_id], default=0) - len(self._said[escrow_id])
            for escrow_id in escrow_ids
        )

    def _unanswered(self, commands: dict[str, _Asked], answers: dict[str, Any]) -> int:
        # What a deadline says may be out of date by then, and is ignored without an event.
        return sum(
            command_id not in answers and command_id not in self._refused
            for command_id, command in commands.items()
            if command.producer != common.PRODUCER_DEADLINES
        )

    def _conflicts(self, escrow_ids: set[str]) -> int:
        return sum(
            len(said.contents) > 1
            for escrow_id in escrow_ids
            for said in self._said[escrow_id].values()
        )

    async def _read(self) -> None:
        async for record in self._consumer:
            self._last_at = asyncio.get_running_loop().time()
            if record.topic.endswith(DLQ_SUFFIX):
                letter = common.DeadLetter.FromString(record.value)
                self.dead_letters.append(f"{record.topic}: {letter.error}")
                continue
            spec = BY_NAME[record.topic]
            message = spec.message()
            message.ParseFromString(framing.unframe(record.value))
            self._note(record, message)
            for listener in tuple(self._listeners):
                await listener(record, message)

    def _note(self, record: ConsumerRecord, message: Any) -> None:
        topic, message_id = record.topic, message.metadata.message_id
        self._copies[topic, message_id] += 1
        escrow_id = getattr(message, "escrow_id", "")
        if topic == "contracts.events.v1":
            escrow_id = message.contract_executed.escrow_id
        self._escrow_of[topic, message_id] = escrow_id
        if topic == ESCROW_COMMANDS.name:
            asked = _Asked(escrow_id, record.timestamp, message.metadata.producer)
            self._asked.setdefault(message_id, asked)
        elif topic == ESCROW_EVENTS.name:
            self._note_event(record, message)

    def _note_event(self, record: ConsumerRecord, message: Any) -> None:
        body = message.WhichOneof("body")
        if body == "escrow_command_rejected":
            self._refused.add(message.escrow_command_rejected.command_id)
        if message.sequence == 0:
            return  # the refusal of a command to an escrow that there is not
        said = self._said[message.escrow_id].setdefault(
            message.sequence, _Said(message.metadata.causation_id, body, record.timestamp)
        )
        said.contents.add(hashlib.sha256(record.value).digest())


def percentile(values: Sequence[int], percent: int) -> int:
    """Return the smallest of `values` that `percent` % of them do not exceed; 0 without any."""
    if not values:
        return 0
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]


def _repeated(answers: dict[str, list[tuple[str, int, _Said]]]) -> int:
    """Count causes that had their effect more than once: their events do not stand together."""
    doubled = 0
    for said in answers.values():
        sequences = sorted(sequence for _, sequence, _ in said)
        doubled += sequences[-1] - sequences[0] + 1 != len(sequences)
    return doubled
