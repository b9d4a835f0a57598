"""Making up for what was missed: calls that never came, answers that nobody got.

Everything goes the way that a webhook's fact goes, and says messages with the same ids, so a
call that comes after all changes nothing more.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from bloxtr8 import ids, telemetry
from bloxtr8.clock import Clock
from bloxtr8.messaging import metadata
from bloxtr8.payments import webhook_inbox as inbox
from bloxtr8.payments.facts import ACCOUNT_UPDATED, Fact, facts_of
from bloxtr8.payments.operations import Kind, Operation
from bloxtr8.payments.rails import (
    Absent,
    Instrument,
    InstrumentStatus,
    LookUpOutcome,
    Pending,
    Unknown,
)
from bloxtr8.payments.reconciliation.model import ProviderSilent, Report
from bloxtr8.payments.reconciliation.provider import Call, ProviderBooks
from bloxtr8.payments.service import BadCommand, PaymentService
from bloxtr8.payments.settling import settle
from bloxtr8.payments.store import PaymentStore
from bloxtr8.payments.stripe_objects import BadObject
from bloxtr8.payments.usdc.custodian_facts import escrow_of_call, facts_of_call
from bloxtr8.store import database
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.payments.v1 import payments_pb2 as payments

# A call, an answer that is younger may still be on its way.
ON_ITS_WAY = timedelta(minutes=5)
UNPAID_AFTER = timedelta(hours=1)
CALLS_MAX = 10_000
_PAGE = 200
_CALLERS = {
    "STRIPE": (common.PROVIDER_STRIPE, common.RAIL_STRIPE),
    "CUSTODIAN": (common.PROVIDER_CUSTODIAN, common.RAIL_USDC_BASE),
}
_AT_ONCE = 8

_OPEN = """
SELECT operation_id::text AS id FROM payment_operations
WHERE finished_at IS NULL AND (lease_until IS NULL OR lease_until <= $1)
  AND (status IN ('SENT', 'UNKNOWN') AND sent_at <= $2
       OR status = 'CONFIRMED' AND kind = 'INTENT' AND requested_at <= $3)
  AND ($4::uuid IS NULL OR escrow_id = $4) AND operation_id > $5::uuid
ORDER BY operation_id LIMIT $6
"""
_FIRST = "00000000-0000-0000-0000-000000000000"
_KNOWN = """
SELECT provider_event_id AS id FROM webhook_events
WHERE provider = $1 AND provider_event_id = ANY($2::text[])
  AND status IN ('HANDLED', 'IGNORED', 'UNMATCHED')
