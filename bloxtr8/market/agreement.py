"""What an accepted offer becomes: the contract's row, with everything that was agreed in it."""

import json
from typing import Any
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.clock import rfc3339
from bloxtr8.escrow import deadlines
from bloxtr8.market import clocks, costs, refs, rules
from bloxtr8.market.costs import Quote
from bloxtr8.market.place import Change, Kept
from bloxtr8.messaging import metadata
from bloxtr8.messaging.topics import CONTRACTS_EVENTS
from bloxtr8.store import canonical
from bloxtr8.store.database import to_json
from bloxtr8.store.outbox import enqueue
from proto.bloxtr8.contracts.v1 import contracts_pb2 as contracts

Row = dict[str, Any]

TEMPLATE = "v1"
_RETURNED = (
    "id, ref, version, status, offer_id, listing_id, escrow_id, buyer_id, seller_id, price_minor,"
    " rail, settle_currency, settle_minor, buyer_fee_minor, seller_fee_minor, delivery_days,"
    " snapshot_id, pdf_sha256, sign_deadline_at, created_at"
)


async def make(change: Change, offer: Row, snapshot: Kept) -> Row:
    """Insert the contract of an offer that this transaction has accepted; ask for its document."""
    contract_id = ids.uuid7()
    quote = costs.quote(offer["amount_minor"])
    terms = await _terms(change, offer, quote, snapshot)

    async def insert(ref: str) -> Row | None:
        return await change.tx.fetchrow(
            "INSERT INTO contracts (id, ref, offer_id, listing_id, snapshot_id, buyer_id,"  # noqa: S608
            " seller_id, escrow_id, terms, price_minor, rail, settle_currency, settle_minor,"
            " fee_schedule, buyer_fee_minor, seller_fee_minor, delivery_days, created_at,"
            " updated_at, render_due_at, terms_sha256, template_version) VALUES ($1, $2, $3, $4,"
            " $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $18, $18, $19,"
            f" $20) ON CONFLICT (ref) DO NOTHING RETURNING {_RETURNED}",
            contract_id,
            ref,
            offer["id"],
            offer["listing_id"],
            snapshot.id,
            offer["buyer_id"],
            offer["seller_id"],
            UUID(ids.escrow_id_for(str(contract_id))),
            to_json(terms),
            offer["amount_minor"],
            quote.rail,
            quote.currency,
            quote.settle_minor,
            quote.schedule,
            quote.buyer_fee_minor,
            quote.seller_fee_minor,
            terms["asset"]["delivery_days"],
            change.now,
            canonical.sha256(terms),
            TEMPLATE,
        )

    row = await refs.first_free("C", insert)
    await change.audit("contract.requested", ("contract", str(contract_id)))
    await enqueue(change.tx, CONTRACTS_EVENTS, _requested(change, row), change.place.contracts)
    return row


async def of_offer(change: Change, offer_id: UUID) -> Row:
    """Return the contract of an accepted offer."""
    row = await change.tx.fetchrow(
        f"SELECT {_RETURNED} FROM contracts WHERE offer_id = $1",  # noqa: S608
        offer_id,
    )
    assert row is not None, "accepting an offer makes its contract"
    return row


