"""Outbox, inbox, operations, idempotency, approvals, audit, dead letters, staff's queue."""

from tortoise import fields
from tortoise.fields.db_defaults import Now
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from bloxtr8.store.models.base import Created, Row, one_of


class OutboxMessage(Created):
    """A message that a transaction has to say; `headers` are hex by name."""

    id = fields.BigIntField(primary_key=True)
    event_id = fields.UUIDField()
    topic = fields.CharField(max_length=80)
    key = fields.CharField(max_length=255)
    event_type = fields.CharField(max_length=60)
    payload = fields.BinaryField()
    headers = fields.JSONField[dict[str, str]]()
    published_at = fields.DatetimeField(null=True)
    attempts = fields.IntField(db_default=0)
    last_error = fields.CharField(max_length=500, null=True)

    class Meta:
        table = "outbox"
        constraints = (UniqueConstraint(fields=("event_id", "topic"), name="outbox_once"),)


class InboxMessage(Created):
    """A message whose effect is in the database."""

    id = fields.BigIntField(primary_key=True)
    consumer = fields.CharField(max_length=60)
    message_id = fields.UUIDField()
    result = fields.CharField(max_length=24)
    processed_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "inbox_messages"
        indexes = (Index(fields=("processed_at",)),)
        constraints = (
            UniqueConstraint(fields=("consumer", "message_id"), name="inbox_messages_once"),
        )


class Operation(Created):
    """A command on its way; its id is the command's. `command` is the serialized message."""

    id = fields.UUIDField(primary_key=True)
    kind = fields.CharField(max_length=40)
    escrow_id = fields.UUIDField(null=True)
    requested_by = fields.UUIDField(null=True)
    channel = fields.CharField(max_length=24)
    status = fields.CharField(max_length=24, db_default="ACCEPTED")
    command = fields.BinaryField()
    traceparent = fields.CharField(max_length=55)
    not_after = fields.DatetimeField()
    sent_at = fields.DatetimeField(null=True)
    escrow_version = fields.BigIntField(null=True)
    result = fields.JSONField[dict[str, object]](null=True)
    error_code = fields.CharField(max_length=60, null=True)
    approval_id = fields.UUIDField(null=True)
    finished_at = fields.DatetimeField(null=True)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "operations"
        indexes = (
            Index(fields=("escrow_id", "created_at")),
            Index(fields=("requested_by", "created_at")),
        )
        constraints = (
            one_of(
                "operations",
                "status",
                *("ACCEPTED", "SENT", "SUCCEEDED", "REJECTED", "PENDING_APPROVAL", "STALLED"),
            ),
        )


class IdempotencyKey(Created):
    """An answer that must be given again. Only rows of finished requests are ever committed."""

    id = fields.BigIntField(primary_key=True)
    caller = fields.CharField(max_length=64)
    route = fields.CharField(max_length=120)
    key = fields.CharField(max_length=255)
    fingerprint = fields.BinaryField()
    status_code = fields.IntField(null=True)
    response = fields.JSONField[dict[str, object]](null=True)
    expires_at = fields.DatetimeField()

    class Meta:
        table = "idempotency_keys"
        indexes = (Index(fields=("expires_at",)),)
        constraints = (
            UniqueConstraint(fields=("caller", "route", "key"), name="idempotency_keys_once"),
        )


class Approval(Row):
    """A second member of staff is asked to agree. `payload` says what to, hashed."""

    action = fields.CharField(max_length=40)
    subject_type = fields.CharField(max_length=30)
    subject_id = fields.CharField(max_length=64)
    subject_version = fields.BigIntField()
    payload = fields.JSONField[dict[str, object]]()
    payload_sha256 = fields.BinaryField()
    amount_usd_minor = fields.BigIntField()
    requested_by = fields.UUIDField()
    reason = fields.CharField(max_length=1000)
    expires_at = fields.DatetimeField()
    status = fields.CharField(max_length=24, db_default="PENDING")
    decided_by = fields.UUIDField(null=True)
    decided_at = fields.DatetimeField(null=True)
    decision_reason = fields.CharField(max_length=1000, null=True)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "approvals"
        indexes = (Index(fields=("status", "expires_at")),)
        constraints = (
            one_of(
                "approvals",
                "status",
                *("PENDING", "APPROVED", "REJECTED", "EXPIRED", "EXECUTED"),
            ),
            UniqueConstraint(
                fields=("action", "subject_id"),
                name="approvals_one_pending",
                condition="status = 'PENDING'",
            ),
            CheckConstraint(check="decided_by <> requested_by", name="approvals_two_people"),
        )


