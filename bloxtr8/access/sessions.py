"""Sessions and staff roles: rows that outrank what a token says."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from bloxtr8 import ids
from bloxtr8.access.identity import Identity, StaffRole
from bloxtr8.errors import AccountFrozen, Forbidden, SessionRevoked

SESSION_LIFETIME = timedelta(days=30)
SESSIONS_PER_USER_MAX = 10


class Sql(Protocol):
    """What runs statements: a transaction of `bloxtr8.store.database`."""

    async def fetch(self, sql: str, *args: Any) -> list[dict[str, Any]]: ...

    async def fetchrow(self, sql: str, *args: Any) -> dict[str, Any] | None: ...

    async def execute(self, sql: str, *args: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in of one person. `displaced`: ids of sessions that ended to make room for it."""

    id: str
    user_id: str
    auth_time: datetime
    expires_at: datetime
    mfa: bool
    displaced: tuple[str, ...] = ()


async def open_session(sql: Sql, user_id: str, now: datetime, *, mfa: bool = False) -> Session:
    """Insert a session of `user_id` that starts at `now`; beyond ten the oldest are revoked."""
    session = Session(str(ids.uuid7()), user_id, now, now + SESSION_LIFETIME, mfa)
    await sql.execute(
        "INSERT INTO sessions (id, user_id, auth_time, mfa, last_used_at, expires_at, created_at)"
        " VALUES ($1, $2, $3, $4, $3, $5, $3)",
        session.id,
        user_id,
        now,
        mfa,
        session.expires_at,
    )
    ended = await sql.fetch(
        "UPDATE sessions SET revoked_at = $2, revoke_reason = 'too_many' WHERE id IN ("
        " SELECT id FROM sessions WHERE user_id = $1 AND revoked_at IS NULL"
        " ORDER BY created_at DESC, id DESC OFFSET $3) RETURNING id",
        user_id,
        now,
        SESSIONS_PER_USER_MAX,
    )
    return replace(session, displaced=tuple(str(row["id"]) for row in ended))


async def revoke_session(sql: Sql, session_id: str, now: datetime, reason: str) -> bool:
    """End a session; tell whether it had not ended before. `reason`: at most 40 characters."""
    ended = await sql.execute(
        "UPDATE sessions SET revoked_at = $2, revoke_reason = $3"
        " WHERE id = $1 AND revoked_at IS NULL",
        session_id,
        now,
        reason,
    )
    return bool(ended)


async def check_session(sql: Sql, identity: Identity, now: datetime) -> None:
    """Raises SessionRevoked when the session behind the token has ended."""
    row = await sql.fetchrow(
        "SELECT 1 AS live FROM sessions"
        " WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL AND expires_at > $3",
        identity.session_id,
        identity.user_id,
        now,
    )
    if row is None:
        raise SessionRevoked


async def check_standing(sql: Sql, user_id: str, *, frozen_may: bool) -> None:
    """Raises AccountFrozen and Forbidden by the status of the user's account.

    `frozen_may`: the action is one that a frozen person keeps (answering a dispute).
    """
    row = await sql.fetchrow("SELECT status FROM users WHERE id = $1", user_id)
    if row is None or row["status"] == "CLOSED":
        raise Forbidden("Your account is closed.")
    if row["status"] == "FROZEN" and not frozen_may:
        raise AccountFrozen


async def staff_role(sql: Sql, user_id: str) -> StaffRole | None:
    """Return the role that `user_id` has now, or None; a frozen account has none."""
    row = await sql.fetchrow(
        "SELECT m.role FROM staff_members m JOIN users u ON u.id = m.user_id"
        " WHERE m.user_id = $1 AND m.revoked_at IS NULL AND u.status = 'ACTIVE'",
        user_id,
    )
    return StaffRole[row["role"]] if row else None


async def reading_role(sql: Sql, identity: Identity, now: datetime) -> StaffRole | None:
    """Return the role in which somebody may read what is others', or None.

    It needs a second factor, and a session that has not ended: a token alone outlives that.
    """
    if not identity.mfa:
        return None
    try:
        await check_session(sql, identity, now)
    except SessionRevoked:
        return None
    return await staff_role(sql, identity.user_id)
