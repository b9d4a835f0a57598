from tortoise import migrations
from tortoise.migrations import operations as ops
import functools
from bloxtr8.ids import uuid7
from json import dumps, loads
from tortoise.fields.db_defaults import Now
from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint


class Migration(migrations.Migration):
    dependencies = [("models", "0002_guards")]

    initial = False

    operations = [
        ops.CreateModel(
            name="Discrepancy",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                ("kind", fields.CharField(max_length=24)),
                ("provider", fields.CharField(max_length=24)),
                ("subject", fields.CharField(max_length=255)),
                ("what", fields.CharField(max_length=120)),
                ("escrow_id", fields.UUIDField(null=True)),
                ("expected", fields.CharField(max_length=255)),
                ("actual", fields.CharField(max_length=255)),
                ("found_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("seen_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                (
                    "resolved_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "discrepancies",
                "app": "models",
                "indexes": [
                    Index(fields=["resolved_at", "found_at"]),
                    Index(fields=["escrow_id", "found_at"]),
                ],
                "pk_attr": "id",
                "table_description": "A difference between what we know and what a provider (or another part) says.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="ReconciliationRun",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                ("kind", fields.CharField(max_length=24)),
                ("due_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("status", fields.CharField(db_default="RUNNING", max_length=24)),
                ("attempts", fields.IntField(db_default=0)),
                ("started_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                (
                    "finished_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                (
                    "covered_until",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                (
                    "figures",
                    fields.JSONField(
                        null=True,
                        encoder=functools.partial(dumps, separators=(",", ":")),
                        decoder=loads,
                    ),
                ),
                ("error", fields.CharField(null=True, max_length=500)),
            ],
            options={
                "table": "reconciliation_runs",
                "app": "models",
                "indexes": [Index(fields=["kind", "status", "due_at"])],
                "pk_attr": "id",
                "table_description": "One run; of each kind there is one for a moment at which it was due.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="StatementLine",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.BigIntField(
                        generated=True, primary_key=True, unique=True, db_index=True
                    ),
                ),
                ("provider", fields.CharField(max_length=24)),
                ("ref", fields.CharField(max_length=255)),
                ("kind", fields.CharField(max_length=60)),
                ("source", fields.CharField(db_default="", max_length=255)),
                ("payment_ref", fields.CharField(db_default="", max_length=255)),
                ("escrow_id", fields.UUIDField(null=True)),
                ("currency", fields.CharField(max_length=5)),
                ("amount_minor", fields.BigIntField()),
                ("fee_minor", fields.BigIntField()),
                ("occurred_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("settled_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "statement_lines",
                "app": "models",
                "indexes": [
                    Index(fields=["escrow_id", "currency"]),
                    Index(fields=["provider", "occurred_at"]),
                ],
                "pk_attr": "id",
                "table_description": "One line of a provider's balance statement; `amount_minor` before the fee.",
            },
            bases=["Created"],
        ),
        ops.AddConstraint(
            model_name="Discrepancy",
            constraint=CheckConstraint(
                check="kind IN ('PAYMENT', 'STATE', 'TRANSFER', 'BALANCE')",
                name="discrepancies_kind_known",
            ),
        ),
        ops.AddConstraint(
            model_name="Discrepancy",
            constraint=UniqueConstraint(
                fields=("kind", "provider", "subject", "what"),
                name="discrepancies_one_open",
                condition="resolved_at IS NULL",
            ),
        ),
        ops.AddConstraint(
            model_name="ReconciliationRun",
            constraint=CheckConstraint(
                check="kind IN ('HOURLY', 'DAILY', 'MANUAL')", name="reconciliation_runs_kind_known"
            ),
        ),
        ops.AddConstraint(
            model_name="ReconciliationRun",
            constraint=CheckConstraint(
                check="status IN ('RUNNING', 'DONE', 'FAILED')",
                name="reconciliation_runs_status_known",
            ),
        ),
        ops.AddConstraint(
            model_name="ReconciliationRun",
            constraint=UniqueConstraint(fields=("kind", "due_at"), name="reconciliation_runs_once"),
        ),
        ops.AddConstraint(
            model_name="StatementLine",
            constraint=UniqueConstraint(fields=("provider", "ref"), name="statement_lines_once"),
        ),
    ]
