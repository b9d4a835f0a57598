"""What happens to one message between being read and being acknowledged.

A handler that returns has done its work and the message may be acknowledged. Everything else
ends in a dead letter that the broker has, or in the end of the process with the message not
acknowledged. Nothing leaves the loop, because Faust acknowledges what an exception leaves.
"""

import asyncio
import random
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import structlog

from bloxtr8 import ids, telemetry
from bloxtr8.clock import Clock
from bloxtr8.messaging import metadata
from bloxtr8.messaging.publisher import PublishTimeout
from bloxtr8.messaging.schema import Poison
from bloxtr8.messaging.topics import MESSAGE_BYTES_MAX, TopicSpec
from proto.bloxtr8.common.v1 import common_pb2 as common

ATTEMPTS_MAX = 5
_BACKOFF_FIRST_S = 0.1
_BACKOFF_MAX_S = 30.0
_ERROR_CHARS_MAX = 1_000
_TRACE_CHARS_MAX = 8_000
# A dead letter keeps whole whatever could have been a message. More than that only a batch that
# was compressed can hold, and the letter would not fit on the queue.
_KEY_KEPT_BYTES_MAX = 4 * 1024
_HEADERS_KEPT_BYTES_MAX = 64 * 1024

_log = structlog.get_logger(__name__)


class Transient(Exception):
    """Something of ours is away (database, provider): try again for as long as it takes."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where a message stood. `fencing_token` is the consumer group's generation."""

    topic: str
    partition: int
    offset: int
    key: bytes = b""
    value: bytes = b""
    headers: Mapping[str, bytes] = field(default_factory=dict)
    fencing_token: int = 0
    producer: int = 0


Handler = Callable[[Any, Delivery], Awaitable[None]]


class RawPublisher(Protocol):
    async def publish_raw(
        self, topic: str, key: bytes, value: bytes, headers: Mapping[str, bytes]
    ) -> None: ...