async def _terms(change: Change, offer: Row, quote: Quote, snapshot: Kept) -> dict[str, Any]:
    """Return what both sides agreed on, in the form that is hashed and printed."""
    people = await change.tx.fetch(
        "SELECT u.id, u.display_name, u.tier, d.external_id AS discord_id,"
        " d.username AS discord_name, r.external_id AS roblox_id, r.username AS roblox_name"
        " FROM users u LEFT JOIN accounts d ON d.user_id = u.id AND d.provider = 'DISCORD'"
        " AND d.unlinked_at IS NULL LEFT JOIN accounts r ON r.user_id = u.id"
        " AND r.provider = 'ROBLOX' AND r.unlinked_at IS NULL WHERE u.id = ANY($1::uuid[])",
        [offer["buyer_id"], offer["seller_id"]],
    )
    by_id = {row["id"]: {**row, "id": str(row["id"])} for row in people}
    return {
        "template_version": TEMPLATE,
        "offer": {"id": str(offer["id"]), "ref": offer["ref"]},
        "agreed_at": rfc3339(change.now),
        "seller": by_id[offer["seller_id"]],
        "buyer": by_id[offer["buyer_id"]],
        "asset": {**terms_of(offer), "accept_snapshot_id": str(snapshot.id)},
        "price": {"minor": offer["amount_minor"], "currency": "USD"},
        "costs": {
            "rail": quote.rail,
            "currency": quote.currency,
            "settle_minor": quote.settle_minor,
            "buyer_fee_minor": quote.buyer_fee_minor,
            "seller_fee_minor": quote.seller_fee_minor,
            "schedule": quote.schedule,
        },
        "listing": {"id": str(offer["listing_id"]), "ref": await _listing_ref(change, offer)},
        "experience": await _experience(change, snapshot),
        "conditions": offer["conditions"],
        "clocks": {
            "sign_hours": clocks.SIGNING.length // rules.HOUR,
            "fund_hours": deadlines.FUNDING_SECONDS // deadlines.HOUR_SECONDS,
            "deliver_days": terms_of(offer)["delivery_days"],
            "confirm_days": deadlines.CONFIRMATION_SECONDS // deadlines.DAY_SECONDS,
            "dispute_days": deadlines.DISPUTE_SECONDS // deadlines.DAY_SECONDS,
        },
        "law": {
            "governing": change.place.policy.governing_law,
            "venue": change.place.policy.venue,
        },
    }


async def _listing_ref(change: Change, offer: Row) -> str:
    found: str = await change.tx.fetchval(
        "SELECT ref FROM listings WHERE id = $1", offer["listing_id"]
    )
    return found


async def _experience(change: Change, snapshot: Kept) -> dict[str, Any]:
    """Return how the experience was at the acceptance, as the contract prints it."""
    row = await change.tx.fetchrow(
        "SELECT universe_id, root_place_id, name, description, roblox_created_at, visits,"
        " creator_type, creator_id, ownership, risk_level, taken_at, payload_sha256"
        " FROM roblox_snapshots WHERE id = $1",
        snapshot.id,
    )
    assert row is not None, "the snapshot was just kept"
    created, root = row["roblox_created_at"], row["root_place_id"]
    return {
        "universe_id": str(row["universe_id"]),
        "root_place_id": None if root is None else str(root),
        "name": row["name"],
        "description": row["description"],
        "created_at": None if created is None else rfc3339(created),
        "visits": row["visits"],
        "owner_type": row["creator_type"],
        "owner_id": str(row["creator_id"]),
        "ownership": row["ownership"],
        "risk_level": row["risk_level"],
        "taken_at": rfc3339(row["taken_at"]),
        "sha256": row["payload_sha256"].hex(),
    }


def terms_of(offer: Row) -> dict[str, Any]:
    """Return the frozen terms of an offer's row."""
    found: dict[str, Any] = json.loads(offer["terms"])
    return found


def _requested(change: Change, row: Row) -> contracts.ContractEvent:
    contract_id = str(row["id"])
    return contracts.ContractEvent(
        metadata=metadata.new(
            change.place.contracts.producer,  # type: ignore[arg-type]
            change.now,
            traceparent=change.actor.traceparent,
            message_id=str(ids.derived("requested", contract_id)),
            correlation_id=str(row["escrow_id"]),
        ),
        contract_id=contract_id,
        contract_requested=contracts.ContractRequested(
            offer_id=str(row["offer_id"]),
            listing_id=str(row["listing_id"]),
            snapshot_id=str(row["snapshot_id"]),
            buyer_id=str(row["buyer_id"]),
            seller_id=str(row["seller_id"]),
            escrow_id=str(row["escrow_id"]),
        ),
    )
