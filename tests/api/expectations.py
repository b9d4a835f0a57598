"""Who may use each route, as the API's tables say: written here, not read from the code."""

from dataclasses import dataclass, replace

from web.routes import Route

MAY = "may"
_STAFF = ("support", "moderator", "admin")
_PERSONS = ("user", "outsider", "frozen", *_STAFF, "seller", "buyer")


@dataclass(frozen=True, slots=True)
class Expectation:
    """Refusals by caller; whoever is not named may.

    `frozen`: people with a frozen account may change this. `absent`: what the path or the body
    names does not exist, so those who may are told that.
    """

    refused: dict[str, str]
    anyone: bool = False
    frozen: bool = False
    absent: bool = False


def _only(code: str, *allowed: str) -> Expectation:
    return Expectation({name: code for name in _PERSONS if name not in allowed})


ANYONE = Expectation({}, anyone=True)
USER = Expectation({})
ALSO_FROZEN = Expectation({}, frozen=True)
TRADER = Expectation(
    {"user": "tier_required", "frozen": "account_frozen"}
    | dict.fromkeys(_STAFF, "consent_required")
)
SUPPORT = _only("forbidden", *_STAFF)
MODERATOR = _only("forbidden", "moderator", "admin")
ADMIN = _only("forbidden", "admin")
PARTY = _only("not_found", "buyer", "seller")
PARTY_OR_STAFF = _only("not_found", "buyer", "seller", *_STAFF)
BUYER = Expectation(PARTY.refused | {"seller": "forbidden"})
SELLER = Expectation(PARTY.refused | {"buyer": "forbidden"})
REQUESTER = _only("not_found", "buyer")
LISTING_SELLER = _only("forbidden", "seller")
ADDRESSEE = Expectation(PARTY.refused | {"buyer": "not_your_turn"})
TRADING_ADDRESSEE = Expectation(ADDRESSEE.refused | TRADER.refused)
PROPOSER = Expectation(PARTY.refused | {"seller": "not_your_turn"})
ANSWERING = Expectation(PARTY.refused, frozen=True)
OFFERING = Expectation(TRADER.refused | {"seller": "own_listing"})
LINKED = Expectation(dict.fromkeys(("user", *_STAFF), "tier_required"))
RELISTING = Expectation(LISTING_SELLER.refused | TRADER.refused)
GUILD_ADMIN = _only("not_found")
_EVERYBODY = ("nobody", "expired token", "wrong audience", *_PERSONS)
WORKERS = Expectation(dict.fromkeys(_EVERYBODY, "not_found"), anyone=True)
# Only our own pages: their Origin is missing here.
OWN_PAGES = Expectation(dict.fromkeys(_EVERYBODY, "csrf_failed"), anyone=True)


def absent(expectation: Expectation) -> Expectation:
    """Return the expectation for something that does not exist."""
    return replace(expectation, absent=True)


def may(expected: Expectation, caller: str, route: Route) -> str:
    """Return MAY, or the code by which `caller` is refused."""
    judged = not expected.anyone or route.path.startswith("/api/v1/")
    if judged and caller == "expired token":
        return "token_expired"
    if judged and caller == "wrong audience":
        return "unauthenticated"
    if caller == "nobody" and not expected.anyone:
        return "unauthenticated"
    changes = route.method != "GET" and not (expected.anyone or expected.frozen)
    if caller == "frozen" and changes:
        return "account_frozen"
    refusal = expected.refused.get(caller, MAY)
    return MAY if refusal == "not_found" and expected.absent else refusal


