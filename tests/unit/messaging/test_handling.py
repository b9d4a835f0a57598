"""One message from read to acknowledged: every way through `deliver`."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bloxtr8.clock import ManualClock
from bloxtr8.messaging import handling
from bloxtr8.messaging.handling import Delivery, Policy, Refused, Transient, deliver
from bloxtr8.messaging.publisher import PublishTimeout
from bloxtr8.messaging.schema import Poison
from bloxtr8.messaging.topics import ESCROW_COMMANDS, MESSAGE_BYTES_MAX
from proto.bloxtr8.common.v1 import common_pb2 as common
from tests.unit.messaging.samples import NOW

HERE = Delivery(
    topic="escrow.commands.v1",
    partition=3,
    offset=41,
    key=b"key",
    value=b"value",
    headers={"type": b"release_funds", "empty": None},  # type: ignore[dict-item]
)


class Stopped(BaseException):
    """In place of the end of the process."""


@dataclass
class World:
    """Fakes of what a handler's way depends on."""

    letters: list[common.DeadLetter] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)
    waits: int = 0
    rebalancing: bool = False
    broker_away: bool = False

    async def publish_raw(
        self, topic: str, key: bytes, value: bytes, headers: Mapping[str, bytes]
    ) -> None:
        if self.broker_away:
            raise PublishTimeout(topic)
        assert topic == "escrow.commands.v1.dlq"
        assert key
        self.letters.append(common.DeadLetter.FromString(value))

    def stop(self, reason: str, _detail: str) -> Any:
        self.stops.append(reason)
        raise Stopped(reason)

    def _waited(self) -> None:
        self.waits += 1

    def policy(self, **changes: Any) -> Policy:
        policy = Policy(
            clock=ManualClock(NOW),
            publisher=self,
            stop=self.stop,
            rebalancing=lambda: self.rebalancing,
            on_wait=self._waited,
        )
        return replace(policy, **changes)


