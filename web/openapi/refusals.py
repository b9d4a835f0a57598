"""Which errors a route may answer: those that follow from its entry, and its own."""

from bloxtr8 import errors as e
from bloxtr8.errors import Bloxtr8Error
from web.routes import KeyRule, Route, Who

Errors = tuple[type[Bloxtr8Error], ...]

_SIDES = (Who.BUYER, Who.SELLER, Who.PARTY, Who.PARTY_OR_SUPPORT)
_STATE: Errors = (e.InvalidState, e.OnHold, e.OperationConflict)
_OWNERSHIP: Errors = (e.NotOwner, e.OwnershipUnknown)
_LISTED: Errors = (
    *_OWNERSHIP,
    e.Forbidden,
    e.InvalidState,
    e.LimitReached,
    e.UniverseAlreadyListed,
    e.AmountOutOfRange,
    e.TierRequired,
    e.ConsentRequired,
)
_OFFERED: Errors = (
    e.Forbidden,
    e.ListingNotActive,
    e.OwnListing,
    e.OfferAlreadyOpen,
    e.LimitReached,
    e.TierRequired,
    e.ConsentRequired,
    e.AmountOutOfRange,
    e.RateLimited,
)
_ANSWERED: Errors = (
    e.Forbidden,
    e.OfferNotOpen,
    e.OfferExpired,
    e.NotYourTurn,
    e.VersionMismatch,
    e.InvalidState,
)
_VERDICT: Errors = (
    *_STATE,
    e.AmountOutOfRange,
    e.PayoutMethodMissing,
    e.ApprovalRequired,
    e.ProposalStale,
)
_OAUTH: Errors = (e.OauthStateInvalid, e.OauthExchangeFailed, e.OauthDenied, e.Forbidden)
_LINKING: Errors = (
    e.RobloxAlreadyLinked,
    e.RobloxLinkedElsewhere,
    e.WaitRequired,
    e.Forbidden,
    e.UpstreamUnavailable,
)

# By the beginning of method and path; every entry that fits counts.
OWN: dict[str, Errors] = {
    "POST /webhooks/": (e.WebhookSignatureInvalid, e.MalformedJson, e.BodyTooLarge),
    "GET /auth/discord/callback": (*_OAUTH, e.SessionRevoked),
    "GET /auth/roblox/callback": (*_OAUTH, *_LINKING, e.SessionRevoked, e.NotFound),
    "POST /auth/refresh": (e.RefreshInvalid, e.RefreshReused, e.CsrfFailed),
    "POST /auth/roblox/": (*_LINKING, e.NotFound),
    "POST /link/": (e.LinkExpired, *_LINKING),
    "GET /link/": (e.LinkExpired, e.OauthStateInvalid),
    "POST /api/v1/escrows/": _VERDICT,
    "POST /api/v1/escrows/{escrow_id}/extension": (e.AlreadyDecided, e.ValidationFailed),
    "POST /api/v1/escrows/{escrow_id}/dispute": (e.DisputeExists,),
    "POST /api/v1/escrows/{escrow_id}/settlements": (e.SettlementTurn, e.Forbidden),
    "POST /api/v1/escrows/{escrow_id}/evidence": (e.UpstreamUnavailable,),
    "GET /api/v1/escrows/{escrow_id}/evidence/": (e.UpstreamUnavailable,),
    "POST /api/v1/staff/disputes/": (e.ConflictOfInterest, e.InvalidState),
    "POST /api/v1/staff/tasks/": (e.ConflictOfInterest,),
    "GET /api/v1/escrows/{escrow_id}/payment": (
        e.PaymentNotReady,
        e.InvalidState,
        e.UpstreamUnavailable,
    ),
    "GET /api/v1/escrows/{escrow_id}/receipt": (e.InvalidState,),
    "POST /api/v1/me/payout-methods": (
        e.LimitReached,
        e.InvalidState,
        e.LinkExpired,
        e.ValidationFailed,
        e.UpstreamUnavailable,
    ),
    "DELETE /api/v1/me/payout-methods/": (e.InvalidState,),
    "DELETE /api/v1/operations/": (e.AlreadyDecided,),
    "POST /api/v1/staff/escrows/": _VERDICT,
    "POST /api/v1/staff/escrows/{escrow_id}/resolve": (e.AlreadyDecided, e.ConflictOfInterest),
    "POST /api/v1/staff/approvals/": (e.ApprovalStale, e.AlreadyDecided, e.ConflictOfInterest),
    "DELETE /api/v1/me/accounts/roblox": (e.UnlinkBlocked, e.NotFound),
    "POST /api/v1/me/link-claims": (e.InvalidState, e.LimitReached),
    "POST /api/v1/me/consents": (e.ValidationFailed,),
    "PATCH /api/v1/me": (e.ValidationFailed,),
    "PUT /api/v1/me/blocks/": (e.LimitReached, e.Forbidden, e.ValidationFailed),
    "POST /api/v1/me/close": (e.CloseBlocked,),
    "GET /api/v1/me/experiences": (e.UpstreamUnavailable, e.InvalidState, e.TierRequired),
    "POST /api/v1/experiences/resolve": (e.NotFound, e.UpstreamUnavailable),
    "POST /api/v1/me/verifications": (
        *(e.NotFound, e.OwnershipUnknown, e.TierRequired, e.InvalidState),
    ),
    "POST /api/v1/staff/users/": (e.InvalidState, e.ConflictOfInterest),
    "PUT /api/v1/staff/members/": (e.InvalidState, e.ConflictOfInterest),
    "DELETE /api/v1/staff/members/": (e.InvalidState, e.ConflictOfInterest),
    "POST /api/v1/staff/verifications": (e.NotFound, e.InvalidState, e.ConflictOfInterest),
    "POST /api/v1/staff/listings/": (e.InvalidState, e.ConflictOfInterest),
    "POST /api/v1/staff/outages": (e.InvalidState, e.ValidationFailed),
    "POST /api/v1/listings": _LISTED,
    "PATCH /api/v1/listings/": _LISTED,
    "GET /api/v1/listings": (e.Unauthenticated,),
    "PUT /api/v1/listings/": (e.LimitReached,),
    "POST /api/v1/listings/{listing_id}/offers": _OFFERED,
    "PUT /api/v1/listings/{listing_id}/draft": (*_OFFERED, *_ANSWERED),
    "POST /api/v1/offer-drafts/": (*_OFFERED, *_ANSWERED, e.DraftStale),
    "POST /api/v1/offers/": (*_ANSWERED, e.ListingNotActive),
    "POST /api/v1/offers/{offer_id}/accept": (
        *_OWNERSHIP,
        e.OwnershipLost,
        e.TierRequired,
        e.ConsentRequired,
    ),
    "POST /api/v1/offers/{offer_id}/counter": (*_OFFERED,),
    "POST /api/v1/reports": (e.LimitReached, e.NotFound),
    "GET /api/v1/guilds/": (e.ValidationFailed,),
}


