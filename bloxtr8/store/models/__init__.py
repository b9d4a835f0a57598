"""The tables, one file an area."""

from bloxtr8.store.models.escrows import Dispute, DisputeEvidence, Escrow, EscrowEvent
from bloxtr8.store.models.ledger import LedgerAccount, LedgerEntry
from bloxtr8.store.models.market import Contract
from bloxtr8.store.models.payments import (
    EscrowFunds,
    PaymentArtifact,
    PaymentOperation,
    WebhookEvent,
)
from bloxtr8.store.models.people import PayoutMethod, Session, StaffMember, User
from bloxtr8.store.models.plumbing import (
    Approval,
    AuditEntry,
    DeadLetter,
    IdempotencyKey,
    InboxMessage,
    Operation,
    OutboxMessage,
    StaffTask,
)

__all__ = [
    "Approval",
    "AuditEntry",
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
    "Operation",
    "OutboxMessage",
    "PaymentArtifact",
    "PaymentOperation",
    "PayoutMethod",
    "Session",
    "StaffMember",
    "StaffTask",
    "User",
    "WebhookEvent",
]
