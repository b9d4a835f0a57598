"""The audit row that belongs to a change: written in the transaction of the change."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from bloxtr8.market.actors import Actor
from bloxtr8.store.database import Transaction, to_json

_USER_AGENT_MAX = 300


@dataclass(frozen=True, slots=True)
class Deed:
    """What was done to what (`subject`: type, id).

    `data` holds ids, codes and states, and what everybody may read anyway; nothing personal.
    """

    action: str
    subject: tuple[str, str]
    reason: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    escrow_id: UUID | None = None


def on_user(user_id: object) -> tuple[str, str]:
    """Return a user as the subject of a deed."""
    return ("user", str(user_id))


async def record(tx: Transaction, actor: Actor, deed: Deed, now: datetime) -> None:
    """Insert that `actor` did `deed`."""
    await tx.execute(
        "INSERT INTO audit_log (at, actor_type, actor_id, channel, action, subject_type,"
        " subject_id, escrow_id, reason, data, ip, user_agent, trace_id)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        now,
        actor.kind,
        actor.user_id,
        actor.channel.value,
        deed.action,
        *deed.subject,
        deed.escrow_id,
        deed.reason or None,
        to_json(deed.data),
        actor.ip,
        (actor.user_agent or "")[:_USER_AGENT_MAX] or None,
        actor.trace_id,
    )
