"""One run: ask, make up for what was missed, look again, and keep what still differs."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bloxtr8.clock import Clock
from bloxtr8.messaging.signatures import Signer
from bloxtr8.payments.reconciliation import findings as kept
from bloxtr8.payments.reconciliation import statement
from bloxtr8.payments.reconciliation.compare import Gap, compare, instruments
from bloxtr8.payments.reconciliation.missed import ON_ITS_WAY, Asked, Missed
from bloxtr8.payments.reconciliation.model import Finding, Kind, ProviderSilent, Report
from bloxtr8.payments.reconciliation.provider import ProviderBooks
from bloxtr8.payments.service import PaymentService
from bloxtr8.payments.store import PaymentStore
from bloxtr8.store import database
from bloxtr8.store.verify import verify

OPERATIONS_OF = timedelta(days=7)
# Providers keep their events so long.
CALLS_KEPT = timedelta(days=30)
_PAGE = 500
_AT_ONCE = 8
# A provider that does not answer so often in a row is not there.
_SILENT_MAX = 20
_FIRST = "00000000-0000-0000-0000-000000000000"

# Every escrow with money in it, every operation of the last days, every difference that is open.
_ESCROWS = """
SELECT escrow_id::text AS id FROM (
  SELECT escrow_id FROM escrow_funds
  WHERE received_minor > paid_out_minor + refunded_minor + fees_minor
     OR stray_received_minor > stray_refunded_minor
  UNION
  SELECT escrow_id FROM payment_operations WHERE requested_at >= $2 OR finished_at >= $2
  UNION
  SELECT id FROM escrows WHERE held_minor > 0
  UNION
  SELECT escrow_id FROM discrepancies WHERE resolved_at IS NULL AND escrow_id IS NOT NULL
) AS of_interest
WHERE escrow_id > $3::uuid
  AND EXISTS (SELECT FROM payment_operations o
              WHERE o.escrow_id = of_interest.escrow_id AND o.provider = $1)
ORDER BY escrow_id LIMIT $4
"""
_UNDER_WAY = """
SELECT EXISTS (
  SELECT FROM payment_operations WHERE escrow_id = $1
    AND (status IN ('REQUESTED', 'SENT', 'UNKNOWN') OR finished_at > $2)
  UNION ALL
  SELECT FROM escrows WHERE id = $1 AND updated_at > $2
) AS under_way
"""
_PROVIDER_OF = "SELECT DISTINCT provider FROM payment_operations WHERE escrow_id = $1"


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run works with. `livemode` and `rails` are the executor's.

    What is under way looks like a difference until it has arrived, so each is looked at again
    after `look_again_after_s` of real time.
    """

    store: PaymentStore
    service: PaymentService
    rails: Mapping[str, Asked]
    providers: Sequence[ProviderBooks]
    clock: Clock
    signer: Signer
    livemode: bool = False
    look_again_after_s: float = 0.0


