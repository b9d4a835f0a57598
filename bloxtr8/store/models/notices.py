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
