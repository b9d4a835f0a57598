"""Snapshots: an experience as Roblox showed it at one moment, kept for ever with its hash."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.roblox.details import Details
from bloxtr8.roblox.risk import RULES, Risk, RiskFacts, assess
from bloxtr8.roblox.verifications import Verification
from bloxtr8.store.canonical import canonical_json, sha256
from bloxtr8.store.database import Transaction

_OWNER_CHANGE_WITHIN = timedelta(days=30)
_DISPUTES_WITHIN = timedelta(days=180)
_REFUND_WITHIN = timedelta(days=90)


class Purpose(StrEnum):
    LISTING = "LISTING"
    RELIST = "RELIST"
    ACCEPT = "ACCEPT"
    DELIVERED = "DELIVERED"
    RELEASED = "RELEASED"


@dataclass(frozen=True, slots=True)
class Subject:
    """About whom a snapshot is: the seller, or after delivery the buyer.

    `verification`: what Roblox said of them, None when it was not asked. `prices_minor`: the
    universe's asking prices of the last 30 days, in cents. `flagged`: by staff.
    """

    user_id: UUID
    verification: Verification | None
    prices_minor: Sequence[int] = ()
    flagged: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    id: UUID
    risk: Risk
    sha256: bytes


async def take_snapshot(
    tx: Transaction, purpose: Purpose, details: Details, subject: Subject, now: datetime
) -> Snapshot:
    """Store what `details` say and how risky it is; the network was asked before `tx` began."""
    risk = assess(await _facts(tx, details, subject, now), now)
    payload = _payload(purpose, details, subject, risk, now)
    snapshot = Snapshot(ids.uuid7(), risk, sha256(payload))
    check = subject.verification
    columns = _columns(details) | {
        "id": snapshot.id,
        "purpose": purpose.value,
        "for_user_id": subject.user_id,
        "roblox_user_id": check.roblox_user_id if check else None,
        "ownership": check.ownership.value if check and check.ownership else None,
        "risk_score": risk.score,
        "risk_level": risk.level,
        "risk_factors": canonical_json(risk.factors_json()).decode(),
        "risk_rules": RULES,
        "taken_at": now,
        "created_at": now,
        "payload": canonical_json(payload).decode(),
        "payload_sha256": snapshot.sha256,
    }
    places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    await tx.execute(
        f"INSERT INTO roblox_snapshots ({', '.join(columns)}) VALUES ({places})",  # noqa: S608
        *columns.values(),
    )
    return snapshot


def _columns(details: Details) -> dict[str, Any]:
    return {
        "universe_id": details.universe_id,
        "root_place_id": details.root_place_id,
        "name": details.name,
        "description": details.description,
        "icon_url": details.icon_url,
        "creator_type": details.owner.type,
        "creator_id": details.owner.id,
        "creator_name": details.owner.name,
        "visibility": details.visibility,
        "playing": details.playing,
        "visits": details.visits,
        "favorites": details.favorites,
        "max_players": details.max_players,
        "genre": details.genre,
        "roblox_created_at": details.created_at,
        "roblox_updated_at": details.updated_at,
    }


def _payload(
    purpose: Purpose, details: Details, subject: Subject, risk: Risk, now: datetime
) -> dict[str, Any]:
    """Return the evidence: everything but the picture. Big numbers are text, as in the API."""
    columns = _columns(details)
    del columns["icon_url"]
    for name in ("universe_id", "root_place_id", "creator_id", "playing", "visits", "favorites"):
        columns[name] = str(columns[name]) if columns[name] is not None else None
    check = subject.verification
    return columns | {
        "purpose": purpose.value,
        "taken_at": now,
        "for_user_id": subject.user_id,
        "verification": None if check is None else _evidence(check),
        "risk": {
            "rules": RULES,
            "score": risk.score,
            "level": risk.level,
            "factors": risk.factors_json(),
        },
    }


def _evidence(check: Verification) -> dict[str, Any]:
    return {
        "outcome": check.outcome.value,
        "ownership": check.ownership.value if check.ownership else None,
        "method": check.method,
        "roblox_user_id": str(check.roblox_user_id),
        "checked_at": check.checked_at,
        "evidence": check.evidence,
    }


async def _facts(tx: Transaction, details: Details, subject: Subject, now: datetime) -> RiskFacts:
    check = subject.verification
    accounts = await tx.fetch(
        "SELECT provider, provider_created_at FROM accounts"
        " WHERE user_id = $1 AND unlinked_at IS NULL",
        subject.user_id,
    )
    created = {row["provider"]: row["provider_created_at"] for row in accounts}
    refunded = await _was_refunded(tx, details.universe_id, now)
    return RiskFacts(
        experience_created_at=details.created_at,
        roblox_created_at=created.get("ROBLOX"),
        discord_created_at=created.get("DISCORD"),
        owner_changed=await _owner_changed(tx, details, now),
        prices_minor=subject.prices_minor,
        disputes_lost=await _disputes_lost(tx, subject.user_id, now),
        flagged=subject.flagged or refunded,
        lists_as_admin=check is not None and check.ownership == "ADMIN",
        group_locked=check is not None and check.evidence.get("group_locked") is True,
        public=details.visibility == "PUBLIC",
        visits=details.visits,
    )


async def _owner_changed(tx: Transaction, details: Details, now: datetime) -> bool:
    found = await tx.fetchval(
        "SELECT 1 FROM roblox_snapshots WHERE universe_id = $1 AND taken_at > $2"
        " AND (creator_type, creator_id) <> ($3, $4) LIMIT 1",
        details.universe_id,
        now - _OWNER_CHANGE_WITHIN,
        details.owner.type,
        details.owner.id,
    )
    return found is not None


async def _disputes_lost(tx: Transaction, user_id: UUID, now: datetime) -> int:
    """Return how many disputes the user has lost as a seller within 180 days."""
    count: int = await tx.fetchval(
        "SELECT count(*) FROM disputes d JOIN escrows e ON e.id = d.escrow_id"
        " WHERE e.seller_id = $1 AND d.status = 'RESOLVED' AND d.outcome = 'REFUND'"
        " AND d.closed_at > $2",
        user_id,
        now - _DISPUTES_WITHIN,
    )
    return count


async def _was_refunded(tx: Transaction, universe_id: int, now: datetime) -> bool:
    """Tell whether a dispute about the experience ended with a refund within 90 days."""
    found = await tx.fetchval(
        "SELECT 1 FROM roblox_snapshots s JOIN contracts c ON c.snapshot_id = s.id"
        " JOIN disputes d ON d.escrow_id = c.escrow_id WHERE s.universe_id = $1"
        " AND d.status = 'RESOLVED' AND d.outcome = 'REFUND' AND d.closed_at > $2 LIMIT 1",
        universe_id,
        now - _REFUND_WITHIN,
    )
    return found is not None
