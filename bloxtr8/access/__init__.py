"""Who is asking: access tokens, sessions, staff roles."""

from bloxtr8.access.identity import Identity, StaffRole
from bloxtr8.access.sessions import Session, open_session, revoke_session
from bloxtr8.access.tokens import AccessTokens, mint_access_token

__all__ = [
    "AccessTokens",
    "Identity",
    "Session",
    "StaffRole",
    "mint_access_token",
    "open_session",
    "revoke_session",
]