class Handler:
    """Raises what it is told, in order; then returns."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self, _message: Any, _delivery: Delivery) -> None:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    # The pauses are tested on their own; here only their number matters.
    monkeypatch.setattr(handling, "backoff_s", lambda _attempt: 0.001)
    return World()


async def test_a_handler_that_returns_is_called_once(world: World) -> None:
    handler = Handler()
    await deliver(ESCROW_COMMANDS, "message", HERE, handler, world.policy())
    assert (handler.calls, world.letters, world.stops) == (1, [], [])


async def test_poison_is_dead_lettered_and_never_handled(world: World) -> None:
    handler = Handler()
    poison = Poison(common.DEAD_LETTER_KIND_MALFORMED, "not a EscrowCommand")
    await deliver(ESCROW_COMMANDS, poison, HERE, handler, world.policy())
    (letter,) = world.letters
    assert handler.calls == 0
    assert letter.error_type == common.DEAD_LETTER_KIND_MALFORMED
    assert letter.error == "not a EscrowCommand"
    assert (letter.topic, letter.partition, letter.offset) == ("escrow.commands.v1", 3, 41)
    assert (letter.key, letter.value) == (b"key", b"value")
    assert [(h.name, h.value) for h in letter.headers] == [
        ("type", b"release_funds"),
        ("empty", b""),
    ]


async def test_the_same_message_gives_the_same_letter_id(world: World) -> None:
    poison = Poison(common.DEAD_LETTER_KIND_POISON, "x")
    for _ in range(2):
        await deliver(ESCROW_COMMANDS, poison, HERE, Handler(), world.policy())
    first, second = world.letters
    assert first.metadata.message_id == second.metadata.message_id


async def test_a_failing_handler_is_tried_five_times_then_dead_lettered(world: World) -> None:
    handler = Handler(*[RuntimeError("no") for _ in range(9)])
    await deliver(ESCROW_COMMANDS, "message", HERE, handler, world.policy())
    (letter,) = world.letters
    assert handler.calls == handling.ATTEMPTS_MAX == letter.attempts
    assert letter.error_type == common.DEAD_LETTER_KIND_HANDLER
    assert letter.error == "RuntimeError: no"
    assert "test_handling.py" in letter.trace


async def test_four_failures_and_a_success_leave_no_letter(world: World) -> None:
    handler = Handler(*[RuntimeError("no") for _ in range(4)])
    await deliver(ESCROW_COMMANDS, "message", HERE, handler, world.policy())
    assert (handler.calls, world.letters) == (5, [])


async def test_a_refusal_is_dead_lettered_at_once(world: World) -> None:
    handler = Handler(Refused(common.DEAD_LETTER_KIND_UNAUTHENTIC, "may not"))
    await deliver(ESCROW_COMMANDS, "message", HERE, handler, world.policy())
    (letter,) = world.letters
    assert (handler.calls, letter.attempts) == (1, 1)
    assert letter.error_type == common.DEAD_LETTER_KIND_UNAUTHENTIC


@pytest.mark.parametrize("error", [Transient("database"), PublishTimeout("topic")])
async def test_what_may_pass_is_tried_without_limit(world: World, error: Exception) -> None:
    handler = Handler(*[error] * 50)
    await deliver(ESCROW_COMMANDS, "message", HERE, handler, world.policy())
    assert (handler.calls, world.waits, world.letters) == (51, 50, [])


async def test_the_application_says_which_errors_may_pass(world: World) -> None:
    handler = Handler(*[ConnectionError()] * 20)
    policy = world.policy(is_transient=lambda error: isinstance(error, OSError))
    await deliver(ESCROW_COMMANDS, "message", HERE, handler, policy)
    assert (handler.calls, world.letters) == (21, [])


async def test_waits_do_not_count_as_failures(world: World) -> None:
    errors = [RuntimeError(), Transient()] * 4
    handler = Handler(*errors)
    await deliver(ESCROW_COMMANDS, "message", HERE, handler, world.policy())
    assert (handler.calls, world.letters) == (9, [])


async def test_a_rebalance_during_a_wait_ends_the_process(world: World) -> None:
    world.rebalancing = True
    with pytest.raises(Stopped):
        await deliver(ESCROW_COMMANDS, "message", HERE, Handler(Transient()), world.policy())
    assert world.stops == ["rebalance_during_wait"]
    assert world.letters == []


async def test_a_rebalance_during_work_is_no_reason_to_stop(world: World) -> None:
    world.rebalancing = True
    await deliver(ESCROW_COMMANDS, "message", HERE, Handler(), world.policy())
    assert world.stops == []


@pytest.mark.parametrize(
    "message", [Poison(common.DEAD_LETTER_KIND_MALFORMED, "x"), "fails five times", "refused"]
)
async def test_without_a_dead_letter_queue_the_process_ends(world: World, message: Any) -> None:
    world.broker_away = True
    if message == "refused":
        handler = Handler(Refused(common.DEAD_LETTER_KIND_HANDLER, "x"))
    else:
        handler = Handler(*[RuntimeError()] * 5)
    with pytest.raises(Stopped):
        await deliver(ESCROW_COMMANDS, message, HERE, handler, world.policy())
    assert world.stops == ["dlq_unreachable"]


async def test_a_handler_that_hangs_is_ended_and_counts_as_failed(world: World) -> None:
    calls = 0

    async def hangs(_message: Any, _delivery: Delivery) -> None:
        nonlocal calls
        calls += 1
        await asyncio.Event().wait()

    # The database's time-outs may pass; the handler's own limit is not one of them.
    policy = world.policy(limit_s=0.01, is_transient=lambda error: isinstance(error, TimeoutError))
    await deliver(ESCROW_COMMANDS, "message", HERE, hangs, policy)
    assert calls == handling.ATTEMPTS_MAX
    assert world.letters[0].error_type == common.DEAD_LETTER_KIND_HANDLER


async def test_being_cancelled_is_passed_on(world: World) -> None:
    started = asyncio.Event()

    async def waits(_message: Any, _delivery: Delivery) -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(deliver(ESCROW_COMMANDS, "message", HERE, waits, world.policy()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.letters == []


async def test_an_error_that_is_no_text_can_still_be_told(world: World) -> None:
    handler = Handler(*[RuntimeError("half a pair: \ud800")] * 5)
    await deliver(ESCROW_COMMANDS, "message", HERE, handler, world.policy())
    assert world.letters[0].error.startswith("RuntimeError: half a pair")


async def test_a_letter_is_never_larger_than_its_topic_takes(world: World) -> None:
    # Compressed, such a message fits into its own topic.
    huge = replace(HERE, key=b"k" * 2_000_000, value=b"\x00" * 20_000_000)
    huge = replace(huge, headers={f"h{n}": b"x" * 100_000 for n in range(100)})
    poison = Poison(common.DEAD_LETTER_KIND_MALFORMED, "too large")
    await deliver(ESCROW_COMMANDS, poison, huge, Handler(), world.policy())
    (letter,) = world.letters
    assert letter.ByteSize() <= 2 * MESSAGE_BYTES_MAX - 64 * 1024
    assert "20000000 bytes" in letter.error
    assert letter.value == huge.value[: len(letter.value)]


async def test_long_errors_are_cut(world: World) -> None:
    handler = Handler(*[RuntimeError("x" * 100_000)] * 5)
    await deliver(ESCROW_COMMANDS, "message", HERE, handler, world.policy())
    assert len(world.letters[0].error) <= 1_000
    assert len(world.letters[0].trace) <= 8_000


def test_pauses_double_up_to_half_a_minute_with_jitter() -> None:
    for attempt, ceiling in [(1, 0.1), (2, 0.2), (5, 1.6), (9, 25.6), (10, 30), (10_000, 30)]:
        pauses = [handling.backoff_s(attempt) for _ in range(100)]
        assert ceiling / 2 <= min(pauses) < max(pauses) <= ceiling
