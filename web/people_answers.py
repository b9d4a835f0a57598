"""What routes about people and experiences answer."""

from typing import Any

from pydantic import Field

from bloxtr8.access.tokens import LIFETIME as ACCESS_LIFETIME
from web.fields import Answer, Time

# Longer cookies are not ours.
SECRET_MAX = 200

__all__ = ["ACCESS_LIFETIME", "SECRET_MAX"]


class SessionOut(Answer):
    signed_in: bool
    user_id: str | None = None
    csrf_token: str | None = None
    expires_at: Time | None = None
    auth_time: Time | None = None


class AuthorizeOut(Answer):
    authorize_url: str


class RobloxOut(Answer):
    id: str
    name: str
    created_at: Time | None


class Stats(Answer):
    sales: int
    purchases: int
    disputes_lost: int


class Limits(Answer):
    """What is open, and how much may be."""

    open_listings: int
    open_listings_max: int
    open_offers: int
    open_offers_max: int


class UserPublic(Answer):
    id: str
    display_name: str
    avatar_url: str | None
    tier: str
    roblox: RobloxOut | None
    member_since: Time
    stats: Stats | None = Field(description="null: not shown to others")


class AccountOut(Answer):
    id: str
    provider: str
    external_id: str
    username: str
    display_name: str | None
    linked_at: Time
    unlinked_at: Time | None


class Me(UserPublic):
    version: int
    email: str | None
    status: str
    locale: str
    timezone: str
    staff_role: str | None
    missing_consents: list[str]
    accounts: list[AccountOut]
    limits: Limits
    payout_ready: dict[str, bool]


class OpenSession(Answer):
    id: str
    current: bool
    device: str | None
    network: str | None = Field(description="address cut to /24 or /48")
    signed_in_at: Time
    last_used_at: Time
    expires_at: Time


class OpenSessions(Answer):
    items: list[OpenSession]


class ConsentOut(Answer):
    document: str
    version: str
    current: bool
    accepted_at: Time | None


class Consents(Answer):
    items: list[ConsentOut]
    missing: list[str]


class BlockOut(Answer):
    user_id: str
    display_name: str
    since: Time


class Blocks(Answer):
    items: list[BlockOut]
    next_cursor: str | None


class ClaimOut(Answer):
    roblox_id: str
    status: str


class OwnerOut(Answer):
    type: str
    id: str
    name: str | None


class ExperienceOut(Answer):
    universe_id: str
    root_place_id: str | None
    name: str
    icon_url: str | None
    visits: str | None
    playing: str | None
    owner: OwnerOut
    listed: bool


class Experiences(Answer):
    """`complete` false: Roblox answered only in part."""

    items: list[ExperienceOut]
    next_cursor: str | None
    complete: bool


class VerificationOut(Answer):
    universe_id: str
    outcome: str
    ownership: str | None
    method: str
    reason: str | None
    checked_at: Time
    expires_at: Time
    cached: bool


class Verifications(Answer):
    items: list[VerificationOut]
    next_cursor: str | None


class StaffUser(Answer):
    id: str
    display_name: str
    status: str
    tier: str
    created_at: Time


class StaffUsers(Answer):
    items: list[StaffUser]
    next_cursor: str | None


class StaffNoteOut(Answer):
    id: str
    author_id: str
    text: str
    at: Time


class StaffUserFull(StaffUser):
    status_reason: str | None
    accounts: list[AccountOut]
    sessions: list[OpenSession]
    notes: list[StaffNoteOut]
    trades: list[dict[str, Any]]
    missing_consents: list[str]


class StaffMemberOut(Answer):
    user_id: str
    display_name: str
    role: str
    granted_by: str | None
    granted_at: Time


class StaffMembers(Answer):
    items: list[StaffMemberOut]
