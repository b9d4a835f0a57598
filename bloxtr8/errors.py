"""What can go wrong for a user, each with a stable code, an HTTP status and one sentence.

Bloxtr8Error
├── NotFound                 404 not_found
├── MethodNotAllowed         405 method_not_allowed
├── NotAcceptable            406 not_acceptable
├── Conflict                 409
│   ├── InvalidState             invalid_state
│   ├── OnHold                   on_hold
│   ├── ApprovalRequired         approval_required
│   ├── PayoutMethodMissing      payout_method_missing
│   ├── SettlementTurn           settlement_turn
│   ├── ProposalStale            proposal_stale
│   ├── OperationConflict        operation_conflict
│   ├── PaymentNotReady          payment_not_ready
│   ├── AlreadyDecided           already_decided
│   ├── ApprovalStale            approval_stale
│   ├── IdempotencyInProgress    idempotency_in_progress
│   ├── DisputeExists            dispute_exists
│   ├── NotOwner                 not_owner
│   ├── RobloxAlreadyLinked      roblox_already_linked
│   ├── RobloxLinkedElsewhere    roblox_linked_elsewhere
│   ├── WaitRequired             wait_required
│   ├── UnlinkBlocked            unlink_blocked
│   ├── CloseBlocked             close_blocked
│   ├── LimitReached             limit_reached
│   ├── ListingNotActive         listing_not_active
│   ├── UniverseAlreadyListed    universe_already_listed
│   ├── OwnershipLost            ownership_lost
│   ├── OfferNotOpen             offer_not_open
│   ├── OfferAlreadyOpen         offer_already_open
│   ├── ContractNotReady         contract_not_ready
│   ├── DocumentChanged          document_changed
│   ├── ContractIntegrity        contract_integrity
│   └── DraftStale               draft_stale
├── Denied                   403
│   ├── Forbidden                forbidden
│   ├── CsrfFailed               csrf_failed
│   ├── StepUpRequired           step_up_required
│   ├── MfaRequired              mfa_required
│   ├── ConflictOfInterest       conflict_of_interest
│   ├── TierRequired             tier_required
│   ├── ConsentRequired          consent_required
│   ├── NotYourTurn              not_your_turn
│   ├── OwnListing               own_listing
│   └── AccountFrozen            account_frozen
├── Unauthenticated          401 unauthenticated
│   ├── TokenExpired             token_expired
│   ├── SessionRevoked           session_revoked
│   ├── RefreshInvalid           refresh_invalid
│   └── RefreshReused            refresh_reused
├── BadRequest               400
│   ├── MalformedJson            malformed_json
│   ├── BadHeader                bad_header
│   ├── BadCursor                bad_cursor
│   ├── IdempotencyKeyMissing    idempotency_key_missing
│   ├── IdempotencyKeyMalformed  idempotency_key_malformed
│   ├── OauthStateInvalid        oauth_state_invalid
│   ├── OauthExchangeFailed      oauth_exchange_failed
│   ├── OauthDenied              oauth_denied
│   └── WebhookSignatureInvalid  webhook_signature_invalid
├── Unprocessable            422
│   ├── ValidationFailed         validation_failed
│   ├── UnknownField             unknown_field
│   ├── AmountOutOfRange         amount_out_of_range
│   ├── IdempotencyKeyReused     idempotency_key_reused
│   └── EvidenceRejected         evidence_rejected
├── Gone                     410
│   ├── LinkExpired              link_expired
│   ├── SigningExpired           signing_expired
│   └── OfferExpired             offer_expired
├── VersionMismatch          412 version_mismatch
├── PreconditionRequired     428 precondition_required
├── BodyTooLarge             413 body_too_large
├── QuotaExceeded            413 quota_exceeded
├── UnsupportedMediaType     415 unsupported_media_type
├── RateLimited              429 rate_limited
└── Unavailable              503 unavailable
    ├── UpstreamUnavailable      upstream_unavailable
    └── OwnershipUnknown         ownership_unknown
"""

from typing import Any, ClassVar


