"""Providers' calls in PostgreSQL: each kept once, matched to its escrow, never lost."""

from datetime import datetime
from typing import Any

from bloxtr8 import ids
from bloxtr8.messaging.envelope import is_uuid
from bloxtr8.payments import stripe_objects as objects
from bloxtr8.payments.facts import read_event
from bloxtr8.payments.payout_methods import set_verified
from bloxtr8.payments.stripe_accounts import can_be_paid
from bloxtr8.payments.stripe_objects import BadObject
from bloxtr8.payments.webhook_signatures import WebhookName
from bloxtr8.store import staff_tasks
from bloxtr8.store.database import fetchrow, transaction

STRIPE, CUSTODIAN = "STRIPE", "CUSTODIAN"
RECEIVED, MATCHED, UNMATCHED, HANDLED, IGNORED = (
    "RECEIVED",
    "MATCHED",
    "UNMATCHED",
    "HANDLED",
    "IGNORED",
)


async def record(
    name: WebhookName,
    body: bytes,
    received_at: datetime,
    *,
    provider: str = STRIPE,
    status: str = RECEIVED,
    escrow_id: str | None = None,
) -> bool:
    """Keep a call as it came, with how far it has come already.

    False when it was kept and handled before: it is a repetition. What is IGNORED is handled.
    """
    handled_at = received_at if status == IGNORED else None
    kept = await fetchrow(
        "INSERT INTO webhook_events (id, provider, provider_event_id, provider_payment_id, "
        "type, raw, received_at, status, escrow_id, handled_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) "
        "ON CONFLICT (provider, provider_event_id) DO NOTHING RETURNING id",
        ids.uuid7(),
        provider,
        name.provider_event_id,
        name.provider_payment_id,
        name.type,
        body,
        received_at,
        status,
        escrow_id,
        handled_at,
    )
    if kept is not None:
        return True
    again = await fetchrow(
        "UPDATE webhook_events SET status = $3, escrow_id = coalesce($4, escrow_id), "
        "handled_at = $5 WHERE provider = $1 AND provider_event_id = $2 "
        "AND status NOT IN ('HANDLED', 'IGNORED') RETURNING id",
        provider,
        name.provider_event_id,
        status,
        escrow_id,
        handled_at,
    )
    return again is not None


async def mark(
    name: WebhookName,
    status: str,
    now: datetime,
    *,
    escrow_id: str | None = None,
    provider: str = STRIPE,
) -> None:
    """Set how far a call has come; what is handled stays handled. UNMATCHED asks a person."""
    async with transaction() as tx:
        await tx.execute(
            "UPDATE webhook_events SET status = $3, escrow_id = coalesce($4, escrow_id), "
            "handled_at = $5 WHERE provider = $1 AND provider_event_id = $2 "
            "AND status <> 'HANDLED'",
            provider,
            name.provider_event_id,
            status,
            escrow_id,
            now if status == IGNORED else None,
        )
        if status == UNMATCHED:
            task = staff_tasks.Task("RECONCILIATION", "webhook", name.provider_event_id[:64], None)
            await staff_tasks.open_tasks(tx, [task], now)


async def escrow_of_artifact(ref: str) -> str:
    """Return the escrow that a provider's object belongs to, "" when it is not known."""
    row = await fetchrow(
        "SELECT escrow_id FROM payment_artifacts WHERE provider = $1 AND ref = $2", STRIPE, ref
    )
    return "" if row is None else str(row["escrow_id"])


def escrow_named_in(body: bytes) -> str:
    """Return the escrow that the signed body itself names, "" when it names none."""
    subject = _subject(body)
    for named in (subject.get("transfer_group"), objects.metadata(subject).get("escrow_id")):
        if isinstance(named, str) and is_uuid(named):
            return named
    return ""


async def update_account(body: bytes, now: datetime) -> None:
    """Take over whether a seller's connected account can be paid."""
    account = _subject(body)
    usable = can_be_paid(account)
    async with transaction() as tx:
        row = await tx.fetchrow(
            "SELECT id, status FROM payout_methods WHERE kind = 'STRIPE_ACCOUNT' "
            "AND external_ref = $1 AND disabled_at IS NULL FOR UPDATE",
            objects.text(account, "id"),
        )
        if row is None or (row["status"] == "VERIFIED") == usable:
            return
        if usable:
            await set_verified(tx, row["id"], now)
        else:
            await tx.execute(
                "UPDATE payout_methods SET status = 'PENDING', updated_at = $2 WHERE id = $1",
                row["id"],
                now,
            )


def _subject(body: bytes) -> dict[str, Any]:
    try:
        return objects.table(objects.table(read_event(body), "data"), "object")
    except BadObject:
        return {}