def refusals(route: Route) -> list[type[Bloxtr8Error]]:
    """Return every error that `route` may answer, by status and code."""
    found: set[type[Bloxtr8Error]] = {e.Bloxtr8Error, *route.errors}
    found |= _of_reading(route) | _of_caller(route)
    found |= {e.Unavailable, e.NotAcceptable}
    if route.limited:
        found.add(e.RateLimited)
    if "{" in route.path:
        found.add(e.NotFound)
    for start, own in OWN.items():
        if route.name.startswith(start):
            found |= set(own)
    codes: dict[str, type[Bloxtr8Error]] = {error.code: error for error in found}
    return sorted(codes.values(), key=_order)


def _of_reading(route: Route) -> set[type[Bloxtr8Error]]:
    """Return what reading header fields, body and query may end in."""
    found: set[type[Bloxtr8Error]] = {e.BadHeader}
    if route.body is not None or route.upload is not None or route.form:
        found |= {e.MalformedJson, e.BodyTooLarge, e.UnsupportedMediaType, e.ValidationFailed}
        found.add(e.UnknownField)
    if route.query is not None:
        found |= {e.ValidationFailed, e.UnknownField}
        if "cursor" in route.query.model_fields:
            found.add(e.BadCursor)
    if route.key is not KeyRule.NONE:
        found |= {e.IdempotencyKeyMalformed, e.IdempotencyKeyReused, e.IdempotencyInProgress}
    if route.key is KeyRule.REQUIRED:
        found.add(e.IdempotencyKeyMissing)
    if route.guarded:
        found |= {e.PreconditionRequired, e.VersionMismatch}
    return found


def _of_caller(route: Route) -> set[type[Bloxtr8Error]]:
    """Return what judging who asks may end in."""
    if not route.signed_in:
        # Where nobody has to sign in, a credential that is given must still be good.
        return {e.Unauthenticated, e.TokenExpired, e.CsrfFailed} if route.shared else set()
    found: set[type[Bloxtr8Error]] = {e.Unauthenticated, e.TokenExpired, e.SessionRevoked}
    if route.changes:
        # Forbidden: the account is closed.
        found |= {e.CsrfFailed, e.Forbidden}
        if not route.frozen_may:
            found.add(e.AccountFrozen)
    if route.step_up or (route.staff and route.changes):
        found.add(e.StepUpRequired)
    if route.staff:
        found |= {e.Forbidden, e.MfaRequired}
        if route.changes and "{escrow_id}" in route.path:
            found.add(e.ConflictOfInterest)
    if route.who in _SIDES:
        found |= {e.Forbidden, e.NotFound}
    if route.who is Who.TRADER:
        found |= {e.AccountFrozen, e.TierRequired, e.ConsentRequired}
    return found


def _order(error: type[Bloxtr8Error]) -> tuple[int, str]:
    return error.status, error.code