class Bloxtr8Error(Exception):
    """Base of every error that a user may be told about.

    `detail` is one sentence for a person, without internals; `members` are extra, documented
    members of the problem document (e.g. `retry_after_s`).
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong on our side."

    def __init__(self, detail: str | None = None, **members: Any) -> None:
        self.detail = detail or self.title
        self.members = members
        super().__init__(self.detail)


class NotFound(Bloxtr8Error):
    code, status, title = "not_found", 404, "There is nothing here that you may see."


class MethodNotAllowed(Bloxtr8Error):
    code, status = "method_not_allowed", 405
    title = "This address does not know that method."


class NotAcceptable(Bloxtr8Error):
    code, status = "not_acceptable", 406
    title = "This address answers with another media type than the ones asked for."


class Conflict(Bloxtr8Error):
    code, status, title = "conflict", 409, "The request conflicts with the current state."


class InvalidState(Conflict):
    code, title = "invalid_state", "That is not possible in the current state."


class OnHold(Conflict):
    code, title = "on_hold", "The trade is on hold; money does not move until it is lifted."


class ApprovalRequired(Conflict):
    code, title = "approval_required", "A second member of staff must approve this."


class PayoutMethodMissing(Conflict):
    code, title = "payout_method_missing", "The seller has not chosen where to be paid."


class SettlementTurn(Conflict):
    code, title = "settlement_turn", "It is the other side's turn to answer."


class ProposalStale(Conflict):
    code, title = "proposal_stale", "That proposal is no longer open."


class OperationConflict(Conflict):
    code, title = "operation_conflict", "Something else is under way; ask again when it is done."


class PaymentNotReady(Conflict):
    code, title = "payment_not_ready", "The payment is being prepared; ask again in a moment."


class AlreadyDecided(Conflict):
    code, title = "already_decided", "That has already been decided."


class ApprovalStale(Conflict):
    code, title = "approval_stale", "The trade has changed since the approval was asked for."


class IdempotencyInProgress(Conflict):
    code, title = "idempotency_in_progress", "The first request with this key is still running."


class DisputeExists(Conflict):
    code, title = "dispute_exists", "There is already a dispute about this trade."


class NotOwner(Conflict):
    code, title = "not_owner", "Roblox shows somebody else as the owner."


class RobloxAlreadyLinked(Conflict):
    code, title = "roblox_already_linked", "Another Roblox account is linked to you already."


class RobloxLinkedElsewhere(Conflict):
    code = "roblox_linked_elsewhere"
    title = "That Roblox account is linked to somebody else."


class WaitRequired(Conflict):
    """`retry_after_s` says how long."""

    code, title = "wait_required", "That is possible again after a waiting time."


class UnlinkBlocked(Conflict):
    """`blockers` is a list of `{kind, id, ref}`: what has to end first."""

    code, title = "unlink_blocked", "Something that you have promised is still open."


class CloseBlocked(Conflict):
    """`blockers` as with UnlinkBlocked."""

    code, title = "close_blocked", "Something that you have promised is still open."


class LimitReached(Conflict):
    code, title = "limit_reached", "You have as many of these as you may have."


class ListingNotActive(Conflict):
    code, title = "listing_not_active", "The listing is not open for offers right now."


class UniverseAlreadyListed(Conflict):
    code, title = "universe_already_listed", "This experience is listed already."


class OwnershipLost(Conflict):
    code, title = "ownership_lost", "Roblox no longer shows the seller as the owner."


class OfferNotOpen(Conflict):
    code, title = "offer_not_open", "That offer has been answered or taken back."


class OfferAlreadyOpen(Conflict):
    code, title = "offer_already_open", "There is an open offer between you on this listing."


class ContractNotReady(Conflict):
    code, title = "contract_not_ready", "The contract's document is still being made."


class DocumentChanged(Conflict):
    code, title = "document_changed", "That is not the document that is to be signed."


class ContractIntegrity(Conflict):
    code, title = "contract_integrity", "The stored document is not the one that was made."


class DraftStale(Conflict):
    code, title = "draft_stale", "That draft was changed, sent or has expired."


class Denied(Bloxtr8Error):
    code, status, title = "forbidden", 403, "You may not do that."


class Forbidden(Denied):
    pass


class CsrfFailed(Denied):
    code, title = "csrf_failed", "The request did not come from our own page."


class StepUpRequired(Denied):
    code, title = "step_up_required", "Sign in again to do this."


class MfaRequired(Denied):
    code, title = "mfa_required", "Staff sign in with a second factor."


class ConflictOfInterest(Denied):
    code, title = "conflict_of_interest", "You may not decide about something you are part of."


class TierRequired(Denied):
    """`required_tier` names it."""

    code, title = "tier_required", "Your account needs another verification for this."


class ConsentRequired(Denied):
    """`missing_consents` names the documents."""

    code, title = "consent_required", "Agree to the current documents first."


class NotYourTurn(Denied):
    code, title = "not_your_turn", "It is the other side's turn to answer."


class OwnListing(Denied):
    code, title = "own_listing", "This is your own listing."


class AccountFrozen(Denied):
    code, title = "account_frozen", "Your account is frozen."


class Unauthenticated(Bloxtr8Error):
    code, status, title = "unauthenticated", 401, "Sign in first."


class TokenExpired(Unauthenticated):
    code, title = "token_expired", "Your access token has ended; refresh it."


class SessionRevoked(Unauthenticated):
    code, title = "session_revoked", "You were signed out; sign in again."


class RefreshInvalid(Unauthenticated):
    code, title = "refresh_invalid", "Your sign-in has ended; sign in again."


class RefreshReused(Unauthenticated):
    code = "refresh_reused"
    title = "An old copy of your sign-in was shown, so it was ended; sign in again."


class BadRequest(Bloxtr8Error):
    code, status, title = "bad_request", 400, "The request could not be understood."


class MalformedJson(BadRequest):
    code, title = "malformed_json", "The body is not valid JSON."


class BadHeader(BadRequest):
    code, title = "bad_header", "A header of the request is malformed."


class BadCursor(BadRequest):
    code, title = "bad_cursor", "The cursor is not valid for this list."


class IdempotencyKeyMissing(BadRequest):
    code, title = "idempotency_key_missing", "This request needs an Idempotency-Key header."


class IdempotencyKeyMalformed(BadRequest):
    code = "idempotency_key_malformed"
    title = "Idempotency-Key must be 16 to 255 printable ASCII characters."


class WebhookSignatureInvalid(BadRequest):
    code, title = "webhook_signature_invalid", "The signature is not valid."


class OauthStateInvalid(BadRequest):
    code = "oauth_state_invalid"
    title = "This sign-in was not begun in this browser, or not lately; begin again."


class OauthExchangeFailed(BadRequest):
    code, title = "oauth_exchange_failed", "The provider did not confirm who you are; try again."


class OauthDenied(BadRequest):
    code, title = "oauth_denied", "You did not agree at the provider, so nothing was done."


class Gone(Bloxtr8Error):
    code, status, title = "gone", 410, "That is over."


class OfferExpired(Gone):
    code, title = "offer_expired", "The time to answer that offer is over."


class LinkExpired(Gone):
    code, title = "link_expired", "This link has been used or has ended; ask for a new one."


class SigningExpired(Gone):
    code, title = "signing_expired", "The time to sign this contract is over."


class VersionMismatch(Bloxtr8Error):
    """`version` is the present one."""

    code, status, title = "version_mismatch", 412, "It has changed since you read it."


class PreconditionRequired(Bloxtr8Error):
    code, status = "precondition_required", 428
    title = "Send If-Match with the version that you read."


class Unprocessable(Bloxtr8Error):
    code, status, title = "validation_failed", 422, "The request has invalid fields."


class ValidationFailed(Unprocessable):
    """`errors` is a list of `{field, code, message}`; `field` is a JSON pointer."""


class UnknownField(Unprocessable):
    code, title = "unknown_field", "The request has a field that this route does not know."


class AmountOutOfRange(Unprocessable):
    code, title = "amount_out_of_range", "The amount is outside of what is possible."


class IdempotencyKeyReused(Unprocessable):
    code, title = "idempotency_key_reused", "This key was used with another request."


class EvidenceRejected(Unprocessable):
    code = "evidence_rejected"
    title = "Evidence is a PNG, JPEG or WebP picture, an MP4, a PDF or plain text."


class BodyTooLarge(Bloxtr8Error):
    code, status, title = "body_too_large", 413, "The body is too large."


class QuotaExceeded(Bloxtr8Error):
    code, status, title = "quota_exceeded", 413, "There is no room for that any more."


class UnsupportedMediaType(Bloxtr8Error):
    code, status, title = "unsupported_media_type", 415, "Send application/json."


class RateLimited(Bloxtr8Error):
    code, status, title = "rate_limited", 429, "Too many requests; wait a moment."


class Unavailable(Bloxtr8Error):
    code, status, title = "unavailable", 503, "We cannot answer right now; try again shortly."


class UpstreamUnavailable(Unavailable):
    code, title = "upstream_unavailable", "A provider does not answer right now; try again shortly."


class OwnershipUnknown(Unavailable):
    code, title = "ownership_unknown", "Roblox did not answer, so nothing was saved; try again."
