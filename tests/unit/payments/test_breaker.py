"""The circuit breaker: open after five failures in a minute, then one probe."""

from datetime import UTC, datetime, timedelta

from bloxtr8.clock import ManualClock
from bloxtr8.payments.breaker import PAUSE, Breaker, BreakerState


def failed(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        assert breaker.allows()
        breaker.failed()


def made() -> tuple[Breaker, ManualClock]:
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    return Breaker("TEST", clock), clock


def test_four_failures_are_borne_and_a_success_forgets_them() -> None:
    breaker, _ = made()
    failed(breaker, 4)
    breaker.succeeded()
    failed(breaker, 4)
    assert breaker.allows()


def test_failures_that_are_far_apart_do_not_open_it() -> None:
    breaker, clock = made()
    for _ in range(20):
        failed(breaker, 1)
        clock.advance(timedelta(seconds=16))
    assert breaker.state is BreakerState.CLOSED


def test_it_opens_for_half_a_minute_and_then_lets_one_through() -> None:
    breaker, clock = made()
    failed(breaker, 5)
    assert not breaker.allows()
    clock.advance(PAUSE)
    assert breaker.state is BreakerState.HALF_OPEN
    assert breaker.allows()
    assert not breaker.allows(), "one probe at a time"
    breaker.succeeded()
    assert breaker.allows()
    assert breaker.allows(), "closed: as many as want to"


def test_a_failed_probe_opens_it_again() -> None:
    breaker, clock = made()
    failed(breaker, 5)
    clock.advance(PAUSE)
    failed(breaker, 1)
    assert breaker.state is BreakerState.OPEN
    assert not breaker.allows()


def test_a_probe_that_never_comes_back_does_not_close_the_way() -> None:
    breaker, clock = made()
    failed(breaker, 5)
    clock.advance(PAUSE)
    assert breaker.allows()
    clock.advance(PAUSE)
    assert breaker.allows()
