"""Carrying operations out: claimed and stored as sent, then asked of the provider, then settled.

A crash at any point is safe. Before the claim nothing has happened; after it the lease ends and
whoever takes the operation up next asks the provider first what became of it.
"""

import asyncio
from datetime import timedelta
from functools import partial

from bloxtr8 import telemetry
from bloxtr8.clock import Clock
from bloxtr8.payments import operations
from bloxtr8.payments.operations import Kind, Operation, Status
from bloxtr8.payments.rails import Absent, Failed, Outcome, Rail, Unknown
from bloxtr8.payments.settling import INSTRUMENT_GONE, NEVER_ARRIVED, settle
from bloxtr8.payments.store import PaymentStore

# Provider calls at once.
IN_FLIGHT_MAX = 64
# What may be claimed besides: about to call, or being written down.
AHEAD_MAX = 32
POLL_S = 1.0
# Below the lease, so that nobody else has it while it is still being asked about.
_LIMIT_S = (operations.LEASE - timedelta(seconds=5)).total_seconds()

_log = telemetry.get_logger(__name__)


class Executor:
    """Runs on every worker that has the payments agent; they share the work by claims.

    `owner` names this process; a restart under the same name takes its own claims back at once.
    """

    def __init__(
        self,
        store: PaymentStore,
        rails: dict[str, Rail],
        clock: Clock,
        *,
        owner: str,
        livemode: bool = False,
    ) -> None:
        self._store = store
        self._rails = rails
        self._clock = clock
        self._owner = owner
        self._livemode = livemode
        self._wake = asyncio.Event()
        self._calls = asyncio.Semaphore(IN_FLIGHT_MAX)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def wake(self) -> None:
        """Look for work now; something has become due."""
        self._wake.set()

    async def run(self) -> None:
        """Carry out what is due until cancelled."""
        try:
            while True:
                self._wake.clear()
                if not await self._claimed_some():
                    await self._rest()
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _claimed_some(self) -> bool:
        try:
            return await self.claim_some() > 0
        except Exception as error:
            # The calls that are out go on; the store is asked again after the pause.
            _log.warning("claim_failed", error=repr(error)[:500])
            return False

    async def run_until_idle(self) -> None:
        """Carry out everything that is due now, and return; for tests and simulations."""
        while await self.claim_some() or self._tasks:
            if self._tasks:
                await asyncio.wait(self._tasks.values())

    async def claim_some(self) -> int:
        """Take up what there is room for; return how much it was."""
        room = IN_FLIGHT_MAX + AHEAD_MAX - len(self._tasks)
        if room <= 0:
            return 0
        claimed = await self._store.claim(self._owner, self._clock.now(), room, tuple(self._tasks))
        for operation in claimed:
            task = asyncio.create_task(self._execute(operation))
            self._tasks[operation.operation_id] = task
            task.add_done_callback(partial(self._done, operation.operation_id))
        return len(claimed)

    def _done(self, operation_id: str, _task: asyncio.Task[None]) -> None:
        del self._tasks[operation_id]
        # There is room now, and perhaps another operation of the same escrow.
        self._wake.set()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(POLL_S):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _execute(self, operation: Operation) -> None:
        try:
            outcome = await self._ask(operation)
            async with self._store.open(operation.escrow_id) as book:
                settle(book, operation, outcome, self._clock.now(), self._livemode)
        except Exception as error:
            # It stays as sent; when the lease has ended it is taken up again.
            _log.warning(
                "operation_left", operation_id=operation.operation_id, error=repr(error)[:500]
            )

    async def _ask(self, operation: Operation) -> Outcome:
        rail = self._rails.get(operation.rail)
        if rail is None:
            return Unknown("NO_RAIL")
        try:
            # Waiting for a place counts too: the lease runs since the claim.
            async with asyncio.timeout(_LIMIT_S), self._calls:
                if operation.kind is Kind.CANCEL:
                    return await self._cancel(rail, operation)
                return await self._look_then_act(rail, operation)
        except TimeoutError:
            return Unknown("TIME_OUT")
        except Exception as error:
            _log.exception("rail_failed", operation_id=operation.operation_id)
            return Unknown(f"ADAPTER: {type(error).__name__}")

    async def _cancel(self, rail: Rail, operation: Operation) -> Outcome:
        """Cancel the instrument that another operation made, once that one has ended."""
        intent = await self._store.operation(operation.intent_operation_id or "")
        if intent is None or (intent.status is Status.FAILED and not intent.provider_ref):
            return Failed(INSTRUMENT_GONE)
        if intent.under_way or not intent.provider_ref:
            return Unknown("INTENT_UNDER_WAY")
        return await self._look_then_act(rail, operations.aim(operation, intent.provider_ref))

    async def _look_then_act(self, rail: Rail, operation: Operation) -> Outcome:
        if operation.attempts > 1:
            found = await rail.look_up(operation)
            if not _undone(operation, found):
                return found
            cancelling = operation.kind is Kind.CANCEL
            if not cancelling and not operations.may_repeat(operation, self._clock.now()):
                return Failed(NEVER_ARRIVED)
        return await _act(rail, operation)


def _undone(operation: Operation, found: Outcome) -> bool:
    """Tell whether the look-up proves that the effect has not come about."""
    if operation.kind is Kind.CANCEL:
        return getattr(found, "status", None) == "OPEN"
    return isinstance(found, Absent) and operation.status is not Status.CONFIRMED


async def _act(rail: Rail, operation: Operation) -> Outcome:
    if operation.kind is Kind.INTENT:
        return await rail.create_intent(operation)
    if operation.kind is Kind.CANCEL:
        return await rail.cancel(operation)
    if operation.kind is Kind.PAYOUT:
        return await rail.payout(operation)
    return await rail.refund(operation)
