"""What has to wake somebody up, as metrics: money in doubt, differences, money held for long."""

import asyncio
from datetime import timedelta

from bloxtr8 import telemetry
from bloxtr8.clock import Clock
from bloxtr8.payments.held import report_held
from bloxtr8.payments.reconciliation.findings import count_open
from bloxtr8.store import database

# An answer that is younger may still be on its way.
DOUBTFUL_AFTER = timedelta(minutes=5)
EVERY_S = 60.0
_PROVIDERS = ("STRIPE", "BASE")

# What was heard of and only takes its time (a refund at a bank) is not in doubt.
_UNSETTLED = """
SELECT provider, count(*) AS number, min(sent_at) AS since FROM payment_operations
WHERE finished_at IS NULL AND sent_at <= $1
  AND (status = 'UNKNOWN' OR status = 'SENT' AND provider_ref IS NULL)
GROUP BY provider
"""


async def report(clock: Clock) -> None:
    """Set the metrics from what is in the database; raises DatabaseUnavailable."""
    now = clock.now()
    rows = await database.fetch(_UNSETTLED, now - DOUBTFUL_AFTER)
    found = {row["provider"]: row for row in rows}
    for provider in _PROVIDERS:
        row = found.get(provider)
        age = timedelta(0) if row is None else now - row["since"]
        telemetry.UNSETTLED.labels(provider=provider).set(0 if row is None else row["number"])
        telemetry.UNSETTLED_AGE.labels(provider=provider).set(age.total_seconds())
    await count_open()
    await report_held(clock)


async def watch(clock: Clock) -> None:
    """Report every minute until cancelled."""
    while True:
        await report(clock)
        await asyncio.sleep(EVERY_S)
