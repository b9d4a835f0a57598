"""Proofs on their way: refresh tokens, sign-ins under way, one-time links. Hashes only."""

from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import UniqueConstraint

from bloxtr8.store.models.base import Row, one_of
from bloxtr8.store.models.people import Session, User


class RefreshToken(Row):
    """One rotation of a session's refresh token; `token_hash` is its SHA-256."""

    session: fields.ForeignKeyRelation[Session] = fields.ForeignKeyField(
        "models.Session", related_name="refresh_tokens", on_delete=fields.CASCADE
    )
    token_hash = fields.BinaryField()
    issued_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    used_at = fields.DatetimeField(null=True)
    replaced_by = fields.UUIDField(null=True)

    class Meta:
        table = "refresh_tokens"
        indexes = (Index(fields=("session_id",)), Index(fields=("expires_at",)))
        constraints = (UniqueConstraint(fields=("token_hash",), name="refresh_tokens_once"),)


class OauthState(Row):
    """A sign-in or link that a browser has begun at a provider."""

    state_hash = fields.BinaryField()
    provider = fields.CharField(max_length=24)
    purpose = fields.CharField(max_length=24)
    browser_hash = fields.BinaryField()
    user: fields.ForeignKeyNullableRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="oauth_states", on_delete=fields.RESTRICT, null=True
    )
    session: fields.ForeignKeyNullableRelation[Session] = fields.ForeignKeyField(
        "models.Session", related_name="oauth_states", on_delete=fields.CASCADE, null=True
    )
    return_to = fields.CharField(max_length=512)
    subject = fields.CharField(max_length=64, null=True)
    expires_at = fields.DatetimeField()
    consumed_at = fields.DatetimeField(null=True)
    outcome = fields.CharField(max_length=40, null=True)

    class Meta:
        table = "oauth_states"
        indexes = (Index(fields=("expires_at",)),)
        constraints = (
            UniqueConstraint(fields=("state_hash",), name="oauth_states_once"),
            one_of("oauth_states", "provider", "DISCORD", "ROBLOX"),
            one_of("oauth_states", "purpose", "LOGIN", "STEP_UP", "LINK", "GROUP_CHECK"),
        )


class OneTimeToken(Row):
    """A link that permits one act of one person once."""

    token_hash = fields.BinaryField()
    purpose = fields.CharField(max_length=24)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="one_time_tokens", on_delete=fields.RESTRICT
    )
    subject_id = fields.UUIDField(null=True)
    data = fields.JSONField[dict[str, object]](null=True)
    expires_at = fields.DatetimeField()
    consumed_at = fields.DatetimeField(null=True)
    misused_at = fields.DatetimeField(null=True)

    class Meta:
        table = "one_time_tokens"
        indexes = (Index(fields=("expires_at",)),)
        constraints = (
            UniqueConstraint(fields=("token_hash",), name="one_time_tokens_once"),
            one_of("one_time_tokens", "purpose", "LINK_ROBLOX", "SIGN_CONTRACT", "WALLET_PROOF"),
        )
