"""Sessions as people have them: renewed by rotating tokens, ended on sign-out or on theft."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.access.identity import StaffRole
from bloxtr8.access.sessions import Session, open_session, revoke_session, staff_role
from bloxtr8.errors import NotFound, RefreshInvalid, RefreshReused
from bloxtr8.market import audit, secrets
from bloxtr8.market.actors import Actor
from bloxtr8.market.audit import Deed
from bloxtr8.market.events import Events
from bloxtr8.store.database import Transaction, run_in_transaction
from proto.bloxtr8.market.v1 import market_pb2 as market

PREFIX = "brt_"
IDLE = timedelta(days=7)
# Two tabs may show the same token at once.
SHOWN_TWICE_WITHIN = timedelta(seconds=10)
_USER_AGENT_MAX = 300


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session with what proves it. `refresh_token` is None when the old one stays."""

    session: Session
    role: StaffRole | None
    refresh_token: str | None


async def start(tx: Transaction, actor: Actor, mfa: bool, now: datetime) -> SignedIn:
    """Open a session of `actor`, who has just proved who they are."""
    session = await open_session(tx, str(actor.id), now, mfa=mfa)
    await tx.execute(
        "UPDATE sessions SET ip = $2, user_agent = $3 WHERE id = $1",
        session.id,
        actor.ip,
        (actor.user_agent or "")[:_USER_AGENT_MAX] or None,
    )
    deed = Deed("session.created", ("session", session.id), data={"mfa": mfa})
    await audit.record(tx, actor, deed, now)
    for displaced in session.displaced:
        await _note_end(tx, actor, displaced, "too_many", now)
    token = await _issue(tx, ids.uuid7(), session, now)
    return SignedIn(session, await _role(tx, session), token)


async def refresh(token: str, actor: Actor, events: Events, now: datetime) -> SignedIn:
    """Return the session of a refresh token with the next one.

    A token shown again within 10 s gets no new refresh token. Later it is a copy: the session
    ends, for whoever holds which of the two. Raises RefreshInvalid and RefreshReused.
    """
    if not token.startswith(PREFIX):
        raise RefreshInvalid

    async def work(tx: Transaction) -> SignedIn | type[Exception]:
        return await _refresh(tx, token, actor, events, now)

    # The end of a session must be committed, so it is not raised inside.
    outcome = await run_in_transaction(work)
    if isinstance(outcome, SignedIn):
        return outcome
    raise outcome


async def end_earlier(tx: Transaction, actor: Actor, session_id: UUID, now: datetime) -> None:
    """End the session in whose browser the actor has signed in again, whoever's it was."""
    if await revoke_session(tx, str(session_id), now, "signed_in_again"):
        await _note_end(tx, actor, str(session_id), "signed_in_again", now)


async def revoke_own(tx: Transaction, actor: Actor, session_id: UUID, now: datetime) -> None:
    """End one of the actor's sessions; raises NotFound when it is not theirs or has ended."""
    found = await tx.execute(
        "UPDATE sessions SET revoked_at = $3, revoke_reason = 'signed_out'"
        " WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL",
        session_id,
        actor.id,
        now,
    )
    if not found:
        raise NotFound
    await _note_end(tx, actor, str(session_id), "signed_out", now)


async def revoke_all(tx: Transaction, actor: Actor, user_id: UUID, why: str, now: datetime) -> int:
    """End every session of a user; return how many there were."""
    ended = await tx.fetch(
        "UPDATE sessions SET revoked_at = $2, revoke_reason = $3"
        " WHERE user_id = $1 AND revoked_at IS NULL RETURNING id",
        user_id,
        now,
        why,
    )
    for row in ended:
        await _note_end(tx, actor, str(row["id"]), why, now)
    return len(ended)