class DeadLetter(Row):
    topic = fields.CharField(max_length=80)
    partition = fields.IntField()
    kafka_offset = fields.BigIntField()
    msg_key = fields.CharField(max_length=255, null=True)
    headers = fields.JSONField[dict[str, str]]()
    payload = fields.BinaryField()
    error_class = fields.CharField(max_length=24)
    error = fields.CharField(max_length=1000)
    attempts = fields.IntField()
    status = fields.CharField(max_length=24, db_default="OPEN")
    handled_by = fields.UUIDField(null=True)
    handled_at = fields.DatetimeField(null=True)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "dead_letters"
        indexes = (Index(fields=("status", "created_at")),)
        constraints = (
            UniqueConstraint(
                fields=("topic", "partition", "kafka_offset"), name="dead_letters_once"
            ),
        )


class AuditEntry(Created):
    """Who did what, why; append-only."""

    id = fields.BigIntField(primary_key=True)
    at = fields.DatetimeField()
    actor_type = fields.CharField(max_length=24)
    actor_id = fields.UUIDField(null=True)
    channel = fields.CharField(max_length=24)
    action = fields.CharField(max_length=60)
    subject_type = fields.CharField(max_length=30)
    subject_id = fields.CharField(max_length=64)
    escrow_id = fields.UUIDField(null=True)
    reason = fields.CharField(max_length=1000, null=True)
    data = fields.JSONField[dict[str, object]]()
    ip = fields.CharField(max_length=45, null=True)
    user_agent = fields.CharField(max_length=300, null=True)
    trace_id = fields.CharField(max_length=32)

    class Meta:
        table = "audit_log"
        indexes = (
            Index(fields=("subject_type", "subject_id", "id")),
            Index(fields=("actor_id", "id")),
            Index(fields=("escrow_id", "id")),
            Index(fields=("action", "id")),
            Index(fields=("at",)),
        )


class AuditSeal(Model):
    """A link of the chain over `audit_log`; append-only."""

    seq = fields.BigIntField(primary_key=True, generated=False)
    audit_id = fields.BigIntField(unique=True)
    prev_hash = fields.BinaryField()
    hash = fields.BinaryField()
    sealed_at = fields.DatetimeField()

    class Meta:
        table = "audit_chain"
        constraints = (UniqueConstraint(fields=("hash",), name="audit_chain_once"),)


class StaffTask(Row):
    """Something a person of staff has to look at."""

    kind = fields.CharField(max_length=40)
    subject_type = fields.CharField(max_length=30)
    subject_id = fields.CharField(max_length=64)
    amount_usd_minor = fields.BigIntField(null=True)
    priority = fields.IntField(db_default=0)
    due_at = fields.DatetimeField()
    status = fields.CharField(max_length=24, db_default="OPEN")
    claimed_by = fields.UUIDField(null=True)
    claimed_at = fields.DatetimeField(null=True)
    closed_at = fields.DatetimeField(null=True)
    outcome = fields.CharField(max_length=60, null=True)
    version = fields.IntField(db_default=1)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "staff_tasks"
        indexes = (Index(fields=("status", "priority", "due_at")),)
        constraints = (
            one_of("staff_tasks", "status", "OPEN", "CLAIMED", "CLOSED"),
            UniqueConstraint(
                fields=("kind", "subject_id"),
                name="staff_tasks_one_open",
                condition="status <> 'CLOSED'",
            ),
        )
