"""The audit row that belongs to a change made through the web."""

from typing import Any

from bloxtr8.store.database import Transaction, to_json
from web.actors import acting_role, user_agent
from web.addresses import client_address
from web.call import Call
from web.trace import trace_id


async def audit(
    tx: Transaction,
    call: Call,
    action: str,
    subject: tuple[str, str],
    *,
    reason: str = "",
    data: dict[str, Any] | None = None,
) -> None:
    """Insert who did `action` to `subject` (type, id); `data` holds ids and codes only."""
    await tx.execute(
        "INSERT INTO audit_log (at, actor_type, actor_id, channel, action, subject_type,"
        " subject_id, escrow_id, reason, data, ip, user_agent, trace_id)"
        " VALUES ($1, $2, $3, 'WEB', $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        call.now,
        "STAFF" if acting_role(call) is not None else "USER",
        call.caller.user_id,
        action,
        *subject,
        call.case.escrow.escrow_id if call.case else None,
        reason or None,
        to_json(data or {}),
        client_address(call.request, call.deps.proxies),
        user_agent(call.request),
        trace_id(call.traceparent),
    )
