from tortoise import migrations
from tortoise.migrations import operations as ops
import functools
from bloxtr8.ids import uuid7
from json import dumps, loads
from tortoise.fields.base import OnDelete
from tortoise.fields.db_defaults import Now
from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint


class Migration(migrations.Migration):
    dependencies = [("models", "0002_guards")]

    initial = False

    operations = [
        ops.CreateModel(
            name="Account",
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
                        related_name="accounts",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("provider", fields.CharField(max_length=24)),
                ("external_id", fields.CharField(max_length=32)),
                ("username", fields.CharField(max_length=64)),
                ("display_name", fields.CharField(null=True, max_length=80)),
                (
                    "provider_created_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ("linked_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                (
                    "unlinked_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ("unlink_reason", fields.CharField(null=True, max_length=200)),
                (
                    "wait_waived_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "accounts",
                "app": "models",
                "indexes": [Index(fields=["provider", "external_id"])],
                "pk_attr": "id",
                "table_description": "A provider's account of a user: Discord to sign in, Roblox to prove what they own.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="AssetVerification",
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
                        related_name="verifications",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("roblox_user_id", fields.BigIntField()),
                ("universe_id", fields.BigIntField()),
                ("outcome", fields.CharField(max_length=24)),
                ("ownership", fields.CharField(null=True, max_length=24)),
                ("method", fields.CharField(max_length=24)),
                ("reason", fields.CharField(null=True, max_length=60)),
                ("group_id", fields.BigIntField(null=True)),
                (
                    "evidence",
                    fields.JSONField(
                        encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads
                    ),
                ),
                ("approved_by", fields.UUIDField(null=True)),
                ("checked_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "asset_verifications",
                "app": "models",
                "indexes": [Index(fields=["universe_id", "outcome"]), Index(fields=["expires_at"])],
                "pk_attr": "id",
                "table_description": "Whether an experience is the user's, as found last. `roblox_user_id`: who was asked about.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="AuditSeal",
            fields=[
                (
                    "seq",
                    fields.BigIntField(
                        generated=False, primary_key=True, unique=True, db_index=True
                    ),
                ),
                ("audit_id", fields.BigIntField(unique=True)),
                ("prev_hash", fields.BinaryField()),
                ("hash", fields.BinaryField()),
                ("sealed_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "audit_chain",
                "app": "models",
                "pk_attr": "seq",
                "table_description": "A link of the chain over `audit_log`; append-only.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Consent",
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
                        related_name="consents",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("document", fields.CharField(max_length=24)),
                ("version", fields.CharField(max_length=20)),
                ("method", fields.CharField(max_length=24)),
                ("ip", fields.CharField(null=True, max_length=45)),
                ("interaction_id", fields.CharField(null=True, max_length=24)),
                ("accepted_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "consents",
                "app": "models",
                "pk_attr": "id",
                "table_description": "A document, in one version, that a user agreed to.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="OauthState",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                ("state_hash", fields.BinaryField()),
                ("provider", fields.CharField(max_length=24)),
                ("purpose", fields.CharField(max_length=24)),
                ("browser_hash", fields.BinaryField()),
                (
                    "user",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="user_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="oauth_states",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "session",
                    fields.ForeignKeyField(
                        "models.Session",
                        source_field="session_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="oauth_states",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("return_to", fields.CharField(max_length=512)),
                ("subject", fields.CharField(null=True, max_length=64)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                (
                    "consumed_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ("outcome", fields.CharField(null=True, max_length=40)),
            ],
            options={
                "table": "oauth_states",
                "app": "models",
                "indexes": [Index(fields=["expires_at"])],
                "pk_attr": "id",
                "table_description": "A sign-in or link that a browser has begun at a provider.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="OneTimeToken",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                ("token_hash", fields.BinaryField()),
                ("purpose", fields.CharField(max_length=24)),
                (
                    "user",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="user_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="one_time_tokens",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("subject_id", fields.UUIDField(null=True)),
                (
                    "data",
                    fields.JSONField(
                        null=True,
                        encoder=functools.partial(dumps, separators=(",", ":")),
                        decoder=loads,
                    ),
                ),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                (
                    "consumed_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ("misused_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "one_time_tokens",
                "app": "models",
                "indexes": [Index(fields=["expires_at"])],
                "pk_attr": "id",
                "table_description": "A link that permits one act of one person once.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="RefreshToken",
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
                    "session",
                    fields.ForeignKeyField(
                        "models.Session",
                        source_field="session_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="refresh_tokens",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("token_hash", fields.BinaryField()),
                ("issued_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("used_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("replaced_by", fields.UUIDField(null=True)),
            ],
            options={
                "table": "refresh_tokens",
                "app": "models",
                "indexes": [Index(fields=["session_id"]), Index(fields=["expires_at"])],
                "pk_attr": "id",
                "table_description": "One rotation of a session's refresh token; `token_hash` is its SHA-256.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="RobloxCacheEntry",
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
                ("kind", fields.CharField(max_length=24)),
                ("external_id", fields.BigIntField()),
                (
                    "payload",
                    fields.JSONField(
                        encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads
                    ),
                ),
                ("fetched_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "roblox_cache",
                "app": "models",
                "indexes": [Index(fields=["expires_at"])],
                "pk_attr": "id",
                "table_description": "Decoration that may be old: names, pictures, places. Never ownership.",
            },
            bases=["Created"],
        ),
        ops.CreateModel(
            name="RobloxSnapshot",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                ("purpose", fields.CharField(max_length=24)),
                ("universe_id", fields.BigIntField()),
                ("root_place_id", fields.BigIntField(null=True)),
                ("name", fields.CharField(max_length=200)),
                ("description", fields.TextField(null=True, unique=False)),
                ("icon_url", fields.CharField(null=True, max_length=512)),
                ("creator_type", fields.CharField(max_length=24)),
                ("creator_id", fields.BigIntField()),
                ("creator_name", fields.CharField(null=True, max_length=200)),
                ("visibility", fields.CharField(null=True, max_length=20)),
                ("playing", fields.BigIntField(null=True)),
                ("visits", fields.BigIntField(null=True)),
                ("favorites", fields.BigIntField(null=True)),
                ("max_players", fields.IntField(null=True)),
                ("genre", fields.CharField(null=True, max_length=60)),
                (
                    "roblox_created_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                (
                    "roblox_updated_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                (
                    "for_user",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="for_user_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="snapshots",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("roblox_user_id", fields.BigIntField(null=True)),
                ("ownership", fields.CharField(null=True, max_length=24)),
                ("risk_score", fields.IntField()),
                ("risk_level", fields.CharField(max_length=24)),
                (
                    "risk_factors",
                    fields.JSONField(
                        encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads
                    ),
                ),
                ("risk_rules", fields.CharField(max_length=8)),
                ("taken_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                (
                    "payload",
                    fields.JSONField(
                        encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads
                    ),
                ),
                ("payload_sha256", fields.BinaryField()),
            ],
            options={
                "table": "roblox_snapshots",
                "app": "models",
                "indexes": [
                    Index(fields=["universe_id", "taken_at"]),
                    Index(fields=["for_user_id"]),
                ],
                "pk_attr": "id",
                "table_description": "An experience as it was at one moment; append-only. Unknown values are null.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="StaffNote",
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
                        related_name="staff_notes",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("author_id", fields.UUIDField()),
                ("text", fields.CharField(max_length=2000)),
            ],
            options={
                "table": "staff_notes",
                "app": "models",
                "indexes": [Index(fields=["user_id", "id"])],
                "pk_attr": "id",
                "table_description": "What staff remember about a user; the user does not see it.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="UserBlock",
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
                        related_name="blocks",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "blocked",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="blocked_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="blocked_by",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
            ],
            options={
                "table": "user_blocks",
                "app": "models",
                "indexes": [Index(fields=["blocked_id"])],
                "pk_attr": "id",
                "table_description": "Whom a user does not want to trade with.",
            },
            bases=["Created"],
        ),
        ops.AddConstraint(
            model_name="Account",
            constraint=CheckConstraint(
                check="provider IN ('DISCORD', 'ROBLOX')", name="accounts_provider_known"
            ),
        ),
        ops.AddConstraint(
            model_name="Account",
            constraint=UniqueConstraint(
                fields=("provider", "external_id"),
                name="accounts_one_user",
                condition="unlinked_at IS NULL",
            ),
        ),
        ops.AddConstraint(
            model_name="Account",
            constraint=UniqueConstraint(
                fields=("user_id", "provider"),
                name="accounts_one_of_a_kind",
                condition="unlinked_at IS NULL",
            ),
        ),
        ops.AddConstraint(
            model_name="AssetVerification",
            constraint=CheckConstraint(
                check="outcome IN ('VERIFIED', 'NOT_OWNER')",
                name="asset_verifications_outcome_known",
            ),
        ),
        ops.AddConstraint(
            model_name="AssetVerification",
            constraint=CheckConstraint(
                check="ownership IN ('OWNER', 'ADMIN', 'DEVELOPER')",
                name="asset_verifications_ownership_known",
            ),
        ),
        ops.AddConstraint(
            model_name="AssetVerification",
            constraint=CheckConstraint(
                check="method IN ('OPEN_CLOUD', 'GAMES_API', 'MANUAL')",
                name="asset_verifications_method_known",
            ),
        ),
        ops.AddConstraint(
            model_name="AssetVerification",
            constraint=CheckConstraint(
                check="(outcome = 'VERIFIED') = (ownership IS NOT NULL)",
                name="asset_verifications_ownership",
            ),
        ),
        ops.AddConstraint(
            model_name="AssetVerification",
            constraint=UniqueConstraint(
                fields=("user_id", "universe_id"), name="asset_verifications_one"
            ),
        ),
        ops.AddConstraint(
            model_name="AuditSeal",
            constraint=UniqueConstraint(fields=("hash",), name="audit_chain_once"),
        ),
        ops.AddConstraint(
            model_name="Consent",
            constraint=CheckConstraint(
                check="document IN ('TERMS', 'PRIVACY', 'AGE_18', 'ROBLOX_POLICY')",
                name="consents_document_known",
            ),
        ),
        ops.AddConstraint(
            model_name="Consent",
            constraint=CheckConstraint(
                check="method IN ('WEB', 'DISCORD')", name="consents_method_known"
            ),
        ),
        ops.AddConstraint(
            model_name="Consent",
            constraint=UniqueConstraint(
                fields=("user_id", "document", "version"), name="consents_once"
            ),
        ),
        ops.AddConstraint(
            model_name="OauthState",
            constraint=UniqueConstraint(fields=("state_hash",), name="oauth_states_once"),
        ),
        ops.AddConstraint(
            model_name="OauthState",
            constraint=CheckConstraint(
                check="provider IN ('DISCORD', 'ROBLOX')", name="oauth_states_provider_known"
            ),
        ),
        ops.AddConstraint(
            model_name="OauthState",
            constraint=CheckConstraint(
                check="purpose IN ('LOGIN', 'STEP_UP', 'LINK', 'GROUP_CHECK')",
                name="oauth_states_purpose_known",
            ),
        ),
        ops.AddConstraint(
            model_name="OneTimeToken",
            constraint=UniqueConstraint(fields=("token_hash",), name="one_time_tokens_once"),
        ),
        ops.AddConstraint(
            model_name="OneTimeToken",
            constraint=CheckConstraint(
                check="purpose IN ('LINK_ROBLOX', 'SIGN_CONTRACT', 'WALLET_PROOF')",
                name="one_time_tokens_purpose_known",
            ),
        ),
        ops.AddConstraint(
            model_name="RefreshToken",
            constraint=UniqueConstraint(fields=("token_hash",), name="refresh_tokens_once"),
        ),
        ops.AddConstraint(
            model_name="RobloxCacheEntry",
            constraint=UniqueConstraint(fields=("kind", "external_id"), name="roblox_cache_one"),
        ),
        ops.AddConstraint(
            model_name="RobloxSnapshot",
            constraint=CheckConstraint(
                check="purpose IN ('LISTING', 'RELIST', 'ACCEPT', 'DELIVERED', 'RELEASED')",
                name="roblox_snapshots_purpose_known",
            ),
        ),
        ops.AddConstraint(
            model_name="RobloxSnapshot",
            constraint=CheckConstraint(
                check="creator_type IN ('USER', 'GROUP')",
                name="roblox_snapshots_creator_type_known",
            ),
        ),
        ops.AddConstraint(
            model_name="RobloxSnapshot",
            constraint=CheckConstraint(
                check="ownership IN ('OWNER', 'ADMIN', 'DEVELOPER')",
                name="roblox_snapshots_ownership_known",
            ),
        ),
        ops.AddConstraint(
            model_name="RobloxSnapshot",
            constraint=CheckConstraint(
                check="risk_level IN ('LOW', 'MEDIUM', 'HIGH')",
                name="roblox_snapshots_risk_level_known",
            ),
        ),
        ops.AddConstraint(
            model_name="RobloxSnapshot",
            constraint=CheckConstraint(
                check="risk_score BETWEEN 0 AND 100", name="roblox_snapshots_score"
            ),
        ),
        ops.AddConstraint(
            model_name="UserBlock",
            constraint=UniqueConstraint(fields=("user_id", "blocked_id"), name="user_blocks_once"),
        ),
        ops.AddConstraint(
            model_name="UserBlock",
            constraint=CheckConstraint(
                check="user_id <> blocked_id", name="user_blocks_two_people"
            ),
        ),
    ]
