from tortoise import migrations
from tortoise.migrations import operations as ops
import functools
from bloxtr8.ids import uuid7
from json import dumps, loads
from tortoise.fields.base import OnDelete
from tortoise.fields.db_defaults import Now
from uuid import uuid4
from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint


class Migration(migrations.Migration):
    dependencies = [("models", "0007_usdc")]

    initial = False

    operations = [
        ops.CreateModel(
            name="EvidenceFile",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                ("escrow_id", fields.UUIDField()),
                ("side", fields.CharField(max_length=24)),
                ("position", fields.IntField()),
                ("kind", fields.CharField(max_length=24)),
                ("note", fields.CharField(db_default="", max_length=500)),
                ("content_type", fields.CharField(max_length=40)),
                ("size_bytes", fields.BigIntField()),
                ("sha256", fields.CharField(max_length=64)),
                ("created_by", fields.UUIDField()),
                ("stored_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "evidence_files",
                "app": "models",
                "indexes": [
                    Index(fields=["created_by", "created_at"]),
                    Index(fields=["stored_at"]),
                ],
                "pk_attr": "id",
                "table_description": "A file that a side has given as evidence; the store has it under `evidence/`.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="Export",
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
                ("requested_by", fields.UUIDField()),
                (
                    "asked",
                    fields.JSONField(
                        encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads
                    ),
                ),
                ("status", fields.CharField(db_default="ACCEPTED", max_length=24)),
                ("attempts", fields.IntField(db_default=0)),
                ("next_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("object_key", fields.CharField(null=True, max_length=120)),
                ("sha256", fields.CharField(null=True, max_length=64)),
                ("size_bytes", fields.BigIntField(null=True)),
                (
                    "facts",
                    fields.JSONField(
                        null=True,
                        encoder=functools.partial(dumps, separators=(",", ":")),
                        decoder=loads,
                    ),
                ),
                (
                    "finished_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ("deleted_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "exports",
                "app": "models",
                "indexes": [
                    Index(fields=["requested_by", "created_at"]),
                    Index(fields=["next_at"]),
                ],
                "pk_attr": "id",
                "table_description": "Data that somebody asked for, put together in the background and kept for a day.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="Handover",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "escrow_id",
                    fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True),
                ),
                ("buyer_id", fields.UUIDField()),
                ("seller_id", fields.UUIDField()),
                ("universe_id", fields.BigIntField()),
                ("delivered_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                (
                    "next_check_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ("checks", fields.IntField(db_default=0)),
                ("checked_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("ownership", fields.CharField(null=True, max_length=24)),
                ("owner_type", fields.CharField(null=True, max_length=24)),
                ("owner_id", fields.BigIntField(null=True)),
                ("owner_name", fields.CharField(null=True, max_length=200)),
                ("snapshot_id", fields.UUIDField(null=True)),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "handovers",
                "app": "models",
                "indexes": [Index(fields=["next_check_at"])],
                "pk_attr": "escrow_id",
                "table_description": "Whether the buyer of a delivered trade is seen as owner of the experience by now.",
            },
            bases=["Created"],
        ),
        ops.CreateModel(
            name="NotificationPreference",
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
                (
                    "user",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="user_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="preferences",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("category", fields.CharField(max_length=24)),
                ("place", fields.CharField(db_default="DISCORD_DM", max_length=24)),
                ("enabled", fields.BooleanField(db_default=True)),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "notification_preferences",
                "app": "models",
                "pk_attr": "id",
                "table_description": "Where a person wants the notices of a category; without a row as by default.",
            },
            bases=["Created"],
        ),
        ops.CreateModel(
            name="UserSettings",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "user_id",
                    fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True),
                ),
                ("quiet_start", fields.CharField(null=True, max_length=5)),
                ("quiet_end", fields.CharField(null=True, max_length=5)),
                ("quiet_zone", fields.CharField(null=True, max_length=64)),
                ("quiet_money", fields.BooleanField(db_default=False)),
                ("discreet", fields.BooleanField(db_default=False)),
                ("show_roblox", fields.BooleanField(db_default=True)),
                ("show_trades", fields.BooleanField(db_default=True)),
                ("offers_from_new", fields.BooleanField(db_default=True)),
                ("theme", fields.CharField(db_default="system", max_length=10)),
                (
                    "dm_closed_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "user_settings",
                "app": "models",
                "pk_attr": "user_id",
                "table_description": 'How a person is told and what others see; quiet hours are "HH:MM" in `quiet_zone`.',
            },
            bases=["Created"],
        ),
        ops.RemoveConstraint(
            model_name="DisputeEvidence",
            name="dispute_evidence_kind_known",
            fields=None,
        ),
        ops.AlterModelOptions(
            name="DisputeEvidence",
            options={
                "table": "dispute_evidence",
                "app": "models",
                "constraints": [
                    CheckConstraint(
                        check="side IN ('BUYER', 'SELLER', 'STAFF')",
                        name="dispute_evidence_side_known",
                    ),
                    CheckConstraint(
                        check="kind IN ('STATEMENT', 'NOTE', 'VERDICT', 'QUESTION')",
                        name="dispute_evidence_kinds",
                    ),
                    CheckConstraint(
                        check="(kind = 'QUESTION') = (asked_side IS NOT NULL) AND (question_id IS NULL OR kind = 'STATEMENT')",
                        name="dispute_evidence_questions",
                    ),
                ],
                "indexes": [Index(fields=["escrow_id", "created_at"])],
                "pk_attr": "id",
                "table_description": "A statement, a note, a question or a verdict; messages name it by id and SHA-256.",
            },
        ),
        ops.AddField(
            model_name="DisputeEvidence",
            name="asked_side",
            field=fields.CharField(null=True, max_length=24),
        ),
        ops.AddField(
            model_name="DisputeEvidence",
            name="question_id",
            field=fields.UUIDField(null=True),
        ),
        ops.AddConstraint(
            model_name="DisputeEvidence",
            constraint=CheckConstraint(
                check="kind IN ('STATEMENT', 'NOTE', 'VERDICT', 'QUESTION')",
                name="dispute_evidence_kinds",
            ),
        ),
        ops.AddConstraint(
            model_name="DisputeEvidence",
            constraint=CheckConstraint(
                check="(kind = 'QUESTION') = (asked_side IS NOT NULL) AND (question_id IS NULL OR kind = 'STATEMENT')",
                name="dispute_evidence_questions",
            ),
        ),
        ops.AddConstraint(
            model_name="EvidenceFile",
            constraint=CheckConstraint(
                check="side IN ('BUYER', 'SELLER')", name="evidence_files_side_known"
            ),
        ),
        ops.AddConstraint(
            model_name="EvidenceFile",
            constraint=CheckConstraint(
                check="kind IN ('DELIVERY', 'SCREENSHOT', 'CHAT', 'PAYMENT', 'OTHER')",
                name="evidence_files_kind_known",
            ),
        ),
        ops.AddConstraint(
            model_name="EvidenceFile",
            constraint=CheckConstraint(check="size_bytes > 0", name="evidence_files_size"),
        ),
        ops.AddConstraint(
            model_name="EvidenceFile",
            constraint=UniqueConstraint(
                fields=("escrow_id", "side", "sha256"), name="evidence_files_once"
            ),
        ),
        ops.AddConstraint(
            model_name="EvidenceFile",
            constraint=UniqueConstraint(
                fields=("escrow_id", "side", "position"), name="evidence_files_place"
            ),
        ),
        ops.AddConstraint(
            model_name="Export",
            constraint=CheckConstraint(
                check="kind IN ('PERSON', 'AUDIT')", name="exports_kind_known"
            ),
        ),
        ops.AddConstraint(
            model_name="Export",
            constraint=CheckConstraint(
                check="status IN ('ACCEPTED', 'SUCCEEDED', 'FAILED')", name="exports_status_known"
            ),
        ),
        ops.AddConstraint(
            model_name="Handover",
            constraint=CheckConstraint(
                check="ownership IN ('OWNER', 'ADMIN', 'DEVELOPER', 'NONE')",
                name="handovers_ownership_known",
            ),
        ),
        ops.AddConstraint(
            model_name="Handover",
            constraint=CheckConstraint(
                check="owner_type IN ('USER', 'GROUP')", name="handovers_owner_type_known"
            ),
        ),
        ops.AddConstraint(
            model_name="NotificationPreference",
            constraint=CheckConstraint(
                check="place IN ('DISCORD_DM', 'THREAD', 'INBOX')",
                name="notification_preferences_place_known",
            ),
        ),
        ops.AddConstraint(
            model_name="NotificationPreference",
            constraint=CheckConstraint(
                check="category IN ('ESCROW', 'DISPUTES', 'ACCOUNT', 'CONTRACTS', 'OFFERS', 'NEWS')",
                name="notification_preferences_category_known",
            ),
        ),
        ops.AddConstraint(
            model_name="NotificationPreference",
            constraint=CheckConstraint(
                check="enabled OR category NOT IN ('ESCROW', 'DISPUTES', 'ACCOUNT')",
                name="notification_preferences_never_off",
            ),
        ),
        ops.AddConstraint(
            model_name="NotificationPreference",
            constraint=UniqueConstraint(
                fields=("user_id", "category"), name="notification_preferences_one"
            ),
        ),
        ops.AddConstraint(
            model_name="UserSettings",
            constraint=CheckConstraint(
                check="(quiet_start IS NULL) = (quiet_end IS NULL) AND (quiet_start IS NULL) = (quiet_zone IS NULL)",
                name="user_settings_quiet",
            ),
        ),
        ops.AddConstraint(
            model_name="UserSettings",
            constraint=CheckConstraint(
                check="theme IN ('system', 'light', 'dark')", name="user_settings_theme_known"
            ),
        ),
    ]