class Reconciler:
    """Safe to run twice, and beside everything else."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._clock = parts.clock
        self._missed = Missed(parts.store, parts.service, parts.rails, parts.clock, parts.livemode)

    async def hourly(self, since: datetime, report: Report) -> datetime:
        """Make up for what was missed since then, and book what moved between our own wallets.

        Returns up to when it has been looked at.
        Raises ProviderSilent and DatabaseUnavailable, with what was done until then in `report`.
        """
        now = self._clock.now()
        until = now - ON_ITS_WAY
        each = _Each(self._parts.providers)
        for provider in each.left:
            with each.apart(provider):
                first = max(since, now - CALLS_KEPT)
                await self._missed.take_calls(provider, first, until, report)
        await self._missed.ask_operations(report)
        for provider in each.left:
            with each.apart(provider):
                if provider.hourly:
                    await self._read(provider, since, now, report)
        each.end()
        return until

    async def daily(self, since: datetime | None, report: Report) -> datetime:
        """Compare every escrow with money and every statement; tell what differs.

        `since`: up to when the statements have been read, None for never.
        """
        until = self._clock.now()
        await self._missed.ask_operations(report)
        asked: dict[str, set[str]] = {}
        each = _Each(self._parts.providers)
        for provider in each.left:
            with each.apart(provider):
                asked[provider.name] = await self._escrows(provider, report)
                await self._read(provider, since, until, report)
        # After all of them: a line of one place may book what another's balance is made of.
        for provider in each.left:
            with each.apart(provider):
                await self._balances(provider, since, report)
        whole = {provider.name for provider in each.left}

        def looked_at(row: dict[str, Any]) -> bool:
            escrows = asked.get(row["provider"]) if row["provider"] in whole else None
            if escrows is None:
                return False
            return row["escrow_id"] is None or row["escrow_id"] in escrows

        await self._keep(report, looked_at)
        each.end()
        return until

    async def escrow(self, escrow_id: str, report: Report) -> None:
        """Compare one escrow with its provider, now. Balances are compared daily only."""
        await self._missed.ask_operations(report, escrow_id)
        rows = await database.fetch(_PROVIDER_OF, escrow_id)
        names = {row["provider"] for row in rows}
        asked: dict[str, set[str]] = {}
        for provider in self._parts.providers:
            if provider.name in names:
                asked[provider.name] = await self._look_twice(provider, [escrow_id], report)

        def looked_at(row: dict[str, Any]) -> bool:
            of_kind = row["kind"] != Kind.BALANCE.value
            return of_kind and row["escrow_id"] in asked.get(row["provider"], ())

        await self._keep(report, looked_at)

    # --- a provider --------------------------------------------------------------------------

    async def _escrows(self, provider: ProviderBooks, report: Report) -> set[str]:
        """Return the escrows that could be asked about."""
        asked: set[str] = set()
        after, first = _FIRST, self._clock.now() - OPERATIONS_OF
        while True:
            rows = await database.fetch(_ESCROWS, provider.name, first, after, _PAGE)
            asked |= await self._look_twice(provider, [row["id"] for row in rows], report)
            if len(rows) < _PAGE:
                return asked
            after = rows[-1]["id"]

    async def _read(
        self, provider: ProviderBooks, since: datetime | None, until: datetime, report: Report
    ) -> None:
        await statement.read_statement(provider, since, until, report)
        await statement.book_lines(provider, self._clock, report)

    async def _balances(
        self, provider: ProviderBooks, since: datetime | None, report: Report
    ) -> None:
        found = await statement.compare_balances(provider, self._clock.now())
        if found:
            await self._pause()
            await statement.read_statement(provider, since, self._clock.now(), report)
            again = await statement.compare_balances(provider, self._clock.now())
            for finding in _both(found, again):
                report.find(finding)

    # --- escrows -----------------------------------------------------------------------------

    async def _look_twice(
        self, provider: ProviderBooks, escrow_ids: Sequence[str], report: Report
    ) -> set[str]:
        """Find what differs, mend what can be, and report what differs a while later too.

        Returns the escrows that could be asked about each time.
        """
        first = await self._look(provider, escrow_ids, report)
        report.escrows += len(first)
        doubtful = [escrow_id for escrow_id, found in first.items() if found]
        if doubtful:
            await self._pause()
            second = await self._look(provider, doubtful, report)
            for escrow_id, found in second.items():
                for finding in _both(first[escrow_id], found):
                    report.find(finding)
            return set(first) - (set(doubtful) - set(second))
        return set(first)

    async def _look(
        self, provider: ProviderBooks, escrow_ids: Sequence[str], report: Report
    ) -> dict[str, list[Finding]]:
        """Return what differs by escrow; those that the provider was silent about are left out."""
        found: dict[str, list[Finding]] = {}
        silent = 0
        for start in range(0, len(escrow_ids), _AT_ONCE):
            batch = escrow_ids[start : start + _AT_ONCE]
            results = await asyncio.gather(
                *(self._look_at(provider, escrow_id, report) for escrow_id in batch),
                return_exceptions=True,
            )
            for escrow_id, result in zip(batch, results, strict=True):
                if isinstance(result, ProviderSilent):
                    silent += 1
                    report.fail(f"escrow {escrow_id}: {result}")
                    if silent > _SILENT_MAX:
                        raise result
                elif isinstance(result, BaseException):
                    raise result
                else:
                    found[escrow_id], silent = result, 0
        return found

    async def _look_at(
        self, provider: ProviderBooks, escrow_id: str, report: Report
    ) -> list[Finding]:
        looked = await provider.catch_up(escrow_id)
        if looked:
            await self._missed.ask_operations(Report(), escrow_id)
        for seen in looked:
            report.repair("seen", seen, escrow_id)
        gaps = await self._gaps(provider, escrow_id)
        missed = [gap.call for gap in gaps if gap.call is not None]
        if missed:
            for call in missed:
                await self._missed.tell(call, escrow_id)
            await self._missed.ask_operations(Report(), escrow_id)
            left = await self._gaps(provider, escrow_id)
            mended = {gap.finding.key for gap in gaps} - {gap.finding.key for gap in left}
            for gap in gaps:
                if gap.finding.key in mended:
                    report.repair(gap.finding.what, gap.finding.subject, escrow_id)
            gaps = left
        return [gap.finding for gap in gaps] + await self._states(provider, escrow_id)

    async def _gaps(self, provider: ProviderBooks, escrow_id: str) -> list[Gap]:
        async with self._parts.store.open(escrow_id) as book:
            refs = instruments(book)
        said = await provider.movements(escrow_id, refs)
        # As it is after the provider was asked: what was learned meanwhile is no difference.
        async with self._parts.store.open(escrow_id) as book:
            return compare(book, said, provider.name)

    async def _states(self, provider: ProviderBooks, escrow_id: str) -> list[Finding]:
        settled = self._clock.now() - ON_ITS_WAY
        row = await database.fetchrow(_UNDER_WAY, escrow_id, settled)
        if row is None or row["under_way"]:
            return []
        differences = (await verify(escrow_id)).differences
        return [
            Finding(
                Kind.STATE,
                provider.name,
                difference.subject,
                difference.what[:120],
                difference.expected,
                difference.actual,
                escrow_id,
            )
            for difference in differences
        ]

    async def _pause(self) -> None:
        await asyncio.sleep(self._parts.look_again_after_s)

    async def _keep(self, report: Report, looked_at: Callable[[dict[str, Any]], bool]) -> None:
        await kept.keep(report.findings, looked_at, self._clock.now(), self._parts.signer)


class _Each:
    """Providers side by side: one that is silent does not keep the others from being asked."""

    def __init__(self, providers: Sequence[ProviderBooks]) -> None:
        self._left = list(providers)
        self._silent: list[ProviderSilent] = []

    @property
    def left(self) -> Sequence[ProviderBooks]:
        """Return those that have answered everything so far."""
        return tuple(self._left)

    @contextmanager
    def apart(self, provider: ProviderBooks) -> Iterator[None]:
        """Leave `provider` out from now on if it is silent in this block."""
        try:
            yield
        except ProviderSilent as error:
            self._left.remove(provider)
            self._silent.append(error)

    def end(self) -> None:
        """Raises ProviderSilent if one of them was."""
        if self._silent:
            raise self._silent[0]


def _both(first: Sequence[Finding], second: Sequence[Finding]) -> list[Finding]:
    """Return what stands in both, as it was seen last."""
    keys = {finding.key for finding in first}
    return [finding for finding in second if finding.key in keys]