class Refused(Exception):
    """A handler's word that this message is to be dead-lettered at once, and as what."""

    def __init__(self, kind: "common.DeadLetterKind.ValueType", reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Policy:
    """What a message's way through a handler depends on."""

    clock: Clock
    publisher: RawPublisher
    stop: Callable[[str, str], Any]  # ends the process: (reason, detail)
    is_transient: Callable[[BaseException], bool] = lambda _error: False
    rebalancing: Callable[[], bool] = lambda: False
    on_wait: Callable[[], None] = lambda: None  # told before each pause
    limit_s: float | None = None


def backoff_s(attempt: int) -> float:
    """Return seconds to wait after failed attempt number `attempt` (from 1), with jitter."""
    ceiling: float = min(_BACKOFF_MAX_S, _BACKOFF_FIRST_S * 2 ** (min(attempt, 20) - 1))
    return ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


async def deliver(
    spec: TopicSpec, message: Any, delivery: Delivery, handler: Handler, policy: Policy
) -> None:
    """Bring `message` to its end, handled or dead-lettered; then it may be acknowledged."""
    if isinstance(message, Poison):
        await dead_letter(spec, delivery, _Failure(message.kind, message.reason, 1), policy)
        return
    failures = waits = 0
    while True:
        limit = asyncio.timeout(policy.limit_s)
        try:
            async with limit:
                await handler(message, delivery)
            return
        except Refused as error:
            failure = _Failure(error.kind, str(error), 1)
            await dead_letter(spec, delivery, failure, policy)
            return
        except Exception as error:
            # Every wait inside a handler has a limit of its own; reaching this one is a defect.
            if not limit.expired() and _may_pass(error, policy):
                waits += 1
                await _wait_out(spec, error, waits, policy)
                continue
            failures += 1
            _log.warning(
                "handler_failed", topic=spec.name, attempt=failures, error=repr(error)[:500]
            )
            if failures >= ATTEMPTS_MAX:
                await dead_letter(spec, delivery, _Failure.of(error, failures), policy)
                return
            await asyncio.sleep(backoff_s(failures))


def _may_pass(error: BaseException, policy: Policy) -> bool:
    return isinstance(error, Transient | PublishTimeout) or policy.is_transient(error)


async def _wait_out(spec: TopicSpec, error: BaseException, waits: int, policy: Policy) -> None:
    _log.warning("handler_waits", topic=spec.name, attempt=waits, error=repr(error)[:500])
    policy.on_wait()
    pause_ends = asyncio.get_running_loop().time() + backoff_s(waits)
    while (left := pause_ends - asyncio.get_running_loop().time()) > 0:
        if policy.rebalancing():
            # The group must not wait for us; the message comes again to whoever owns it then.
            policy.stop("rebalance_during_wait", spec.name)
        await asyncio.sleep(min(left, 1.0))


@dataclass(frozen=True, slots=True)
class _Failure:
    kind: "common.DeadLetterKind.ValueType"
    error: str
    attempts: int
    trace: str = ""

    @classmethod
    def of(cls, error: BaseException, attempts: int) -> "_Failure":
        # Frames only: the text of an exception may hold what a message holds.
        frames = "".join(traceback.format_tb(error.__traceback__))
        return cls(
            common.DEAD_LETTER_KIND_HANDLER,
            f"{type(error).__name__}: {error}",
            attempts,
            frames[-_TRACE_CHARS_MAX:],
        )


async def dead_letter(
    spec: TopicSpec, delivery: Delivery, failure: _Failure, policy: Policy
) -> None:
    """Put the message on the topic's DLQ; the process ends when the broker does not take it."""
    letter = _letter(delivery, failure, policy.clock.now())
    key = letter.key or b"-"
    try:
        await policy.publisher.publish_raw(
            spec.dlq, key, letter.SerializeToString(), {"type": b"dead_letter"}
        )
    except Exception as error:
        policy.stop("dlq_unreachable", repr(error))
        raise
    kind = common.DeadLetterKind.Name(failure.kind).removeprefix("DEAD_LETTER_KIND_")
    telemetry.DLQ.labels(topic=spec.name, kind=kind).inc()
    _log.error(
        "dead_lettered",
        topic=delivery.topic,
        partition=delivery.partition,
        offset=delivery.offset,
        kind=kind,
        reason=failure.error[:200],
    )


def _letter(delivery: Delivery, failure: _Failure, now: datetime) -> common.DeadLetter:
    letter_id = ids.derived("dead-letter", delivery.topic, delivery.partition, delivery.offset)
    return common.DeadLetter(
        metadata=metadata.new(common.PRODUCER_UNSPECIFIED, now, message_id=str(letter_id)),
        topic=delivery.topic,
        partition=delivery.partition,
        offset=delivery.offset,
        key=delivery.key[:_KEY_KEPT_BYTES_MAX],
        value=delivery.value[:MESSAGE_BYTES_MAX],
        headers=_headers_kept(delivery),
        error_type=failure.kind,
        error=_error_text(delivery, failure),
        attempts=failure.attempts,
        failed_at=metadata.timestamp(now),
        trace=_writable(failure.trace),
    )


def _headers_kept(delivery: Delivery) -> list[common.Header]:
    kept: list[common.Header] = []
    left = _HEADERS_KEPT_BYTES_MAX
    for name, value in delivery.headers.items():
        header = common.Header(name=name, value=value)
        left -= header.ByteSize()
        if left < 0:
            break
        kept.append(header)
    return kept


def _error_text(delivery: Delivery, failure: _Failure) -> str:
    cut = ""
    if len(delivery.key) > _KEY_KEPT_BYTES_MAX or len(delivery.value) > MESSAGE_BYTES_MAX:
        cut = f" (cut: key {len(delivery.key)} bytes, value {len(delivery.value)} bytes)"
    return _writable(failure.error)[: _ERROR_CHARS_MAX - len(cut)] + cut


def _writable(text: str) -> str:
    """Return `text` with what UTF-8 cannot say (half a surrogate pair) replaced."""
    return text.encode("utf-8", "replace").decode()
