"""Operations at providers, their objects, their calls, and the funds that limit them."""

from tortoise import fields
from tortoise.fields.db_defaults import Now
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

from bloxtr8.store.models.base import Created, Row, one_of


class PaymentOperation(Created):
    """One effect on the outside. `not_before` is when it may be tried (again)."""

    operation_id = fields.UUIDField(primary_key=True)
    escrow_id = fields.UUIDField()
    contract_id = fields.UUIDField(null=True)
    kind = fields.CharField(max_length=24)
    generation = fields.IntField()
    attempt = fields.IntField(db_default=1)
    rail = fields.CharField(max_length=24)
    provider = fields.CharField(max_length=24)
    amount_minor = fields.BigIntField()
    fees_minor = fields.BigIntField(db_default=0)
    currency = fields.CharField(max_length=5)
    destination = fields.CharField(max_length=128, null=True)
    party_id = fields.UUIDField(null=True)
    intent_operation_id = fields.UUIDField(null=True)
    payment_ref = fields.CharField(max_length=255, null=True)
    status = fields.CharField(max_length=24, db_default="REQUESTED")
    provider_ref = fields.CharField(max_length=255, null=True)
    attempts = fields.IntField(db_default=0)
    last_error = fields.CharField(max_length=500, null=True)
    result = fields.JSONField[dict[str, object]](null=True)
    not_before = fields.DatetimeField(null=True)
    lease_owner = fields.TextField(null=True)
    lease_until = fields.DatetimeField(null=True)
    fencing_token = fields.BigIntField()
    escrow_sequence = fields.BigIntField()
    command_id = fields.UUIDField()
    traceparent = fields.CharField(max_length=55, db_default="")
    correlation_id = fields.CharField(max_length=64, db_default="")
    requested_at = fields.DatetimeField()
    sent_at = fields.DatetimeField(null=True)
    finished_at = fields.DatetimeField(null=True)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "payment_operations"
        indexes = (
            Index(fields=("status", "not_before")),
            Index(fields=("escrow_id", "status")),
            Index(fields=("payment_ref",)),
        )
        constraints = (
            one_of(
                "payment_operations",
                "kind",
                *("INTENT", "CANCEL", "PAYOUT", "REFUND", "STRAY_REFUND"),
            ),
            one_of(
                "payment_operations",
                "status",
                *("REQUESTED", "SENT", "CONFIRMED", "FAILED", "UNKNOWN"),
            ),
            UniqueConstraint(
                fields=("escrow_id", "kind", "generation"), name="payment_operations_generation"
            ),
            UniqueConstraint(
                fields=("provider", "kind", "provider_ref"), name="payment_operations_provider_ref"
            ),
            CheckConstraint(
                check="amount_minor >= 0 AND fees_minor >= 0 AND generation > 0",
                name="payment_operations_amounts",
            ),
        )


class EscrowFunds(Created):
    """What the payments agent knows of an escrow's money; its row lock serialises the escrow.

    `stray_*` is money that came on top and only goes back.
    """

    escrow_id = fields.UUIDField(primary_key=True)
    currency = fields.CharField(max_length=5)
    received_minor = fields.BigIntField(db_default=0)
    paid_out_minor = fields.BigIntField(db_default=0)
    refunded_minor = fields.BigIntField(db_default=0)
    fees_minor = fields.BigIntField(db_default=0)
    stray_received_minor = fields.BigIntField(db_default=0)
    stray_refunded_minor = fields.BigIntField(db_default=0)
    fencing_token = fields.BigIntField(db_default=0)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "escrow_funds"
        constraints = (
            CheckConstraint(
                check="paid_out_minor + refunded_minor + fees_minor <= received_minor",
                name="escrow_funds_within_received",
            ),
            CheckConstraint(
                check="stray_refunded_minor <= stray_received_minor",
                name="escrow_funds_within_stray",
            ),
            CheckConstraint(
                check="least(paid_out_minor, refunded_minor, fees_minor, "
                "stray_refunded_minor) >= 0",
                name="escrow_funds_not_negative",
            ),
        )


class PaymentArtifact(Row):
    """An object at a provider: intent, charge, transfer, reversal, refund, dispute."""

    provider = fields.CharField(max_length=24)
    kind = fields.CharField(max_length=24)
    ref = fields.CharField(max_length=255)
    escrow_id = fields.UUIDField()
    operation_id = fields.UUIDField(null=True)
    amount_minor = fields.BigIntField(null=True)
    currency = fields.CharField(max_length=5, null=True)
    status = fields.CharField(max_length=40, null=True)
    body = fields.BinaryField(null=True, source_field="raw")
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "payment_artifacts"
        indexes = (Index(fields=("escrow_id", "kind")), Index(fields=("operation_id",)))
        constraints = (UniqueConstraint(fields=("provider", "ref"), name="payment_artifacts_ref"),)


class WebhookEvent(Row):
    """A provider's call, kept as it came; also what makes a repeated one known years later."""

    provider = fields.CharField(max_length=24)
    provider_event_id = fields.CharField(max_length=255)
    provider_payment_id = fields.CharField(max_length=255, db_default="")
    type = fields.CharField(max_length=100)
    body = fields.BinaryField(source_field="raw")
    escrow_id = fields.UUIDField(null=True)
    status = fields.CharField(max_length=24, db_default="RECEIVED")
    received_at = fields.DatetimeField()
    handled_at = fields.DatetimeField(null=True)

    class Meta:
        table = "webhook_events"
        indexes = (
            Index(fields=("escrow_id", "received_at")),
            Index(fields=("status", "received_at")),
        )
        constraints = (
            one_of(
                "webhook_events",
                "status",
                *("RECEIVED", "MATCHED", "UNMATCHED", "HANDLED", "IGNORED"),
            ),
            UniqueConstraint(fields=("provider", "provider_event_id"), name="webhook_events_once"),
        )
