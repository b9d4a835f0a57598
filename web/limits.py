"""Rate limits: token buckets per caller in the memory of this process."""

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from bloxtr8.errors import RateLimited
from bloxtr8.telemetry import RATE_LIMITED

# Buckets that have not been used for longest are forgotten; a full one is forgotten anyway.
BUCKETS_MAX = 50_000
# One address may use this many times the figure, for the people behind it together.
_ADDRESS_FACTOR = 5


class RateClass(Enum):
    """Name, requests and seconds of a class of routes."""

    READ = ("read", 300, 60)
    READ_UNSIGNED = ("read-unsigned", 60, 60)
    WRITE = ("write", 60, 60)
    MONEY = ("money", 20, 60)
    STAFF = ("staff", 240, 60)
    AUTH = ("auth", 20, 60)
    TOKEN = ("token", 5, 600)
    VERIFY = ("verify", 20, 3600)
    LOOK_UP = ("look-up", 60, 3600)
    LISTING = ("listing", 60, 3600)
    OFFER = ("offer", 30, 3600)
    UPLOAD = ("upload", 30, 3600)
    HASH = ("hash", 30, 60)
    HOOK_IN = ("hook-in", 3000, 60)
    HOOK_BAD = ("hook-bad", 60, 60)
    SYSTEM = ("system", 600, 60)

    def __init__(self, label: str, requests: int, seconds: int) -> None:
        self.label = label
        self.requests = requests
        self.seconds = seconds


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float  # seconds of the monotonic clock


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a caller's limit; the values of the RateLimit headers."""

    rate: RateClass
    quota: int
    remaining: int
    reset_seconds: int

    def headers(self) -> dict[str, str]:
        name = self.rate.label
        return {
            "RateLimit-Policy": f'"{name}";q={self.quota};w={self.rate.seconds}',
            "RateLimit": f'"{name}";r={self.remaining};t={self.reset_seconds}',
        }


class Limiter:
    """Token buckets by (class, caller).

    `percent`: how much of the figures this process grants; `monotonic`: seconds that never
    run backwards and do not travel with the business clock.
    """

    def __init__(self, percent: int, monotonic: Callable[[], float]) -> None:
        assert percent > 0, "a limit of nothing refuses everybody"
        self._percent = percent
        self._monotonic = monotonic
        self._buckets: OrderedDict[tuple[RateClass, str], _Bucket] = OrderedDict()

    def take(self, rate: RateClass, caller: str, *, factor: int = 1) -> Allowance:
        """Use one request of `caller`; raises RateLimited when there is none left."""
        quota = max(1, rate.requests * self._percent * factor // 100)
        per_second = quota / rate.seconds
        bucket = self._bucket(rate, caller, quota)
        now = self._monotonic()
        bucket.tokens = min(float(quota), bucket.tokens + (now - bucket.at) * per_second)
        bucket.at = now
        if bucket.tokens < 1:
            RATE_LIMITED.labels(rate.label).inc()
            wait = math.ceil((1 - bucket.tokens) / per_second)
            raise RateLimited(retry_after_s=wait, allowance=Allowance(rate, quota, 0, wait))
        bucket.tokens -= 1
        reset = math.ceil((quota - bucket.tokens) / per_second)
        return Allowance(rate, quota, int(bucket.tokens), reset)

    def take_from(self, rate: RateClass, address: str) -> Allowance:
        """Use one request of an address that nobody signed in from."""
        return self.take(rate, f"unsigned:{network_of(address)}")

    def take_address(self, rate: RateClass, address: str) -> Allowance:
        """Use one request of the ceiling that all callers behind an address share."""
        return self.take(rate, f"address:{network_of(address)}", factor=_ADDRESS_FACTOR)

    def _bucket(self, rate: RateClass, caller: str, quota: int) -> _Bucket:
        key = (rate, caller)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(float(quota), self._monotonic())
            if len(self._buckets) > BUCKETS_MAX:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        assert len(self._buckets) <= BUCKETS_MAX, "memory for limits is limited"
        return bucket


def network_of(address: str) -> str:
    """Return what counts as one caller: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network(f"{parsed}/64", strict=False))
    return str(parsed)