async def open_sessions(tx: Transaction, user_id: UUID, now: datetime) -> list[dict[str, Any]]:
    """Return a user's live sessions, the last used first."""
    return await tx.fetch(
        "SELECT id, ip, user_agent, auth_time, last_used_at, created_at, expires_at FROM sessions"
        " WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2"
        " ORDER BY last_used_at DESC, id DESC",
        user_id,
        now,
    )


async def is_live(tx: Transaction, session_id: UUID, user_id: UUID, now: datetime) -> bool:
    """Tell whether the session is the user's and has not ended."""
    found = await tx.fetchval(
        "SELECT 1 FROM sessions"
        " WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL AND expires_at > $3",
        session_id,
        user_id,
        now,
    )
    return found is not None


async def _refresh(
    tx: Transaction, token: str, actor: Actor, events: Events, now: datetime
) -> SignedIn | type[Exception]:
    next_id = ids.uuid7()
    used = await tx.fetchrow(
        "UPDATE refresh_tokens SET used_at = $2, replaced_by = $3"
        " WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2 RETURNING session_id",
        secrets.digest(token),
        now,
        next_id,
    )
    if used is None:
        return await _not_fresh(tx, token, actor, events, now)
    session = await _live(tx, used["session_id"], now)
    if session is None:
        return RefreshInvalid
    await tx.execute(
        "UPDATE sessions SET last_used_at = $2, ip = coalesce($3, ip) WHERE id = $1",
        session.id,
        now,
        actor.ip,
    )
    issued = await _issue(tx, next_id, session, now)
    return SignedIn(session, await _role(tx, session), issued)


async def _not_fresh(
    tx: Transaction, token: str, actor: Actor, events: Events, now: datetime
) -> SignedIn | type[Exception]:
    row = await tx.fetchrow(
        "SELECT session_id, used_at FROM refresh_tokens WHERE token_hash = $1",
        secrets.digest(token),
    )
    if row is None or row["used_at"] is None:
        return RefreshInvalid
    session = await _live(tx, row["session_id"], now, lock=True)
    if session is None:
        return RefreshInvalid
    if now - row["used_at"] < SHOWN_TWICE_WITHIN:
        return SignedIn(session, await _role(tx, session), None)
    await revoke_session(tx, session.id, now, "reuse_detected")
    deed = Deed("session.reuse_detected", ("session", session.id))
    await audit.record(tx, actor, deed, now)
    notice = market.SecurityNotice(kind=market.SECURITY_KIND_REFRESH_REUSED, session_id=session.id)
    await events.say(tx, actor, UUID(session.user_id), notice, now)
    return RefreshReused


async def _live(
    tx: Transaction, session_id: UUID, now: datetime, *, lock: bool = False
) -> Session | None:
    suffix = " FOR UPDATE OF s" if lock else ""
    row = await tx.fetchrow(
        "SELECT s.* FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $1"  # noqa: S608
        f" AND s.revoked_at IS NULL AND s.expires_at > $2 AND u.status <> 'CLOSED'{suffix}",
        session_id,
        now,
    )
    if row is None:
        return None
    return Session(
        str(row["id"]), str(row["user_id"]), row["auth_time"], row["expires_at"], row["mfa"]
    )


async def _issue(tx: Transaction, token_id: UUID, session: Session, now: datetime) -> str:
    token = PREFIX + secrets.new()
    await tx.execute(
        "INSERT INTO refresh_tokens (id, session_id, token_hash, issued_at, expires_at, created_at)"
        " VALUES ($1, $2, $3, $4, $5, $4)",
        token_id,
        session.id,
        secrets.digest(token),
        now,
        min(now + IDLE, session.expires_at),
    )
    return token


async def _note_end(
    tx: Transaction, actor: Actor, session_id: str, why: str, now: datetime
) -> None:
    deed = Deed("session.revoked", ("session", session_id), data={"why": why})
    await audit.record(tx, actor, deed, now)


async def _role(tx: Transaction, session: Session) -> StaffRole | None:
    """Return the role that the session's token may claim: staff need a second factor."""
    return await staff_role(tx, session.user_id) if session.mfa else None
