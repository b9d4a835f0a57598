"""The mirror of the escrows, their events, disputes and what was said in them.

No foreign keys to people: the stream is the truth, and its mirror must take what it says.
"""

from tortoise import fields
from tortoise.fields.db_defaults import Now
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

from bloxtr8.store.models.base import Created, Row, one_of


class Escrow(Created):
    """One escrow as its events say. `state_bytes` is the serialized message Escrow.

    Amounts in minor units of `currency`. `chain_hash` is the hash of its last event row.
    """

    id = fields.UUIDField(primary_key=True)
    contract_id = fields.UUIDField(null=True)
    buyer_id = fields.UUIDField(null=True)
    seller_id = fields.UUIDField(null=True)
    state = fields.CharField(max_length=24)
    version = fields.BigIntField()
    fencing_token = fields.BigIntField()
    rail = fields.CharField(max_length=24)
    currency = fields.CharField(max_length=5)
    price_minor = fields.BigIntField()
    buyer_fee_minor = fields.BigIntField()
    seller_fee_minor = fields.BigIntField()
    received_minor = fields.BigIntField()
    held_minor = fields.BigIntField()
    released_minor = fields.BigIntField()
    refunded_minor = fields.BigIntField()
    fees_minor = fields.BigIntField()
    deadline_kind = fields.CharField(max_length=24, null=True)
    deadline_at = fields.DatetimeField(null=True)
    deadline_version = fields.BigIntField(db_default=0)
    hold_kind = fields.CharField(max_length=24, null=True)
    hold_since = fields.DatetimeField(null=True)
    dispute_reason = fields.CharField(max_length=24, null=True)
    disputed_at = fields.DatetimeField(null=True)
    state_bytes = fields.BinaryField()
    chain_hash = fields.BinaryField()
    updated_at = fields.DatetimeField(db_default=Now())
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "escrows"
        indexes = (
            Index(fields=("contract_id",)),
            Index(fields=("buyer_id", "updated_at", "id")),
            Index(fields=("seller_id", "updated_at", "id")),
            Index(fields=("state", "updated_at", "id")),
            Index(fields=("deadline_at",)),
            Index(fields=("updated_at", "id")),
        )
        constraints = (
            CheckConstraint(
                check="received_minor = held_minor + released_minor + refunded_minor + fees_minor",
                name="escrows_money_adds_up",
            ),
            CheckConstraint(
                check="least(held_minor, released_minor, refunded_minor, fees_minor) >= 0",
                name="escrows_money_not_negative",
            ),
        )


class EscrowEvent(Created):
    """Append-only. `payload` is the message; `hash` chains the rows of an escrow by `id`."""

    id = fields.BigIntField(primary_key=True)
    escrow_id = fields.UUIDField()
    sequence = fields.BigIntField()
    fencing_token = fields.BigIntField()
    message_id = fields.UUIDField()
    causation_id = fields.CharField(max_length=36)
    correlation_id = fields.CharField(max_length=64)
    trace_id = fields.CharField(max_length=32)
    type = fields.CharField(max_length=60)
    state = fields.CharField(max_length=24)
    actor_kind = fields.CharField(max_length=24)
    actor_id = fields.UUIDField(null=True)
    occurred_at = fields.DatetimeField()
    payload = fields.BinaryField()
    prev_hash = fields.BinaryField()
    hash = fields.BinaryField()

    class Meta:
        table = "escrow_events"
        indexes = (Index(fields=("escrow_id", "id")), Index(fields=("occurred_at",)))
        constraints = (
            UniqueConstraint(
                fields=("escrow_id", "sequence", "fencing_token"), name="escrow_events_once"
            ),
        )


class Dispute(Created):
    id = fields.UUIDField(primary_key=True)
    escrow_id = fields.UUIDField()
    status = fields.CharField(max_length=24)
    reason = fields.CharField(max_length=24)
    wanted = fields.CharField(max_length=24, null=True)
    opened_kind = fields.CharField(max_length=24)
    opened_by = fields.UUIDField(null=True)
    from_state = fields.CharField(max_length=24)
    statement_id = fields.UUIDField(null=True)
    outcome = fields.CharField(max_length=24, null=True)
    refund_minor = fields.BigIntField(null=True)
    verdict_id = fields.UUIDField(null=True)
    opened_at = fields.DatetimeField()
    overdue_at = fields.DatetimeField(null=True)
    closed_at = fields.DatetimeField(null=True)
    claimed_by = fields.UUIDField(null=True)
    claimed_at = fields.DatetimeField(null=True)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "disputes"
        indexes = (Index(fields=("escrow_id", "opened_at")), Index(fields=("status", "opened_at")))
        constraints = (
            one_of("disputes", "status", "OPEN", "WITHDRAWN", "RESOLVED"),
            UniqueConstraint(
                fields=("escrow_id",), name="disputes_one_open", condition="status = 'OPEN'"
            ),
        )


class DisputeEvidence(Row):
    """A statement, a note, a question or a verdict; messages name it by id and SHA-256.

    `asked_side`: of a question, who is to answer; `question_id`: what a statement answers.
    """

    escrow_id = fields.UUIDField()
    side = fields.CharField(max_length=24)
    kind = fields.CharField(max_length=24)
    text = fields.CharField(max_length=5000)
    sha256 = fields.CharField(max_length=64)
    created_by = fields.UUIDField(null=True)
    asked_side = fields.CharField(max_length=24, null=True)
    question_id = fields.UUIDField(null=True)

    class Meta:
        table = "dispute_evidence"
        indexes = (Index(fields=("escrow_id", "created_at")),)
        constraints = (
            one_of("dispute_evidence", "side", "BUYER", "SELLER", "STAFF"),
            CheckConstraint(
                check="kind IN ('STATEMENT', 'NOTE', 'VERDICT', 'QUESTION')",
                name="dispute_evidence_kinds",
            ),
            CheckConstraint(
                check="(kind = 'QUESTION') = (asked_side IS NOT NULL)"
                " AND (question_id IS NULL OR kind = 'STATEMENT')",
                name="dispute_evidence_questions",
            ),
        )


class EvidenceFile(Row):
    """A file that a side has given as evidence; the store has it under `evidence/`.

    `stored_at` is null while it is on its way there: it takes its place in the quota already.
    """

    escrow_id = fields.UUIDField()
    side = fields.CharField(max_length=24)
    position = fields.IntField()
    kind = fields.CharField(max_length=24)
    note = fields.CharField(max_length=500, db_default="")
    content_type = fields.CharField(max_length=40)
    size_bytes = fields.BigIntField()
    sha256 = fields.CharField(max_length=64)
    created_by = fields.UUIDField()
    stored_at = fields.DatetimeField(null=True)

    class Meta:
        table = "evidence_files"
        indexes = (Index(fields=("created_by", "created_at")), Index(fields=("stored_at",)))
        constraints = (
            one_of("evidence_files", "side", "BUYER", "SELLER"),
            one_of(
                "evidence_files", "kind", *("DELIVERY", "SCREENSHOT", "CHAT", "PAYMENT", "OTHER")
            ),
            CheckConstraint(check="size_bytes > 0", name="evidence_files_size"),
            UniqueConstraint(fields=("escrow_id", "side", "sha256"), name="evidence_files_once"),
            UniqueConstraint(fields=("escrow_id", "side", "position"), name="evidence_files_place"),
        )
