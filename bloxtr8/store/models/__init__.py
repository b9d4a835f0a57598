"""The tables, one file an area."""

from bloxtr8.store.models.access import OauthState, OneTimeToken, RefreshToken
from bloxtr8.store.models.escrows import Dispute, DisputeEvidence, Escrow, EscrowEvent
from bloxtr8.store.models.ledger import LedgerAccount, LedgerEntry
from bloxtr8.store.models.listings import (
    Guild,
    GuildChannel,
    GuildMember,
    Listing,
    ListingMessage,
    ListingPrice,
    ListingWatch,
)
from bloxtr8.store.models.market import Contract
from bloxtr8.store.models.notices import DeadlineExtension, NotificationDelivery, Outage
from bloxtr8.store.models.offers import Offer, OfferDraft, Report
from bloxtr8.store.models.payments import (
    EscrowFunds,
    PaymentArtifact,
    PaymentOperation,
    WebhookEvent,
)
from bloxtr8.store.models.people import (
    Account,
    Consent,
    PayoutMethod,
    Session,
    StaffMember,
    StaffNote,
    User,
    UserBlock,
)
from bloxtr8.store.models.plumbing import (
    Approval,
    AuditEntry,
    AuditSeal,
    DeadLetter,
    IdempotencyKey,
    InboxMessage,
    Operation,
    OutboxMessage,
    StaffTask,
)
from bloxtr8.store.models.reconciliation import Discrepancy, ReconciliationRun, StatementLine
from bloxtr8.store.models.roblox import AssetVerification, RobloxCacheEntry, RobloxSnapshot
from bloxtr8.store.models.usdc import (
    ChainCursor,
    ChainTransaction,
    DepositAccount,
    DepositNumber,
    ScreeningAnswer,
    WalletScreening,
)

__all__ = [
    "Account",
    "Approval",
    "AssetVerification",
    "AuditEntry",
    "AuditSeal",
    "ChainCursor",
    "ChainTransaction",
    "Consent",
    "Contract",
    "DeadLetter",
    "DeadlineExtension",
    "DepositAccount",
    "DepositNumber",
    "Discrepancy",
    "Dispute",
    "DisputeEvidence",
    "Escrow",
    "EscrowEvent",
    "EscrowFunds",
    "Guild",
    "GuildChannel",
    "GuildMember",
    "IdempotencyKey",
    "InboxMessage",
    "LedgerAccount",
    "LedgerEntry",
    "Listing",
    "ListingMessage",
    "ListingPrice",
    "ListingWatch",
    "NotificationDelivery",
    "OauthState",
    "Offer",
    "OfferDraft",
    "OneTimeToken",
    "Operation",
    "Outage",
    "OutboxMessage",
    "PaymentArtifact",
    "PaymentOperation",
    "PayoutMethod",
    "ReconciliationRun",
    "RefreshToken",
    "Report",
    "RobloxCacheEntry",
    "RobloxSnapshot",
    "ScreeningAnswer",
    "Session",
    "StaffMember",
    "StaffNote",
    "StaffTask",
    "StatementLine",
    "User",
    "UserBlock",
    "WalletScreening",
    "WebhookEvent",
]
