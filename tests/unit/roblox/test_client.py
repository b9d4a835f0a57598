"""The client's manners: limits, repetitions, pauses, the circuit, shared calls."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from bloxtr8.clock import ManualClock
from bloxtr8.config import RobloxSettings
from bloxtr8.outbound import Answer, Ask, Outbound, Unreachable
from bloxtr8.roblox.client import Call, Host, RobloxClient, RobloxUnknown
from bloxtr8.roblox.limits import Bucket

CALL = Call("games", Host.GAMES, "/v1/games", {"universeIds": "1"})


class Script(Outbound):
    """Answers in order; the last one for ever."""

    def __init__(self, *answers: Answer | Exception) -> None:
        super().__init__()
        self.answers = list(answers)
        self.asked: list[Ask] = []
        self.gate: asyncio.Event | None = None

    async def ask(self, ask: Ask, *, total_s: float = 5.0) -> Answer:
        self.asked.append(ask)
        if self.gate is not None:
            await self.gate.wait()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@dataclass
class Rig:
    """A client with time of its own: sleeping moves it."""

    script: Script
    clock: ManualClock = field(
        default_factory=lambda: ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    )
    seconds: float = 0.0
    slept: list[float] = field(default_factory=list)

    def client(self, processes: int = 1) -> RobloxClient:
        settings = RobloxSettings(processes=processes)
        return RobloxClient(
            settings, self.script, self.clock, monotonic=lambda: self.seconds, sleep=self._sleep
        )

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


def _answer(status: int = 200, **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, b"{}")


@pytest.mark.parametrize("bad", [_answer(502), _answer(503), _answer(504), Unreachable("x")])
async def test_what_may_pass_is_tried_again_twice(bad: Answer | Exception) -> None:
    rig = Rig(Script(bad, bad, _answer()))
    assert (await rig.client().ask(CALL)).status == 200
    assert len(rig.script.asked) == 3
    assert rig.slept[0] <= 0.5
    assert rig.slept[1] <= 2.0


@pytest.mark.parametrize(
    ("bad", "calls"), [(_answer(500), 1), (_answer(302), 1), (_answer(503), 3)]
)
async def test_errors_are_not_answers(bad: Answer, calls: int) -> None:
    rig = Rig(Script(bad))
    with pytest.raises(RobloxUnknown):
        await rig.client().ask(CALL)
    assert len(rig.script.asked) == calls


async def test_what_changes_something_is_asked_once() -> None:
    rig = Rig(Script(_answer(503)))
    with pytest.raises(RobloxUnknown):
        await rig.client().ask(Call("users", Host.USERS, "/v1/users", document={"userIds": [1]}))
    assert len(rig.script.asked) == 1


@pytest.mark.parametrize("name", ["retry_after", "x_ratelimit_reset"])
async def test_a_short_pause_is_waited_for(name: str) -> None:
    rig = Rig(Script(_answer(429, **{name: "2"}), _answer()))
    assert (await rig.client().ask(CALL)).status == 200
    assert sum(rig.slept) == pytest.approx(2.0)


async def test_a_long_pause_holds_everybody_of_that_kind() -> None:
    rig = Rig(Script(_answer(429, retry_after="20"), _answer()))
    client = rig.client()
    with pytest.raises(RobloxUnknown) as refused:
        await client.ask(CALL)
    assert refused.value.retry_after_s == 20
    with pytest.raises(RobloxUnknown, match="rate_limited"):
        await client.ask(Call("games", Host.GAMES, "/v1/games", {"universeIds": "2"}))
    assert (await client.ask(Call("user", Host.USERS, "/v1/users/1"))).status == 200
    rig.seconds += 20
    assert (await client.ask(CALL)).status == 200


async def test_an_ill_host_is_left_alone_then_tried_once() -> None:
    rig = Rig(Script(_answer(500)))
    client = rig.client()
    for _ in range(5):
        with pytest.raises(RobloxUnknown, match="status_500"):
            await client.ask(CALL)
    with pytest.raises(RobloxUnknown, match="circuit_open"):
        await client.ask(CALL)
    assert len(rig.script.asked) == 5
    rig.script.answers = [_answer()]
    rig.clock.advance(timedelta(seconds=30))
    assert (await client.ask(CALL)).status == 200


async def test_identical_calls_share_one_answer() -> None:
    rig = Rig(Script(_answer()))
    rig.script.gate = asyncio.Event()
    client = rig.client()
    waiting = [asyncio.create_task(client.ask(CALL)) for _ in range(20)]
    other = asyncio.create_task(
        client.ask(Call("role", Host.GAMES, "/v1/games", {"universeIds": "1"}, token="mine"))
    )
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting[0].cancel()
    rig.script.gate.set()
    done = await asyncio.gather(*waiting, other, return_exceptions=True)
    assert isinstance(done[0], asyncio.CancelledError)
    assert all(isinstance(answer, Answer) for answer in done[1:])
    assert len(rig.script.asked) == 2, "a person's own token is never shared"


async def test_no_more_than_ten_at_once() -> None:
    rig = Rig(Script(_answer()))
    rig.script.gate = asyncio.Event()
    client = rig.client()
    tasks = [
        asyncio.create_task(client.ask(Call("games", host, f"/{number}")))
        for number in range(8)
        for host in (Host.GAMES, Host.USERS)
    ]
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(rig.script.asked) == 10
    rig.script.gate.set()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize(("processes", "burst"), [(1, 10), (5, 2), (60, 1)])
def test_processes_share_the_limit(processes: int, burst: int) -> None:
    now = 0.0
    read: Callable[[], float] = lambda: now  # noqa: E731
    bucket = Bucket(60 / processes, read)
    passed = 0
    while bucket.wait_s() == 0:
        passed += 1
    assert passed == burst
    assert bucket.wait_s() == pytest.approx(processes, rel=0.01)
