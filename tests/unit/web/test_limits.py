"""Token buckets."""

import pytest

from bloxtr8.errors import RateLimited
from web.limits import BUCKETS_MAX, Limiter, RateClass, network_of


class Seconds:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_full_bucket_is_spent_and_fills_again() -> None:
    seconds = Seconds()
    limiter = Limiter(100, seconds)
    for left in range(19, -1, -1):
        assert limiter.take(RateClass.MONEY, "a").remaining == left
    with pytest.raises(RateLimited) as refused:
        limiter.take(RateClass.MONEY, "a")
    assert refused.value.members["retry_after_s"] == 3
    seconds.now += 3
    assert limiter.take(RateClass.MONEY, "a").remaining == 0
    seconds.now += 3600
    assert limiter.take(RateClass.MONEY, "a").remaining == 19


def test_callers_and_classes_do_not_share() -> None:
    limiter = Limiter(5, Seconds())
    assert limiter.take(RateClass.MONEY, "a").quota == 1
    limiter.take(RateClass.MONEY, "b")
    limiter.take(RateClass.READ, "a")
    with pytest.raises(RateLimited):
        limiter.take(RateClass.MONEY, "a")


def test_an_address_has_five_times_the_figure() -> None:
    limiter = Limiter(100, Seconds())
    assert limiter.take_address(RateClass.MONEY, "198.51.100.7").quota == 100


def test_addresses_count_as_networks() -> None:
    assert network_of("2001:db8:1:2:3::1") == network_of("2001:db8:1:2:ffff::9")
    assert network_of("2001:db8:1:2::1") != network_of("2001:db8:1:3::1")
    assert network_of("::ffff:198.51.100.7") == network_of("198.51.100.7") == "198.51.100.7"
    assert network_of("") == network_of("nonsense") == "unknown"


def test_memory_is_limited() -> None:
    limiter = Limiter(100, Seconds())
    for number in range(BUCKETS_MAX + 100):
        limiter.take(RateClass.READ, str(number))
    assert len(limiter._buckets) == BUCKETS_MAX
