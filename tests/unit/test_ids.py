"""New ids: RFC 9562 in shape, in order of their making, no two alike."""

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from bloxtr8 import ids


def test_a_new_id_is_a_uuid7_of_this_millisecond() -> None:
    before = time.time_ns() // 1_000_000
    found = ids.uuid7()
    # Ids made in a burst run ahead of the clock by what a tick is worth each.
    assert before <= found.int >> 80 <= time.time_ns() // 1_000_000 + 1_000
    assert found.version == 7
    assert found.variant == "specified in RFC 4122"


def test_ids_of_one_moment_keep_the_order_of_their_making() -> None:
    made = [ids.uuid7() for _ in range(10_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_a_clock_that_goes_back_does_not_turn_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    first = ids.uuid7()
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000_000_000)
    assert first < ids.uuid7() < ids.uuid7()


def test_ids_of_several_threads_are_each_in_order_and_all_distinct() -> None:
    def make(_: int) -> list[UUID]:
        return [ids.uuid7() for _ in range(2_000)]

    with ThreadPoolExecutor(8) as pool:
        lists = list(pool.map(make, range(8)))
    assert all(made == sorted(made) for made in lists)
    assert len(set().union(*lists)) == 16_000
