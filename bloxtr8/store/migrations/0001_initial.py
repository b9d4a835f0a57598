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
    initial = True

    operations = [
        ops.CreateModel(
            name="Approval",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                ("action", fields.CharField(max_length=40)),
                ("subject_type", fields.CharField(max_length=30)),
                ("subject_id", fields.CharField(max_length=64)),
                ("subject_version", fields.BigIntField()),
                (
                    "payload",
                    fields.JSONField(
                        encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads
                    ),
                ),
                ("payload_sha256", fields.BinaryField()),
                ("amount_usd_minor", fields.BigIntField()),
                ("requested_by", fields.UUIDField()),
                ("reason", fields.CharField(max_length=1000)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("status", fields.CharField(db_default="PENDING", max_length=24)),
                ("decided_by", fields.UUIDField(null=True)),
                ("decided_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("decision_reason", fields.CharField(null=True, max_length=1000)),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "approvals",
                "app": "models",
                "indexes": [Index(fields=["status", "expires_at"])],
                "pk_attr": "id",
                "table_description": "A second member of staff is asked to agree. `payload` says what to, hashed.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="AuditEntry",
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
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("actor_type", fields.CharField(max_length=24)),
                ("actor_id", fields.UUIDField(null=True)),
                ("channel", fields.CharField(max_length=24)),
                ("action", fields.CharField(max_length=60)),
                ("subject_type", fields.CharField(max_length=30)),
                ("subject_id", fields.CharField(max_length=64)),
                ("escrow_id", fields.UUIDField(null=True)),
                ("reason", fields.CharField(null=True, max_length=1000)),
                (
                    "data",
                    fields.JSONField(
                        encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads
                    ),
                ),
                ("ip", fields.CharField(null=True, max_length=45)),
                ("user_agent", fields.CharField(null=True, max_length=300)),
                ("trace_id", fields.CharField(max_length=32)),
            ],
            options={
                "table": "audit_log",
                "app": "models",
                "indexes": [
                    Index(fields=["subject_type", "subject_id", "id"]),
                    Index(fields=["actor_id", "id"]),
                    Index(fields=["escrow_id", "id"]),
                    Index(fields=["action", "id"]),
                    Index(fields=["at"]),
                ],
                "pk_attr": "id",
                "table_description": "Who did what, why; append-only.",
            },
            bases=["Created"],
        ),
        ops.CreateModel(
            name="DeadLetter",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                ("topic", fields.CharField(max_length=80)),
                ("partition", fields.IntField()),
                ("kafka_offset", fields.BigIntField()),
                ("msg_key", fields.CharField(null=True, max_length=255)),
                (
                    "headers",
                    fields.JSONField(
                        encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads
                    ),
                ),
                ("payload", fields.BinaryField()),
                ("error_class", fields.CharField(max_length=24)),
                ("error", fields.CharField(max_length=1000)),
                ("attempts", fields.IntField()),
                ("status", fields.CharField(db_default="OPEN", max_length=24)),
                ("handled_by", fields.UUIDField(null=True)),
                ("handled_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "dead_letters",
                "app": "models",
                "indexes": [Index(fields=["status", "created_at"])],
                "pk_attr": "id",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="Dispute",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True),
                ),
                ("escrow_id", fields.UUIDField()),
                ("status", fields.CharField(max_length=24)),
                ("reason", fields.CharField(max_length=24)),
                ("wanted", fields.CharField(null=True, max_length=24)),
                ("opened_kind", fields.CharField(max_length=24)),
                ("opened_by", fields.UUIDField(null=True)),
                ("from_state", fields.CharField(max_length=24)),
                ("statement_id", fields.UUIDField(null=True)),
                ("outcome", fields.CharField(null=True, max_length=24)),
                ("refund_minor", fields.BigIntField(null=True)),
                ("verdict_id", fields.UUIDField(null=True)),
                ("opened_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("overdue_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("closed_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("claimed_by", fields.UUIDField(null=True)),
                ("claimed_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "disputes",
                "app": "models",
                "indexes": [
                    Index(fields=["escrow_id", "opened_at"]),
                    Index(fields=["status", "opened_at"]),
                ],
                "pk_attr": "id",
            },
            bases=["Created"],
        ),
        ops.CreateModel(
            name="DisputeEvidence",
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
                ("kind", fields.CharField(max_length=24)),
                ("text", fields.CharField(max_length=5000)),
                ("sha256", fields.CharField(max_length=64)),
                ("created_by", fields.UUIDField(null=True)),
            ],
            options={
                "table": "dispute_evidence",
                "app": "models",
                "indexes": [Index(fields=["escrow_id", "created_at"])],
                "pk_attr": "id",
                "table_description": "A statement, a note or a verdict; messages name it by id and SHA-256.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="Escrow",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True),
                ),
                ("contract_id", fields.UUIDField(null=True)),
                ("buyer_id", fields.UUIDField(null=True)),
                ("seller_id", fields.UUIDField(null=True)),
                ("state", fields.CharField(max_length=24)),
                ("version", fields.BigIntField()),
                ("fencing_token", fields.BigIntField()),
                ("rail", fields.CharField(max_length=24)),
                ("currency", fields.CharField(max_length=5)),
                ("price_minor", fields.BigIntField()),
                ("buyer_fee_minor", fields.BigIntField()),
                ("seller_fee_minor", fields.BigIntField()),
                ("received_minor", fields.BigIntField()),
                ("held_minor", fields.BigIntField()),
                ("released_minor", fields.BigIntField()),
                ("refunded_minor", fields.BigIntField()),
                ("fees_minor", fields.BigIntField()),
                ("deadline_kind", fields.CharField(null=True, max_length=24)),
                (
                    "deadline_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ("deadline_version", fields.BigIntField(db_default=0)),
                ("hold_kind", fields.CharField(null=True, max_length=24)),
                ("hold_since", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("dispute_reason", fields.CharField(null=True, max_length=24)),
                (
                    "disputed_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ("state_bytes", fields.BinaryField()),
                ("chain_hash", fields.BinaryField()),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "escrows",
                "app": "models",
                "indexes": [
                    Index(fields=["contract_id"]),
                    Index(fields=["buyer_id", "updated_at", "id"]),
                    Index(fields=["seller_id", "updated_at", "id"]),
                    Index(fields=["state", "updated_at", "id"]),
                    Index(fields=["deadline_at"]),
                    Index(fields=["updated_at", "id"]),
                ],
                "pk_attr": "id",
                "table_description": "One escrow as its events say. `state_bytes` is the serialized message Escrow.",
            },
            bases=["Created"],
        ),
        ops.CreateModel(
            name="EscrowEvent",
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
                ("escrow_id", fields.UUIDField()),
                ("sequence", fields.BigIntField()),
                ("fencing_token", fields.BigIntField()),
                ("message_id", fields.UUIDField()),
                ("causation_id", fields.CharField(max_length=36)),
                ("correlation_id", fields.CharField(max_length=64)),
                ("trace_id", fields.CharField(max_length=32)),
                ("type", fields.CharField(max_length=60)),
                ("state", fields.CharField(max_length=24)),
                ("actor_kind", fields.CharField(max_length=24)),
                ("actor_id", fields.UUIDField(null=True)),
                ("occurred_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("payload", fields.BinaryField()),
                ("prev_hash", fields.BinaryField()),
                ("hash", fields.BinaryField()),
            ],
            options={
                "table": "escrow_events",
                "app": "models",
                "indexes": [Index(fields=["escrow_id", "id"]), Index(fields=["occurred_at"])],
                "pk_attr": "id",
                "table_description": "Append-only. `payload` is the message; `hash` chains the rows of an escrow by `id`.",
            },
            bases=["Created"],
        ),
        ops.CreateModel(
            name="EscrowFunds",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "escrow_id",
                    fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True),
                ),
                ("currency", fields.CharField(max_length=5)),
                ("received_minor", fields.BigIntField(db_default=0)),
                ("paid_out_minor", fields.BigIntField(db_default=0)),
                ("refunded_minor", fields.BigIntField(db_default=0)),
                ("fees_minor", fields.BigIntField(db_default=0)),
                ("stray_received_minor", fields.BigIntField(db_default=0)),
                ("stray_refunded_minor", fields.BigIntField(db_default=0)),
                ("fencing_token", fields.BigIntField(db_default=0)),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "escrow_funds",
                "app": "models",
                "pk_attr": "escrow_id",
                "table_description": "What the payments agent knows of an escrow's money; its row lock serialises the escrow.",
            },
            bases=["Created"],
        ),
        ops.CreateModel(
            name="IdempotencyKey",
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
                ("caller", fields.CharField(max_length=64)),
                ("route", fields.CharField(max_length=120)),
                ("key", fields.CharField(max_length=255)),
                ("fingerprint", fields.BinaryField()),
                ("status_code", fields.IntField(null=True)),
                (
                    "response",
                    fields.JSONField(
                        null=True,
                        encoder=functools.partial(dumps, separators=(",", ":")),
                        decoder=loads,
                    ),
                ),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "idempotency_keys",
                "app": "models",
                "indexes": [Index(fields=["expires_at"])],
                "pk_attr": "id",
                "table_description": "An answer that must be given again. Only rows of finished requests are ever committed.",
            },
            bases=["Created"],
        ),
        ops.CreateModel(
            name="InboxMessage",
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
                ("consumer", fields.CharField(max_length=60)),
                ("message_id", fields.UUIDField()),
                ("result", fields.CharField(max_length=24)),
                (
                    "processed_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "inbox_messages",
                "app": "models",
                "indexes": [Index(fields=["processed_at"])],
                "pk_attr": "id",
                "table_description": "A message whose effect is in the database.",
            },
            bases=["Created"],
        ),
        ops.CreateModel(
            name="LedgerAccount",
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
                ("account", fields.CharField(max_length=100)),
                ("currency", fields.CharField(max_length=5)),
                ("balance_minor", fields.BigIntField(db_default=0)),
                ("floor_minor", fields.BigIntField(null=True)),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "ledger_accounts",
                "app": "models",
                "pk_attr": "id",
                "table_description": "The balance of an account: the sum of its lines. Without `floor_minor` it may be negative.",
            },
            bases=["Created"],
        ),
        ops.CreateModel(
            name="LedgerEntry",
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
                ("transaction_id", fields.UUIDField()),
                ("line", fields.SmallIntField()),
                ("kind", fields.CharField(max_length=40)),
                ("account", fields.CharField(max_length=100)),
                ("currency", fields.CharField(max_length=5)),
                ("amount_minor", fields.BigIntField()),
                ("escrow_id", fields.UUIDField(null=True)),
                ("event_id", fields.UUIDField()),
                ("occurred_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "ledger_entries",
                "app": "models",
                "indexes": [
                    Index(fields=["escrow_id", "id"]),
                    Index(fields=["account", "currency", "id"]),
                ],
                "pk_attr": "id",
                "table_description": "One line of a transaction; a transaction's lines sum to zero per currency.",
            },
            bases=["Created"],
        ),
        ops.CreateModel(
            name="Operation",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True),
                ),
                ("kind", fields.CharField(max_length=40)),
                ("escrow_id", fields.UUIDField(null=True)),
                ("requested_by", fields.UUIDField(null=True)),
                ("channel", fields.CharField(max_length=24)),
                ("status", fields.CharField(db_default="ACCEPTED", max_length=24)),
                ("command", fields.BinaryField()),
                ("traceparent", fields.CharField(max_length=55)),
                ("not_after", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("sent_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("escrow_version", fields.BigIntField(null=True)),
                (
                    "result",
                    fields.JSONField(
                        null=True,
                        encoder=functools.partial(dumps, separators=(",", ":")),
                        decoder=loads,
                    ),
                ),
                ("error_code", fields.CharField(null=True, max_length=60)),
                ("approval_id", fields.UUIDField(null=True)),
                (
                    "finished_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "operations",
                "app": "models",
                "indexes": [
                    Index(fields=["escrow_id", "created_at"]),
                    Index(fields=["requested_by", "created_at"]),
                ],
                "pk_attr": "id",
                "table_description": "A command on its way; its id is the command's. `command` is the serialized message.",
            },
            bases=["Created"],
        ),
        ops.CreateModel(
            name="OutboxMessage",
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
                ("event_id", fields.UUIDField()),
                ("topic", fields.CharField(max_length=80)),
                ("key", fields.CharField(max_length=255)),
                ("event_type", fields.CharField(max_length=60)),
                ("payload", fields.BinaryField()),
                (
                    "headers",
                    fields.JSONField(
                        encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads
                    ),
                ),
                (
                    "published_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ("attempts", fields.IntField(db_default=0)),
                ("last_error", fields.CharField(null=True, max_length=500)),
            ],
            options={
                "table": "outbox",
                "app": "models",
                "pk_attr": "id",
                "table_description": "A message that a transaction has to say; `headers` are hex by name.",
            },
            bases=["Created"],
        ),
        ops.CreateModel(
            name="PaymentArtifact",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                ("provider", fields.CharField(max_length=24)),
                ("kind", fields.CharField(max_length=24)),
                ("ref", fields.CharField(max_length=255)),
                ("escrow_id", fields.UUIDField()),
                ("operation_id", fields.UUIDField(null=True)),
                ("amount_minor", fields.BigIntField(null=True)),
                ("currency", fields.CharField(null=True, max_length=5)),
                ("status", fields.CharField(null=True, max_length=40)),
                ("body", fields.BinaryField(source_field="raw", null=True)),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "payment_artifacts",
                "app": "models",
                "indexes": [Index(fields=["escrow_id", "kind"]), Index(fields=["operation_id"])],
                "pk_attr": "id",
                "table_description": "An object at a provider: intent, charge, transfer, reversal, refund, dispute.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="PaymentOperation",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "operation_id",
                    fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True),
                ),
                ("escrow_id", fields.UUIDField()),
                ("contract_id", fields.UUIDField(null=True)),
                ("kind", fields.CharField(max_length=24)),
                ("generation", fields.IntField()),
                ("attempt", fields.IntField(db_default=1)),
                ("rail", fields.CharField(max_length=24)),
                ("provider", fields.CharField(max_length=24)),
                ("amount_minor", fields.BigIntField()),
                ("fees_minor", fields.BigIntField(db_default=0)),
                ("currency", fields.CharField(max_length=5)),
                ("destination", fields.CharField(null=True, max_length=128)),
                ("party_id", fields.UUIDField(null=True)),
                ("intent_operation_id", fields.UUIDField(null=True)),
                ("payment_ref", fields.CharField(null=True, max_length=255)),
                ("status", fields.CharField(db_default="REQUESTED", max_length=24)),
                ("provider_ref", fields.CharField(null=True, max_length=255)),
                ("attempts", fields.IntField(db_default=0)),
                ("last_error", fields.CharField(null=True, max_length=500)),
                (
                    "result",
                    fields.JSONField(
                        null=True,
                        encoder=functools.partial(dumps, separators=(",", ":")),
                        decoder=loads,
                    ),
                ),
                ("not_before", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("lease_owner", fields.TextField(null=True, unique=False)),
                (
                    "lease_until",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ("fencing_token", fields.BigIntField()),
                ("escrow_sequence", fields.BigIntField()),
                ("command_id", fields.UUIDField()),
                ("traceparent", fields.CharField(db_default="", max_length=55)),
                ("correlation_id", fields.CharField(db_default="", max_length=64)),
                ("requested_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("sent_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                (
                    "finished_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "payment_operations",
                "app": "models",
                "indexes": [
                    Index(fields=["status", "not_before"]),
                    Index(fields=["escrow_id", "status"]),
                    Index(fields=["payment_ref"]),
                ],
                "pk_attr": "operation_id",
                "table_description": "One effect on the outside. `not_before` is when it may be tried (again).",
            },
            bases=["Created"],
        ),
        ops.CreateModel(
            name="StaffMember",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "user_id",
                    fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True),
                ),
                ("role", fields.CharField(max_length=24)),
                ("granted_by", fields.UUIDField(null=True)),
                (
                    "granted_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                ("revoked_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("revoke_reason", fields.CharField(null=True, max_length=1000)),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={"table": "staff_members", "app": "models", "pk_attr": "user_id"},
            bases=["Created"],
        ),
        ops.CreateModel(
            name="StaffTask",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                ("kind", fields.CharField(max_length=40)),
                ("subject_type", fields.CharField(max_length=30)),
                ("subject_id", fields.CharField(max_length=64)),
                ("amount_usd_minor", fields.BigIntField(null=True)),
                ("priority", fields.IntField(db_default=0)),
                ("due_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("status", fields.CharField(db_default="OPEN", max_length=24)),
                ("claimed_by", fields.UUIDField(null=True)),
                ("claimed_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("closed_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("outcome", fields.CharField(null=True, max_length=60)),
                ("version", fields.IntField(db_default=1)),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "staff_tasks",
                "app": "models",
                "indexes": [Index(fields=["status", "priority", "due_at"])],
                "pk_attr": "id",
                "table_description": "Something a person of staff has to look at.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="User",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                ("display_name", fields.CharField(max_length=80)),
                ("avatar_url", fields.CharField(null=True, max_length=512)),
                ("email", fields.CharField(null=True, max_length=254)),
                ("email_verified", fields.BooleanField(db_default=False)),
                ("tier", fields.CharField(db_default="TIER_0", max_length=24)),
                (
                    "tier2_until",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ("status", fields.CharField(db_default="ACTIVE", max_length=24)),
                ("status_reason", fields.CharField(null=True, max_length=1000)),
                ("locale", fields.CharField(db_default="en", max_length=10)),
                ("timezone", fields.CharField(db_default="UTC", max_length=64)),
                (
                    "last_seen_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ("closed_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("version", fields.IntField(db_default=1)),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "users",
                "app": "models",
                "indexes": [Index(fields=["status"]), Index(fields=["tier"])],
                "pk_attr": "id",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="Contract",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                ("ref", fields.CharField(unique=True, max_length=9)),
                ("offer_id", fields.UUIDField(unique=True)),
                ("listing_id", fields.UUIDField()),
                ("snapshot_id", fields.UUIDField(null=True)),
                (
                    "buyer",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="buyer_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="purchases",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "seller",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="seller_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="sales",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("escrow_id", fields.UUIDField(unique=True)),
                ("status", fields.CharField(db_default="PENDING_SIGNATURE", max_length=24)),
                (
                    "terms",
                    fields.JSONField(
                        null=True,
                        encoder=functools.partial(dumps, separators=(",", ":")),
                        decoder=loads,
                    ),
                ),
                ("price_minor", fields.BigIntField()),
                ("rail", fields.CharField(max_length=24)),
                ("settle_currency", fields.CharField(max_length=5)),
                ("settle_minor", fields.BigIntField()),
                ("fee_schedule", fields.CharField(max_length=8)),
                ("buyer_fee_minor", fields.BigIntField()),
                ("seller_fee_minor", fields.BigIntField()),
                ("delivery_days", fields.IntField(db_default=7)),
                ("pdf_sha256", fields.BinaryField(null=True)),
                (
                    "rendered_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                (
                    "sign_deadline_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ("final_sha256", fields.BinaryField(null=True)),
                (
                    "executed_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ("voided_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("void_reason", fields.CharField(null=True, max_length=24)),
                ("version", fields.IntField(db_default=1)),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "contracts",
                "app": "models",
                "indexes": [
                    Index(fields=["buyer_id", "status"]),
                    Index(fields=["seller_id", "status"]),
                    Index(fields=["listing_id"]),
                ],
                "pk_attr": "id",
                "table_description": "Amounts: `price_minor` in cents; `settle_minor` and fees in the settlement currency.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="PayoutMethod",
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
                    "user",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="user_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="payout_methods",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("kind", fields.CharField(max_length=24)),
                ("external_ref", fields.CharField(max_length=64)),
                ("status", fields.CharField(db_default="PENDING", max_length=24)),
                (
                    "proof",
                    fields.JSONField(
                        null=True,
                        encoder=functools.partial(dumps, separators=(",", ":")),
                        decoder=loads,
                    ),
                ),
                (
                    "verified_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                (
                    "usable_from",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                (
                    "disabled_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ("is_default", fields.BooleanField(db_default=False)),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "payout_methods",
                "app": "models",
                "pk_attr": "id",
                "table_description": "Where a seller is paid: `external_ref` is a connected account or a wallet address.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="Session",
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
                    "user",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="user_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="sessions",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("auth_time", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("mfa", fields.BooleanField(db_default=False)),
                ("ip", fields.CharField(null=True, max_length=45)),
                ("user_agent", fields.CharField(null=True, max_length=300)),
                ("last_used_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("revoked_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("revoke_reason", fields.CharField(null=True, max_length=40)),
            ],
            options={
                "table": "sessions",
                "app": "models",
                "indexes": [Index(fields=["user_id"]), Index(fields=["expires_at"])],
                "pk_attr": "id",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="WebhookEvent",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                ("provider", fields.CharField(max_length=24)),
                ("provider_event_id", fields.CharField(max_length=255)),
                ("provider_payment_id", fields.CharField(db_default="", max_length=255)),
                ("type", fields.CharField(max_length=100)),
                ("body", fields.BinaryField(source_field="raw")),
                ("escrow_id", fields.UUIDField(null=True)),
                ("status", fields.CharField(db_default="RECEIVED", max_length=24)),
                ("received_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("handled_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "webhook_events",
                "app": "models",
                "indexes": [
                    Index(fields=["escrow_id", "received_at"]),
                    Index(fields=["status", "received_at"]),
                ],
                "pk_attr": "id",
                "table_description": "A provider's call, kept as it came; also what makes a repeated one known years later.",
            },
            bases=["Row"],
        ),
        ops.AddConstraint(
            model_name="Approval",
            constraint=CheckConstraint(
                check="status IN ('PENDING', 'APPROVED', 'REJECTED', 'EXPIRED', 'EXECUTED')",
                name="approvals_status_known",
            ),
        ),
        ops.AddConstraint(
            model_name="Approval",
            constraint=UniqueConstraint(
                fields=("action", "subject_id"),
                name="approvals_one_pending",
                condition="status = 'PENDING'",
            ),
        ),
        ops.AddConstraint(
            model_name="Approval",
            constraint=CheckConstraint(
                check="decided_by <> requested_by", name="approvals_two_people"
            ),
        ),
        ops.AddConstraint(
            model_name="DeadLetter",
            constraint=UniqueConstraint(
                fields=("topic", "partition", "kafka_offset"), name="dead_letters_once"
            ),
        ),
        ops.AddConstraint(
            model_name="Dispute",
            constraint=CheckConstraint(
                check="status IN ('OPEN', 'WITHDRAWN', 'RESOLVED')", name="disputes_status_known"
            ),
        ),
        ops.AddConstraint(
            model_name="Dispute",
            constraint=UniqueConstraint(
                fields=("escrow_id",), name="disputes_one_open", condition="status = 'OPEN'"
            ),
        ),
        ops.AddConstraint(
            model_name="DisputeEvidence",
            constraint=CheckConstraint(
                check="side IN ('BUYER', 'SELLER', 'STAFF')", name="dispute_evidence_side_known"
            ),
        ),
        ops.AddConstraint(
            model_name="DisputeEvidence",
            constraint=CheckConstraint(
                check="kind IN ('STATEMENT', 'NOTE', 'VERDICT')", name="dispute_evidence_kind_known"
            ),
        ),
        ops.AddConstraint(
            model_name="Escrow",
            constraint=CheckConstraint(
                check="received_minor = held_minor + released_minor + refunded_minor + fees_minor",
                name="escrows_money_adds_up",
            ),
        ),
        ops.AddConstraint(
            model_name="Escrow",
            constraint=CheckConstraint(
                check="least(held_minor, released_minor, refunded_minor, fees_minor) >= 0",
                name="escrows_money_not_negative",
            ),
        ),
        ops.AddConstraint(
            model_name="EscrowEvent",
            constraint=UniqueConstraint(
                fields=("escrow_id", "sequence", "fencing_token"), name="escrow_events_once"
            ),
        ),
        ops.AddConstraint(
            model_name="EscrowFunds",
            constraint=CheckConstraint(
                check="paid_out_minor + refunded_minor + fees_minor <= received_minor",
                name="escrow_funds_within_received",
            ),
        ),
        ops.AddConstraint(
            model_name="EscrowFunds",
            constraint=CheckConstraint(
                check="stray_refunded_minor <= stray_received_minor",
                name="escrow_funds_within_stray",
            ),
        ),
        ops.AddConstraint(
            model_name="EscrowFunds",
            constraint=CheckConstraint(
                check="least(paid_out_minor, refunded_minor, fees_minor, stray_refunded_minor) >= 0",
                name="escrow_funds_not_negative",
            ),
        ),
        ops.AddConstraint(
            model_name="IdempotencyKey",
            constraint=UniqueConstraint(
                fields=("caller", "route", "key"), name="idempotency_keys_once"
            ),
        ),
        ops.AddConstraint(
            model_name="InboxMessage",
            constraint=UniqueConstraint(
                fields=("consumer", "message_id"), name="inbox_messages_once"
            ),
        ),
        ops.AddConstraint(
            model_name="LedgerAccount",
            constraint=UniqueConstraint(
                fields=("account", "currency"), name="ledger_accounts_once"
            ),
        ),
        ops.AddConstraint(
            model_name="LedgerAccount",
            constraint=CheckConstraint(
                check="floor_minor IS NULL OR balance_minor >= floor_minor",
                name="ledger_accounts_floor",
            ),
        ),
        ops.AddConstraint(
            model_name="LedgerEntry",
            constraint=UniqueConstraint(
                fields=("transaction_id", "line"), name="ledger_entries_once"
            ),
        ),
        ops.AddConstraint(
            model_name="LedgerEntry",
            constraint=CheckConstraint(check="amount_minor <> 0", name="ledger_entries_something"),
        ),
        ops.AddConstraint(
            model_name="Operation",
            constraint=CheckConstraint(
                check="status IN ('ACCEPTED', 'SENT', 'SUCCEEDED', 'REJECTED', 'PENDING_APPROVAL', 'STALLED')",
                name="operations_status_known",
            ),
        ),
        ops.AddConstraint(
            model_name="OutboxMessage",
            constraint=UniqueConstraint(fields=("event_id", "topic"), name="outbox_once"),
        ),
        ops.AddConstraint(
            model_name="PaymentArtifact",
            constraint=UniqueConstraint(fields=("provider", "ref"), name="payment_artifacts_ref"),
        ),
        ops.AddConstraint(
            model_name="PaymentOperation",
            constraint=CheckConstraint(
                check="kind IN ('INTENT', 'CANCEL', 'PAYOUT', 'REFUND', 'STRAY_REFUND')",
                name="payment_operations_kind_known",
            ),
        ),
        ops.AddConstraint(
            model_name="PaymentOperation",
            constraint=CheckConstraint(
                check="status IN ('REQUESTED', 'SENT', 'CONFIRMED', 'FAILED', 'UNKNOWN')",
                name="payment_operations_status_known",
            ),
        ),
        ops.AddConstraint(
            model_name="PaymentOperation",
            constraint=UniqueConstraint(
                fields=("escrow_id", "kind", "generation"), name="payment_operations_generation"
            ),
        ),
        ops.AddConstraint(
            model_name="PaymentOperation",
            constraint=UniqueConstraint(
                fields=("provider", "kind", "provider_ref"), name="payment_operations_provider_ref"
            ),
        ),
        ops.AddConstraint(
            model_name="PaymentOperation",
            constraint=CheckConstraint(
                check="amount_minor >= 0 AND fees_minor >= 0 AND generation > 0",
                name="payment_operations_amounts",
            ),
        ),
        ops.AddConstraint(
            model_name="StaffMember",
            constraint=CheckConstraint(
                check="role IN ('SUPPORT', 'MODERATOR', 'ADMIN')", name="staff_members_role_known"
            ),
        ),
        ops.AddConstraint(
            model_name="StaffTask",
            constraint=CheckConstraint(
                check="status IN ('OPEN', 'CLAIMED', 'CLOSED')", name="staff_tasks_status_known"
            ),
        ),
        ops.AddConstraint(
            model_name="StaffTask",
            constraint=UniqueConstraint(
                fields=("kind", "subject_id"),
                name="staff_tasks_one_open",
                condition="status <> 'CLOSED'",
            ),
        ),
        ops.AddConstraint(
            model_name="User",
            constraint=CheckConstraint(
                check="tier IN ('TIER_0', 'TIER_1', 'TIER_2')", name="users_tier_known"
            ),
        ),
        ops.AddConstraint(
            model_name="User",
            constraint=CheckConstraint(
                check="status IN ('ACTIVE', 'FROZEN', 'CLOSED')", name="users_status_known"
            ),
        ),
        ops.AddConstraint(
            model_name="Contract",
            constraint=CheckConstraint(
                check="status IN ('PENDING_SIGNATURE', 'EXECUTED', 'VOID')",
                name="contracts_status_known",
            ),
        ),
        ops.AddConstraint(
            model_name="Contract",
            constraint=CheckConstraint(
                check="rail IN ('STRIPE', 'USDC_BASE')", name="contracts_rail_known"
            ),
        ),
        ops.AddConstraint(
            model_name="Contract",
            constraint=CheckConstraint(check="buyer_id <> seller_id", name="contracts_two_parties"),
        ),
        ops.AddConstraint(
            model_name="Contract",
            constraint=CheckConstraint(
                check="price_minor BETWEEN 100 AND 100000000", name="contracts_price_range"
            ),
        ),
        ops.AddConstraint(
            model_name="Contract",
            constraint=CheckConstraint(
                check="settle_minor > 0 AND buyer_fee_minor >= 0 AND seller_fee_minor >= 0",
                name="contracts_amounts_positive",
            ),
        ),
        ops.AddConstraint(
            model_name="Contract",
            constraint=CheckConstraint(
                check="delivery_days BETWEEN 1 AND 30", name="contracts_delivery_days"
            ),
        ),
        ops.AddConstraint(
            model_name="PayoutMethod",
            constraint=CheckConstraint(
                check="kind IN ('STRIPE_ACCOUNT', 'BASE_WALLET')", name="payout_methods_kind_known"
            ),
        ),
        ops.AddConstraint(
            model_name="PayoutMethod",
            constraint=CheckConstraint(
                check="status IN ('PENDING', 'VERIFIED', 'DISABLED')",
                name="payout_methods_status_known",
            ),
        ),
        ops.AddConstraint(
            model_name="PayoutMethod",
            constraint=UniqueConstraint(
                fields=("kind", "external_ref"),
                name="payout_methods_one_owner",
                condition="disabled_at IS NULL",
            ),
        ),
        ops.AddConstraint(
            model_name="PayoutMethod",
            constraint=UniqueConstraint(
                fields=("user_id", "kind"),
                name="payout_methods_one_default",
                condition="is_default",
            ),
        ),
        ops.AddConstraint(
            model_name="WebhookEvent",
            constraint=CheckConstraint(
                check="status IN ('RECEIVED', 'MATCHED', 'UNMATCHED', 'HANDLED', 'IGNORED')",
                name="webhook_events_status_known",
            ),
        ),
        ops.AddConstraint(
            model_name="WebhookEvent",
            constraint=UniqueConstraint(
                fields=("provider", "provider_event_id"), name="webhook_events_once"
            ),
        ),
    ]
