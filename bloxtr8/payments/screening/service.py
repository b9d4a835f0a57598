"""Asking about wallets: all providers at once, the strictest answer, and for how long it counts."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from bloxtr8 import telemetry
from bloxtr8.clock import Clock
from bloxtr8.crypto import DataKeys
from bloxtr8.payments.screening.risk import Opinion, Risk, Screening, combine

# Silence is asked about again after this; what came in may wait, nobody else does.
ASK_AGAIN = timedelta(minutes=10)
KEPT_YEARS = 7
_RAW_BYTES_MAX = 256 * 1024

_log = telemetry.get_logger(__name__)


class Screener(Protocol):
    """One provider; raises nothing for what it does or leaves undone."""

    provider: str

    async def screen(self, address: str) -> Opinion: ...


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """A provider's raw answer, encrypted for `context_of(address, provider, asked_at)`."""

    address: str
    provider: str
    risk: Risk
    score: int | None
    reason: str
    asked_at: datetime
    encrypted: bytes


class ScreeningStore(Protocol):
    async def latest(self, address: str) -> Screening | None: ...

    async def keep(self, screening: Screening, answers: Sequence[KeptAnswer]) -> None:
        """Keep a screening and, for seven years, the answers that it stands on."""
        ...


class MemoryScreenings:
    def __init__(self, limit: int = 10_000) -> None:
        self.kept: OrderedDict[str, Screening] = OrderedDict()
        self.answers: list[KeptAnswer] = []
        self._limit = limit

    async def latest(self, address: str) -> Screening | None:
        return self.kept.get(address)

    async def keep(self, screening: Screening, answers: Sequence[KeptAnswer]) -> None:
        self.kept[screening.address] = screening
        self.answers = [*self.answers, *answers][-self._limit :]
        while len(self.kept) > self._limit:
            self.kept.popitem(last=False)


class WalletScreening:
    """`kept_for`: how long a complete screening counts; an incomplete one counts 10 min."""

    def __init__(
        self,
        screeners: Sequence[Screener],
        store: ScreeningStore,
        keys: DataKeys,
        clock: Clock,
        *,
        kept_for: timedelta,
        limit_s: float,
    ) -> None:
        assert screeners, "somebody is asked"
        self._screeners = screeners
        self._store = store
        self._keys = keys
        self._clock = clock
        self._kept_for = kept_for
        self._limit_s = limit_s

    async def screen(self, address: str, *, fresh: bool = False) -> Screening:
        """Return what is known of `address` (lower case).

        `fresh`: nothing that was asked before counts; needed before money leaves.
        """
        assert address == address.lower(), "addresses are compared in lower case"
        if not fresh:
            kept = await self._store.latest(address)
            if kept is not None and self._counts(kept):
                return kept
        return await self._ask(address)

    def _counts(self, kept: Screening) -> bool:
        age = self._clock.now() - kept.asked_at
        return age < (self._kept_for if kept.complete else min(ASK_AGAIN, self._kept_for))

    async def _ask(self, address: str) -> Screening:
        now = self._clock.now()
        opinions = await asyncio.gather(*(self._opinion(one, address) for one in self._screeners))
        screening = combine(address, opinions, now)
        for opinion in opinions:
            if opinion.risk is Risk.UNKNOWN:
                _log.warning(
                    "screening_unanswered", provider=opinion.provider, reason=opinion.reason
                )
        await self._store.keep(
            screening, [self._encrypted(address, opinion, now) for opinion in opinions]
        )
        return screening

    async def _opinion(self, screener: Screener, address: str) -> Opinion:
        try:
            async with asyncio.timeout(self._limit_s):
                return await screener.screen(address)
        except TimeoutError:
            return Opinion(screener.provider, Risk.UNKNOWN, None, b"", "TIME_OUT")
        except Exception as error:
            # A mistake in an adapter is silence, and silence never lets money pass.
            _log.exception("screener_failed", provider=screener.provider)
            reason = f"ADAPTER: {type(error).__name__}"
            return Opinion(screener.provider, Risk.UNKNOWN, None, b"", reason)

    def _encrypted(self, address: str, opinion: Opinion, now: datetime) -> KeptAnswer:
        context = context_of(address, opinion.provider, now)
        return KeptAnswer(
            address,
            opinion.provider,
            opinion.risk,
            opinion.score,
            opinion.reason,
            now,
            self._keys.encrypt(opinion.raw[:_RAW_BYTES_MAX], context),
        )


def context_of(address: str, provider: str, asked_at: datetime) -> str:
    """Return what binds an encrypted answer to its place."""
    return f"screening/{provider}/{address}/{asked_at.isoformat()}"
