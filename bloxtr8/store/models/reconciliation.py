"""Comparing with the providers: runs, their statements line by line, and what differs."""

from tortoise import fields
from tortoise.fields.db_defaults import Now
from tortoise.indexes import Index
from tortoise.migrations.constraints import UniqueConstraint

from bloxtr8.store.models.base import Created, Row, one_of


class ReconciliationRun(Row):
    """One run; of each kind there is one for a moment at which it was due."""

    kind = fields.CharField(max_length=24)
    due_at = fields.DatetimeField()
    status = fields.CharField(max_length=24, db_default="RUNNING")
    attempts = fields.IntField(db_default=0)
    started_at = fields.DatetimeField()
    finished_at = fields.DatetimeField(null=True)
    # Up to when the provider's statement has been read with it.
    covered_until = fields.DatetimeField(null=True)
    figures = fields.JSONField[dict[str, object]](null=True)
    error = fields.CharField(max_length=500, null=True)

    class Meta:
        table = "reconciliation_runs"
        indexes = (Index(fields=("kind", "status", "due_at")),)
        constraints = (
            one_of("reconciliation_runs", "kind", "HOURLY", "DAILY", "MANUAL"),
            one_of("reconciliation_runs", "status", "RUNNING", "DONE", "FAILED"),
            UniqueConstraint(fields=("kind", "due_at"), name="reconciliation_runs_once"),
        )


class StatementLine(Created):
    """One line of a provider's balance statement; `amount_minor` before the fee.

    `settled_at`: what no event says of it (fees, money moved to our bank) stands in the ledger.
    """

    id = fields.BigIntField(primary_key=True)
    provider = fields.CharField(max_length=24)
    ref = fields.CharField(max_length=255)
    kind = fields.CharField(max_length=60)
    source = fields.CharField(max_length=255, db_default="")
    # What it is about: the payment; of a reversal the transfer.
    payment_ref = fields.CharField(max_length=255, db_default="")
    escrow_id = fields.UUIDField(null=True)
    currency = fields.CharField(max_length=5)
    amount_minor = fields.BigIntField()
    fee_minor = fields.BigIntField()
    occurred_at = fields.DatetimeField()
    settled_at = fields.DatetimeField(null=True)

    class Meta:
        table = "statement_lines"
        indexes = (
            Index(fields=("escrow_id", "currency")),
            Index(fields=("provider", "occurred_at")),
        )
        constraints = (UniqueConstraint(fields=("provider", "ref"), name="statement_lines_once"),)


class Discrepancy(Row):
    """A difference between what we know and what a provider (or another part) says."""

    kind = fields.CharField(max_length=24)
    provider = fields.CharField(max_length=24)
    subject = fields.CharField(max_length=255)
    what = fields.CharField(max_length=120)
    escrow_id = fields.UUIDField(null=True)
    expected = fields.CharField(max_length=255)
    actual = fields.CharField(max_length=255)
    found_at = fields.DatetimeField()
    seen_at = fields.DatetimeField()
    resolved_at = fields.DatetimeField(null=True)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "discrepancies"
        indexes = (
            Index(fields=("resolved_at", "found_at")),
            Index(fields=("escrow_id", "found_at")),
        )
        constraints = (
            one_of("discrepancies", "kind", "PAYMENT", "STATE", "TRANSFER", "BALANCE"),
            UniqueConstraint(
                fields=("kind", "provider", "subject", "what"),
                name="discrepancies_one_open",
                condition="resolved_at IS NULL",
            ),
        )
