"""People, their accounts, sessions, roles, consents, and where they are paid."""

from tortoise import fields
from tortoise.fields.db_defaults import Now
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

from bloxtr8.store.models.base import Created, Row, one_of


class User(Row):
    display_name = fields.CharField(max_length=80)
    avatar_url = fields.CharField(max_length=512, null=True)
    email = fields.CharField(max_length=254, null=True)
    email_verified = fields.BooleanField(db_default=False)
    tier = fields.CharField(max_length=24, db_default="TIER_0")
    tier2_until = fields.DatetimeField(null=True)
    status = fields.CharField(max_length=24, db_default="ACTIVE")
    status_reason = fields.CharField(max_length=1000, null=True)
    locale = fields.CharField(max_length=10, db_default="en")
    timezone = fields.CharField(max_length=64, db_default="UTC")
    last_seen_at = fields.DatetimeField(null=True)
    closed_at = fields.DatetimeField(null=True)
    version = fields.IntField(db_default=1)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "users"
        indexes = (Index(fields=("status",)), Index(fields=("tier",)))
        constraints = (
            one_of("users", "tier", "TIER_0", "TIER_1", "TIER_2"),
            one_of("users", "status", "ACTIVE", "FROZEN", "CLOSED"),
        )


class StaffMember(Created):
    user_id = fields.UUIDField(primary_key=True)
    role = fields.CharField(max_length=24)
    granted_by = fields.UUIDField(null=True)
    granted_at = fields.DatetimeField(db_default=Now())
    revoked_at = fields.DatetimeField(null=True)
    revoke_reason = fields.CharField(max_length=1000, null=True)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "staff_members"
        constraints = (one_of("staff_members", "role", "SUPPORT", "MODERATOR", "ADMIN"),)


class Session(Row):
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="sessions", on_delete=fields.RESTRICT
    )
    auth_time = fields.DatetimeField()
    mfa = fields.BooleanField(db_default=False)
    ip = fields.CharField(max_length=45, null=True)
    user_agent = fields.CharField(max_length=300, null=True)
    last_used_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    revoked_at = fields.DatetimeField(null=True)
    revoke_reason = fields.CharField(max_length=40, null=True)

    class Meta:
        table = "sessions"
        indexes = (Index(fields=("user_id",)), Index(fields=("expires_at",)))


class PayoutMethod(Row):
    """Where a seller is paid: `external_ref` is a connected account or a wallet address."""

    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="payout_methods", on_delete=fields.RESTRICT
    )
    kind = fields.CharField(max_length=24)
    external_ref = fields.CharField(max_length=64)
    status = fields.CharField(max_length=24, db_default="PENDING")
    proof = fields.JSONField[dict[str, object]](null=True)
    verified_at = fields.DatetimeField(null=True)
    usable_from = fields.DatetimeField(null=True)
    disabled_at = fields.DatetimeField(null=True)
    is_default = fields.BooleanField(db_default=False)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "payout_methods"
        constraints = (
            one_of("payout_methods", "kind", "STRIPE_ACCOUNT", "BASE_WALLET"),
            one_of("payout_methods", "status", "PENDING", "VERIFIED", "DISABLED"),
            UniqueConstraint(
                fields=("kind", "external_ref"),
                name="payout_methods_one_owner",
                condition="disabled_at IS NULL",
            ),
            UniqueConstraint(
                fields=("user_id", "kind"),
                name="payout_methods_one_default",
                condition="is_default",
            ),
        )


class Account(Row):
    """A provider's account of a user: Discord to sign in, Roblox to prove what they own."""

    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="accounts", on_delete=fields.RESTRICT
    )
    provider = fields.CharField(max_length=24)
    external_id = fields.CharField(max_length=32)
    username = fields.CharField(max_length=64)
    display_name = fields.CharField(max_length=80, null=True)
    provider_created_at = fields.DatetimeField(null=True)
    linked_at = fields.DatetimeField()
    unlinked_at = fields.DatetimeField(null=True)
    unlink_reason = fields.CharField(max_length=200, null=True)
    wait_waived_at = fields.DatetimeField(null=True)

    class Meta:
        table = "accounts"
        indexes = (Index(fields=("provider", "external_id")),)
        constraints = (
            one_of("accounts", "provider", "DISCORD", "ROBLOX"),
            UniqueConstraint(
                fields=("provider", "external_id"),
                name="accounts_one_user",
                condition="unlinked_at IS NULL",
            ),
            UniqueConstraint(
                fields=("user_id", "provider"),
                name="accounts_one_of_a_kind",
                condition="unlinked_at IS NULL",
            ),
        )


class Consent(Row):
    """A document, in one version, that a user agreed to."""

    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="consents", on_delete=fields.RESTRICT
    )
    document = fields.CharField(max_length=24)
    version = fields.CharField(max_length=20)
    method = fields.CharField(max_length=24)
    ip = fields.CharField(max_length=45, null=True)
    interaction_id = fields.CharField(max_length=24, null=True)
    accepted_at = fields.DatetimeField()

    class Meta:
        table = "consents"
        constraints = (
            one_of("consents", "document", "TERMS", "PRIVACY", "AGE_18", "ROBLOX_POLICY"),
            one_of("consents", "method", "WEB", "DISCORD"),
            UniqueConstraint(fields=("user_id", "document", "version"), name="consents_once"),
        )


class UserBlock(Created):
    """Whom a user does not want to trade with."""

    id = fields.BigIntField(primary_key=True)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="blocks", on_delete=fields.RESTRICT
    )
    blocked: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="blocked_by", on_delete=fields.RESTRICT
    )

    class Meta:
        table = "user_blocks"
        indexes = (Index(fields=("blocked_id",)),)
        constraints = (
            UniqueConstraint(fields=("user_id", "blocked_id"), name="user_blocks_once"),
            CheckConstraint(check="user_id <> blocked_id", name="user_blocks_two_people"),
        )


class StaffNote(Row):
    """What staff remember about a user; the user does not see it."""

    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="staff_notes", on_delete=fields.RESTRICT
    )
    author_id = fields.UUIDField()
    text = fields.CharField(max_length=2000)

    class Meta:
        table = "staff_notes"
        indexes = (Index(fields=("user_id", "id")),)
