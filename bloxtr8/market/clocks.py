"""The one clock table of people, listings, offers and contracts.

Logic, contract text and messages read it. The escrow's own clocks are in
`bloxtr8.escrow.deadlines`.
"""

from dataclasses import dataclass
from datetime import timedelta

from bloxtr8.access import tokens
from bloxtr8.access.sessions import SESSION_LIFETIME
from bloxtr8.market import links, sessions, states, tiers
from bloxtr8.roblox import verifications

# Where an outage stops people from acting before these clocks end.
_WHERE_PEOPLE_ACT = frozenset({"ALL", "WEB", "BOT", "ROBLOX"})


@dataclass(frozen=True, slots=True)
class Span:
    """How long something lasts, what starts it, what happens at its end.

    `reminders` are percentages of the length; `scopes`: outages of which move the end.
    """

    length: timedelta
    starts_at: str
    then: str
    reminders: tuple[int, ...] = ()
    scopes: frozenset[str] = frozenset()


OFFER = Span(
    timedelta(hours=72), "offers.created_at", "EXPIRED", (50, 90), scopes=_WHERE_PEOPLE_ACT
)
OFFER_DRAFT = Span(timedelta(minutes=30), "last save", "deleted")
SIGNING = Span(
    timedelta(hours=72), "contracts.rendered_at", "VOID", (50, 90), scopes=_WHERE_PEOPLE_ACT
)
OAUTH_STATE = Span(states.LIFETIME, "creation", "unusable")
LINK_TOKEN = Span(links.LIFETIME, "creation", "unusable")
VERIFIED = Span(verifications.VERIFIED_KEPT, "the check", "asked again")
NOT_OWNER = Span(verifications.NOT_OWNER_KEPT, "the check", "asked again")
SIGN_TOKEN = Span(links.LIFETIME, "creation", "unusable")
WALLET_PROOF = Span(links.LIFETIME, "creation", "unusable")
ACCESS_TOKEN = Span(tokens.LIFETIME, "issue", "sign in again")
REFRESH_TOKEN = Span(sessions.IDLE, "last use", "sign in again")
SESSION = Span(SESSION_LIFETIME, "signing in", "sign in again")
TIER_2 = Span(tiers.TIER_2_VALID, "the grant", "back to TIER_1")
SECOND_APPROVAL = Span(timedelta(hours=72), "request", "EXPIRED")
LISTING_STALE = Span(timedelta(days=90), "listings.updated_at", "INACTIVE")
OWNERSHIP_RECHECK = Span(timedelta(days=7), "listings.last_verified_at", "checked again")
MEMBERSHIP = Span(timedelta(minutes=15), "the answer of Discord", "asked again")

TABLE = {
    "offer": OFFER,
    "offer_draft": OFFER_DRAFT,
    "signing": SIGNING,
    "oauth_state": OAUTH_STATE,
    "link_token": LINK_TOKEN,
    "ownership_verified": VERIFIED,
    "ownership_not_owner": NOT_OWNER,
    "sign_token": SIGN_TOKEN,
    "wallet_proof": WALLET_PROOF,
    "access_token": ACCESS_TOKEN,
    "refresh_token": REFRESH_TOKEN,
    "session": SESSION,
    "second_approval": SECOND_APPROVAL,
    "tier_2": TIER_2,
    "listing_stale": LISTING_STALE,
    "ownership_recheck": OWNERSHIP_RECHECK,
    "guild_membership": MEMBERSHIP,
}
