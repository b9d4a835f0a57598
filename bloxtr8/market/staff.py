"""Staff: roles given and taken, with nobody changing their own and one admin always left."""

from datetime import datetime
from typing import Any
from uuid import UUID

from bloxtr8.access.identity import StaffRole
from bloxtr8.errors import ConflictOfInterest, Forbidden, InvalidState, NotFound
from bloxtr8.market import audit
from bloxtr8.market.actors import Actor
from bloxtr8.market.audit import Deed
from bloxtr8.store.database import Transaction


async def grant(
    tx: Transaction, actor: Actor, user_id: UUID, role: StaffRole, reason: str, now: datetime
) -> None:
    """Give `user_id` the role; it replaces another.

    Raises Forbidden (oneself, the last admin), NotFound, InvalidState (account not active).
    """
    _require_other(actor, user_id)
    admins = await _lock_admins(tx)
    status = await tx.fetchval("SELECT status FROM users WHERE id = $1 FOR SHARE", user_id)
    if status is None:
        raise NotFound
    if status != "ACTIVE":
        raise InvalidState("Only an active account can be staff.", current_status=status)
    if role is not StaffRole.ADMIN:
        _require_admin_left(admins, user_id)
    before = await _role(tx, user_id)
    await tx.execute(
        "INSERT INTO staff_members (user_id, role, granted_by, granted_at, created_at, updated_at)"
        " VALUES ($1, $2, $3, $4, $4, $4) ON CONFLICT (user_id) DO UPDATE SET role = $2,"
        " granted_by = $3, granted_at = $4, revoked_at = NULL, revoke_reason = NULL,"
        " updated_at = $4",
        user_id,
        role.name,
        actor.user_id,
        now,
    )
    data = {"role": role.name, "before": before}
    deed = Deed("staff.granted", audit.on_user(user_id), reason, data)
    await audit.record(tx, actor, deed, now)


async def revoke(tx: Transaction, actor: Actor, user_id: UUID, reason: str, now: datetime) -> None:
    """Take the role away; raises Forbidden (oneself, the last admin) and NotFound."""
    _require_other(actor, user_id)
    admins = await _lock_admins(tx)
    _require_admin_left(admins, user_id)
    before = await _role(tx, user_id)
    taken = await tx.execute(
        "UPDATE staff_members SET revoked_at = $2, revoke_reason = $3, updated_at = $2"
        " WHERE user_id = $1 AND revoked_at IS NULL",
        user_id,
        now,
        reason,
    )
    if not taken:
        raise NotFound
    deed = Deed("staff.revoked", audit.on_user(user_id), reason, {"before": before})
    await audit.record(tx, actor, deed, now)


async def members(tx: Transaction) -> list[dict[str, Any]]:
    """Return everybody who has a role now."""
    return await tx.fetch(
        "SELECT s.user_id, u.display_name, s.role, s.granted_by, s.granted_at"
        " FROM staff_members s JOIN users u ON u.id = s.user_id"
        " WHERE s.revoked_at IS NULL ORDER BY s.granted_at, s.user_id"
    )


def require_no_interest(actor: Actor, user_id: UUID) -> None:
    """Raises ConflictOfInterest when staff act on their own account."""
    if actor.user_id == user_id:
        raise ConflictOfInterest


def _require_other(actor: Actor, user_id: UUID) -> None:
    if actor.user_id == user_id:
        raise Forbidden("Nobody changes their own role.")


async def _lock_admins(tx: Transaction) -> set[UUID]:
    """Return the admins there are; two changes of roles at once go one after the other."""
    rows = await tx.fetch(
        "SELECT user_id FROM staff_members WHERE role = 'ADMIN' AND revoked_at IS NULL"
        " ORDER BY user_id FOR UPDATE"
    )
    return {row["user_id"] for row in rows}


async def _role(tx: Transaction, user_id: UUID) -> str | None:
    role: str | None = await tx.fetchval(
        "SELECT role FROM staff_members WHERE user_id = $1 AND revoked_at IS NULL FOR UPDATE",
        user_id,
    )
    return role


def _require_admin_left(admins: set[UUID], without: UUID) -> None:
    if without in admins and admins == {without}:
        raise Forbidden("The last admin stays.")
