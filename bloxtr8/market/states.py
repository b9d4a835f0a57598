"""Sign-ins under way at a provider: begun in one browser, consumed once by its callback."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.access.tokens import TokenKeys
from bloxtr8.errors import OauthStateInvalid
from bloxtr8.market import secrets
from bloxtr8.store.database import Transaction

Provider = Literal["DISCORD", "ROBLOX"]
Purpose = Literal["LOGIN", "STEP_UP", "LINK", "GROUP_CHECK"]

LIFETIME = timedelta(minutes=10)
_RETURN_TO = re.compile(r"/(?!/)[\w\-/?=&.%]{0,511}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a sign-in is for. `user_id`, `session_id`: of whoever is signed in and asks.

    `subject`: what a GROUP_CHECK is about.
    """

    provider: Provider
    purpose: Purpose
    return_to: str = "/"
    user_id: UUID | None = None
    session_id: UUID | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Handshake:
    """The two secrets of a sign-in; PKCE verifier and nonce follow from them and are not stored.

    `state` travels through the provider, `cookie` stays in the browser.
    """

    state: str
    cookie: str

    def verifier(self, keys: TokenKeys) -> str:
        """Return the PKCE code verifier (RFC 7636)."""
        return secrets.text(keys.mac("pkce", self.state, self.cookie))

    def nonce(self, keys: TokenKeys) -> str:
        """Return the nonce that the ID token must repeat (OpenID Connect Core, 3.1.2.1)."""
        return secrets.text(keys.mac("nonce", self.state, self.cookie))


def safe_return(path: str) -> str:
    """Return `path` when it is one of our own origin, else `/`."""
    return path if _RETURN_TO.fullmatch(path) else "/"


async def begin(tx: Transaction, wanted: Wanted, now: datetime) -> Handshake:
    """Store a new sign-in and return its secrets."""
    handshake = Handshake(secrets.new(), secrets.new())
    await tx.execute(
        "INSERT INTO oauth_states (id, state_hash, provider, purpose, browser_hash, user_id,"
        " session_id, return_to, subject, expires_at, created_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        ids.uuid7(),
        secrets.digest(handshake.state),
        wanted.provider,
        wanted.purpose,
        secrets.digest(handshake.cookie),
        wanted.user_id,
        wanted.session_id,
        safe_return(wanted.return_to),
        wanted.subject,
        now + LIFETIME,
        now,
    )
    return handshake


async def consume(
    tx: Transaction, handshake: Handshake, provider: Provider, now: datetime
) -> Wanted | None:
    """Use up the sign-in of `handshake`; None when it is not this browser's, used, or over.

    A state that another browser or provider shows is used up too: it is known to others. The
    caller commits before anything else happens.
    """
    row = await tx.fetchrow(
        "UPDATE oauth_states SET consumed_at = $4, outcome = 'returned' WHERE state_hash = $1"
        " AND provider = $2 AND browser_hash = $3 AND consumed_at IS NULL AND expires_at > $4"
        " RETURNING *",
        secrets.digest(handshake.state),
        provider,
        secrets.digest(handshake.cookie),
        now,
    )
    if row is None:
        await tx.execute(
            "UPDATE oauth_states SET consumed_at = $2, outcome = 'mismatch'"
            " WHERE state_hash = $1 AND consumed_at IS NULL",
            secrets.digest(handshake.state),
            now,
        )
        return None
    return _wanted(row)


async def note_outcome(tx: Transaction, handshake: Handshake, outcome: str) -> None:
    """Keep how a consumed sign-in ended, in at most 40 characters."""
    await tx.execute(
        "UPDATE oauth_states SET outcome = $2 WHERE state_hash = $1",
        secrets.digest(handshake.state),
        outcome[:40],
    )


def require(wanted: Wanted | None) -> Wanted:
    """Raises OauthStateInvalid when there was no such sign-in."""
    if wanted is None:
        raise OauthStateInvalid
    return wanted


def _wanted(row: dict[str, Any]) -> Wanted:
    return Wanted(
        provider=row["provider"],
        purpose=row["purpose"],
        return_to=row["return_to"],
        user_id=row["user_id"],
        session_id=row["session_id"],
        subject=row["subject"],
    )
