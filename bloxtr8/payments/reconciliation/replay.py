"""Taking in again what providers called, from the bodies that were kept; safe to repeat."""

from dataclasses import dataclass
from datetime import datetime

from bloxtr8.payments.reconciliation.missed import Missed
from bloxtr8.payments.reconciliation.provider import Call
from bloxtr8.payments.webhook_signatures import WebhookName
from bloxtr8.store import database

_PAGE = 200
_FIRST = "00000000-0000-0000-0000-000000000000"
_KEPT = """
SELECT id::text AS id, provider, provider_event_id, provider_payment_id, type, raw, received_at
FROM webhook_events
WHERE provider IN ('STRIPE', 'CUSTODIAN') AND received_at >= $1
  AND (received_at, id) > ($2, $3::uuid)
ORDER BY received_at, id LIMIT $4
"""


@dataclass(slots=True)
class Replayed:
    """`taken`: were taken in now; `passed`: handled before, or of no consequence."""

    taken: int = 0
    passed: int = 0


async def replay(missed: Missed, since: datetime) -> Replayed:
    """Take in every call that was received since then, in that order.

    What was handled has no second effect; what found no escrow then may find it now.
    """
    done = Replayed()
    place, after = since, _FIRST
    while True:
        rows = await database.fetch(_KEPT, since, place, after, _PAGE)
        for row in rows:
            name = WebhookName(row["provider_event_id"], row["provider_payment_id"], row["type"])
            if await missed.take_call(Call(name, row["raw"], row["received_at"], row["provider"])):
                done.taken += 1
            else:
                done.passed += 1
        if len(rows) < _PAGE:
            return done
        place, after = rows[-1]["received_at"], rows[-1]["id"]