"""

_log = structlog.get_logger(__name__)


class Asked(Protocol):
    """The part of a rail that has no effect."""

    async def look_up(self, operation: Operation) -> LookUpOutcome: ...


@dataclass(frozen=True, slots=True)
class Missed:
    """Finds and makes up for what was missed; `rails` by their names in operations."""

    store: PaymentStore
    service: PaymentService
    rails: Mapping[str, Asked]
    clock: Clock
    livemode: bool

    # --- calls -------------------------------------------------------------------------------

    async def take_calls(
        self, provider: ProviderBooks, since: datetime, until: datetime, report: Report
    ) -> None:
        """Take in every event of that time that no webhook brought. Raises ProviderSilent."""
        missing: list[Call] = []
        async for page in provider.calls(since, until):
            report.calls += len(page)
            missing += await _unknown(provider.name, page)
            if len(missing) > CALLS_MAX:
                raise ProviderSilent(f"{provider.name}: more calls are missing than can be kept")
        for call in reversed(missing):
            if await self.take_call(call):
                report.repair("call", f"{call.name.type} {call.name.provider_event_id}")

    async def take_call(self, call: Call) -> bool:
        """Do what is done with a webhook whose signature is good.

        False if it had been done before, or was of no consequence.
        """
        now = self.clock.now()
        if not await inbox.record(call.name, call.body, now, provider=call.caller):
            return False
        try:
            return await self._sort(call, now)
        except (BadObject, BadCommand) as error:
            _log.warning("call_unreadable", id=call.name.provider_event_id, error=str(error)[:200])
            return False

    async def _sort(self, call: Call, now: datetime) -> bool:
        account = call.caller == inbox.STRIPE and call.name.type == ACCOUNT_UPDATED
        if account:
            await inbox.update_account(call.body, now)
        if not _facts(call):
            await inbox.mark(call.name, inbox.IGNORED, now, provider=call.caller)
            return account
        escrow_id = await _escrow_of(call)
        if not escrow_id:
            telemetry.UNMATCHED_WEBHOOKS.labels(provider=call.caller).inc()
            await inbox.mark(call.name, inbox.UNMATCHED, now, provider=call.caller)
            return False
        await inbox.mark(call.name, inbox.MATCHED, now, escrow_id=escrow_id, provider=call.caller)
        await self.tell(call, escrow_id)
        return True

    async def tell(self, call: Call, escrow_id: str) -> None:
        """Let the payments service take the call in for that escrow; once, however often told."""
        now = self.clock.now()
        event_id = call.name.provider_event_id
        message_id = str(ids.derived("provider-event", call.caller, event_id))
        provider, rail = _CALLERS[call.caller]
        await self.service.handle(
            payments.PaymentCommand(
                metadata=metadata.new(common.PRODUCER_PAYMENTS, now, message_id=message_id),
                escrow_id=escrow_id,
                rail=rail,
                record_provider_event=payments.RecordProviderEvent(
                    provider=provider,
                    provider_event_id=event_id,
                    provider_payment_id=call.name.provider_payment_id,
                    type=call.name.type,
                    body=call.body,
                ),
            )
        )

    # --- answers -----------------------------------------------------------------------------

    async def ask_operations(self, report: Report, escrow_id: str | None = None) -> None:
        """Ask what became of operations in doubt, and of instruments that nobody has paid.

        Those that are old enough; of one escrow every one.
        """
        now = self.clock.now()
        told = now if escrow_id else now - ON_ITS_WAY
        paid = now if escrow_id else now - UNPAID_AFTER
        after = _FIRST
        while True:
            rows = await database.fetch(_OPEN, now, told, paid, escrow_id, after, _PAGE)
            for start in range(0, len(rows), _AT_ONCE):
                batch = rows[start : start + _AT_ONCE]
                await asyncio.gather(*(self._ask(row["id"], report) for row in batch))
            if len(rows) < _PAGE:
                return
            after = rows[-1]["id"]

    async def _ask(self, operation_id: str, report: Report) -> None:
        operation = await self._aimed(await self.store.operation(operation_id))
        if operation is None:
            return
        report.operations += 1
        outcome = await self.rails[operation.rail].look_up(operation)
        if isinstance(outcome, Unknown):
            report.fail(f"{operation.kind.value} {operation.operation_id}: {outcome.reason}")
            return
        open_still = isinstance(outcome, Instrument) and outcome.status is InstrumentStatus.OPEN
        if open_still or isinstance(outcome, Absent | Pending):
            # Nothing was missed. Whether it has to be done again is the executor's to say.
            return
        async with self.store.open(operation.escrow_id) as book:
            now = self.clock.now()
            current = book.operations[operation.operation_id]
            if not current.due or (current.lease_until is not None and current.lease_until > now):
                return
            settle(book, operation, outcome, now, self.livemode)
            missed = bool(book.events)
        if missed:
            report.repair("answer", _named(operation), operation.escrow_id)

    async def _aimed(self, operation: Operation | None) -> Operation | None:
        """Return it as it can be asked about; None where it can not."""
        if operation is None or operation.rail not in self.rails:
            return None
        if operation.kind is not Kind.CANCEL:
            return operation
        intent = await self.store.operation(operation.intent_operation_id or "")
        if intent is None or not intent.provider_ref:
            return None
        return replace(operation, payment_ref=intent.provider_ref)


def _facts(call: Call) -> list[Fact]:
    return facts_of_call(call.body) if call.caller == inbox.CUSTODIAN else facts_of(call.body)


async def _escrow_of(call: Call) -> str:
    if call.caller == inbox.CUSTODIAN:
        return await escrow_of_call(call.body)
    return inbox.escrow_named_in(call.body) or await inbox.escrow_of_artifact(
        call.name.provider_payment_id
    )


def _named(operation: Operation) -> str:
    return f"{operation.kind.value} {operation.provider_ref or operation.operation_id}"


async def _unknown(provider: str, page: list[Call]) -> list[Call]:
    rows = await database.fetch(_KNOWN, provider, [call.name.provider_event_id for call in page])
    known = {row["id"] for row in rows}
    return [call for call in page if call.name.provider_event_id not in known]