EXPECTED: dict[str, Expectation] = {
    "GET /": ANYONE,
    "GET /health": ANYONE,
    "GET /ready": ANYONE,
    "GET /metrics": ANYONE,
    "GET /.well-known/jwks.json": ANYONE,
    "GET /openapi.json": ANYONE,
    "GET /docs": ANYONE,
    "GET /problems": ANYONE,
    "GET /problems/{code}": absent(ANYONE),
    "GET /api/v1/meta": ANYONE,
    "GET /api/v1/status": ANYONE,
    "POST /api/v1/fees/quote": ANYONE,
    "GET /internal/escrows/{escrow_id}": WORKERS,
    "POST /webhooks/stripe": ANYONE,
    "POST /webhooks/custodian": ANYONE,
    "GET /api/v1/escrows": USER,
    "GET /api/v1/escrows/{escrow_id}": PARTY_OR_STAFF,
    "GET /api/v1/escrows/{escrow_id}/timeline": PARTY_OR_STAFF,
    "GET /api/v1/escrows/{escrow_id}/ledger": PARTY_OR_STAFF,
    "POST /api/v1/escrows/{escrow_id}/mark-delivered": SELLER,
    "PUT /api/v1/escrows/{escrow_id}/receiving-group": BUYER,
    "POST /api/v1/escrows/{escrow_id}/release": BUYER,
    "POST /api/v1/escrows/{escrow_id}/refund": SELLER,
    "POST /api/v1/escrows/{escrow_id}/cancel": PARTY,
    "POST /api/v1/escrows/{escrow_id}/extension": PARTY,
    "POST /api/v1/escrows/{escrow_id}/payee": SELLER,
    "POST /api/v1/escrows/{escrow_id}/dispute": PARTY,
    "GET /api/v1/escrows/{escrow_id}/dispute": PARTY_OR_STAFF,
    "POST /api/v1/escrows/{escrow_id}/dispute/withdraw": BUYER,
    "POST /api/v1/escrows/{escrow_id}/settlements": PARTY,
    "POST /api/v1/escrows/{escrow_id}/settlements/{proposal_id}/accept": absent(PARTY),
    "POST /api/v1/escrows/{escrow_id}/settlements/{proposal_id}/reject": absent(PARTY),
    "POST /api/v1/escrows/{escrow_id}/settlements/{proposal_id}/withdraw": absent(PARTY),
    "POST /api/v1/escrows/{escrow_id}/evidence": ANSWERING,
    "GET /api/v1/escrows/{escrow_id}/evidence/{evidence_id}": absent(PARTY_OR_STAFF),
    "POST /api/v1/escrows/{escrow_id}/dispute/statements": ANSWERING,
    "GET /api/v1/escrows/{escrow_id}/payment": BUYER,
    "GET /api/v1/escrows/{escrow_id}/payment/qr.svg": BUYER,
    "GET /api/v1/escrows/{escrow_id}/receipt": PARTY,
    "GET /api/v1/me/payout-methods": USER,
    "POST /api/v1/me/payout-methods": USER,
    "POST /api/v1/me/payout-methods/{method_id}/verify": absent(USER),
    "POST /api/v1/me/payout-methods/{method_id}/default": absent(USER),
    "DELETE /api/v1/me/payout-methods/{method_id}": absent(USER),
    "GET /api/v1/operations": USER,
    "GET /api/v1/operations/{operation_id}": PARTY_OR_STAFF,
    "DELETE /api/v1/operations/{operation_id}": REQUESTER,
    "GET /api/v1/staff/escrows": SUPPORT,
    "GET /api/v1/staff/stats": SUPPORT,
    "GET /api/v1/staff/reports": SUPPORT,
    "GET /api/v1/staff/escrows/{escrow_id}": SUPPORT,
    "POST /api/v1/staff/escrows/{escrow_id}/resolve": MODERATOR,
    "POST /api/v1/staff/escrows/{escrow_id}/hold": MODERATOR,
    "POST /api/v1/staff/escrows/{escrow_id}/unhold": MODERATOR,
    "POST /api/v1/staff/escrows/{escrow_id}/funds-review": ADMIN,
    "POST /api/v1/staff/escrows/{escrow_id}/release": ADMIN,
    "POST /api/v1/staff/escrows/{escrow_id}/refund": ADMIN,
    "POST /api/v1/staff/escrows/{escrow_id}/cancel": ADMIN,
    "POST /api/v1/staff/escrows/{escrow_id}/retry-payout": ADMIN,
    "POST /api/v1/staff/escrows/{escrow_id}/retry-refund": ADMIN,
    "POST /api/v1/staff/escrows/{escrow_id}/extension": MODERATOR,
    "GET /api/v1/staff/queue": SUPPORT,
    "POST /api/v1/staff/tasks/{task_id}/claim": absent(MODERATOR),
    "POST /api/v1/staff/tasks/{task_id}/release": absent(MODERATOR),
    "POST /api/v1/staff/tasks/{task_id}/close": absent(MODERATOR),
    "POST /api/v1/staff/disputes/{dispute_id}/claim": absent(MODERATOR),
    "POST /api/v1/staff/disputes/{dispute_id}/question": absent(MODERATOR),
    "GET /api/v1/staff/approvals": SUPPORT,
    "POST /api/v1/staff/approvals/{approval_id}/approve": absent(MODERATOR),
    "POST /api/v1/staff/approvals/{approval_id}/reject": absent(MODERATOR),
    "GET /api/v1/staff/dead-letters": SUPPORT,
    "GET /api/v1/staff/dead-letters/{letter_id}": absent(SUPPORT),
    "POST /api/v1/staff/dead-letters/{letter_id}/replay": absent(ADMIN),
    "POST /api/v1/staff/dead-letters/{letter_id}/discard": absent(ADMIN),
    "GET /auth/discord/login": ANYONE,
    "GET /auth/discord/callback": ANYONE,
    "GET /auth/session": ANYONE,
    "POST /auth/refresh": OWN_PAGES,
    "POST /auth/logout": ALSO_FROZEN,
    "POST /auth/logout-all": ALSO_FROZEN,
    "POST /auth/roblox/link": USER,
    "POST /auth/roblox/group-check": absent(TRADER),
    "GET /auth/roblox/callback": ANYONE,
    "GET /link/continue": ANYONE,
    "GET /link/done": ANYONE,
    "GET /link/error": ANYONE,
    "GET /link/{token}": absent(ANYONE),
    "POST /link/{token}/start": absent(USER),
    "DELETE /api/v1/me/accounts/roblox": absent(USER),
    "POST /api/v1/me/link-claims": USER,
    "GET /api/v1/me": USER,
    "PATCH /api/v1/me": USER,
    "GET /api/v1/me/sessions": USER,
    "DELETE /api/v1/me/sessions/{session_id}": absent(ALSO_FROZEN),
    "GET /api/v1/me/consents": USER,
    "POST /api/v1/me/consents": USER,
    "GET /api/v1/me/blocks": USER,
    "GET /api/v1/me/blocks/{user_id}": absent(USER),
    "PUT /api/v1/me/blocks/{user_id}": USER,
    "DELETE /api/v1/me/blocks/{user_id}": USER,
    "POST /api/v1/me/close": USER,
    "GET /api/v1/users/{user_id}": ANYONE,
    "GET /api/v1/me/summary": USER,
    "GET /api/v1/me/notification-preferences": USER,
    "PUT /api/v1/me/notification-preferences": USER,
    "GET /api/v1/me/notices": USER,
    "POST /api/v1/me/notices/read": ALSO_FROZEN,
    "GET /api/v1/me/events": USER,
    "GET /api/v1/me/experiences": LINKED,
    "POST /api/v1/experiences/resolve": absent(USER),
    "GET /api/v1/me/verifications": USER,
    "POST /api/v1/me/verifications": absent(LINKED),
    "GET /api/v1/staff/users": SUPPORT,
    "GET /api/v1/staff/users/{user_id}": SUPPORT,
    "POST /api/v1/staff/users/{user_id}/freeze": ADMIN,
    "POST /api/v1/staff/users/{user_id}/unfreeze": ADMIN,
    "POST /api/v1/staff/users/{user_id}/relink-waiver": ADMIN,
    "POST /api/v1/staff/users/{user_id}/tier/grant": ADMIN,
    "POST /api/v1/staff/users/{user_id}/tier/revoke": ADMIN,
    "POST /api/v1/staff/users/{user_id}/notes": SUPPORT,
    "GET /api/v1/staff/members": ADMIN,
    "PUT /api/v1/staff/members/{user_id}": ADMIN,
    "DELETE /api/v1/staff/members/{user_id}": absent(ADMIN),
    "POST /api/v1/staff/verifications": absent(MODERATOR),
    "POST /api/v1/listings": TRADER,
    "GET /api/v1/listings": ANYONE,
    "GET /api/v1/listings/{listing_id}": ANYONE,
    "PATCH /api/v1/listings/{listing_id}": LISTING_SELLER,
    "POST /api/v1/listings/{listing_id}/pause": LISTING_SELLER,
    "POST /api/v1/listings/{listing_id}/relist": RELISTING,
    "POST /api/v1/listings/{listing_id}/cancel": LISTING_SELLER,
    "GET /api/v1/listings/{listing_id}/snapshots": ANYONE,
    "PUT /api/v1/listings/{listing_id}/watch": USER,
    "DELETE /api/v1/listings/{listing_id}/watch": USER,
    "POST /api/v1/reports": absent(USER),
    "POST /api/v1/listings/{listing_id}/offers": OFFERING,
    "GET /api/v1/listings/{listing_id}/offers": USER,
    "GET /api/v1/offers": USER,
    "GET /api/v1/offers/{offer_id}": PARTY_OR_STAFF,
    "GET /api/v1/offers/{offer_id}/thread": PARTY_OR_STAFF,
    "POST /api/v1/offers/{offer_id}/accept": ADDRESSEE,
    "POST /api/v1/offers/{offer_id}/decline": ADDRESSEE,
    "POST /api/v1/offers/{offer_id}/withdraw": PROPOSER,
    "POST /api/v1/offers/{offer_id}/counter": TRADING_ADDRESSEE,
    "GET /api/v1/listings/{listing_id}/draft": absent(TRADER),
    "PUT /api/v1/listings/{listing_id}/draft": OFFERING,
    "DELETE /api/v1/listings/{listing_id}/draft": absent(TRADER),
    "POST /api/v1/offer-drafts/{draft_id}/submit": absent(TRADER),
    "GET /api/v1/contracts": USER,
    "GET /api/v1/contracts/{contract_id}": PARTY_OR_STAFF,
    "GET /api/v1/contracts/{contract_id}/pdf": PARTY_OR_STAFF,
    "POST /api/v1/contracts/{contract_id}/sign": PARTY,
    "POST /api/v1/contracts/{contract_id}/decline": PARTY,
    "POST /api/v1/contracts/verify": ANYONE,
    "POST /api/v1/staff/contracts/{contract_id}/void": MODERATOR,
    "GET /sign/continue": ANYONE,
    "GET /sign/{token}": absent(ANYONE),
    "POST /api/v1/staff/listings/{listing_id}/takedown": MODERATOR,
    "POST /api/v1/staff/listings/{listing_id}/approve": MODERATOR,
    "GET /api/v1/staff/outages": SUPPORT,
    "POST /api/v1/staff/outages": ADMIN,
    "POST /api/v1/staff/outages/{outage_id}/close": absent(ADMIN),
    "GET /api/v1/stats/public": ANYONE,
    "GET /api/v1/me/stats": USER,
    "GET /api/v1/guilds/{discord_id}/stats": absent(GUILD_ADMIN),
    "POST /api/v1/me/export": USER,
    "GET /api/v1/staff/audit": SUPPORT,
    "POST /api/v1/staff/audit/verify": ADMIN,
    "POST /api/v1/staff/audit/exports": ADMIN,
    "GET /api/v1/staff/audit/exports/{export_id}": absent(ADMIN),
}
