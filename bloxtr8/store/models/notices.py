"""What people are told, and the times in which they could not act."""

from tortoise import fields
from tortoise.fields.db_defaults import Now
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

from bloxtr8.store.models.base import Created, Row, one_of
from bloxtr8.store.models.people import User


class NotificationDelivery(Row):
    """One notice to one person over one channel; the words are made when it is sent."""

    event_id = fields.UUIDField()
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="notices", on_delete=fields.RESTRICT
    )
    channel = fields.CharField(max_length=24)
    template = fields.CharField(max_length=60)
    category = fields.CharField(max_length=24)
    entity = fields.CharField(max_length=64)
    data = fields.JSONField[dict[str, object]]()
    status = fields.CharField(max_length=24, db_default="PENDING")
    attempts = fields.IntField(db_default=0)
    next_attempt_at = fields.DatetimeField()
    last_code = fields.IntField(null=True)
    discord_channel_id = fields.CharField(max_length=20, null=True)
    discord_message_id = fields.CharField(max_length=20, null=True)
    sent_at = fields.DatetimeField(null=True)
    read_at = fields.DatetimeField(null=True)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "notification_deliveries"
        indexes = (Index(fields=("user_id", "created_at")),)
        constraints = (
            one_of("notification_deliveries", "channel", "DISCORD_DM", "THREAD", "INBOX"),
            one_of(
                "notification_deliveries",
                "category",
                *("ESCROW", "DISPUTES", "ACCOUNT", "CONTRACTS", "OFFERS", "NEWS"),
            ),
            one_of(
                "notification_deliveries",
                "status",
                *("PENDING", "SENT", "RETRYING", "DEFERRED", "FAILED", "SUPPRESSED"),
            ),
            UniqueConstraint(
                fields=("event_id", "user_id", "channel", "template"),
                name="notification_deliveries_once",
            ),
        )


class NotificationPreference(Created):
    """Where a person wants the notices of a category; without a row as by default."""

    id = fields.BigIntField(primary_key=True)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="preferences", on_delete=fields.RESTRICT
    )
    category = fields.CharField(max_length=24)
    place = fields.CharField(max_length=24, db_default="DISCORD_DM")
    enabled = fields.BooleanField(db_default=True)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "notification_preferences"
        constraints = (
            one_of("notification_preferences", "place", "DISCORD_DM", "THREAD", "INBOX"),
            one_of(
                "notification_preferences",
                "category",
                *("ESCROW", "DISPUTES", "ACCOUNT", "CONTRACTS", "OFFERS", "NEWS"),
            ),
            CheckConstraint(
                check="enabled OR category NOT IN ('ESCROW', 'DISPUTES', 'ACCOUNT')",
                name="notification_preferences_never_off",
            ),
            UniqueConstraint(fields=("user_id", "category"), name="notification_preferences_one"),
        )


class UserSettings(Created):
    """How a person is told and what others see; quiet hours are "HH:MM" in `quiet_zone`."""

    user_id = fields.UUIDField(primary_key=True)
    quiet_start = fields.CharField(max_length=5, null=True)
    quiet_end = fields.CharField(max_length=5, null=True)
    quiet_zone = fields.CharField(max_length=64, null=True)
    quiet_money = fields.BooleanField(db_default=False)
    discreet = fields.BooleanField(db_default=False)
    show_roblox = fields.BooleanField(db_default=True)
    show_trades = fields.BooleanField(db_default=True)
    offers_from_new = fields.BooleanField(db_default=True)
    theme = fields.CharField(max_length=10, db_default="system")
    dm_closed_at = fields.DatetimeField(null=True)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "user_settings"
        constraints = (
            CheckConstraint(
                check="(quiet_start IS NULL) = (quiet_end IS NULL)"
                " AND (quiet_start IS NULL) = (quiet_zone IS NULL)",
                name="user_settings_quiet",
            ),
            one_of("user_settings", "theme", "system", "light", "dark"),
        )


class Export(Row):
    """Data that somebody asked for, put together in the background and kept for a day.

    `asked`: what of (the audit log's range and format). `facts`: what is known of the result.
    """

    kind = fields.CharField(max_length=24)
    requested_by = fields.UUIDField()
    asked = fields.JSONField[dict[str, object]]()
    status = fields.CharField(max_length=24, db_default="ACCEPTED")
    attempts = fields.IntField(db_default=0)
    next_at = fields.DatetimeField(null=True)
    object_key = fields.CharField(max_length=120, null=True)
    sha256 = fields.CharField(max_length=64, null=True)
    size_bytes = fields.BigIntField(null=True)
    facts = fields.JSONField[dict[str, object]](null=True)
    finished_at = fields.DatetimeField(null=True)
    deleted_at = fields.DatetimeField(null=True)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "exports"
        indexes = (
            Index(fields=("requested_by", "created_at")),
            Index(fields=("next_at",)),
        )
        constraints = (
            one_of("exports", "kind", "PERSON", "AUDIT"),
            one_of("exports", "status", "ACCEPTED", "SUCCEEDED", "FAILED"),
        )


class Outage(Row):
    """A time in which people could not act; `ended_at` is null while it lasts."""

    scope = fields.CharField(max_length=24)
    started_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)
    reason = fields.CharField(max_length=1000)
    recorded_by = fields.UUIDField()

    class Meta:
        table = "outages"
        indexes = (Index(fields=("started_at",)),)
        constraints = (
            one_of("outages", "scope", "ALL", "WEB", "BOT", "STRIPE", "BASE", "ROBLOX"),
            CheckConstraint(check="ended_at > started_at", name="outages_forward"),
        )


class DeadlineExtension(Created):
    """By how much an outage has moved one deadline; once per outage and subject."""

    id = fields.BigIntField(primary_key=True)
    outage: fields.ForeignKeyRelation[Outage] = fields.ForeignKeyField(
        "models.Outage", related_name="extensions", on_delete=fields.RESTRICT
    )
    subject_type = fields.CharField(max_length=30)
    subject_id = fields.UUIDField()
    seconds = fields.IntField()

    class Meta:
        table = "deadline_extensions"
        constraints = (
            UniqueConstraint(
                fields=("outage_id", "subject_type", "subject_id"),
                name="deadline_extensions_once",
            ),
        )
