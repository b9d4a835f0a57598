"""What contracts look like to a reader."""

import json
from datetime import datetime
from typing import Any

from bloxtr8.access.identity import StaffRole
from bloxtr8.contracts import rows
from bloxtr8.contracts.reading import Known
from web.answers import ReceivingGroupOut, RobloxOwner
from web.contract_answers import ContractOut, ContractWithTerms, HashOut, SignatureOut
from web.fields import money
from web.trading_answers import CostsOut
from web.trading_present import Row, Viewer, person


def contract(row: Row, viewer: Viewer, now: datetime) -> ContractOut:
    """Return a row of `reading.contract` or `reading.of_person` as `viewer` sees it."""
    return ContractOut(**_members(row, viewer, now))


def with_terms(row: Row, viewer: Viewer, now: datetime) -> ContractWithTerms:
    """Return a row of `reading.contract` with everything that was agreed."""
    terms = json.loads(row["terms"]) if row["terms"] else {}
    return ContractWithTerms(**_members(row, viewer, now), terms=terms)


def receiving_group(row: Row) -> ReceivingGroupOut | None:
    """Return the group in a row of `contracts`, None while none is named."""
    if row["receiving_group_id"] is None:
        return None
    seen = json.loads(row["receiving_group"])
    return ReceivingGroupOut(
        id=str(row["receiving_group_id"]),
        name=seen["name"],
        locked=seen["locked"],
        owner=RobloxOwner(id=seen["owner_id"], name=seen["owner_name"]),
        seller_is_member=seen["seller_is_member"],
        at=row["receiving_group_at"],
    )


def known(found: Known | None) -> HashOut:
    if found is None:
        return HashOut(known=False)
    return HashOut(
        known=True,
        ref=found.ref,
        variant=found.variant,
        status=found.status,
        template_version=found.template_version,
        date=found.at,
    )


def actions(row: Row, viewer: Viewer, now: datetime) -> list[str]:
    """Return what the viewer may do with a contract now."""
    side = rows.side_of(row, viewer.user_id)
    found: list[str] = []
    waits = row["status"] == "PENDING_SIGNATURE"
    signed = {one["side"] for one in json.loads(row["signatures"])}
    if side and waits:
        made = row["pdf_sha256"] is not None
        if made and side not in signed and not rows.is_over(row, now):
            found.append("sign")
        found.append("decline")
    if side and row["status"] == "EXECUTED":
        found.append("open_escrow")
    moderates = viewer.role is not None and viewer.role >= StaffRole.MODERATOR
    if not side and waits and moderates:
        found.append("void")
    return found


def _members(row: Row, viewer: Viewer, now: datetime) -> dict[str, Any]:
    currency, settle = row["settle_currency"], row["settle_minor"]
    buyer_fee, seller_fee = row["buyer_fee_minor"], row["seller_fee_minor"]
    return {
        "id": str(row["id"]),
        "ref": row["ref"],
        "version": row["version"],
        "status": row["status"],
        "offer_id": str(row["offer_id"]),
        "listing_id": str(row["listing_id"]),
        "escrow_id": str(row["escrow_id"]),
        "buyer": person(row, "buyer"),
        "seller": person(row, "seller"),
        "receiving_group": receiving_group(row),
        "price": money(row["price_minor"], "USD"),
        "rail": row["rail"],
        "costs": CostsOut(
            buyer_pays=money(settle + buyer_fee, currency),
            buyer_fee=money(buyer_fee, currency),
            seller_fee=money(seller_fee, currency),
            seller_receives=money(settle - seller_fee, currency),
        ),
        "delivery_days": row["delivery_days"],
        "template_version": row["template_version"],
        "document_sha256": row["pdf_sha256"].hex() if row["pdf_sha256"] else None,
        "final_sha256": row["final_sha256"].hex() if row["final_sha256"] else None,
        "sign_deadline_at": row["sign_deadline_at"],
        "signatures": [
            SignatureOut(
                side=one["side"],
                method=one["method"],
                signed_at=datetime.fromisoformat(one["signed_at"]),
            )
            for one in json.loads(row["signatures"])
        ],
        "void_reason": row["void_reason"],
        "created_at": row["created_at"],
        "allowed_actions": actions(row, viewer, now),
    }
