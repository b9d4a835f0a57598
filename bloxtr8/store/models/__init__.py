"""The tables, one file an area."""

from bloxtr8.store.models.access import OauthState, OneTimeToken, RefreshToken
from bloxtr8.store.models.escrows import Dispute, DisputeEvidence, Escrow, EscrowEvent
from bloxtr8.store.models.ledger import LedgerAccount, LedgerEntry
from bloxtr8.store.models.market import Contract
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
from bloxtr8.store.models.roblox import AssetVerification, RobloxCacheEntry, RobloxSnapshot

__all__ = [
    "Account",
    "Approval",
    "AssetVerification",
    "AuditEntry",
    "AuditSeal",
    "Consent",
    "Contract",
    "DeadLetter",
    "Dispute",
    "DisputeEvidence",
    "Escrow",
    "EscrowEvent",
    "EscrowFunds",
    "IdempotencyKey",
    "InboxMessage",
    "LedgerAccount",
    "LedgerEntry",
    "OauthState",
    "OneTimeToken",
    "Operation",
    "OutboxMessage",
    "PaymentArtifact",
    "PaymentOperation",
    "PayoutMethod",
    "RefreshToken",
    "RobloxCacheEntry",
    "RobloxSnapshot",
    "Session",
    "StaffMember",
    "StaffNote",
    "StaffTask",
    "User",
    "UserBlock",
    "WebhookEvent",
]
