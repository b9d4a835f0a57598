"""Whoever waits for long asks less and less often, and is told as soon as something ends."""

import asyncio

import pytest

from bloxtr8.store import polling

Row = dict[str, object]


class Rows:
    """A row that is finished after so many looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks
        self.asked = 0

    async def look(self) -> Row | None:
        self.asked += 1
        return {"finished_at": "now" if self.asked > self.looks else None}


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was slept; no time passes."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return slept


async def test_what_is_finished_is_told_at_once(pauses: list[float]) -> None:
    assert await polling.finished(Rows(0).look, 20.0) == {"finished_at": "now"}
    assert pauses == []


async def test_nobody_is_kept_who_does_not_want_to_wait(pauses: list[float]) -> None:
    rows = Rows(5)
    assert await polling.finished(rows.look, 0.0) == {"finished_at": None}
    assert (rows.asked, pauses) == (1, [])


async def test_what_is_not_there_is_told_at_once(pauses: list[float]) -> None:
    async def nothing() -> Row | None:
        return None

    assert await polling.finished(nothing, 20.0) is None
    assert pauses == []


async def test_long_waits_ask_once_a_second(pauses: list[float]) -> None:
    await polling.finished(Rows(30).look, 3_600.0)
    assert pauses[:2] == [0.1, pytest.approx(0.15)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 1.0
    assert len(pauses) == 30
