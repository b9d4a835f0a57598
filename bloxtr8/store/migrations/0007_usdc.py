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
    dependencies = [("models", "0003_reconciliation"), ("models", "0006_listings_guards")]

    initial = False

    operations = [
        ops.CreateModel(
            name="ChainCursor",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "chain_id",
                    fields.BigIntField(
                        generated=False, primary_key=True, unique=True, db_index=True
                    ),
                ),
                ("block_number", fields.BigIntField()),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "chain_cursors",
                "app": "models",
                "pk_attr": "chain_id",
                "table_description": "The last block that the watcher has read.",
            },
            bases=["Created"],
        ),
        ops.CreateModel(
            name="ChainTransaction",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "key",
                    fields.CharField(primary_key=True, unique=True, db_index=True, max_length=160),
                ),
                ("signer", fields.CharField(max_length=42)),
                ("signer_number", fields.BigIntField(null=True)),
                ("nonce", fields.BigIntField()),
                ("to", fields.CharField(source_field="recipient_contract", max_length=42)),
                ("data", fields.TextField(unique=False)),
                ("value_wei", fields.DecimalField(max_digits=78, decimal_places=0)),
                ("gas", fields.BigIntField()),
                ("fee_max_wei", fields.BigIntField()),
                ("tip_wei", fields.BigIntField()),
                ("amount_minor", fields.BigIntField(db_default=0)),
                ("recipient", fields.CharField(db_default="", max_length=42)),
                ("stage", fields.CharField(db_default="RESERVED", max_length=10)),
                (
                    "hashes",
                    fields.JSONField(
                        encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads
                    ),
                ),
                ("sent_block", fields.BigIntField(db_default=0)),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "chain_transactions",
                "app": "models",
                "indexes": [Index(fields=["stage", "signer", "nonce"])],
                "pk_attr": "key",
                "table_description": "A transaction that we sign: nonce and content are fixed, only its fee may rise.",
            },
            bases=["Created"],
        ),
        ops.CreateModel(
            name="DepositAccount",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "address",
                    fields.CharField(primary_key=True, unique=True, db_index=True, max_length=42),
                ),
                ("escrow_id", fields.UUIDField()),
                ("operation_id", fields.UUIDField()),
                ("contract_id", fields.CharField(db_default="", max_length=36)),
                ("due_minor", fields.BigIntField()),
                ("first_block", fields.BigIntField()),
                ("state", fields.CharField(db_default="OPEN", max_length=8)),
                ("payment_ref", fields.CharField(db_default="", max_length=100)),
                (
                    "deposits",
                    fields.JSONField(
                        encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads
                    ),
                ),
                ("overfull", fields.BooleanField(db_default=False)),
                ("waiting", fields.BooleanField(db_default=False)),
                ("newest_block", fields.BigIntField(null=True)),
                ("accepted_minor", fields.BigIntField(db_default=0)),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "deposit_accounts",
                "app": "models",
                "indexes": [Index(fields=["waiting"]), Index(fields=["newest_block"])],
                "pk_attr": "address",
                "table_description": "A deposit address and all that came to it; amounts in micro-USDC, addresses lower-case.",
            },
            bases=["Created"],
        ),
        ops.CreateModel(
            name="DepositNumber",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "number",
                    fields.BigIntField(
                        generated=False, primary_key=True, unique=True, db_index=True
                    ),
                ),
                ("reference", fields.CharField(max_length=64)),
                ("address", fields.CharField(null=True, max_length=42)),
            ],
            options={
                "table": "deposit_numbers",
                "app": "models",
                "pk_attr": "number",
                "table_description": "Which key of the wallet's path is whose; given once and for ever.",
            },
            bases=["Created"],
        ),
        ops.CreateModel(
            name="ScreeningAnswer",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                ("address", fields.CharField(max_length=42)),
                ("provider", fields.CharField(max_length=24)),
                ("risk", fields.CharField(max_length=12)),
                ("score", fields.IntField(null=True)),
                ("reason", fields.CharField(db_default="", max_length=120)),
                ("asked_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("encrypted", fields.BinaryField()),
                ("keep_until", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "screening_answers",
                "app": "models",
                "indexes": [Index(fields=["address", "asked_at"]), Index(fields=["keep_until"])],
                "pk_attr": "id",
                "table_description": "A provider's raw answer, encrypted, kept for seven years.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="WalletScreening",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                ("address", fields.CharField(max_length=42)),
                ("risk", fields.CharField(max_length=12)),
                ("score", fields.IntField(null=True)),
                ("complete", fields.BooleanField()),
                ("asked_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "wallet_screenings",
                "app": "models",
                "indexes": [Index(fields=["address", "asked_at"])],
                "pk_attr": "id",
                "table_description": "What all providers together said of a wallet at one time.",
            },
            bases=["Row"],
        ),
        ops.AddConstraint(
            model_name="ChainTransaction",
            constraint=CheckConstraint(
                check="stage IN ('RESERVED', 'MINED', 'REVERTED')",
                name="chain_transactions_stage_known",
            ),
        ),
        ops.AddConstraint(
            model_name="ChainTransaction",
            constraint=UniqueConstraint(
                fields=("signer", "nonce"), name="chain_transactions_nonce"
            ),
        ),
        ops.AddConstraint(
            model_name="DepositAccount",
            constraint=CheckConstraint(
                check="state IN ('OPEN', 'PAID', 'CLOSED')", name="deposit_accounts_state_known"
            ),
        ),
        ops.AddConstraint(
            model_name="DepositAccount",
            constraint=UniqueConstraint(
                fields=("escrow_id",), name="deposit_accounts_one_an_escrow"
            ),
        ),
        ops.AddConstraint(
            model_name="DepositAccount",
            constraint=CheckConstraint(check="due_minor > 0", name="deposit_accounts_due"),
        ),
        ops.AddConstraint(
            model_name="DepositNumber",
            constraint=UniqueConstraint(fields=("reference",), name="deposit_numbers_once"),
        ),
        ops.AddConstraint(
            model_name="DepositNumber",
            constraint=UniqueConstraint(fields=("address",), name="deposit_numbers_address"),
        ),
        ops.AddConstraint(
            model_name="WalletScreening",
            constraint=CheckConstraint(
                check="risk IN ('LOW', 'MEDIUM', 'UNKNOWN', 'HIGH', 'SANCTIONED')",
                name="wallet_screenings_risk_known",
            ),
        ),
    ]
