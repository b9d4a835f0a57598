"""People as answers show them."""

import ipaddress
from datetime import datetime
from typing import Any
from uuid import UUID

from bloxtr8.errors import NotFound
from bloxtr8.market import consents, preferences, rules, users
from bloxtr8.market.standing import Tier
from bloxtr8.store.database import Transaction
from web.call import Call
from web.people_answers import AccountOut, Limits, Me, OpenSession, RobloxOut, Stats, UserPublic

_V4_PREFIX, _V6_PREFIX = 24, 48

Row = dict[str, Any]


async def public(tx: Transaction, user_id: UUID) -> UserPublic:
    """Return what anybody may know; raises NotFound, also for closed accounts."""
    row = await _row(tx, user_id)
    if row["status"] == "CLOSED":
        raise NotFound
    accounts = await users.accounts_of(tx, user_id)
    wanted = await preferences.read(tx, user_id)
    shown = await _shown(tx, row, accounts)
    if not wanted.show_roblox:
        shown["roblox"] = None
    if not wanted.show_trades:
        shown["stats"] = None
    return UserPublic(**shown)


async def me(tx: Transaction, call: Call) -> Me:
    """Return everything that the caller may know about themselves."""
    user_id = UUID(call.caller.user_id)
    row = await _row(tx, user_id)
    accounts = await users.accounts_of(tx, user_id)
    role = await tx.fetchval(
        "SELECT role FROM staff_members WHERE user_id = $1 AND revoked_at IS NULL", user_id
    )
    return Me(
        **await _shown(tx, row, accounts),
        version=row["version"],
        email=row["email"],
        status=row["status"],
        locale=row["locale"],
        timezone=row["timezone"],
        staff_role=role,
        missing_consents=list(await consents.missing(tx, user_id, call.deps.settings.policy)),
        accounts=[account_out(account) for account in accounts],
        limits=await _limits(tx, row, call.now),
        payout_ready=await _payout_ready(tx, call, user_id),
    )


def account_out(row: Row) -> AccountOut:
    return AccountOut(
        id=str(row["id"]),
        provider=row["provider"],
        external_id=row["external_id"],
        username=row["username"],
        display_name=row["display_name"],
        linked_at=row["linked_at"],
        unlinked_at=row["unlinked_at"],
    )


def session_out(row: Row, current: str = "") -> OpenSession:
    """Return a session; of its address only the network is shown."""
    return OpenSession(
        id=str(row["id"]),
        current=str(row["id"]) == current,
        device=row["user_agent"],
        network=_network(row["ip"]),
        signed_in_at=row["auth_time"],
        last_used_at=row["last_used_at"],
        expires_at=row["expires_at"],
    )


async def _row(tx: Transaction, user_id: UUID) -> Row:
    row = await tx.fetchrow("SELECT * FROM users WHERE id = $1", user_id)
    if row is None:
        raise NotFound
    return row


async def _shown(tx: Transaction, row: Row, accounts: list[Row]) -> Row:
    roblox = next((account for account in accounts if account["provider"] == "ROBLOX"), None)
    return {
        "id": str(row["id"]),
        "display_name": row["display_name"],
        "avatar_url": row["avatar_url"],
        "tier": row["tier"],
        "roblox": _roblox(roblox) if roblox else None,
        "member_since": row["created_at"],
        "stats": await stats_of(tx, row["id"]),
    }


def _roblox(row: Row) -> RobloxOut:
    return RobloxOut(
        id=row["external_id"], name=row["username"], created_at=row["provider_created_at"]
    )


async def stats_of(tx: Transaction, user_id: UUID) -> Stats:
    """Return how a person's trades ended."""
    row = await tx.fetchrow(
        "SELECT count(*) FILTER (WHERE e.seller_id = $1 AND e.state = 'RELEASED') AS sales,"
        " count(*) FILTER (WHERE e.buyer_id = $1 AND e.state = 'RELEASED') AS purchases,"
        " (SELECT count(*) FROM disputes d JOIN escrows x ON x.id = d.escrow_id"
        " WHERE d.status = 'RESOLVED' AND ((x.seller_id = $1 AND d.outcome = 'REFUND')"
        " OR (x.buyer_id = $1 AND d.outcome = 'RELEASE'))) AS lost"
        " FROM escrows e WHERE $1 IN (e.buyer_id, e.seller_id)",
        user_id,
    )
    assert row is not None, "an aggregate has a row"
    return Stats(sales=row["sales"], purchases=row["purchases"], disputes_lost=row["lost"])


async def _limits(tx: Transaction, row: Row, now: datetime) -> Limits:
    counts = await tx.fetchrow(
        "SELECT (SELECT count(*) FROM listings WHERE seller_id = $1"
        " AND status IN ('ACTIVE', 'INACTIVE', 'RESERVED')) AS listings,"
        " (SELECT count(*) FROM offers WHERE buyer_id = $1 AND status = 'PENDING'"
        " AND expires_at > $2) AS offers",
        row["id"],
        now,
    )
    assert counts is not None, "an aggregate has a row"
    tier = Tier[row["tier"]]
    return Limits(
        open_listings=counts["listings"],
        open_listings_max=rules.open_listings_max(tier),
        open_offers=counts["offers"],
        open_offers_max=rules.open_offers_max(tier),
    )


async def _payout_ready(tx: Transaction, call: Call, user_id: UUID) -> dict[str, bool]:
    rows = await tx.fetch(
        "SELECT DISTINCT kind FROM payout_methods WHERE user_id = $1 AND status = 'VERIFIED'"
        " AND disabled_at IS NULL AND usable_from <= $2",
        user_id,
        call.now,
    )
    kinds = {row["kind"] for row in rows}
    return {"stripe": "STRIPE_ACCOUNT" in kinds, "base": "BASE_WALLET" in kinds}


def _network(address: str | None) -> str | None:
    if not address:
        return None
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    prefix = _V4_PREFIX if parsed.version == 4 else _V6_PREFIX
    return str(ipaddress.ip_network(f"{parsed}/{prefix}", strict=False))
