from tortoise import migrations
from tortoise.migrations import operations as ops
from bloxtr8.ids import uuid7
from tortoise.fields.base import OnDelete
from tortoise.fields.db_defaults import Now
from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

_INDEXES = (
    "CREATE INDEX contracts_to_render ON contracts (render_due_at) WHERE render_due_at IS NOT NULL",
    "CREATE INDEX contracts_to_sign ON contracts (sign_deadline_at) "
    "WHERE status = 'PENDING_SIGNATURE'",
    "CREATE UNIQUE INDEX contracts_by_pdf ON contracts (pdf_sha256)",
    "CREATE UNIQUE INDEX contracts_by_final ON contracts (final_sha256)",
    "CREATE INDEX contracts_of_buyer ON contracts (buyer_id, created_at DESC, id DESC)",
    "CREATE INDEX contracts_of_seller ON contracts (seller_id, created_at DESC, id DESC)",
)
_DROP_INDEXES = tuple(
    f"DROP INDEX {statement.replace('UNIQUE ', '').split()[2]}" for statement in _INDEXES
)


class Migration(migrations.Migration):
    dependencies = [("models", "0008_evidence_notices")]

    initial = False

    operations = [
        ops.CreateModel(
            name="ContractTemplate",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "version",
                    fields.CharField(primary_key=True, unique=True, db_index=True, max_length=10),
                ),
                ("source_sha256", fields.BinaryField()),
                ("active_from", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("retired_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "contract_templates",
                "app": "models",
                "pk_attr": "version",
                "table_description": "A released wording and the SHA-256 that it was released with.",
            },
            bases=["Created"],
        ),
        ops.CreateModel(
            name="Signature",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                (
                    "contract",
                    fields.ForeignKeyField(
                        "models.Contract",
                        source_field="contract_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="signatures",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "user",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="user_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="signatures",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("side", fields.CharField(max_length=24)),
                ("document_sha256", fields.BinaryField()),
                ("method", fields.CharField(max_length=24)),
                ("ip", fields.CharField(null=True, max_length=45)),
                ("user_agent", fields.CharField(null=True, max_length=300)),
                ("interaction_id", fields.CharField(null=True, max_length=24)),
                ("token_id", fields.UUIDField(null=True)),
                ("signed_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "signatures",
                "app": "models",
                "pk_attr": "id",
                "table_description": "One side's signature under the document with that hash; append-only.",
            },
            bases=["Row"],
        ),
        ops.AddField(
            model_name="Contract",
            name="reminders",
            field=fields.IntField(db_default=0),
        ),
        ops.AddField(
            model_name="Contract",
            name="render_due_at",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name="Contract",
            name="render_tries",
            field=fields.IntField(db_default=0),
        ),
        ops.AddField(
            model_name="Contract",
            name="template_version",
            field=fields.CharField(db_default="v1", max_length=10),
        ),
        ops.AddField(
            model_name="Contract",
            name="terms_sha256",
            field=fields.BinaryField(null=True),
        ),
        ops.AddField(
            model_name="Contract",
            name="void_by",
            field=fields.UUIDField(null=True),
        ),
        ops.AddField(
            model_name="Contract",
            name="void_note",
            field=fields.CharField(null=True, max_length=1000),
        ),
        ops.AddConstraint(
            model_name="Contract",
            constraint=CheckConstraint(
                check="void_reason IN ('EXPIRED', 'DECLINED_BY_BUYER', 'DECLINED_BY_SELLER', 'OWNERSHIP_LOST', 'PARTY_FROZEN', 'STAFF')",
                name="contracts_void_reason_known",
            ),
        ),
        ops.AddConstraint(
            model_name="Contract",
            constraint=CheckConstraint(
                check="(status = 'VOID') = (void_reason IS NOT NULL)", name="contracts_voided"
            ),
        ),
        ops.AddConstraint(
            model_name="Signature",
            constraint=CheckConstraint(
                check="side IN ('BUYER', 'SELLER')", name="signatures_side_known"
            ),
        ),
        ops.AddConstraint(
            model_name="Signature",
            constraint=CheckConstraint(
                check="method IN ('DISCORD', 'WEB')", name="signatures_method_known"
            ),
        ),
        ops.AddConstraint(
            model_name="Signature",
            constraint=CheckConstraint(
                check="CASE method WHEN 'DISCORD' THEN interaction_id IS NOT NULL ELSE ip IS NOT NULL END",
                name="signatures_proved",
            ),
        ),
        ops.AddConstraint(
            model_name="Signature",
            constraint=UniqueConstraint(
                fields=("contract_id", "user_id"), name="signatures_one_a_person"
            ),
        ),
        ops.AddConstraint(
            model_name="Signature",
            constraint=UniqueConstraint(
                fields=("contract_id", "side"), name="signatures_one_a_side"
            ),
        ),
        ops.RunSQL(
            [
                "CREATE TRIGGER signatures_append_only BEFORE UPDATE OR DELETE ON signatures "
                "FOR EACH ROW EXECUTE FUNCTION refuse_change()",
                "CREATE TRIGGER signatures_never_truncated BEFORE TRUNCATE ON signatures "
                "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
            ],
            [
                "DROP TRIGGER signatures_append_only ON signatures",
                "DROP TRIGGER signatures_never_truncated ON signatures",
            ],
        ),
        ops.RunSQL(list(_INDEXES), list(_DROP_INDEXES)),
        # Contracts that were waiting for their document before anything made one.
        ops.RunSQL(
            "UPDATE contracts SET render_due_at = created_at WHERE pdf_sha256 IS NULL"
            " AND status = 'PENDING_SIGNATURE' AND terms IS NOT NULL",
            "SELECT 1",
        ),
    ]
